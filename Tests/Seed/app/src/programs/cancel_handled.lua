-- Talks to a worker that handles messages until it is cancelled (the program under test), then cancels it.
local function main()
    local worker = assert(process.spawn("app.workers:long_worker", "app:processes"))
    process.send(worker, "greeting", "first")
    process.send(worker, "greeting", "second")
    assert(process.cancel(worker, "1s"))
    return "cancelled"
end

return { main = main }
