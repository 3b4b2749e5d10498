local programs = {}

function programs.echo(...)
    return {...}
end

function programs.nothing() end

function programs.says(text)
    print("heard", text)
    return text
end

function programs.answers_an_error()
    return nil, "no luck"
end

function programs.raises()
    error("raised on purpose")
end

-- Never ends by itself, and gives nobody a chance to notice.
function programs.talks()
    while true do print("and on") end
end

function programs.waits()
    print("ready")
    local event = process.events():receive()
    print("asked: " .. event.kind)
    return "done"
end

function programs.spins()
    print("ready")
    while true do end
end

function programs.logs()
    require("logger"):named("till"):warn("one\ntwo", { n = 1, text = "a b" })
end

function programs.reads(...)
    local io = require("io")
    io.write("name? ")
    local first, second = io.readline(), io.readline()
    local none, why = io.readline()
    return { first, second, none == nil, why:message(), #io.args() }
end

function programs.environment()
    local env = require("env")
    local none, why = env.get("HOME")
    return { env.get("OBHUT_TEST_VALUE"), none == nil, why:kind() }
end

return programs
