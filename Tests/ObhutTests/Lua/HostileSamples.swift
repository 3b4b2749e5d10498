/// Programs that do not end by themselves and take pains not to be ended (C4).
enum HostileSamples {
    static let all: [(name: String, code: String)] = [
        (
            "while true",
            #"""
            while true do end
            """#),
        (
            "pcall loop",
            #"""
            while true do pcall(function() while true do end end) end
            """#),
        (
            "xpcall loop",
            #"""
            while true do xpcall(function() while true do end end, function() while true do end end) end
            """#),
        (
            "gsub callback",
            #"""
            string.gsub('x','x',function() while true do end end)
            """#),
        (
            "gsub callback with pcall loop inside",
            #"""
            while true do pcall(string.gsub,'x','x',function() while true do pcall(function() while true do end end) end end) end
            """#),
        (
            "sort comparator",
            #"""
            table.sort({1,2,3},function() while true do end end)
            """#),
        (
            "xpcall handler spins",
            #"""
            while true do xpcall(error,function() while true do end end) end
            """#),
        (
            "xpcall handler recursion",
            #"""
            local function h() return xpcall(error,h) end while true do xpcall(error,h) end
            """#),
        (
            "__close spins, error",
            #"""
            while true do pcall(function() local x<close> = setmetatable({},{__close=function() while true do end end}) error'x' end) end
            """#),
        (
            "150 pending __close that each loop",
            #"""
            local function f(n) local x<close> = setmetatable({},{__close=function() for i=1,1e9 do end end}) if n>0 then f(n-1) end while true do end end f(150)
            """#),
        (
            "deep pcall nest (180)",
            #"""
            local function f(n) if n==0 then while true do end end while true do pcall(f,n-1) end end f(180)
            """#),
        (
            "pattern that explodes",
            #"""
            string.find(('a'):rep(60),('a*'):rep(30)..'b')
            """#),
        (
            "pattern in pcall in coroutine",
            #"""
            while true do coroutine.wrap(function() pcall(string.find,('a'):rep(60),('a*'):rep(30)..'b') end)() end
            """#),
        (
            "string.rep loop",
            #"""
            while true do local s=('x'):rep(1000000) end
            """#),
        (
            "table.concat big",
            #"""
            local t={} for i=1,1e6 do t[i]='x' end while true do table.concat(t) end
            """#),
        (
            "string.format loop",
            #"""
            while true do string.format('%99.99f',1e300) end
            """#),
        (
            "coroutine spin",
            #"""
            coroutine.wrap(function() while true do end end)()
            """#),
        (
            "coroutine resume loop",
            #"""
            while true do coroutine.resume(coroutine.create(function() while true do end end)) end
            """#),
        (
            "deep coroutines spin",
            #"""
            local function d(n) if n==0 then while true do pcall(function() while true do end end) end end while true do coroutine.resume(coroutine.create(function() d(n-1) end)) end end d(100)
            """#),
        (
            "coroutine.close with spinning close",
            #"""
            local co=coroutine.create(function() local x<close> = setmetatable({},{__close=function() while true do pcall(function() while true do end end) end end}) coroutine.yield() end) coroutine.resume(co) while true do coroutine.close(co) end
            """#),
        (
            "wrap iterator error loop",
            #"""
            while true do pcall(coroutine.wrap(function() local x<close> = setmetatable({},{__close=function() while true do end end}) error('x') end)) end
            """#),
        (
            "utf8/tostring heavy",
            #"""
            local t={} while true do for i=1,100 do t[i]=tostring(i*1.1) end end
            """#),
        (
            "load reader spins",
            #"""
            while true do load(function() while true do end end) end
            """#),
        (
            "sort of a million",
            #"""
            local t={} for i=1,1e6 do t[i]=(i*7919)%1000003 end while true do table.sort(t) table.sort(t,function(a,b) return a>b end) end
            """#),
    ]
}
