local time = require("time")

-- Starts a child OS process for a function, waits for its EXIT with the result; `starts` times, with a pause before each but the first.
local function main(starts)
    local events = process.events()
    local samples = {}
    for number = 1, starts do
        -- So long the children that are kept warm are filled up again, and everybody is asleep.
        if number > 1 then time.sleep("20ms") end
        local start = time.now()
        local pid = assert(process.spawn_monitored("native_start:successor", "native_start:processes", number))
        local event = events:receive()
        samples[number] = time.now():sub(start):nanoseconds()
        assert(event.kind == process.event.EXIT and event.from == pid)
        assert(event.result.value == number + 1, "the function has returned something else")
    end
    local cold = table.remove(samples, 1)
    return { cold = cold, warm = samples }
end

return { main = main }
