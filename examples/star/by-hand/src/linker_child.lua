-- Links itself to the process that it is told of, and waits for its end.

local function main(number)
    local message = process.inbox():receive()
    process.link(message:payload():data())
    process.send(message:from(), "linked", process.pid())
    print("child " .. number .. " linked")
    -- It does not trap: when the parent fails, it ends here.
    process.events():receive()
    print("child " .. number .. " was told")
end

return { main = main }
