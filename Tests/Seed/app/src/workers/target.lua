local function main()
    require("observed").begin("target")
    local how = process.inbox():receive():topic()
    if how == "fail" then error("TARGET_FAILURE") end
    return how
end

return { main = main }
