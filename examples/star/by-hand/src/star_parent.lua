-- A star: ten children are linked to this process. It fails, and they fall with it.

local time = require("time")

local function main()
    -- Without this it would fall with the first child that fails.
    process.set_options({ trap_links = true })
    for i = 1, 10 do
        local child, err = process.spawn("app.workers:linker_child", "app:processes", i)
        if err then error("spawn child failed: " .. tostring(err)) end
        process.send(child, "inbox", process.pid())
    end
    for _ = 1, 10 do
        local message = process.inbox():receive()
        if message:topic() ~= "linked" then error("expected linked confirmation") end
    end
    print("parent: ten children are linked")
    time.sleep("1s")
    error("PARENT_STAR_FAILURE", 0)
end

return { main = main }
