-- A chain: each node has started the next one and is linked to it. The root fails, and all fall.

local time = require("time")

local function main()
    local _, err = process.spawn_linked("app.workers:chain_node", "app:processes", 4)
    if err then error("spawn failed: " .. tostring(err)) end
    time.sleep("100ms") -- until the chain is there; nobody says so
    error("CHAIN_ROOT_FAILURE", 0)
end

return { main = main }
