local time = require("time")

local function main(spawns)
    local events = process.events()

    local function life(number)
        local pid = assert(process.spawn_monitored("spawn:leaf", "spawn:processes", number))
        local event = events:receive()
        return event.kind == process.event.EXIT and event.from == pid and event.result.value == number
    end

    for number = 1, spawns // 10 do life(number) end
    local right = 0
    local start = time.now()
    for number = 1, spawns do
        if life(number) then right = right + 1 end
    end
    local elapsed = time.now():sub(start):nanoseconds()
    assert(right == spawns, "not every process returned its argument")
    return { each = elapsed / spawns }
end

return { main = main }
