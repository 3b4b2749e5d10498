import Testing

@testable import Obhut

/// LUA_API, "errors, print" and `require`.
@Suite struct ModulesErrorsTests {
    @Test func errorObjectsHoldWhatTheyWereGiven() {
        #expect(
            runMain(
                """
                local a = errors.new("plain")
                local b = errors.new("NOT_FOUND", "gone")
                local c = errors.new{message = "m", kind = errors.TIMEOUT, retryable = true, details = {x = 1}}
                local w = errors.wrap(b, "while looking") local v = errors.wrap("text", "outer")
                return {a:kind(), a:message(), a:retryable() == nil, b:kind(), tostring(b), c:kind(), c:retryable(), c:details().x,
                  w:kind(), w:message(), v:kind(), v:message(), errors.is(w, "NOT_FOUND"), errors.is(w, errors.TIMEOUT), errors.is("NOT_FOUND", "NOT_FOUND"),
                  a:stack():find("app:main") ~= nil}
                """)
                == .value(
                    #"["UNKNOWN","plain",true,"NOT_FOUND","gone","TIMEOUT",true,1,"NOT_FOUND","while looking: gone","UNKNOWN","#
                        + #""outer: text",true,false,false,true]"#))
    }

    @Test func badArgumentsOfNewRaise() {
        #expect(
            runMain(
                """
                local _, a = pcall(errors.new) local _, b = pcall(errors.new, {}) local _, c = pcall(errors.wrap, "x")
                return {a, b, c}
                """)
                == .value(
                    #"["bad argument #1 to 'errors.new' (string or table expected, got no value)","#
                        + #""bad argument #1 to 'errors.new' (field 'message': string expected, got nil)","#
                        + #""bad argument #2 to 'errors.wrap' (string expected, got no value)"]"#))
    }

    @Test func errorObjectCrossesAsErrorObject() {
        #expect(
            runMain(
                """
                process.send(process.pid(), "e", errors.new{message = "m", kind = "RATE_LIMITED", retryable = false, details = {1, {2}}})
                local e = process.inbox():receive():payload():data()
                return {e:kind(), e:message(), e:retryable(), e:details()[2][1], #e:stack() > 0, tostring(e)}
                """) == .value(#"["RATE_LIMITED","m",false,2,true,"m"]"#))
    }

    @Test func printWritesWholeLines() {
        let world = LuaHarness()
        _ = world.run("print('a', 1, nil, 2.5, setmetatable({}, {__tostring = function() return 'obj' end})) print() print('x\\ny')")
        #expect(world.lines == ["a\t1\tnil\t2.5\tobj", "", "x\ny"])
    }

    @Test func requireGivesOnlyWhatIsListed_F6() {
        let world = LuaHarness()
        #expect(
            world.run("local ok, e = pcall(require, 'time') local _, f = pcall(require, 'io') return {ok, e, f}", modules: [])
                == .value(
                    #"[false,"module 'time' is not allowed: add it to \"modules\" of app:main","#
                        + #""module 'io' is not allowed: add it to \"modules\" of app:main"]"#))
        #expect(
            world.run(
                "return {require('process') == process, require('channel') == channel, require('time') == require('time'), require('os') == os}",
                modules: ["process", "channel", "time", "os"]) == .value("[true,true,true,true]"))
    }

    @Test func libraryRunsOnceAndMayBlock() {
        let world = LuaHarness()
        let inner = LuaHarness.unit(
            "app.lib:inner", "print('inner runs') local time = require('time') time.sleep('1s') return {n = 1}", ["time"])
        let outer = LuaHarness.unit("app.lib:outer", "local i = require('i') return {i = i}", [], ["i": inner])
        #expect(
            world.run(
                """
                local out = channel.new(3)
                for i = 1, 2 do coroutine.spawn(function() out:send(require("outer")) end) end
                local a, b = out:receive(), out:receive()
                local ok = pcall(require, "i")
                return {a == b, a == require("outer"), a.i == require("inner"), a.i.n, ok}
                """, imports: ["outer": outer, "inner": inner]) == .value("[true,true,true,1,false]"))
        #expect(world.lines == ["inner runs"])
    }

    @Test func librarysErrorPropagatesAndTheNextOneTriesAgain() {
        let world = LuaHarness()
        let bad = LuaHarness.unit(
            "app.lib:bad", "tries = (tries or 0) + 1 require('time').sleep('1s') if tries < 3 then error({tries}) end", ["time"])
        #expect(
            world.run(
                """
                local out = channel.new(3)
                for i = 1, 3 do coroutine.spawn(function() local ok, e = pcall(require, "bad") out:send({ok, type(e) == "table" and e[1] or e}) end) end
                return {out:receive(), out:receive(), out:receive(), require("bad")}
                """, imports: ["bad": bad]) == .value("[[false,1],[false,2],[true,true],true]"))
    }

    @Test func librariesThatYieldToTheProgramAreNotMistakenForEachOther() {
        let a = LuaHarness.unit("app.lib:a", "coroutine.yield() return 'A'")
        let b = LuaHarness.unit("app.lib:b", "coroutine.yield() return 'B'")
        #expect(
            LuaHarness().run(
                """
                local first = coroutine.create(function() return require("a") end)
                local second = coroutine.create(function() return require("b") end)
                coroutine.resume(first) coroutine.resume(second)
                local _, x = coroutine.resume(first)
                local _, y = coroutine.resume(second)
                return {x, y, require("a"), require("b")}
                """, imports: ["a": a, "b": b]) == .value(#"["A","B","A","B"]"#))
    }

    @Test func libraryOfADroppedFiberIsLoadedAgainWhereVariablesAreClosed_P7() {
        let world = LuaHarness()
        let slow = LuaHarness.unit("app.lib:slow", "require('time').sleep('1s') return 'loaded'", ["time"])
        #expect(
            world.run(
                """
                local time = require("time")
                local v <close> = setmetatable({}, {__close = function() print(require("slow")) end})
                coroutine.spawn(function() require("slow") end)
                coroutine.spawn(function() time.sleep("5ms") error("x", 0) end)
                time.sleep("1m")
                """, imports: ["slow": slow]) == .error("x"))
        #expect(world.lines == ["loaded"])
    }

    @Test func protectedRequireOfALibraryAsksForItsOwnModules_F6() {
        let library = LuaHarness.unit(
            "app.lib:optional", "local ok, time = pcall(require, 'time') return {ok, ok and time.SECOND or time}", ["time"])
        #expect(
            LuaHarness().run("return require('optional')", modules: [], imports: ["optional": library])
                == .value("[true,1000000000]"))
    }
}
