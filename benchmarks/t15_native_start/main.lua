local time = require("time")
local clock = require("clock")

-- Starts a child OS process for a function, which says when it began to run, and waits for its EXIT; `starts` times, with a pause
-- before each but the first.
local function main(starts)
    local events = process.events()
    local begun, ended = {}, {}
    for number = 1, starts do
        -- So long the children that are kept warm are filled up again, and everybody is asleep.
        if number > 1 then time.sleep("20ms") end
        local start = clock.moment()
        local pid = assert(process.spawn_monitored("native_start:moment", "native_start:processes"))
        local event = events:receive()
        ended[number] = clock.moment() - start
        assert(event.kind == process.event.EXIT and event.from == pid)
        begun[number] = event.result.value - start
        assert(begun[number] > 0 and begun[number] < ended[number], "the function has told another time")
    end
    local cold = table.remove(begun, 1)
    table.remove(ended, 1)
    return { cold = cold, warm = begun, ended = ended }
end

return { main = main }
