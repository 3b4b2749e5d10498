-- The pool's worker, except that it fails after one to four seconds.

local time = require("time")
local worker = require("worker")  -- task_worker.lua, which knows nothing of this

local misfortunes = {
    "paper jam", "disk full", "lost the connection", "division by zero", "coffee in the keyboard",
}

local function main(worker_id)
    -- Tell the demo, if it runs, that there is a new worker. To nobody of that name, this does nothing.
    process.send("demo", "born", worker_id)

    -- A coroutine that runs beside `main`. An error in it that nobody catches ends the whole process.
    coroutine.spawn(function()
        time.sleep(math.random(1000, 4000) * time.MILLISECOND)
        error(misfortunes[math.random(#misfortunes)], 0)
    end)

    return worker.main(worker_id)
end

return { main = main }
