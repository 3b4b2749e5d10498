local time = require("time")

-- Round trips to a native process of `entry`, one after the other.
local function main(entry, trips)
    local echo = assert(process.spawn(entry, "native_messages:processes"))
    local inbox = process.inbox()

    local function trip(number)
        process.send(echo, "ping", number)
        local answer = inbox:receive()
        assert(answer:from() == echo and answer:payload():data() == number, "answers do not fit the questions")
    end

    for number = 1, trips // 10 do trip(number) end
    local samples = {}
    for number = 1, trips do
        local start = time.now()
        trip(number)
        samples[number] = time.now():sub(start):nanoseconds()
    end
    process.terminate(echo)
    table.sort(samples)
    return { each = samples[trips // 2 + 1] }
end

return { main = main }
