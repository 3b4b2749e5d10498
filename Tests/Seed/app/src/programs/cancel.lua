-- Cancels a worker and waits for its EXIT.

local function main()
local time = require("time")
local events_ch = process.events()
-- Worker starten und überwachen
local worker_pid, err = process.spawn_monitored(
"app.workers:long_worker",
"app:processes"
)
time.sleep("5ms")
-- Mit 100ms Timeout für Cleanup abbrechen
local ok, cancel_err = process.cancel(worker_pid, "100ms")
if cancel_err then
return nil, "cancel failed: " .. tostring(cancel_err)
end
-- Auf EXIT-Event warten
local event = events_ch:receive()
if event.kind == process.event.EXIT then
print("Worker cancelled:", event.from)
end
end

return { main = main }
