-- Ends stages from outside, whatever they are doing: so many of them, at random moments.

local time = require("time")

local victims = { "source", "parse", "transform", "sink" }

local function main(kills)
    for _ = 1, kills do
        time.sleep(math.random(1, 40) * time.MILLISECOND)
        process.terminate(victims[math.random(#victims)])  -- nil, "not found" while it is being restarted: no matter
    end
end

return { main = main }
