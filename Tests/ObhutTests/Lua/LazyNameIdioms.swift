/// Ways in which a program looks at tables, raw or not. What each prints must not tell whether a name is given at its first
/// use or was there from the beginning. Each is run in a VM of its own, so that it is the first to use every name.
enum LazyNameIdioms {
    static let all: [(name: String, code: String)] =
        tables.map { ("of \($0)", everyTable.replacing("TABLE", with: $0)) } + written

    /// Expressions that give every table whose names are lazy, as far as a program can reach it.
    static let tables = [
        "_G", "string", "table", "math", "utf8", "os", "debug", "coroutine", "process", "process.event", "process.registry",
        "channel", "errors", "require('time')", "getmetatable('').__index",
    ]

    /// Each line in a function of its own: so an error is told, and the next one goes on.
    private static let everyTable = #"""
        local t = TABLE
        print(type(t), tostring(t):match("^table: ") ~= nil, rawequal(t, TABLE), t == TABLE, #t, rawlen(t), getmetatable(t))
        local list = {} for k, v in pairs(t) do list[#list + 1] = tostring(k) .. ":" .. type(v) end
        print(#list, table.concat(list, " "))
        local again = {} for k, v in next, t do again[#again + 1] = tostring(k) .. ":" .. type(v) end
        table.sort(again) table.sort(list)
        print(table.concat(again, " ") == table.concat(list, " "))
        print(pcall(setmetatable, t, {__index = function(_, k) return "no " .. tostring(k) end}))
        print(t.nothing_of_the_kind, rawget(t, "nothing_of_the_kind"))
        """#

    private static let written: [(name: String, code: String)] = [
        // What a library that looks for globals does.
        ("rawget before use", "print(type(rawget(_G, 'print')), type(rawget(string, 'rep')), rawget(_G, 'nothing'), rawget(math, 'pi'))"),
        ("next by name", "print(pcall(next, _G, 'print') == true) print(pcall(next, _G, 'nothing'))"),
        ("next from the beginning", "print(type(next(os)), type(next(process.event)))"),
        ("next of pairs", "local f, t, k = pairs(_G) print(type(f), rawequal(t, _G), k)"),
        ("ipairs", "for i in ipairs(_G) do print(i) end _G[1] = 'one' _G[2] = 'two' for i, v in ipairs(_G) do print(i, v) end print(#_G)"),
        ("copy by pairs", "local m = {} for k, v in pairs(math) do m[k] = v end print(m.floor(2.5), m.pi, m.huge, type(m.random), type(m.randomseed))"),
        (
            "strict.lua",
            """
            local known = {}
            for k in pairs(_G) do known[k] = true end
            setmetatable(_G, {
              __newindex = function(t, k, v) if not known[k] then error("assigned " .. k, 2) end rawset(t, k, v) end,
              __index = function(_, k) error("undeclared " .. k, 2) end})
            print(string.rep("x", 2), type(load), math.max(1, 2))
            print(pcall(function() return nothing end))
            print(pcall(function() something = 1 end))
            """
        ),
        (
            "strict.lua without a list",
            """
            setmetatable(_G, {__newindex = function(t, k, v) rawset(t, k, v) end, __index = function(_, k) error("undeclared " .. k, 2) end})
            print(pcall(function() return string.rep("x", 2) end)) print(pcall(function() return nothing end))
            """
        ),
        (
            "sandbox",
            """
            local env = setmetatable({}, {__index = _G})
            print(load("x = 5 return type(print), x, rawget(_ENV, 'print'), string.rep('y', 2)", "c", "t", env)(), env.x, rawget(_G, "x"))
            """
        ),
        (
            "sandbox that writes through",
            "local env = setmetatable({}, {__index = _G, __newindex = _G}) load('x = 5 load = nil print = print', 'c', 't', env)() print(x, load, type(_G.print), next(env))"
        ),
        ("sandbox of a library", "local s = setmetatable({}, {__index = string}) print(s.rep('x', 3), rawget(s, 'rep'), s.nothing)"),
        ("environment", "local f = load('a = 1 return type(print), _ENV == _G, _G._G == _G', 'c', 't', _G) print(f()) print(a)"),
        ("local environment", "local p = print do local _ENV = {print = p} print(_G, load) x = 1 end print(x) do local _ENV <const> = _G print(type(load)) end"),
        ("environment's upvalue", "local function f() return type(load), type(select) end print(f()) local _ENV = {f = f, print = print} print(f())"),
        // Assignment before and after the first use, and the nil that must stick.
        ("nil before use", "load = nil os = nil print(load, os, rawget(_G, 'load')) for k in pairs(_G) do if k == 'load' or k == 'os' then print(k) end end"),
        ("nil after use", "local _, _ = load, os load = nil os = nil print(load, os, rawget(_G, 'load'))"),
        ("nil, then a value", "load = nil load = 5 print(load, rawget(_G, 'load')) load = nil print(load)"),
        ("value before use, then nil", "select = 5 print(select) select = nil print(select) select = nil print(select)"),
        ("nil of a library's", "string.rep = nil print(string.rep, pcall(function() return ('x'):rep(2) end)) for k in pairs(string) do if k == 'rep' then print(k) end end"),
        ("all to nil", "for k in pairs(math) do math[k] = nil end print(next(math), math.pi, math.random, math.floor)"),
        ("rawset", "print(rawset(_G, 'load', nil) == _G, load) rawset(string, 'rep', 5) print(string.rep, type(string.sub)) rawset(_G, 'new', 1) print(new)"),
        ("false", "load = false print(load) string.rep = false print(string.rep)"),
        ("_G itself", "_G.x = 1 print(x, _G._G._G == _G) _G = nil print(_G, type(load)) x = 2 print(x)"),
        ("_G replaced", "local g = _G _G = {} print(rawequal(g._G, _G), type(load), g.load == load)"),
        ("names of Lua's own", "print(_VERSION, _ENV == _G, rawget(_G, '_VERSION'), rawget(_G, '_ENV'))"),
        ("constants to nil", "math.pi = nil math.huge = 5 print(math.pi, math.huge, math.maxinteger, math.mininteger)"),
        ("counting", "local n = 0 for _ in pairs(_G) do n = n + 1 end load = nil local m = 0 for _ in pairs(_G) do m = m + 1 end print(n - m)"),
        // Methods of strings.
        ("method of a string", "print(('x'):rep(3), ('%d'):format(5), #('x'):rep(10), pcall(function() return ('x'):nothing() end))"),
        ("method before the table", "print(('x').nothing, ('x')[1], ('x')['a\\0b'], ('x')[nil], pcall(function() ('x').y = 1 end)) print(('x'):rep(2), string.rep == ('').rep, getmetatable('').__index == string)"),
        ("table before the method", "setmetatable(string, {__index = function(s, i) return i end}) print(('x')[1], ('x').foo, ('x'):rep(2), string.foo) print(coroutine.wrap(function() getmetatable(string).__index = function() return coroutine.yield('inside') end return ('x').foo end)())"),
        ("method in a coroutine first", "print(coroutine.wrap(function() return ('x'):rep(2) end)(), string.rep('x', 3))"),
        ("overridden method", "function string.rep() return 'mine' end print(('x'):rep(3), string.rep('x', 2)) function string:twice() return self .. self end print(('ab'):twice())"),
        ("overridden after use", "print(('x'):rep(3)) string.rep = function() return 'mine' end print(('x'):rep(3))"),
        (
            "metatable of strings",
            "local m = getmetatable('') print(m.__index == string, rawequal(m.__index, string)) local l = {} for k in pairs(m) do l[#l + 1] = k end table.sort(l) print(table.concat(l, ' '))"
        ),
        ("other metatable of strings", "getmetatable('').__index = function(s, k) return k .. '!' end print(('x').foo, ('x').rep) getmetatable('').__index = nil print(pcall(function() return ('x').rep end))"),
        ("arithmetic of strings", "print('10' + 5, '3' * '4', -'2', '7' // 2, '2' ^ 3, '7' % 4, '1' / 2, '5' - 1) print(pcall(function() return 'a' + 1 end)) print(pcall(function() return {} + '1' end))"),
        // Identity.
        ("identity", "local a, b = string.rep, string.rep print(a == b, a == ('').rep, rawequal(a, rawget(string, 'rep')), string == getmetatable('').__index)"),
        ("identity of tables", "local s = string print(s == string, rawequal(s, _G.string), process.event == process.event, require('time') == require('time'))"),
        ("identity through collections", "local s, r = tostring(string), tostring(math.random) collectgarbage() collectgarbage() print(s == tostring(string), r == tostring(math.random))"),
        ("as keys", "local t = {[print] = 'p', [string] = 's', [string.rep] = 'r', [math.random] = 'm'} print(t[print], t[string], t[_G.string.rep], t[math.random])"),
        ("same function under two names", "print(process.exec == process.call, rawequal(next, (pairs({}))))"),
        // Chance.
        ("randomseed gone first", "math.randomseed = nil print(math.randomseed, type(math.random), math.random(1) == 1) math.random = nil print(math.random)"),
        ("random gone first", "math.random = nil math.randomseed(5) print(math.random, type(math.randomseed))"),
        ("seeded", "math.randomseed(42) print(math.random(1000), math.random(1000), math.random(0) ~= nil)"),
        ("seeded by two", "math.randomseed(42, 7) print(math.random(1000), math.random(), math.random(5, 6))"),
        ("the two share a generator", "local s, r = math.randomseed, math.random s(1) local a = r(1 << 40) s(1) print(a == math.random(1 << 40)) math.randomseed(1) print(a == r(1 << 40))"),
        ("generator of a completed table", "local t = {} for k, v in pairs(math) do t[k] = v end t.randomseed(3) local a = math.random(1 << 40) math.randomseed(3) print(a == t.random(1 << 40))"),
        ("chance without seed", "print(math.random(1 << 40), math.random(1 << 40))"),
        ("chance before and after pairs", "print(math.random(1 << 40)) for _ in pairs(math) do end print(math.random(1 << 40))"),
        // What is told of functions and tables.
        ("names in messages", "print(pcall(string.rep)) print(pcall(math.floor, {})) print(pcall(setmetatable)) print(pcall(process.send)) print(pcall(coroutine.resume)) print(pcall(utf8.char, -1))"),
        ("names in messages, of tables that come later", "print(pcall(string.rep)) local late = {math.floor, table.concat, utf8.char, coroutine.wrap} for i = 1, #late do print(pcall(late[i])) end print(debug.traceback('m'))"),
        ("names in messages, called", "print(pcall(function() string.rep() end)) print(pcall(function() ('x'):rep({}) end)) print(pcall(function() local f = math.floor f({}) end))"),
        ("name of what pairs gives", "print(pcall((pairs({})))) print(pcall((pairs({})), 5))"),
        ("name of what pairs gives, in a loop", "print(pcall(function() local f = pairs({}) for k in f, 5 do end end))"),
        ("name of nil", "print(pcall(function() nothing() end)) print(pcall(function() string.nothing() end)) print(pcall(function() return nothing.x end)) print(pcall(function() _G() end))"),
        ("operations", "print(pcall(function() return _G + 1 end)) print(pcall(function() return _G .. 'x' end)) print(pcall(function() return _G < _G end)) print(pcall(function() return #string end)) print(pcall(function() return -math end)) print(pcall(function() return _G & 1 end))"),
        ("closing", "print(pcall(function() local x <close> = _G end)) print(pcall(function() local x <close> = string end))"),
        ("bad keys", "print(pcall(function() _G[nil] = 1 end)) print(pcall(function() string[0/0] = 1 end)) print(pcall(rawset, _G, nil, 1)) print(_G[nil], string[0/0], math[1], os[true])"),
        ("odd keys", "_G[1.0] = 'a' _G[true] = 'b' _G[''] = 'c' _G[print] = 'd' _G[_G] = 'e' print(_G[1], _G[true], _G[''], _G[print], _G[_G], #_G) string['a\\0b'] = 1 print(string['a\\0b'], string['rep\\0'])"),
        ("traceback", "local function f() return debug.traceback('m') end print(f()) print(select(2, xpcall(string.rep, debug.traceback)))"),
        ("traceback inside a library's function", "print((('x'):gsub('.', function() return debug.traceback('m'):gsub('%%', '') end))) table.sort({2, 1}, function(a, b) print(debug.traceback('s')) return a < b end)"),
        ("traceback of own globals", "function global_of_mine() return (debug.traceback('m')) end print((global_of_mine())) function string.own() return (debug.traceback('m')) end print((string.own()))"),
        ("error levels", "local function f() error('x', 2) end print(pcall(function() f() end)) print(pcall(error)) print(pcall(error, 'x', 0))"),
        // Functions of liblua that work on tables.
        ("table functions", "table.insert(string, 'v') print(string[1], #string, table.remove(string), #string) print(table.unpack(_G)) print(table.concat(math)) table.sort(os) print(#table.move({1, 2}, 1, 2, 1, utf8), utf8[2])"),
        ("gsub by a table", "print(('_VERSION nothing'):gsub('%w+', _G)) print(pcall(string.gsub, 'print', '%w+', _G)) print(('pi'):gsub('%w+', math))"),
        ("format", "print(string.format('%s', _G):match('^table') , pcall(string.format, '%d', _G))"),
        ("select and unpack", "print(select('#', table.unpack({_G, string}, 1, 2)), select(-1, 1, _G) == _G)"),
        // Changed while it is traversed.
        ("assigned while traversed", "local n = 0 for k in pairs(string) do string[k] = nil n = n + 1 end print(n > 10, next(string))"),
        ("used while traversed", "local n = 0 for k, v in next, math do if math[k] ~= v then print(k) end n = n + 1 end print(n > 20)"),
        ("half used, then traversed", "print(math.floor(1.5), math.pi) math.max = nil local l = {} for k in pairs(math) do l[#l + 1] = k end table.sort(l) print(table.concat(l, ' '))"),
        ("set while traversed, then collected", "for k, v in pairs(_G) do _G[k] = v collectgarbage() end print(type(load))"),
        ("collected between uses", "for _, n in ipairs{'string', 'math', 'os', 'table', 'coroutine'} do collectgarbage() print(type(_G[n]), type(next(_G[n]))) collectgarbage() end"),
        // Metatables of the program's own.
        ("own metatable", "local log = {} setmetatable(math, {__index = function(_, k) log[#log + 1] = k end}) print(math.floor(1.5), math.foo, table.concat(log)) print(getmetatable(math).__index ~= nil)"),
        ("own metatable after use", "print(math.floor(1.5)) setmetatable(math, {__index = {extra = 5}, __call = function() return 'called' end, __len = function() return 7 end}) print(math.extra, math(), #math, math.ceil(1.5))"),
        ("protected metatable", "setmetatable(_G, {__metatable = 'locked'}) print(getmetatable(_G), pcall(setmetatable, _G, {})) x = 1 print(x, type(load))"),
        ("metatable and nil", "setmetatable(string, {}) print(setmetatable(string, nil) == string, getmetatable(string), ('x'):rep(2))"),
        ("as a metatable", "local t = setmetatable({}, math) print(getmetatable(t) == math) math.__index = math print(t.floor(1.5)) print(pcall(setmetatable, {}, _G))"),
        ("as a metatable without fields", "local t = setmetatable({}, string) print(t.rep, pcall(function() return t + t end), tostring(t):match('^table'))"),
        // Coroutines.
        ("in coroutines", "print(coroutine.wrap(function() return type(load), string.rep('x', 2), coroutine.isyieldable() end)()) local co = coroutine.create(function() coroutine.yield(_G.math.pi) os = nil end) print(coroutine.resume(co)) print(coroutine.resume(co)) print(os)"),
        ("from a comparison", "local t = {3, 1, 2} table.sort(t, function(a, b) return math.min(a, b) == a and a ~= b end) print(table.concat(t, ','))"),
        ("spawned", "local c = channel.new(1) coroutine.spawn(function() load = nil c:send(type(utf8)) end) print(c:receive(), load)"),
        ("at the end of the stack", "local function f() return 1 + f() end print(xpcall(f, function(m) return type(utf8.char), rawget(math, 'pi'), (m:match('stack overflow')) end))"),
        // The runtime's functions.
        ("the globals as a payload", "print((process.send(process.pid(), 't', _G)))"),
        ("as payloads", "for _, t in ipairs{string, math, process, process.event, errors, os, require('time')} do print((tostring(select(2, process.send(process.pid(), 't', t)) or 'sent'):gsub('at %..*', 'at'))) end"),
        ("names as a payload", "process.send(process.pid(), 't', {process.event, n = {process.event}}) local d = process.inbox():receive():payload():data() local l = {} for k, v in pairs(d[1]) do l[#l + 1] = k .. '=' .. v end print(table.concat(l, ' ')) print(d.n)"),
        ("half used names as a payload", "local _ = process.event.EXIT process.event.CANCEL = nil process.send(process.pid(), 't', process.event) for k, v in pairs(process.inbox():receive():payload():data()) do print(k, v) end"),
        ("as options", "local function kind(ok, why) print(ok, (why:gsub('option [^:]*', 'option'))) end kind(process.set_options(process.event)) kind(process.monitor(process.pid(), process.event)) kind(process.listen('topic', process.event)) print(pcall(channel.select, {process.event}))"),
        ("as options of errors", "print(pcall(errors.new, errors)) errors.message = 'm' print(errors.new(errors):message(), errors.new(errors):kind())"),
        ("as details", "local e = errors.new{message = 'm', details = process.event} print(pcall(function() return e:details().EXIT end))"),
        ("methods of userdata", "local c = channel.new(1) print(type(c.send), c.send == channel.new().send, c.nothing, getmetatable(c)) print(pcall(function() c.x = 1 end)) print(pcall(function() return c:nothing() end)) print(pcall(next, c))"),
        ("methods without names", "local k = channel.new(1):case_receive() print(k.nothing, k.send, getmetatable(k), pcall(function() k() end))"),
        ("wrong self", "local c = channel.new(1) print(pcall(c.send, 5)) print(pcall(c.send)) print(pcall(function() c.receive({}) end))"),
    ]
}
