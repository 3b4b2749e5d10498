-- Is linked to a child that fails, traps that, and lives.

local function worker_main()
-- trap_links aktivieren
process.set_options({ trap_links = true })
local events_ch = process.events()
-- Verlinkten Worker starten der fehlschlagen wird
local child_pid, err = process.spawn_linked(
"app.workers:error_worker",
"app:processes"
)
-- Auf LINK_DOWN-Event warten
local event = events_ch:receive()
if event.kind == process.event.LINK_DOWN then
print("Child failed, handling gracefully")
return "LINK_DOWN_RECEIVED"
end
end

return { main = worker_main }
