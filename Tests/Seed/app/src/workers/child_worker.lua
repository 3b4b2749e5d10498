local function main()
    require("observed").begin("child")
    error("CHILD_FAILURE")
end

return { main = main }
