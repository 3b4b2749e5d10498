local time = require("time")

local function echo(trips)
    local inbox = process.inbox()
    for _ = 1, trips do
        local message = inbox:receive()
        process.send(message:from(), "pong", message:payload():data())
    end
end

-- All that work say when they are ready and begin when told, so that making them is not measured.
local function ready(parent)
    process.send(parent, "ready")
    process.inbox():receive()
end

local function pair(parent, host, trips)
    local other = assert(process.spawn("workers:echo", host, trips))
    local inbox = process.inbox()
    ready(parent)
    local sum = 0
    for number = 1, trips do
        process.send(other, "ping", number)
        sum = sum + inbox:receive():payload():data()
    end
    return sum == trips * (trips + 1) // 2
end

local function compute(parent, _, size)
    ready(parent)
    local sum = 0
    for number = 1, size do sum = (sum + number) % 1000003 end
    return sum >= 0
end

local function main(work, count, amount, host)
    local inbox, events = process.inbox(), process.events()
    local pids = {}
    for number = 1, count do
        pids[number] = assert(process.spawn_monitored("workers:" .. work, host, process.pid(), host, amount))
    end
    for _ = 1, count do inbox:receive() end

    local start = time.now()
    for _, pid in ipairs(pids) do process.send(pid, "go") end
    for _ = 1, count do assert(events:receive().result.value == true, "somebody did not do the work") end
    return { time = time.now():sub(start):nanoseconds() }
end

return { main = main, pair = pair, echo = echo, compute = compute }
