import Testing

@testable import Obhut

/// No Lua error unwinds through Swift (F3). The harness looks after each step whether one has (`CheckedLuaBody`); here
/// errors are raised wherever a function of the runtime can meet one, at every rhythm of interruption.
@Suite struct LuaErrorTests {
    private static let intervals: [Int32] = [1, 2, 3, 7, 1000]

    /// Values that raise whatever is done to them, and those that are of the wrong type.
    private static let evil = """
        local function raise() error("evil", 0) end
        local meta = {}
        for _, name in ipairs{"__index", "__newindex", "__call", "__tostring", "__len", "__pairs", "__eq", "__lt", "__le",
          "__concat", "__unm", "__add", "__name", "__close"} do meta[name] = raise end
        local evil = setmetatable({}, meta)
        local values = {false, true, 0, -1, 1.5, "", "x", {}, evil, raise, coroutine.create(raise), {evil}, {[evil] = 1}, {x = raise}}
        """

    /// Every function of every module, with every such value, alone, in pairs, and in coroutines within coroutines. Left
    /// out is what would wait for ever or end the process.
    @Test(arguments: intervals) func everyFunctionCalledWithWhatRaises_F3(interval: Int32) {
        let world = LuaHarness(interruptedEvery: interval)
        let end = world.run(
            """
            \(Self.evil)
            local time = require("time")
            local calls, failed = 0, 0
            local function try(f, ...)
              calls = calls + 1
              local ok = pcall(f, ...)
              if not ok then failed = failed + 1 end
              local inner = coroutine.wrap(function(...) return pcall(coroutine.wrap(f), ...) end)
              if inner(...) ~= ok then error("otherwise in a coroutine", 0) end
            end
            local without = {[process.exit] = true, [coroutine.yield] = true, [coroutine.spawn] = true, [coroutine.wrap] = true, [time.sleep] = true,
              [channel.select] = true, [process.registry.register] = true}
            local modules = {process, process.registry, channel, time, errors, coroutine, {print = print, require = require}}
            for _, module in ipairs(modules) do
              for name, f in pairs(module) do
                if type(f) == "function" and not without[f] then
                  print("at " .. name)
                  try(f)
                  try(f, nil)
                  for _, v in ipairs(values) do
                    try(f, v)
                    try(f, "x", v)
                    try(f, v, evil, evil, evil)
                  end
                end
              end
            end
            for _, v in ipairs(values) do
              try(channel.select, {v})
              try(channel.select, {default = true, v})
              try(channel.select, {channel.new(1):case_send(v), default = true})
              try(process.registry.register, v, evil)
            end
            return {calls > 1000, failed > 100, #tostring(process.pid()) > 5}
            """, modules: ["time"])
        #expect(end == .value("[true,true,true]"), "\(world.lines.last { $0.hasPrefix("at ") } ?? "")")
    }

    /// Every method of every object, with a wrong object and with wrong arguments.
    @Test(arguments: intervals) func everyMethodCalledWithWhatRaises_F3(interval: Int32) {
        let world = LuaHarness(interruptedEvery: interval)
        let end = world.run(
            """
            \(Self.evil)
            local time = require("time")
            process.send(process.pid(), "topic", {1})
            local message = process.inbox():receive()
            local objects = {message, message:payload(), channel.new(1), time.timer("1h"), time.ticker("1h"), time.now(),
              time.parse_duration("1s"), errors.new("INVALID", "message")}
            local names = {"topic", "from", "payload", "reply", "data", "send", "receive", "close", "case_send", "case_receive",
              "channel", "response", "stop", "reset", "unix", "unix_nano", "sub", "add", "before", "after", "equal", "hours",
              "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds", "kind", "message", "retryable", "details", "stack"}
            local calls, failed = 0, 0
            local function try(f, ...)
              calls = calls + 1
              if not pcall(f, ...) then failed = failed + 1 end
            end
            for _, object in ipairs(objects) do
              for _, name in ipairs(names) do
                local known, f = pcall(function() return object[name] end)
                if known and f then
                  try(f)
                  for _, v in ipairs(values) do
                    try(f, v)
                    if name ~= "send" and name ~= "receive" then try(f, object, v) end
                  end
                  for _, other in ipairs(objects) do if other ~= object then try(f, other, object) end end
                end
              end
              try(function() return object < evil end)
              try(function() return object == evil end)
              try(function() return object .. evil end)
              try(function() object.x = 1 end)
            end
            return {calls > 500, failed > 300, tostring(objects[8])}
            """, modules: ["time"])
        #expect(end == .value(#"[true,true,"message"]"#))
    }

    /// Where the program's own functions are called in the course of one of the runtime's.
    @Test(arguments: intervals) func errorsOfWhatTheRuntimeCalls_F3(interval: Int32) {
        let world = LuaHarness(interruptedEvery: interval)
        let end = world.run(
            #"""
            local out = {}
            local function note(...) out[#out + 1] = table.concat({tostring((...)), tostring((select(2, ...)))}, " ") end
            local text = setmetatable({}, {__tostring = function() error("in __tostring", 0) end})
            local nothing = setmetatable({}, {__tostring = function() return nil end})
            note(pcall(print, "a", text)) note(pcall(print, nothing))
            note(pcall(coroutine.wrap(function() print(text) end)))
            note(coroutine.resume(coroutine.create(function() coroutine.wrap(function() print(text) end)() end)))
            note(pcall(require, "faulty")) note(pcall(require, "faulty")) note(pcall(require, "nested")) note(pcall(require, "absent"))
            note(pcall(function()
              local x <close> = setmetatable({}, {__close = function() print(text) end})
              process.send(process.pid(), "x", print, process.send(nil))
            end))
            note(coroutine.close(coroutine.create(print)))
            local c = coroutine.create(function()
              local x <close> = setmetatable({}, {__close = function() require("faulty") end})
              coroutine.yield()
            end)
            coroutine.resume(c) note(coroutine.close(c))
            note(pcall(string.gsub, "x", "x", function() process.pid(process.listen("")) end))
            note(pcall(table.sort, {3, 2, 1}, function() return channel.new(-1) end))
            note(pcall(string.gsub, "x", "x", function() channel.new():receive() end))
            note(xpcall(process.monitor, function(m) return process.link(), m end))
            note(xpcall(print, function() print(text) end, text))
            note(pcall(load, function() return process.monitor() end))
            return out
            """#, imports: [
                "faulty": LuaHarness.unit("app:faulty", "process.send(1, 2, 3, error('in require', 0))"),
                "nested": LuaHarness.unit("app:nested", "return pcall(require, 'own') and require('own')", [], [
                    "own": LuaHarness.unit("app:own", "local x <close> = setmetatable({}, {__close = function() error('own', 0) end}) return 1")
                ]),
            ])
        guard case .value(let json) = end else { return #expect(end == .value("")) }
        #expect(json.hasPrefix(#"["false in __tostring","false '__tostring' must return a string","false in __tostring","false app:main:7: in __tostring","false in require","#))
        #expect(world.lines == [])
    }

    /// Nobody catches it: the process ends with it, its `<close>` variables closed, and its neighbour does not notice.
    @Test(arguments: intervals) func errorsThatNobodyCatches_F3(interval: Int32) {
        let text = "setmetatable({}, {__tostring = function() error('T', 0) end})"
        let programs = [
            ("print(\(text))", "T"),
            // What passes through `wrap` is given a place, as Lua's own does.
            ("coroutine.wrap(function() coroutine.wrap(function() print(\(text)) end)() end)()", "app:main:1: app:main:1: T"),
            ("coroutine.spawn(function() print(\(text)) end) process.inbox():receive()", "T"),
            ("local y <close> = setmetatable({}, {__close = function() print(\(text)) end})", "T"),
            ("local y <close> = setmetatable({}, {__close = function() print(\(text)) end}) error('other', 0)", "T"),
            ("process.send(process.pid(), 't', 1) process.inbox():receive():reply(print(\(text)))", "T"),
            ("error(errors.new('TIMEOUT', 'T'))", "T"),
        ]
        for (program, text) in programs {
            let world = LuaHarness(interruptedEvery: interval)
            world.define("app:neighbour", "for i = 1, 50 do process.send(process.pid(), 'n', i) process.inbox():receive() end return 'well'")
            let neighbour = world.start("app:neighbour")
            let end = world.run("local x <close> = setmetatable({}, {__close = function() print('closed') end}) \(program)")
            #expect(end == .error(text), "\(program)")
            #expect(world.lines == ["closed"], "\(program)")
            #expect(world.result(of: neighbour) == .value(#""well""#))
        }
    }
}
