local function parent_main()
-- trap_links aktivieren um Kind-Tod zu behandeln
process.set_options({ trap_links = true })
local events_ch = process.events()
-- Kind starten und verlinken
local child_pid, err = process.spawn_linked(
"app.workers:child_worker",
"app:processes"
)
if err then
return nil, "spawn_linked failed: " .. tostring(err)
end
-- Wenn Kind stirbt, empfangen wir LINK_DOWN
local event = events_ch:receive()
if event.kind == process.event.LINK_DOWN then
print("Child died:", event.from)
end
end
