local function main()
    require("observed").begin("child")
    require("time").sleep("10ms")
    return nil, "ERROR_WORKER_FAILURE"
end

return { main = main }
