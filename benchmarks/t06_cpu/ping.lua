local time = require("time")

local HOST = "cpu:processes"

local function spinner()
    while true do end
end

local function echo()
    local inbox = process.inbox()
    while true do
        local message = inbox:receive()
        process.send(message:from(), "pong", message:payload():data())
    end
end

local function ping(pings)
    local other = assert(process.spawn("cpu:echo", HOST))
    local neighbour = assert(process.spawn("cpu:spinner", HOST))
    local inbox = process.inbox()
    local delays = {}
    time.sleep("50ms")
    for number = 1, pings do
        local start = time.now()
        time.sleep("1ms")
        process.send(other, "ping", number)
        assert(inbox:receive():payload():data() == number)
        delays[number] = time.now():sub(start):nanoseconds() - time.MILLISECOND
    end
    process.terminate(neighbour)
    process.terminate(other)
    return { delays = delays }
end

return { ping = ping, echo = echo, spinner = spinner }
