import Testing

@testable import Obhut

/// LUA_API, "time".
@Suite struct ModulesTimeTests {
    private func run(_ body: String) -> LuaResult { runMain("local time = require('time') " + body) }

    @Test func sleepTakesItsTimeOnTheVirtualClock_T2() {
        #expect(
            run(
                """
                local t = time.now()
                time.sleep("1h30m") time.sleep(5 * time.SECOND) time.sleep(time.parse_duration("1ms")) time.sleep(0) time.sleep("-3s")
                local d = time.now():sub(t)
                return {tostring(d), d:hours() > 1.5, d:milliseconds()}
                """) == .value(#"["1h30m5.001s",true,5405001]"#))
    }

    @Test func badDurationsAreErrors() {
        #expect(
            run(
                """
                local a, e = time.sleep("5 parsecs")
                local b, f = time.timer(0) local c, g = time.ticker("-1s")
                local ok, h = pcall(function() time.sleep() end)
                return {a == nil, e:kind(), e:message(), b == nil, f:message(), c == nil, g:kind(), ok, h}
                """)
                == .value(
                    #"[true,"INVALID","\"5 parsecs\" is no duration: write it like \"100ms\", \"5s\" or \"1h30m\"",true,"#
                        + #""a timer of 0s: the duration must be more than 0",true,"INVALID",false,"#
                        + #""app:main:3: bad argument #1 to 'sleep' (string, number or duration expected, got no value)"]"#))
    }

    @Test func afterFiresOnce() {
        #expect(
            run(
                """
                local t0, ch = time.now(), time.after("3s")
                local at, ok = ch:receive()
                local r = channel.select{ch:case_receive(), time.after("1s"):case_receive()}
                return {at:sub(t0):seconds(), ok, r.channel ~= ch}
                """) == .value("[3.0,true,true]"))
    }

    @Test func timersStopAndReset() {
        #expect(
            run(
                """
                local t = time.timer("1s")
                local stopped, again = t:stop(), t:stop()
                local was = t:reset("2s")
                local t0 = time.now()
                t:channel():receive()
                local late = t:reset("1s")
                return {stopped, again, was, time.now():sub(t0):seconds(), late, t:response() == t:channel()}
                """) == .value("[true,false,false,2.0,false,true]"))
    }

    @Test func tickerTicksAndDropsWhatNobodyReads() {
        #expect(
            run(
                """
                local t, t0 = time.ticker("1s"), time.now()
                for i = 1, 3 do t:channel():receive() end
                local a = time.now():sub(t0):seconds()
                time.sleep("10500ms")
                t:channel():receive() t:channel():receive()
                local b = time.now():sub(t0):seconds()
                t:stop()
                return {a, b, channel.select{t:channel():case_receive(), time.after("5s"):case_receive()}.channel ~= t:channel()}
                """) == .value("[3.0,14.0,true]"))
    }

    @Test func aPollingProgramSeesItsTimer() {
        // Without ever waiting; on the real clock's terms time passes by itself, here another sleeps.
        #expect(
            run(
                """
                local ch = time.after("1s")
                coroutine.spawn(function() time.sleep("2s") end)
                time.sleep("1500ms")
                return channel.select{ch:case_receive(), default = true}.channel == ch
                """) == .value("true"))
    }

    @Test func abandonedTimersAreReleased() {
        let world = LuaHarness()
        let result = world.run(
            """
            local time, ch = require("time"), channel.new(1)
            for i = 1, 20000 do
              ch:send(i)
              channel.select{ch:case_receive(), time.after("24h"):case_receive()}
            end
            local t0 = time.now()
            collectgarbage()
            return process.info(process.pid()).memory < 300000
            """)
        #expect(result == .value("true"))
        #expect(world.scheduler.timers.count <= 1)
    }

    @Test func durationsAndPointsOfTime() {
        #expect(
            run(
                """
                local d = time.parse_duration("1m30s")
                local n = time.now()
                local later = n:add("1s")
                return {d:minutes(), d:seconds(), d:microseconds(), d:nanoseconds(), d == time.parse_duration(90 * time.SECOND),
                  d < time.parse_duration("2m"), later:after(n), n:before(later), n:equal(n:add(0)), n == n:add(0), n < later,
                  n:unix(), n:unix_nano() == n:unix() * time.SECOND, tostring(later), tostring(later:sub(n)),
                  time.HOUR == 60 * time.MINUTE, select(2, time.parse_duration("x")):kind()}
                """)
                == .value(
                    "[1.5,90.0,90000000,90000000000,true,true,true,true,true,true,true,1767225600,true,"
                        + "\"2026-01-01T00:00:01Z\",\"1s\",true,\"INVALID\"]"))
    }

    @Test func fiberSleepsWhileAnotherComputes() {
        // The spinner never waits: the sleeper's timer must still be looked at.
        let world = LuaHarness(interruptedEvery: 100)
        world.define("app:clock", "local time = require('time') for i = 1, 100 do time.sleep('1s') end")
        #expect(
            world.run(
                """
                local time, done = require("time"), false
                local long = time.after("1h")
                process.spawn("app:clock", "app:processes")
                coroutine.spawn(function() time.sleep("10s") done = true end)
                time.sleep("1s")
                for i = 1, 30 do time.sleep("1s") if done then return i end end
                return "never"
                """) == .value("9"))
    }

    @Test func tickSaysWhenItFiredNotWhenItWasRead_T1() {
        #expect(
            runMain(
                """
                local time = require("time")
                local start, channel = time.now(), time.after("10ms")
                time.sleep("60ms")
                local tick = channel:receive()
                return {tick:sub(start):milliseconds(), (tick:unix_nano() - start:unix_nano()) // 1000000}
                """) == .value("[10,10]"))
    }
}
