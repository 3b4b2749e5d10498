-- Watches a pool of workers that keep failing, gives them jobs, and in the end takes the pool down.
--
-- Three processes deep: this one has a *monitor* on the pool and on every worker, so it is told how each of them
-- ended and is not affected. The pool (supervisor/pool.lua) is *linked* to its workers and traps: it is told when one
-- fails, and starts another. The workers do not trap: when the pool ends by failure, they fall with it.

local time = require("time")

local WORKERS, SHOW = 4, "8s"

local start = time.now()
local function seconds() return time.now():sub(start):seconds() end

local living = {}    -- pid of a worker → { id, born, job }
local tally = {}     -- number of a worker → what happened to it
local waiting = {}   -- jobs that nobody has yet
local jobs, done, deaths = 0, 0, 0

-- Each line of the demo shows the pool: ● a worker that waits, ◆ one with a job, ✗ one that is dead.
local function say(text, ...)
    local lamps = {}
    for id = 1, WORKERS do lamps[id] = "✗" end
    for _, worker in pairs(living) do lamps[worker.id] = worker.job and "◆" or "●" end
    print(("%5.1f s  %s  %s"):format(seconds(), table.concat(lamps), text:format(...)))
end

for id = 1, WORKERS do tally[id] = { lives = 0, failed = 0, done = 0, longest = 0 } end

-- A worker says that it is there, or that it has finished its job.
local function on_message(message)
    local pid = message:from()
    if message:topic() == "born" then
        local id = message:payload():data()
        living[pid] = { id = id, born = seconds() }
        tally[id].lives = tally[id].lives + 1
        -- From now on its end comes as an event, even if it is dead by now.
        process.monitor(pid, { if_dead = "event" })
    elseif message:topic() == "result" and living[pid] then
        local worker = living[pid]
        worker.job = nil
        done = done + 1
        tally[worker.id].done = tally[worker.id].done + 1
    end
end

-- A worker has ended. If it had a job, that is not lost.
local function on_death(event)
    local worker = living[event.from]
    living[event.from] = nil
    local record, age = tally[worker.id], seconds() - worker.born
    record.longest = math.max(record.longest, age)
    deaths = deaths + 1
    local cause = tostring(event.result.error)
    if cause:find("^linked process") then
        say("worker %d fell with the pool", worker.id)
    else
        record.failed = record.failed + 1
        say("worker %d FAILED after %.1f s: %s", worker.id, age, cause)
        if worker.job then
            say("%s was in its hands: somebody else will get it", worker.job)
            table.insert(waiting, 1, worker.job)
        end
    end
end

-- Gives the next job to a worker that has none, chosen by chance.
local function hand_out()
    local idle = {}
    for pid, worker in pairs(living) do
        if not worker.job then idle[#idle + 1] = pid end
    end
    if #idle == 0 then return end
    local job = table.remove(waiting, 1)
    if not job then
        jobs = jobs + 1
        job = "job " .. jobs
    end
    local pid = idle[math.random(#idle)]
    if process.send(pid, "work", job) then
        living[pid].job = job
    else
        table.insert(waiting, 1, job)  -- it has just died; its EXIT is on the way
    end
end

local function print_summary()
    print("")
    print("  worker   lives   failed   restarts   jobs done   longest life")
    local all = { lives = 0, failed = 0, restarts = 0 }
    for id, record in ipairs(tally) do
        local restarts = math.max(record.lives - 1, 0)
        print(("  %6d   %5d   %6d   %8d   %9d   %10.1f s"):format(
            id, record.lives, record.failed, restarts, record.done, record.longest))
        all.lives, all.failed = all.lives + record.lives, all.failed + record.failed
        all.restarts = all.restarts + restarts
    end
    print(("  %6s   %5d   %6d   %8d   %9d"):format("all", all.lives, all.failed, all.restarts, done))
    print("")
    return all
end

local function main()
    process.registry.register("demo")
    say("a pool of %d workers; each of them will fail, one to four seconds after it began", WORKERS)
    local pool = assert(process.spawn_monitored("app.supervisor:pool", "app:processes", WORKERS))

    local inbox, events = process.inbox(), process.events()
    local job_due, time_up = time.ticker("120ms"), time.after(SHOW)
    local pool_end

    while not pool_end or next(living) do
        local result = channel.select {
            inbox:case_receive(),
            events:case_receive(),
            job_due:channel():case_receive(),
            time_up:case_receive(),
        }
        if result.channel == inbox then
            on_message(result.value)
        elseif result.channel == events and result.value.from == pool then
            pool_end = tostring(result.value.result.error)
            say("the pool has ended: %s", pool_end)
        elseif result.channel == events then
            on_death(result.value)
        elseif result.channel == time_up then
            say("enough: the pool is cancelled and has one second; it does not listen")
            job_due:stop()
            process.cancel(pool, "1s")
        else
            hand_out()
        end
    end

    local all = print_summary()
    return { deaths = deaths, failed = all.failed, restarts = all.restarts, jobs = done, pool = pool_end }
end

return { main = main }
