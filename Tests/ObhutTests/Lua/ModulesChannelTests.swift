import Testing

@testable import Obhut

/// LUA_API, "channel": Go's rules, and M3, M4 for a process's own channels.
@Suite struct ModulesChannelTests {
    @Test func bufferedChannelKeepsOrderAndEveryKindOfValue() {
        #expect(
            runMain(
                """
                local ch = channel.new(3)
                local f = function() return 7 end
                ch:send(nil) ch:send(f) ch:send("x")
                local a, oka = ch:receive()
                local b = ch:receive()
                ch:send(4) ch:send(5)
                local out = {a == nil, oka, b == f}
                for i = 1, 3 do out[#out + 1] = ch:receive() end
                return out
                """) == .value(#"[true,true,true,"x",4,5]"#))
    }

    @Test func unbufferedChannelMeets() {
        #expect(
            runMain(
                """
                local ch, sent, got = channel.new(), {}, {}
                coroutine.spawn(function() for i = 1, 3 do ch:send(i) sent[i] = i end ch:close() end)
                while true do
                  local v, ok = ch:receive()
                  if not ok then break end
                  got[#got + 1] = v
                end
                return {sent, got}
                """) == .value("[[1,2,3],[1,2,3]]"))
    }

    @Test func closedChannelGivesWhatIsLeftThenFalse() {
        #expect(
            runMain(
                """
                local ch = channel.new(2)
                ch:send(1) ch:close()
                local a, oka = ch:receive()
                local b, okb = ch:receive()
                local sent, err = pcall(ch.send, ch, 2)
                local again, err2 = pcall(ch.close, ch)
                return {a, oka, b == nil, okb, sent, err, again, err2}
                """) == .value(#"[1,true,true,false,false,"send on a closed channel",false,"close of a closed channel"]"#))
    }

    @Test func waitersAreServedInOrderAndWokenByClose() {
        #expect(
            runMain(
                """
                local ch, log, done = channel.new(), {}, channel.new(10)
                for i = 1, 3 do
                  coroutine.spawn(function(n) local v, ok = ch:receive() log[n] = n .. "=" .. tostring(v) .. "," .. tostring(ok) done:send(1) end, i)
                end
                time = require("time") time.sleep("1ms")
                ch:send("a") ch:send("b") ch:close()
                for i = 1, 3 do done:receive() end
                return log
                """) == .value(#"["1=a,true","2=b,true","3=nil,false"]"#))
    }

    @Test func waitingSenderIsRaisedByClose() {
        #expect(
            runMain(
                """
                local ch, out = channel.new(), channel.new(1)
                coroutine.spawn(function() out:send({pcall(function() ch:send(1) end)}) end)
                require("time").sleep("1ms")
                ch:close()
                local r = out:receive()
                return {r[1], tostring(r[2]):match("send on a closed channel")}
                """) == .value(#"[false,"send on a closed channel"]"#))
    }

    @Test func bufferTakesInAWaitingSendersValue() {
        #expect(
            runMain(
                """
                local ch, out = channel.new(1), {}
                coroutine.spawn(function() for i = 1, 4 do ch:send(i) end end)
                require("time").sleep("1ms")
                for i = 1, 4 do out[i] = ch:receive() end
                return out
                """) == .value("[1,2,3,4]"))
    }

    @Test func selectAnswersTheSameChannelObject() {
        #expect(
            runMain(
                """
                local a, b = channel.new(1), channel.new(1)
                b:send("x")
                local r = channel.select{a:case_receive(), b:case_receive()}
                local c = channel.new()
                coroutine.spawn(function() c:send("late") end)
                local s = channel.select{a:case_receive(), c:case_receive()}
                a:close()
                local t = channel.select{a:case_receive()}
                return {r.channel == b, r.value, r.ok, s.channel == c, s.value, t.ok, t.value == nil}
                """) == .value(#"[true,"x",true,true,"late",false,true]"#))
    }

    @Test func selectSendsAndHasADefault() {
        #expect(
            runMain(
                """
                local a = channel.new()
                local d = channel.select{a:case_send(1), default = true}
                local got = channel.new(1)
                coroutine.spawn(function() got:send(a:receive()) end)
                local r = channel.select{a:case_send(42)}
                local e = channel.select{a:case_receive(), default = true}
                return {d.default, d.ok, d.channel == nil, r.channel == a, r.ok, got:receive(), e.default}
                """) == .value("[true,true,true,true,true,42,true]"))
    }

    @Test func waitingSelectSenderIsTakenByAReceiver() {
        #expect(
            runMain(
                """
                local a, b, out = channel.new(), channel.new(), channel.new(1)
                coroutine.spawn(function() local r = channel.select{b:case_receive(), a:case_send("v")} out:send(r.channel == a) end)
                require("time").sleep("1ms")
                local v = a:receive()
                return {v, out:receive(), (channel.select{b:case_send(1), default = true}).default}
                """) == .value(#"["v",true,true]"#))
    }

    @Test func selectChoosesByChance() {
        let result = runMain(
            """
            local a, b, n = channel.new(200), channel.new(200), 0
            for i = 1, 200 do a:send(i) b:send(i) end
            for i = 1, 200 do if channel.select{a:case_receive(), b:case_receive()}.channel == a then n = n + 1 end end
            return n > 60 and n < 140
            """)
        #expect(result == .value("true"))
    }

    @Test func selectRefusesWhatIsNoCase() {
        #expect(
            runMain("local ok, e = pcall(channel.select, {1}) return e")
                == .value(#""bad argument #1 to 'channel.select' (case 1 is a number value: give ch:case_receive() or ch:case_send(v))""#))
    }

    @Test func blockingInsideNestedCoroutinesNeverSurfaces() {
        #expect(
            runMain(
                """
                local ch, seen = channel.new(), {}
                local outer = coroutine.wrap(function()
                  local inner = coroutine.wrap(function() local v = ch:receive() coroutine.yield("y" .. v) return ch:receive() end)
                  seen[1] = inner() coroutine.yield(1) seen[2] = inner() return 2
                end)
                coroutine.spawn(function() ch:send("a") ch:send("b") end)
                local x, y = outer(), outer()
                return {x, y, seen[1], seen[2]}
                """) == .value(#"[1,2,"ya","b"]"#))
    }

    @Test func blockingWhereLuaCannotYieldRaises() {
        #expect(
            runMain(
                """
                local ch = channel.new()
                local ok, e = pcall(table.sort, {2, 1}, function(a, b) ch:receive() end)
                return {ok, (e:gsub("^.-: ", ""))}
                """) == .value(#"[false,"attempt to block where Lua cannot yield (in channel:receive)"]"#))
    }

    @Test func ownChannelsAreTheSameObjectsAndOnlyReceived() {
        #expect(
            runMain(
                """
                local ok, e = pcall(function() process.inbox():send(1) end)
                return {process.inbox() == process.inbox(), process.events() == process.events(),
                  process.listen("t") == process.listen("t"), process.inbox() ~= process.events(), ok, e:match("only be received")}
                """) == .value(#"[true,true,true,true,false,"only be received"]"#))
    }

    @Test func headThatArrivedFirstCounts_M4() {
        for seed in UInt64(1)...20 {
            let world = LuaHarness(seed: seed)
            world.define(
                "app:child", "process.send((...), 'a', 1) process.send((...), 't', 2) process.send((...), 'a', 3)")
            let result = world.run(
                """
                local inbox, events, topic = process.inbox(), process.events(), process.listen("t")
                process.spawn_monitored("app:child", "app:processes", process.pid())
                require("time").sleep("1s")
                local out = {}
                for i = 1, 4 do
                  local r = channel.select{events:case_receive(), topic:case_receive(), inbox:case_receive()}
                  if r.channel == events then out[i] = r.value.kind elseif r.channel == topic then out[i] = r.value else out[i] = r.value:payload():data() end
                end
                return out
                """)
            #expect(result == .value(#"[1,2,3,"pid.exit"]"#))
        }
    }

    @Test func messagesBeforeListenWaitAndUnlistenPutsBack_M3() {
        #expect(
            runMain(
                """
                local me = process.pid()
                for i = 1, 3 do process.send(me, "t", i) process.send(me, "other", i) end
                local t = process.listen("t")
                local first = t:receive()
                assert(process.unlisten(t))
                local out = {first, (select(2, t:receive()))}
                for i = 1, 5 do local m = process.inbox():receive() out[#out + 1] = m:topic() .. m:payload():data() end
                out[#out + 1] = process.listen("t") ~= t
                return out
                """) == .value(#"[1,false,"other1","t2","other2","t3","other3",true]"#))
    }

    @Test func listenGivesMessagesOnRequest() {
        #expect(
            runMain(
                """
                process.send(process.pid(), "t", {a = 1}, "x")
                local m = process.listen("t", {message = true}):receive()
                local _, e = process.listen("", {}) local _, f = process.listen("@x")
                return {m:topic(), m:from() == process.pid(), m:payload():data()[2], e, f ~= nil}
                """) == .value(#"["t",true,"x","the topic is empty",true]"#))
    }

    @Test func collectedChannelSeenOnceMoreIsDead() {
        #expect(
            runMain(
                """
                local time = require("time")
                local weak = setmetatable({}, {__mode = "k"})
                do local t = time.timer("1h") weak[t:channel()] = t weak[channel.new(1)] = 1 end
                collectgarbage() 
                for ch, t in pairs(weak) do
                  pcall(ch.receive, ch) pcall(ch.send, ch, 1) tostring(ch) pcall(ch.close, ch)
                  if t ~= 1 then t:stop() t:reset("1s") end
                end
                collectgarbage() collectgarbage()
                return next(weak) == nil
                """) == .value("true"))
    }

    @Test func manyFibersAtOneChannel() {
        #expect(
            LuaHarness(interruptedEvery: 37).run(
                """
                local ch, sum, done = channel.new(), 0, channel.new()
                for i = 1, 500 do coroutine.spawn(function() local v = ch:receive() sum = sum + v done:send(true) end) end
                coroutine.spawn(function() for i = 1, 500 do ch:send(i) end end)
                for i = 1, 500 do done:receive() end
                return sum
                """) == .value("125250"))
    }
}
