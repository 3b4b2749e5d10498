-- Waits until all of these processes have ended. Answers their results in the order of the pids.
local function main(...)
    local pids, results = { ... }, {}
    for _, pid in ipairs(pids) do assert(process.monitor(pid, { if_dead = "event" })) end
    for _ = 1, #pids do
        local event = process.events():receive()
        results[event.from] = event.result
    end
    local answer = {}
    for i, pid in ipairs(pids) do
        local result = results[pid]
        answer[i] = result.error and { error = tostring(result.error) } or { value = result.value }
    end
    return answer
end

return { main = main }
