-- Starts a worker with a monitor and prints how it ended.

local function main()
local events_ch = process.events()
-- Worker starten und überwachen
local worker_pid, err = process.spawn_monitored(
"app.workers:task_worker",
"app:processes"
)
if err then
return nil, "spawn failed: " .. tostring(err)
end
-- Auf Worker-Abschluss warten
local event = events_ch:receive()
if event.kind == process.event.EXIT then
print("Worker exited:", event.from)
if event.result then
print("Result:", event.result.value)
end
if event.result and event.result.error then
print("Error:", event.result.error)
end
end
end

return { main = main }
