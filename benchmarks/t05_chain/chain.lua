local time = require("time")

-- A link of the chain: makes the next one, says that it is there, and fails when told to.
local function member(observer, left)
    if left > 1 then
        assert(process.spawn_linked("chain:member", "chain:processes", observer, left - 1))
    end
    process.send(observer, "born", left)
    process.inbox():receive()
    error("the root fails", 0)
end

local function main(length)
    local inbox, events = process.inbox(), process.events()
    local root = assert(process.spawn("chain:member", "chain:processes", process.pid(), length))
    for _ = 1, length do assert(process.monitor(inbox:receive():from())) end

    local start = time.now()
    process.send(root, "fail")
    local farthest = 0
    for _ = 1, length do
        local event = events:receive()
        assert(event.kind == process.event.EXIT and event.result.error, "somebody did not fail")
        assert(event.origin == root, "the failure did not begin in the root")
        if event.hops > farthest then farthest = event.hops end
    end
    local elapsed = time.now():sub(start):nanoseconds()
    assert(farthest == length - 1, "the failure took a shorter way")
    return { all_dead = elapsed }
end

return { main = main, member = member }
