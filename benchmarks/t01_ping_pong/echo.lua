local function main()
    local inbox = process.inbox()
    while true do
        local message = inbox:receive()
        process.send(message:from(), "pong", message:payload():data())
    end
end

return { main = main }
