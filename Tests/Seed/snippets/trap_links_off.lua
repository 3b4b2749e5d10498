local function worker_main()
local events_ch = process.events()
-- trap_links ist standardmäßig false
local opts = process.get_options()
print("trap_links:", opts.trap_links) -- false
-- Verlinkten Worker starten der fehlschlagen wird
local child_pid, err = process.spawn_linked(
"app.workers:error_worker",
"app:processes"
)
-- Wenn Kind Fehler hat, terminiert DIESER Prozess
-- Wir erreichen diesen Punkt nie
local event = events_ch:receive()
end
