local function worker_main()
local events_ch = process.events()
local inbox_ch = process.inbox()
while true do
local result = channel.select {
inbox_ch:case_receive(),
events_ch:case_receive(),
}
if result.channel == events_ch then
local event = result.value
if event.kind == process.event.CANCEL then
-- Ressourcen aufräumen
cleanup()
return "cancelled gracefully"
end
else
-- Inbox-Nachricht verarbeiten
handle_message(result.value)
end
end
end
