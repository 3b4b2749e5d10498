-- A worker with bad luck: it takes work until it fails, after one to four seconds.

local time = require("time")

local misfortunes = { "paper jam", "disk full", "lost the connection", "division by zero", "coffee in the keyboard" }

local function main(worker_id)
    local events, inbox = process.events(), process.inbox()
    print("Task worker " .. worker_id .. " started: " .. process.pid())

    coroutine.spawn(function()
        time.sleep(math.random(1000, 4000) * time.MILLISECOND)
        error(misfortunes[math.random(#misfortunes)], 0)
    end)

    while true do
        local result = channel.select { inbox:case_receive(), events:case_receive() }
        if result.channel == events then
            print("Worker " .. worker_id .. " cancelled")
            return "cancelled"
        end
        local message = result.value
        if message:topic() == "work" then
            time.sleep("100ms")
            process.send(message:from(), "result", "completed: " .. message:payload():data())
        end
    end
end

return { main = main }
