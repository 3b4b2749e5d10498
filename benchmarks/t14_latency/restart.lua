local time = require("time")

local function worker()
    process.send("observer", "running", time.now():unix_nano())
    process.inbox():receive()
    -- From here until the successor's first line.
    process.send("observer", "crashing", time.now():unix_nano())
    error("crash", 0)
end

-- Written by hand; the declared one is `pool`.
local function supervisor()
    process.set_options({ trap_links = true })
    local events = process.events()
    while true do
        assert(process.spawn_linked("latency:worker", "latency:all"))
        local event = events:receive()
        if event.kind == process.event.CANCEL then return end
        assert(event.kind == process.event.LINK_DOWN)
    end
end

-- The crashes of the worker of a supervisor, which is an entry.
local function restart(restarts, supervised_by)
    local inbox = process.inbox()
    process.registry.register("observer")
    local above = assert(process.spawn(supervised_by, "latency:all"))
    local running = inbox:receive()
    local samples = {}
    for number = 1, restarts do
        process.send(running:from(), "crash")
        local crashing = inbox:receive()
        assert(crashing:topic() == "crashing" and crashing:from() == running:from())
        running = inbox:receive()
        assert(running:topic() == "running")
        samples[number] = running:payload():data() - crashing:payload():data()
    end
    process.terminate(above)
    process.terminate(running:from())
    return { restarts = samples }
end

return { restart = restart, supervisor = supervisor, worker = worker }
