local time = require("time")

-- Says that it runs and computes for ever. A bystander waits for all others before it does.
local function spinner(parent, bystander)
    process.send(parent, "here")
    if bystander then process.inbox():receive() end
    while true do end
end

local function kill(spinners, kills)
    local inbox, events, me = process.inbox(), process.events(), process.pid()
    local others = {}
    for number = 1, spinners do
        others[number] = assert(process.spawn("latency:spinner", "latency:one", me, true))
    end
    for _ = 1, spinners do inbox:receive() end
    for _, pid in ipairs(others) do process.send(pid, "go") end
    local samples = {}
    for number = 1, kills do
        local victim = assert(process.spawn_monitored("latency:spinner", "latency:one", me))
        assert(inbox:receive():from() == victim)
        -- On a worker of its own it computes meanwhile; among others this makes no difference.
        if spinners == 0 then time.sleep("1ms") end
        local start = time.now()
        assert(process.terminate(victim))
        local event = events:receive()
        samples[number] = time.now():sub(start):nanoseconds()
        assert(event.kind == process.event.EXIT and event.from == victim and event.result.error)
    end
    for _, pid in ipairs(others) do assert(process.terminate(pid), "a bystander has ended") end
    return { kills = samples }
end

return { kill = kill, spinner = spinner }
