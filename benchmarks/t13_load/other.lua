-- One of those that are there and not started.
local function main(name)
    local inbox = process.inbox()
    while true do
        local message = inbox:receive()
        process.send(message:from(), "answer", name, message:payload():data())
    end
end

return { main = main }
