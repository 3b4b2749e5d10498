import Testing

@testable import Obhut

/// LUA_API, "logger", and how records become lines.
@Suite struct ModulesLoggerTests {
    private func logged(_ body: String, _ format: LogFormat = .text) -> [String] {
        let world = LuaHarness()
        let result = world.run("local logger = require('logger') " + body, modules: ["logger"])
        #expect(result == .value("null"))
        return world.records.map { format.line($0, at: Clock.virtualEpoch) }
    }

    private let start = "2026-01-01T00:00:00Z"
    private let who = "app:main {app:processes|0x00002}"

    @Test func recordsSayWhoWroteThem() {
        #expect(
            logged(
                """
                logger:debug("one") logger:info("two", {}) logger:warn("three", {n = 1, b = true, s = "x y", t = {1, 2}})
                logger:error("four", {err = errors.new("TIMEOUT", "too late")})
                """)
                == [
                    "\(start) debug: \(who) one\n", "\(start) info: \(who) two\n",
                    "\(start) warning: \(who) three b=true n=1 s=\"x y\" t=[1,2]\n",
                    "\(start) error: \(who) four err=\"too late\"\n",
                ])
    }

    @Test func fieldsAndNamesAreInherited() {
        #expect(
            logged(
                """
                local a = logger:with{z = 1, a = 1}
                local b = a:named("db"):with{a = 2}:named("pool")
                b:info("x", {z = 3}) a:info("y") logger:info("z")
                """)
                == [
                    "\(start) info: \(who) db.pool: x a=2 z=3\n", "\(start) info: \(who) y a=1 z=1\n",
                    "\(start) info: \(who) z\n",
                ])
    }

    @Test func jsonIsOneObjectALine() {
        #expect(
            logged(#"logger:named("n"):info("a\nb\"", {k = "v", list = {1}, [7] = false})"#, .json)
                == [
                    #"{"time":"\#(start)","level":"info","entry":"app:main","pid":"{app:processes|0x00002}","logger":"n","#
                        + #""message":"a\nb\"","fields":{"7":false,"k":"v","list":[1]}}"# + "\n"
                ])
    }

    @Test func noTextBreaksItsLine_F1() {
        #expect(
            logged(#"logger:info("a\nfake error: \27[2J\u{9b}x\u{2028}", {["k\n"] = "v\n", e = "", q = 'a"b'})"#)
                == [
                    "\(start) info: \(who) a\\nfake error: \\u001b[2J\\u009bx\\u2028 e=\"\" \"k\\n\"=\"v\\n\" q=\"a\\\"b\"\n"
                ])
    }

    @Test func coloursAreOfTheTerminalAlone() {
        #expect(
            logged("logger:error('x', {k = 1})", .colored)
                == [
                    "\u{1b}[2m\(start)\u{1b}[0m \u{1b}[1;31merror:\u{1b}[0m app:main \u{1b}[2m{app:processes|0x00002}\u{1b}[0m x "
                        + "\u{1b}[36mk\u{1b}[0m=1\n"
                ])
    }

    @Test func toLogNeverFails_F1() {
        let lines = logged(
            """
            local loop = {} loop.loop = loop
            logger:info("x", {f = print, loop = loop, big = string.rep("x", 100000), ok = 1})
            logger:info(string.rep("y", 100000))
            local many = {} for i = 1, 200000 do many[i] = "zzzzzzzz" end
            logger:info("z", many)
            """)
        #expect(lines[0] == "\(start) info: \(who) x big=\"(too large)\" f=(function) loop=(table) ok=1\n")
        #expect(lines[1].utf8.count < 70_000 && lines[1].hasSuffix("y…\n"))
        #expect(lines[2].utf8.count < 400_000)
    }

    @Test(arguments: [
        ("logger:info()", "bad argument #1 to 'info' (string expected, got no value)"),
        ("logger:info('x', 1)", "bad argument #2 to 'info' (table expected, got number)"),
        ("logger.info('x')", "bad argument #1 to 'info' (logger expected, got string)"),
        ("logger:with()", "bad argument #1 to 'with' (table expected, got no value)"),
        ("logger:named('')", "bad argument #1 to 'named' (a name has 1 to 255 bytes)"),
    ])
    func wrongArgumentsRaise_F2(call: String, message: String) {
        let world = LuaHarness()
        #expect(
            world.run(
                "local logger = require('logger') local ok, e = pcall(function() local x = \(call) end) return e:gsub('^.-: ', '', 1)",
                modules: ["logger"]) == .value("\"\(message)\""))
    }
}
