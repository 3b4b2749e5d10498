local function main()
local time = require("time")
local events_ch = process.events()
-- Starten und überwachen
local worker_pid, err = process.spawn_monitored(
"app.workers:long_worker",
"app:processes"
)
time.sleep("5ms")
-- Monitoring beenden
local ok, unmon_err = process.unmonitor(worker_pid)
if unmon_err then
return nil, "unmonitor failed: " .. tostring(unmon_err)
end
-- Worker abbrechen
process.cancel(worker_pid, "100ms")
-- Kein EXIT-Event wird empfangen (wir haben unmonitored)
local timeout = time.after("200ms")
local result = channel.select {
events_ch:case_receive(),
timeout:case_receive(),
}
if result.channel == events_ch then
return nil, "should not receive event after unmonitor"
end
end
