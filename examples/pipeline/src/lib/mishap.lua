-- Failures on order. The same seed fails the same lives of the same stages at the same items.

local ctx = require("ctx")

local mishap = {}

local causes = { "disk full", "lost the connection", "out of paper", "coffee in the keyboard" }

-- A number that looks random and depends on nothing but these values (FNV-1a, and a last stir).
local function hash(...)
    local sum = 2166136261
    for _, byte in ipairs({ table.concat({ ... }, "/"):byte(1, -1) }) do
        sum = ((sum ~ byte) * 16777619) & 0xffffffff
    end
    sum = ((sum ~ (sum >> 16)) * 0x45d9f3b) & 0xffffffff
    return sum ~ (sum >> 16)
end

-- A function that fails now and then. `life` counts the starts of the stage: without it a new one would fail where the
-- one before it did, for ever.
function mishap.of(stage, life)
    local seed, percent = ctx.get("seed"), ctx.get("mishaps")
    return function(moment, number, attempt)
        -- Nobody has bad luck at the third attempt: what still fails then is the item's own fault.
        if attempt >= 3 then return end
        local fate = hash(seed, stage, life, moment, number)
        if fate % 100 < percent then error(causes[fate // 100 % #causes + 1], 0) end
    end
end

return mishap
