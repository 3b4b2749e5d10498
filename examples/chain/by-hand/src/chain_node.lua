-- Starts the rest of the chain, and waits until it falls with it.

local time = require("time")

local function main(depth)
    print("node " .. depth .. " started")
    if depth > 0 then
        local _, err = process.spawn_linked("app.workers:chain_node", "app:processes", depth - 1)
        if err then error("spawn failed: " .. tostring(err)) end
    end
    time.sleep("5s")
    print("node " .. depth .. " got to its end")
end

return { main = main }
