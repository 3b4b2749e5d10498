local time = require("time")

local function child()
    process.send("observer", "running", time.now():unix_nano())
    process.inbox():receive()
    -- From here until the successor's first line.
    process.send("observer", "crashing", time.now():unix_nano())
    error("crash", 0)
end

-- The crashes of a child of a `supervisor` entry; `restart.lua` has the supervisor written by hand.
local function declared(restarts)
    local inbox = process.inbox()
    process.registry.register("observer")
    local pool = assert(process.spawn("latency:pool", "latency:all"))
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
    process.terminate(pool)
    return { restarts = samples }
end

return { declared = declared, child = child }
