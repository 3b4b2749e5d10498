import Testing

@testable import Obhut

/// LUA_API, "process", rule by rule.
@Suite struct ModulesProcessTests {
    /// A world with some processes to act on.
    private func world(seed: UInt64 = 1, interruptedEvery: Int32 = testInstructions) -> LuaHarness {
        let world = LuaHarness(seed: seed, interruptedEvery: interruptedEvery)
        world.define("app:echo", "while true do local m = process.inbox():receive() process.send(m:from(), 'echo', m:payload()) end")
        world.define("app:returns", "return ...")
        world.define("app:fails", "error((...) or 'broken', 0)")
        world.define("app:sleeps", "require('time').sleep('1h') return 'slept'")
        world.define(
            "app:cancellable",
            "local e = process.events():receive() if ... then require('time').sleep(...) end return e.kind .. ' ' .. e.deadline .. ' ' .. tostring(e.from ~= nil)")
        return world
    }

    private func run(_ body: String) -> LuaResult { world().run("local P = 'app:processes' " + body) }

    // MARK: P

    @Test func pidAndId_P3() {
        #expect(
            run("return {process.pid():match('^{app:processes|0x%x%x%x%x%x+}$') == process.pid(), process.id(), process.pid() == process.pid()}")
                == .value(#"[true,"app:main",true]"#))
    }

    @Test func senderGoesByItsTextWhoeverSentBefore_P3() {
        #expect(
            run(
                """
                local inbox, pids = process.inbox(), {}
                for i = 1, 3 do pids[i] = process.spawn("app:echo", P) end
                for i = 1, 300 do
                  local p = pids[i % 7 % 3 + 1]
                  -- Written anew, so that it may have the address of another's text that was collected.
                  assert(process.send(table.concat{p:sub(1, 9), p:sub(10)}, "x", i))
                  local m = inbox:receive()
                  if m:from() ~= p or m:from() ~= p then return i end
                  if i % 5 == 0 then collectgarbage() end
                  assert(process.send(m:from(), "y", -i))
                  local n = inbox:receive()
                  if n:payload():data() ~= -i or n:from() ~= p then return -i end
                end
                local last = process.terminate(pids[1]) and pids[1]
                require("time").sleep("1ms")
                return {select(2, process.send(pids[1], "x")) == "process not found: " .. last, process.send(pids[2], "x")}
                """) == .value("[true,true]"))
    }

    @Test func whatCanBeKnownAtOnceFailsAtOnce_P2() {
        #expect(
            run(
                """
                local out = {}
                local function try(...) local pid, e = process.spawn(...) out[#out + 1] = pid == nil and e end
                try("app:nothing", P) try("app:processes", P) try("app:echo", "app:nowhere") try("app:echo", "app:stopped")
                try("app:echo", P, print)
                return out
                """)
                == .value(
                    #"["entry not found: app:nothing","app:processes is a process.host: it cannot be run as a process","#
                        + #""process host not found: app:nowhere","process host app:stopped is not started","#
                        + #""cannot send a function"]"#))
        let full = LuaHarness { $0.maxProcesses = 1 }
        #expect(
            full.run("return select(2, process.spawn('app:main', 'app:processes'))")
                == .value(#""process host app:processes is full: max_processes is 1""#))
    }

    @Test func exitEndsFromAnyDepth_P4() {
        let bodies = [
            "process.exit({1, 'x'})", "pcall(function() process.exit({1, 'x'}) end)",
            "coroutine.wrap(function() pcall(process.exit, {1, 'x'}) end)()",
            "coroutine.spawn(function() process.exit({1, 'x'}) end) channel.new():receive()",
            "local c <close> = setmetatable({}, {__close = function() process.exit('other') end}) process.exit({1, 'x'})",
        ]
        for body in bodies { #expect(runMain(body) == .value(#"[1,"x"]"#), "\(body)") }
        #expect(runMain("process.exit()") == .value("null"))
        #expect(runMain("local ok, e = pcall(process.exit, print) return {ok, e}") == .value(#"[false,"cannot send a function"]"#))
    }

    @Test func endsAsMainReturned_P4() {
        #expect(runMain("return nil, 'no'") == .error("no"))
        #expect(runMain("return 1, errors.new('NOT_FOUND', 'gone')") == .error("gone"))
        #expect(runMain("return 1, 2") == .value("1"))
        #expect(runMain("error(errors.new('x'))") == .error("x"))
        #expect(runMain("error({code = 1})") == .error("(error object is a table value)"))
        #expect(runMain("coroutine.spawn(function() error('in a fiber', 0) end) channel.new():receive()") == .error("in a fiber"))
    }

    // MARK: M

    @Test func argumentsArriveWithNilsInPlace_D6() {
        #expect(
            run(
                """
                local a = process.call("app:returns", P, {x = 1})
                process.send(process.pid(), "t", nil, 2, nil)
                process.send(process.pid(), "t")
                process.send(process.pid(), "t", "one")
                local i = process.inbox()
                local d = i:receive():payload():data()
                return {a.x, d[1] == nil, d[2], i:receive():payload():data() == nil, i:receive():payload():data()}
                """) == .value(#"[1,true,2,true,"one"]"#))
    }

    @Test func sendAnswersWhatItKnows_M1() {
        #expect(
            run(
                """
                local me, out = process.pid(), {}
                local dead = process.spawn("app:returns", P)
                require("time").sleep("1s")
                local function try(...) local ok, e = process.send(...) out[#out + 1] = ok == nil and e end
                try(me, "") try(me, "@x") try(me, ("x"):rep(256)) try(dead, "t") try("nobody", "t") try("{other:host|0x00001}", "t") try("{", "t")
                try(me, "t", {handlers = {1, print}}) try(me, "t", coroutine.create(print)) try(me, "t", 1, {[true] = channel.new()})
                local c = {} c.self = {c} try(me, "t", c)
                local deep = {} for i = 1, 129 do deep = {deep} end try(me, "t", deep)
                local _, raised = pcall(function() process.send(nil, "t") end)
                out[#out + 1] = raised
                out[4] = out[4] == "process not found: " .. dead
                return out
                """)
                == .value(
                    #"["the topic is empty","topics that begin with @ are the runtime's: @x","the topic is longer than 255 bytes",true,"#
                        + #""process not found: nobody","process not found: {other:host|0x00001}","process not found: {","#
                        + #""cannot send a function (at .handlers[2])","cannot send a thread","cannot send a channel (at [true] of value 2)","#
                        + #""cannot send a table that contains itself (at .self[1])","#
                        + #""cannot send a value that is nested over 128 deep (at [1][1][1][1][1][1] … [1][1][1][1][1])","#
                        + #""app:main:9: bad argument #1 to 'send' (string expected, got nil)"]"#))
    }

    @Test func payloadOverMaxMessageIsRefused_M1() {
        let world = LuaHarness { $0.maxMessage = 1 << 20 }
        #expect(
            world.run(
                """
                local _, e = process.send(process.pid(), "t", ("x"):rep(1 << 20))
                local t = {} for i = 1, 40 do t = {t, t} end
                local _, f = process.send(process.pid(), "t", t)
                local _, g = process.spawn("app:main", "app:processes", ("x"):rep(1 << 20))
                return {e, f == e, g == e, process.send(process.pid(), "t", ("x"):rep((1 << 20) - 5))}
                """) == .value(#"["payload is larger than 1MiB (max_message of app:processes)",true,true,true]"#))
    }

    /// Up to 64 bytes of topic and payload lie in the signal's block, the others beside it; the bound is the payload's alone.
    @Test func everyLengthOfTopicAndPayloadArrives_M1() {
        let world = LuaHarness { $0.maxMessage = 1000 }
        #expect(
            world.run(
                """
                local me, inbox, wrong = process.pid(), process.inbox(), {}
                for _, length in ipairs {1, 31, 62, 63, 64, 65, 128, 255} do
                    local topic = ("t"):rep(length)
                    for _, size in ipairs {0, 1, 2, 30, 31, 32, 60, 61, 62, 63, 64, 65, 127, 128, 500, 996, 997, 998, 2000} do
                        local text = ("x"):rep(size)
                        local ok, e = process.send(me, topic, text)
                        if size > 997 then
                            if ok or e ~= "payload is larger than 1000B (max_message of app:processes)" then wrong[#wrong + 1] = size end
                        else
                            local message = inbox:receive()
                            if message:topic() ~= topic or message:payload():data() ~= text then wrong[#wrong + 1] = size end
                        end
                    end
                end
                return wrong
                """) == .value("[]"))
    }

    @Test func anErrorOverMaxMessageIsAnErrorAllTheSame_P4() {
        let world = LuaHarness { $0.maxMessage = 1000 }
        let cut = String(repeating: "é", count: 100) + " ... (4000 bytes; max_message is 1000B)"
        world.define("app:text", "error(('é'):rep(2000), 0)")
        world.define("app:object", "error(errors.new('TIMEOUT', ('é'):rep(2000)))")
        world.define("app:details", "error(errors.new({kind = 'TIMEOUT', message = 'late', details = {('x'):rep(2000)}}))")
        #expect(
            world.run(
                """
                local out, events = {}, process.events()
                for _, name in ipairs {"text", "object", "details"} do
                    process.spawn_monitored("app:" .. name, "app:processes")
                    local e = events:receive().result.error
                    out[#out + 1] = type(e) == "string" and e or e:kind() .. " " .. e:message()
                end
                return out
                """) == .value("[\"\(cut)\",\"TIMEOUT \(cut)\",\"TIMEOUT late\"]"))
    }

    @Test func fullMailboxAnswersSo_M5() {
        let world = LuaHarness { $0.mailboxMessages = 2 }
        #expect(
            world.run(
                """
                local me = process.pid()
                process.send(me, "t") process.send(me, "t")
                local ok, e = process.send(me, "t")
                process.inbox():receive()
                return {ok == nil, e == "mailbox full: " .. me, process.send(me, "t")}
                """) == .value("[true,true,true]"))
    }

    @Test func payloadObjectIsSentOnAsItIs_D6() {
        #expect(
            run(
                """
                local pid = process.spawn("app:echo", P)
                local big = ("ä"):rep(2000)
                process.send(pid, "t", {1.0, 2, big, "\\xff"})
                local m = process.inbox():receive()
                local p = m:payload() m = nil collectgarbage()
                process.send(process.pid(), "t", {p, p})
                local d = p:data()
                local e = process.inbox():receive():payload():data()
                return {math.type(d[1]), math.type(d[2]), d[3] == big, #d[4], e[2][3] == big}
                """) == .value(#"["float","integer",true,1,true]"#))
    }

    @Test func wrappingAPayloadNeverPassesTheDepth_F1() {
        #expect(
            run(
                """
                process.send(process.pid(), "t", {})
                for i = 1, 1000 do
                  local p = process.inbox():receive():payload()
                  local ok, e = process.send(process.pid(), "t", {p})
                  if not ok then return {i, e} end
                end
                """) == .value(#"[128,"cannot send a value that is nested over 128 deep (at [1])"]"#))
    }

    @Test func requestIsAnswered_M7() {
        let world = world()
        world.define(
            "app:server",
            """
            while true do
              local m = process.inbox():receive()
              local q = m:payload():data()
              if q == "fail" then m:reply(nil, errors.new("NOT_FOUND", "no such thing"))
              elseif q == "die" then error("server fault", 0)
              elseif q == "end" then return
              elseif q == "twice" then m:reply(1) process.send(m:from(), "second", select(2, m:reply(2)))
              elseif q ~= "silent" then m:reply({q, "answered"}) end
            end
            """)
        let result = world.run(
            """
            local P, out = "app:processes", {}
            local s = process.spawn("app:server", P)
            process.send(process.pid(), "mine", 1)
            local function ask(q, t) local v, e = process.request(s, "q", q, t) out[#out + 1] = v or e end
            ask("a", "1s") ask("fail") ask("silent", 250) ask("twice", require("time").parse_duration("1s"))
            ask("end") s = process.spawn("app:server", P) ask("die")
            out[5] = out[5]:match("^no reply: process {.*} ended$") ~= nil
            out[6] = out[6]:match("failed: .*$")
            ask("x") out[7] = out[7] == "process not found: " .. s
            local m1, m2 = process.inbox():receive(), process.inbox():receive()
            out[8], out[9] = m1:topic(), m2:payload():data()
            out[10] = select(2, m1:reply(1))
            out[11] = select(2, process.request("nobody", "t", 1))
            out[12] = select(2, process.request(process.pid(), "t", print))
            out[3] = out[3]:gsub("{.*}", "PID")
            return out
            """)
        #expect(
            result
                == .value(
                    #"[["a","answered"],"no such thing","timeout: no reply from PID within 250ms",1,true,"failed: server fault",true,"#
                        + #""mine","the request was answered already","the message is no request: nobody waits for a reply to it","#
                        + #""process not found: nobody","cannot send a function"]"#))
    }

    @Test func requestsTimeoutsAreTakenBack_M7() {
        let world = LuaHarness()
        world.define("app:server", "while true do local m = process.inbox():receive() m:reply(m:payload():data()) end")
        #expect(
            world.run(
                """
                local s = process.spawn("app:server", "app:processes")
                for i = 1, 1000 do assert(process.request(s, "q", i, "24h") == i) end
                return process.info(process.pid()).memory < 200000
                """) == .value("true"))
    }

    @Test func callAnswersTheResult() {
        #expect(
            run(
                """
                local out = {process.call("app:returns", P, 42)}
                local v, e = process.call("app:fails", P) out[2], out[3] = v == nil, e
                out[4] = select(2, process.exec("app:nothing", P))
                out[5] = channel.select{process.events():case_receive(), default = true}.default
                return out
                """) == .value(#"[42,true,"broken","entry not found: app:nothing",true]"#))
    }

    @Test func calleeIsCancelledWhenTheCallerEnds() {
        let world = world()
        world.define("app:caller", "process.call('app:waits', 'app:processes')")
        world.define("app:waits", "print(process.events():receive().kind)")
        _ = world.run(
            """
            local p = process.spawn("app:caller", "app:processes")
            require("time").sleep("1s")
            process.terminate(p)
            require("time").sleep("1s")
            """)
        #expect(world.lines == ["pid.cancel"])
    }

    // MARK: S

    @Test func monitorGivesOneExit_S1_S3_S5() {
        #expect(
            run(
                """
                local e, out = process.events(), {}
                local p = process.spawn_monitored("app:returns", P, {1})
                out[1] = select(2, process.monitor(p))
                local ev = e:receive()
                out[2], out[3], out[4], out[5] = ev.kind, ev.from == p, ev.result.value[1], ev.at
                out[6] = select(2, process.monitor(p)) == "process not found: " .. p
                local q = process.spawn_monitored("app:fails", P, errors.new("TIMEOUT", "late"))
                local ev = e:receive()
                out[7], out[8], out[9] = ev.result.error:kind(), ev.result.value == nil, ev.origin == q
                out[10] = channel.select{e:case_receive(), default = true}.default
                return out
                """)
                == .value(#"["already monitoring","pid.exit",true,1,1767225600.0,true,"TIMEOUT",true,true,true]"#))
    }

    @Test func unmonitorTakesBackAQueuedExit_S4() {
        #expect(
            run(
                """
                local time, out = require("time"), {}
                local p = process.spawn_monitored("app:returns", P)
                time.sleep("1s")
                out[1] = process.unmonitor(p)
                out[2] = channel.select{process.events():case_receive(), time.after("1s"):case_receive()}.channel ~= process.events()
                out[3] = select(2, process.unmonitor(p)) == "not monitoring: " .. p
                return out
                """) == .value("[true,true,true]"))
    }

    @Test func ifDeadGivesAnEvent_S6() {
        #expect(
            run(
                """
                local p = process.spawn("app:returns", P)
                require("time").sleep("1s")
                assert(process.monitor(p, {if_dead = "event"}))
                local e = process.events():receive()
                return {e.from == p, e.result.error, select(2, process.monitor(p, {if_ded = 1})), select(2, process.monitor(p, {if_dead = 1}))}
                """)
                == .value(#"[true,"noproc","unknown option if_ded: monitor knows if_dead","if_dead is 1: it can be \"event\""]"#))
    }

    // MARK: L

    @Test func linkedFailureEndsTheOther_L3_L9() {
        let world = world()
        world.define("app:chain", "local n = ... if n == 0 then error('at the end', 0) end process.spawn_linked('app:chain', 'app:processes', n - 1) channel.new():receive()")
        #expect(
            world.run(
                """
                process.set_options{trap_links = true}
                local p = process.spawn_linked("app:chain", "app:processes", 3)
                local e = process.events():receive()
                return {e.kind, e.from == p, e.origin ~= p, e.hops, (e.result.error:gsub("{.-}", "PID"))}
                """)
                == .value(#"["pid.link.down",true,true,3,"linked process PID failed: at the end"]"#))
    }

    @Test func untrappedLinkEndsAComputingProcess_L3() {
        let world = world()
        #expect(
            world.run(
                """
                process.spawn_linked("app:fails", "app:processes")
                local c <close> = setmetatable({}, {__close = function() print("ran") end})
                while true do end
                """).description.hasSuffix("failed: broken"))
        #expect(world.lines == [])
    }

    @Test func linkFindsThatItHasToEnd_P7() {
        let world = world()
        let result = world.run(
            """
            local p = process.spawn_linked("app:fails", "app:processes")
            process.spawn("app:returns", "app:processes")
            pcall(function() while true do process.link("nobody") process.unlink("nobody") process.unmonitor("nobody") process.set_options{} end end)
            print("ran")
            """)
        #expect(result.description.hasSuffix("failed: broken"))
        #expect(world.lines == [])
    }

    @Test func linkAndUnlink_L1_L6() {
        #expect(
            run(
                """
                local time, out = require("time"), {}
                local p = process.spawn("app:sleeps", P)
                out[1] = select(2, process.link(process.pid()))
                assert(process.link(p) and process.link(p))
                out[2] = process.info(process.pid()).links
                out[3] = process.unlink(p) and process.unlink(p) and process.unlink("{app:processes|0xfffff}")
                process.terminate(p) time.sleep("1s")
                out[4] = select(2, process.link(p)) == "process not found: " .. p
                process.set_options{trap_links = true}
                local q = process.spawn_linked("app:fails", P)
                time.sleep("1s")
                process.unlink(q)
                out[5] = channel.select{process.events():case_receive(), default = true}.default
                return out
                """) == .value(#"["a process cannot be linked to itself",1,true,true,true]"#))
    }

    @Test func exitComesBeforeLinkDown_L8_L10() {
        #expect(
            run(
                """
                process.set_options{trap_links = "all"}
                process.spawn_linked_monitored("app:returns", P, 7)
                local e = process.events()
                local a, b = e:receive(), e:receive()
                return {a.kind, b.kind, b.result.value}
                """) == .value(#"["pid.exit","pid.link.down",7]"#))
    }

    @Test func optionsAreChecked() {
        #expect(
            run(
                """
                local out = {process.get_options().trap_links, process.set_options{trap_links = true}, process.get_options().trap_links}
                local a, b = process.set_options{trap = 1} local c, d = process.set_options{trap_links = "some"}
                out[4], out[5], out[6], out[7] = a, b, c, d
                out[8] = process.get_options().trap_links
                process.set_options{trap_links = "all"} out[9] = process.get_options().trap_links
                return out
                """)
                == .value(
                    #"[false,true,true,false,"unknown option trap: there is trap_links",false,"#
                        + #""trap_links is some: it can be true, false or \"all\"",true,"all"]"#))
    }

    // MARK: C

    @Test func cancelIsDeliveredAndEnforced_C1_C2() {
        #expect(
            run(
                """
                local e = process.events()
                local a = process.spawn_monitored("app:cancellable", P)
                require("time").sleep("1s")
                assert(process.cancel(a, "100ms"))
                local r1 = e:receive().result.value
                local b = process.spawn_monitored("app:cancellable", P, "1h")
                process.cancel(b, 100)
                local r2 = e:receive().result.error
                local c = process.spawn_monitored("app:sleeps", P)
                process.cancel(c, require("time").parse_duration("2s"))
                local t0 = e:receive()
                return {r1, r2, t0.result.error, t0.at}
                """)
                == .value(
                    #"["pid.cancel 2026-01-01T00:00:01.1Z true","cancelled: deadline exceeded","cancelled: deadline exceeded",1767225603.1]"#))
    }

    @Test func badTimeoutsAreErrorsAndNothingHappens_C1() {
        #expect(
            run(
                """
                local p, out = process.spawn("app:sleeps", P), {}
                local function try(t) local ok, e = process.cancel(p, t) out[#out + 1] = ok == nil and e end
                try(0) try("-1s") try("soon") try(5000000000) try(90 * 60 * 1000000000) try(1.5)
                require("time").sleep("10s")
                out[#out + 1] = process.info(p).state
                local _, e = pcall(function() process.cancel(p, {}) end) out[#out + 1] = e
                return out
                """)
                == .value(
                    #"["the timeout 0 is not more than 0","the timeout -1s is not more than 0","#
                        + #""the timeout \"soon\" is no duration: write it like \"100ms\", \"5s\" or \"1m30s\"","#
                        + #""the timeout 5000000000 is more than a day of milliseconds: pass \"5s\"","#
                        + #""the timeout 5400000000000 is more than a day of milliseconds: pass \"1h30m\"","#
                        + #""the timeout 1.5 is no whole number of milliseconds","waiting","#
                        + #""app:main:6: bad argument #2 to 'cancel' (string, number or duration expected, got table)"]"#))
    }

    @Test func terminateEndsNow_C4_C5() {
        #expect(
            run(
                """
                local p = process.spawn_monitored("app:sleeps", P)
                process.terminate(p)
                local e = process.events():receive()
                return {e.result.error, select(2, process.terminate(p)) == "process not found: " .. p, select(2, process.cancel(p)) == "process not found: " .. p}
                """) == .value(#"["terminated",true,true]"#))
        let world = world()
        #expect(world.run("pcall(process.terminate, process.pid()) print('ran')") == .error("terminated"))
        #expect(world.lines == [])
        #expect(runMain("process.cancel(process.pid(), '1s') return process.events():receive().kind") == .value(#""pid.cancel""#))
    }

    // MARK: Names and figures

    @Test func namesAreRegisteredAndFreed_P3_P5() {
        #expect(
            run(
                """
                local r, out = process.registry, {}
                out[1] = r.register("me") out[2] = r.lookup("me") == process.pid()
                local p = process.spawn_monitored("app:cancellable", P)
                out[3] = select(2, r.register("me", p)) out[4] = r.register("other", p)
                process.cancel("other", "1s")
                process.events():receive()
                out[5] = select(2, r.lookup("other")) out[6] = r.unregister("me") out[7] = r.unregister("me")
                out[8] = select(2, r.register("")) out[9] = select(2, r.register("@x")) out[10] = select(2, r.register("{x"))
                out[11] = select(2, r.register("x", p)) == "process not found: " .. p
                out[12] = select(2, r.register("\\xff"))
                return out
                """)
                == .value(
                    #"[true,true,"name already registered",true,"name not registered",true,false,"#
                        + #""a name has 1 to 255 bytes, this one has 0","a name does not begin with { or @: @x","#
                        + #""a name does not begin with { or @: {x",true,"a name is UTF-8 text"]"#))
    }

    @Test func listAndInfo() {
        #expect(
            run(
                """
                local p = process.spawn_linked("app:sleeps", P)
                process.send(p, "t")
                require("time").sleep("2s")
                local i, found = process.info(p), false
                for _, pid in ipairs(process.list()) do found = found or pid == p end
                return {found, i.pid == p, i.entry, i.host, i.state, i.mailbox, i.links, i.monitors, i.uptime, i.memory > 1000,
                  select(2, process.info("{app:processes|0xfffff}"))}
                """)
                == .value(
                    #"[true,true,"app:sleeps","app:processes","waiting",1,1,0,2.0,true,"process not found: {app:processes|0xfffff}"]"#))
    }

    @Test func namesAreBytes_P3() {
        #expect(
            run(
                #"""
                local r = process.registry
                r.register("\u{e9}") r.register("\u{fffd}")
                return {r.lookup("e\u{301}") == nil, process.send("e\u{301}", "t") == nil, process.send("\xff", "t") == nil,
                  r.register("e\u{301}"), r.unregister("\u{e9}"), r.lookup("e\u{301}") == process.pid(), process.send("\u{fffd}", "t")}
                """#) == .value("[true,true,true,true,true,true,true]"))
    }

    @Test func deadlineBeyondTheCalendarIsItsLastMoment_C1() {
        #expect(
            run(
                """
                process.cancel(process.pid(), "2562047h")
                return process.events():receive().deadline
                """) == .value(#""2262-04-11T23:47:16.854775807Z""#))
    }

    @Test func eventConstants() {
        #expect(
            run("return {process.event.EXIT, process.event.LINK_DOWN, process.event.CANCEL}")
                == .value(#"["pid.exit","pid.link.down","pid.cancel"]"#))
    }

    // MARK: All of it, interrupted everywhere

    @Test(arguments: [1, 2, 3, 7] as [Int32])
    func pingPongInterruptedAnywhere_D2(_ interval: Int32) {
        #expect(
            world(interruptedEvery: interval).run(
                """
                local p, sum = process.spawn("app:echo", "app:processes"), 0
                for i = 1, 200 do
                  process.send(p, "ping", i)
                  local m = process.inbox():receive()
                  sum = sum + m:payload():data()
                  assert(m:from() == p and m:topic() == "echo")
                end
                return sum
                """) == .value("20100"))
    }
}
