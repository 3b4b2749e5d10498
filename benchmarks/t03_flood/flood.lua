local time = require("time")

-- Sends as fast as it can while the sink receives.
local function flood(messages)
    local sink = assert(process.spawn("flood:sink", "flood:processes", messages))
    local inbox = process.inbox()
    local start = time.now()
    for number = 1, messages do
        local sent, err = process.send(sink, "work", number)
        if not sent then error(err) end
    end
    local sum = inbox:receive():payload():data()
    local elapsed = time.now():sub(start):nanoseconds()
    assert(sum == messages * (messages + 1) // 2, "what was received is not what was sent")
    return { each = elapsed / messages }
end

-- Fills the mailbox of a process that waits for something else, then lets it take all; `times` over.
local function queued(length, times)
    local sink = assert(process.spawn("flood:patient", "flood:processes", length - 1, times))
    local inbox = process.inbox()
    local start = time.now()
    for _ = 1, times do
        for number = 1, length - 1 do
            local sent, err = process.send(sink, "work", number)
            if not sent then error(err) end
        end
        assert(process.send(sink, "go"))
        local sum = inbox:receive():payload():data()
        assert(sum == (length - 1) * length // 2, "what was received is not what was sent")
    end
    return { each = time.now():sub(start):nanoseconds() / (length * times) }
end

return { flood = flood, queued = queued }
