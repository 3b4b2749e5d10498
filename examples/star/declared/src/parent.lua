-- The middle of the star: fails a second after it was ready. It knows nothing of its children.

local time = require("time")

local function main()
    print("parent started")
    process.ready()
    time.sleep("1s")
    error("PARENT_STAR_FAILURE", 0)
end

return { main = main }
