local time = require("time")

local function holder(parent, timers, seconds, phase)
    -- Arms them; they are kept, and nobody reads them.
    local kept = {}
    for number = 1, timers do kept[number] = false end
    local hour = time.HOUR
    local start = time.now()
    for number = 1, timers do kept[number] = time.after(hour + number * 1000000) end
    local each = time.now():sub(start):nanoseconds() / timers
    process.send(parent, "armed", each)

    process.inbox():receive()
    start = time.now():add(300 * time.MILLISECOND + phase)
    local late = {}
    for number = 1, seconds do
        local due = start:add((number - 1) * time.SECOND)
        time.sleep(due:sub(time.now()))
        late[number] = time.now():sub(due):nanoseconds()
    end
    assert(#kept == timers)
    return late
end

local function main(holders, timers, seconds)
    local inbox, events = process.inbox(), process.events()
    local me, pids, arming, late = process.pid(), {}, {}, {}
    for number = 1, holders do
        pids[number] = assert(process.spawn_monitored("timers:holder", "timers:processes", me, timers, seconds,
            time.SECOND // holders * number))
    end
    for number = 1, holders do arming[number] = inbox:receive():payload():data() end
    for _, pid in ipairs(pids) do process.send(pid, "go") end
    for _ = 1, holders do
        local result = events:receive().result
        if result.error then error(tostring(result.error)) end
        for _, nanoseconds in ipairs(result.value) do
            assert(nanoseconds >= 0, "a timer fired before its time")
            late[#late + 1] = nanoseconds
        end
    end
    assert(#late == holders * seconds, "some timers did not fire")
    return { arming = arming, late = late }
end

return { main = main, holder = holder }
