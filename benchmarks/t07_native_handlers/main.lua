-- Tells one handler of the other and how often; it says how long that took.
local function main(trips)
    local echo = assert(process.spawn("handlers:echo", "handlers:processes"))
    local ping = assert(process.spawn("handlers:ping", "handlers:processes", echo, trips))
    process.send(ping, "begin")
    local message = process.inbox():receive()
    assert(message:from() == ping and message:topic() == "nanoseconds")
    local elapsed = message:payload():data()
    assert(elapsed > 0, "answers do not fit the questions")
    process.terminate(ping)
    process.terminate(echo)
    return { round_trip = elapsed / trips }
end

return { main = main }
