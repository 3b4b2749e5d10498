require("observed").begin("linker")

-- Worker der sich mit einem Zielprozess verlinkt
local function worker_main()
local time = require("time")
local events_ch = process.events()
local inbox_ch = process.inbox()
-- trap_links aktivieren um LINK_DOWN-Events zu empfangen
process.set_options({ trap_links = true })
-- Ziel-PID vom Sender empfangen
local msg = inbox_ch:receive()
local target_pid = msg:payload():data()
local sender = msg:from()
-- Bidirektionale Verlinkung erstellen
local ok, err = process.link(target_pid)
if err then
return nil, "link failed: " .. tostring(err)
end
-- Sender benachrichtigen dass wir verlinkt sind
process.send(sender, "linked", process.pid())
-- Auf LINK_DOWN warten wenn Ziel beendet
local timeout = time.after("3s")
local result = channel.select {
events_ch:case_receive(),
timeout:case_receive(),
}
if result.channel == events_ch then
local event = result.value
if event.kind == process.event.LINK_DOWN then
return "LINK_DOWN_RECEIVED"
end
end
return nil, "no LINK_DOWN received"
end

return { main = worker_main }
