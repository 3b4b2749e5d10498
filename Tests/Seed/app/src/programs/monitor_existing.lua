-- Puts a monitor on a worker that runs already, and cancels it.

local function main()
local time = require("time")
local events_ch = process.events()
-- Ohne Monitoring starten
local worker_pid, err = process.spawn(
"app.workers:long_worker",
"app:processes"
)
if err then
return nil, "spawn failed: " .. tostring(err)
end
-- Später Monitoring hinzufügen
local ok, monitor_err = process.monitor(worker_pid)
if monitor_err then
return nil, "monitor failed: " .. tostring(monitor_err)
end
-- Worker abbrechen
time.sleep("5ms")
process.cancel(worker_pid, "100ms")
-- EXIT-Event empfangen
local event = events_ch:receive()
if event.kind == process.event.EXIT then
print("Worker terminated:", event.from)
end
end

return { main = main }
