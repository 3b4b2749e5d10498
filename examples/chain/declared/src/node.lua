-- A node of the chain: starts when the one before it is ready. With a lifetime it fails when that is over.

local time = require("time")

local function main(name, lifetime)
    print(name .. " started")
    process.ready()
    local over = lifetime and time.after(lifetime) or channel.new()
    local result = channel.select { process.events():case_receive(), over:case_receive() }
    if result.channel == over then error("CHAIN_NODE_FAILURE", 0) end
    print(name .. " stopped")
end

return { main = main }
