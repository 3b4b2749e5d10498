import Testing

@testable import Obhut

/// What the program has from Lua reads like Lua's own.
@Suite struct LuaMessageTests {
    private static let arguments = [
        "", "nil", "1", "'x'", "{}", "print", "true", "nil, nil", "1, nil", "'x', 'y'", "{}, 1", "{}, {}", "{}, {}, {}", "{}, nil, 1",
        "1, 2, 3", "print, 5", "print, print", "5, print", "'x', {}", "'x', nil, {}", "{}, nil, {}", "'x', {}, {}", "{}, {}, 5", "print, {}, 'q'",
        "'x', 'y', 't', nil", "'return', 'y', 'q'", "setmetatable({}, {__metatable = 1}), {}", "setmetatable({}, {__metatable = 1})", "{1}, 2",
        "{}, 'key'", "{}, nil, nil", "{}, 0/0, 1", "1.5", "1, 1.5", "'1'", "'1', '2'", "2^53", "{year = 2020}", "{year = 'x', month = 1, day = 1}",
        "{year = 2020, month = 1.5, day = 1}", "{year = 1 << 40, month = 1, day = 1}", "'%Ez'", "'%'", "'!%Y', 0", "'%Y', 'x'", "'%Y', 1 << 60", "'*t', {}",
        "coroutine.create(print)", "coroutine.create(print), 1", "coroutine.running()", "function() error('e') end, print",
        "function() error('e') end", "function() return 'return 1' end", "function() error('r', 0) end", "function() return {} end",
        "setmetatable({}, {__pairs = 5})", "setmetatable({}, {__pairs = function() error('p') end})",
    ]

    private static let functions = [
        "next", "rawget", "rawset", "rawlen", "rawequal", "getmetatable", "setmetatable", "pcall", "xpcall", "os.time", "os.date",
        "math.random", "math.randomseed", "load", "coroutine.create", "coroutine.wrap", "coroutine.resume", "coroutine.status",
        "coroutine.close", "coroutine.isyieldable", "coroutine.yield", "ipairs", "select", "pairs",
    ]

    /// Called by pcall a function has no name but the one it is found by, and else the one it is called by: both are tried.
    /// What it gives when nothing is wrong is told by its type alone.
    private func program(_ function: String) -> String {
        var code = """
            local function show(what, ok, why, ...)
              if ok == false then print(what, why) else print(what, type(why), select('#', ...)) end
            end
            """
        for list in Self.arguments {
            let isHere = function == "coroutine.close" || function == "coroutine.resume" || function == "coroutine.status"
            if isHere && list.contains("running") { continue }
            code += "\nshow([[\(list)]], pcall(\(function)\(list.isEmpty ? "" : ", ")\(list)))"
            code += "\nshow([[\(list)]], pcall(function() local a, b, c, d = \(function)(\(list)) return a, b, c, d end))"
            code += "\nshow([[\(list)]], pcall(function() local f = \(function) f(\(list)) end))"
        }
        return printing(code)
    }

    @Test(arguments: functions, [true, false]) func wrongArgumentsReadLikeLuas_F6(_ function: String, simulated: Bool) {
        // `pairs` in simulation refuses itself what Lua refuses in the loop (T2).
        if simulated && function == "pairs" { return }
        let source = program(function)
        guard let expected = stockLua(source) else { return }
        let end = runLua(source, interval: simulated ? testInstructions : nil)
        let ours = end.text.split(separator: "\n", omittingEmptySubsequences: false)
        let theirs = expected.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(ours.count == theirs.count, "\(end)")
        for (our, their) in zip(ours, theirs) { #expect(our == their) }
    }

    /// What `pairs` gives is called `next`, although the program has never used that name.
    @Test func nameOfWhatPairsGives_D1() {
        let source = printing("print(pcall((pairs({})))) print(pcall((pairs({})), 5)) print(pcall(function() for k in pairs(5) do end end))")
        guard let expected = stockLua(source) else { return }
        #expect(runLua(source, interval: nil) == .value(expected))
    }

    @Test(arguments: [
        "local function f() return 1 + f() end print(pcall(f))",
        "local function f() return pcall(f) end print(f())",
        "local function f() return (('x'):gsub('x', f)) end print(pcall(f))",
        "local function f() return setmetatable({}, {__index = f}).x + 1 end print(pcall(f))",
        "local t = setmetatable({}, {}) getmetatable(t).__index = t print(pcall(function() return t.x end))",
        "local function f(n) return coroutine.wrap(function() return f(n + 1) end)() end print((select(2, pcall(f, 1))):match('C stack overflow'))",
        "print((select(2, load('return ' .. ('('):rep(1000) .. '1' .. (')'):rep(1000))):match('C stack overflow')))",
        "print(pcall(string.rep, 'x', -1)) print(pcall(table.unpack, {}, 1, 1e8)) print(pcall(table.concat, {{}}))",
        "local function f(...) return select('#', ...) end print(pcall(f, table.unpack({}, 1, 200000)))",
        "local ok, m = xpcall(function() local function f() return 1 + f() end return f() end, function(m) return #debug.traceback(m) > 100 end) print(ok, m)",
        "local co = coroutine.create(function() local function f() return 1 + f() end f() end) print(coroutine.resume(co)) print(coroutine.status(co), coroutine.close(co))",
    ]) func depthsEndWhereLuasDo_F1(_ code: String) {
        let source = printing(code)
        guard let expected = stockLua(source) else { return }
        // Not interrupted: an interruption takes what runs off the C stack, and it begins anew.
        #expect(runLua(source, interval: .max, memory: 256 << 20) == .value(expected))
    }

    /// However deep Lua is nested in C: no error may leave through what Swift does with a table (F3), which `CheckedLuaBody`
    /// sees.
    @Test(arguments: ["math", "_G", "process.event", "os"]) func lazyTablesAreSentFromAnyDepth_F3(_ table: String) {
        let source = printing(
            """
            local send, pid, t = process.send, process.pid(), \(table)
            local function at(n)
              if n == 0 then return send(pid, "t", t) end
              return (('x'):gsub('x', function() at(n - 1) end))
            end
            print(pcall(at, DEPTH))
            """)
        for depth in 180...200 {
            let end = runLua(source.replacing("DEPTH", with: "\(depth)"))
            #expect(!end.isAbnormal, "\(depth): \(end)")
        }
    }
}
