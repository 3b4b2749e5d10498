local time = require("time")

local function worker(observer)
    process.send(observer, "running", time.now():unix_nano())
    process.inbox():receive()
    -- From here until the successor's first line.
    process.send(observer, "crashing", time.now():unix_nano())
    error("crash", 0)
end

local function supervisor(observer)
    process.set_options({ trap_links = true })
    local events = process.events()
    while true do
        assert(process.spawn_linked("latency:worker", "latency:all", observer))
        local event = events:receive()
        if event.kind == process.event.CANCEL then return end
        assert(event.kind == process.event.LINK_DOWN)
    end
end

local function restart(restarts)
    local inbox, me = process.inbox(), process.pid()
    local above = assert(process.spawn("latency:supervisor", "latency:all", me))
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
    process.terminate(running:from())
    process.terminate(above)
    return { restarts = samples }
end

return { restart = restart, supervisor = supervisor, worker = worker }
