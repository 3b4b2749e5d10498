-- Runs a program and tells how it, and every process that made itself known, came to its end.
--
-- To each of them the observer has a monitor and a link, and it traps: of one that fails it gets EXIT, then
-- LINK_DOWN; of one that ends normally EXIT alone. The answer is a list in the order in which they began:
--   { role, pid, ended = "value" or "error", value or error, down = { error, origin, hops }, surplus }
-- where `surplus` counts events that should not have come.

local function main(program, ...)
    local time = require("time")
    process.set_options({ trap_links = true })
    process.registry.register("observer")
    local inbox, events = process.inbox(), process.events()
    local report, records, unfinished = {}, {}, 0

    local function add(pid, role)
        local record = { role = role, pid = pid, surplus = 0 }
        records[pid] = record
        report[#report + 1] = record
        unfinished = unfinished + 1
    end

    local function take(event)
        local record = records[event.from]
        local failed = event.result and event.result.error ~= nil
        if event.kind == process.event.EXIT and not record.ended then
            record.ended = failed and "error" or "value"
            record.value = event.result.value
            record.error = failed and tostring(event.result.error) or nil
            if not failed then unfinished = unfinished - 1 end
        elseif event.kind == process.event.LINK_DOWN and record.ended == "error" and not record.down then
            record.down = {
                error = tostring(event.result.error), origin = event.origin, hops = event.hops,
            }
            unfinished = unfinished - 1
        else
            record.surplus = record.surplus + 1
        end
    end

    local pid, err = process.spawn_linked_monitored(program, "app:processes", ...)
    if err then return nil, err end
    add(pid, "program")

    local overdue = time.after("60s")
    local quiet  -- a moment without events, after the last one has ended
    while true do
        if unfinished == 0 and not quiet then quiet = time.after("50ms") end
        local result = channel.select {
            inbox:case_receive(),
            events:case_receive(),
            (quiet or overdue):case_receive(),
        }
        if result.channel == inbox then
            local message, data = result.value, result.value:payload():data()
            add(data.pid, data.role)
            quiet = nil
            assert(process.monitor(data.pid))
            assert(process.link(data.pid))
            message:reply(true)
        elseif result.channel == events then
            take(result.value)
        elseif result.channel == quiet then
            return report
        else
            return nil, "not all of them have ended"
        end
    end
end

return { main = main }
