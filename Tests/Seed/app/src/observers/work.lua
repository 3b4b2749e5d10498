-- Gives a worker of the pool these tasks, one after the other without waiting, and answers what came back.
local function main(worker, ...)
    local time = require("time")
    local tasks, results = { ... }, {}
    for _, task in ipairs(tasks) do assert(process.send(worker, "work", task)) end
    local timeout = time.after("10s")
    while #results < #tasks do
        local result = channel.select { process.inbox():case_receive(), timeout:case_receive() }
        if result.channel == timeout then return nil, "no result" end
        assert(result.value:topic() == "result" and result.value:from() == worker)
        results[#results + 1] = result.value:payload():data()
    end
    return results
end

return { main = main }
