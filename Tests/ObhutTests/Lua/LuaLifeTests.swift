import Testing

@testable import Obhut

/// The life of a Lua process: its coroutines and its end, as the program and its neighbours see them.
@Suite struct LuaLifeTests {
    private static let intervals: [Int32] = [1, 3, 50, 1000]

    /// A variable that says so when it is closed.
    private static let closing = "local function closing(name) return setmetatable({}, {__close = function() print(name .. ' closed') end}) end "

    /// Coroutines that wait, sleep, compute and were never run: with main they are gone, and they say nothing. (While one
    /// computes virtual time stands still: so main goes on when all have begun.)
    private static func coroutines(computing: Bool) -> String {
        closing + """
            local time, begun = require("time"), 0
            local function begin(name) print(name) begun = begun + 1 end
            coroutine.spawn(function() local x <close> = closing("waiting") begin("waiting") channel.new():receive() print("on") end)
            coroutine.spawn(function() local x <close> = closing("inbox") begin("inbox") process.inbox():receive() print("on") end)
            coroutine.spawn(function() local x <close> = closing("sleeping") begin("sleeping") time.sleep("1h") print("on") end)
            coroutine.spawn(function()
              local x <close> = closing("outer")
              coroutine.wrap(function() local y <close> = closing("inner") begin("inner") channel.new():receive() end)()
            end)
            coroutine.spawn(function()
              local x <close> = closing("catching")
              begin("catching")
              while true do pcall(\(computing ? "math.abs, 1" : "time.sleep, '1h'")) end
            end)
            if \(computing) then
              coroutine.spawn(function() local x <close> = closing("computing") begin("computing") while true do end end)
              while begun < 6 do end
            else
              time.sleep("1s")
            end
            local x <close> = closing("main")

            """
    }

    private static func begun(computing: Bool) -> [String] {
        (computing ? ["computing"] : []) + ["catching", "inbox", "inner", "sleeping", "waiting"]
    }

    @Test(arguments: intervals) func theProcessEndsWithMainAndItsCoroutinesAreDropped_P6(interval: Int32) {
        for (last, end) in [
            ("return 'over'", LuaResult.value(#""over""#)), ("error('over', 0)", .error("over")), ("return nil, 'over'", .error("over")),
            ("process.exit('over')", .value(#""over""#)), ("coroutine.wrap(function() process.exit('over') end)()", .value(#""over""#)),
        ] {
            for computing in [false, true] {
                let world = LuaHarness(interruptedEvery: interval)
                let program = Self.coroutines(computing: computing) + "coroutine.spawn(function() print('never run') end) " + last
                #expect(world.run(program) == end)
                // Interrupted before its end, main may leave a turn to the last one; it goes no further than that.
                let lines = world.lines.filter { $0 != "never run" || interval > 50 }
                #expect(lines.sorted() == (Self.begun(computing: computing) + ["main closed"]).sorted(), "\(last)")
                #expect(lines.last == "main closed")
                #expect(world.scheduler.timers.count == 0 && world.system.aliveCount == 0)
            }
        }
    }

    /// One that ends by itself ends nothing else, and its result is nobody's; one that fails ends the process.
    @Test(arguments: intervals) func theEndOfAnotherCoroutineIsNotTheProcesss_P6_P4(interval: Int32) {
        let world = LuaHarness(interruptedEvery: interval)
        #expect(
            world.run(
                Self.closing + """
                    local done = channel.new()
                    for i = 1, 3 do coroutine.spawn(function(n) local x <close> = closing(n) done:send(n) return "not this", "nor this" end, i) end
                    local sum = 0
                    for i = 1, 3 do sum = sum + done:receive() end
                    require("time").sleep("1s")
                    return sum
                    """) == .value("6"))
        #expect(world.lines.sorted() == ["1 closed", "2 closed", "3 closed"])
        #expect(
            LuaHarness(interruptedEvery: interval).run("coroutine.spawn(function() require('time').sleep('1s') error('failed', 0) end) process.inbox():receive()")
                == .error("failed"))
    }

    private static let waiting = [
        "time.sleep('1h')", "process.inbox():receive()", "pcall(time.sleep, '1h')", "while true do pcall(time.sleep, '7ms') end",
        "xpcall(function() process.inbox():receive() end, function() print('handler') end)",
        "coroutine.wrap(function() local y <close> = closing('inner') time.sleep('1h') end)()",
    ]
    private static let computing = [
        "while true do end", "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() print('handler') end) end",
        "coroutine.wrap(function() local y <close> = closing('inner') while true do end end)()",
    ]

    /// However it is killed: nothing is closed, no handler runs, no `pcall` goes on, in no coroutine.
    @Test(arguments: intervals) func theKilledRunNoMoreCode_P7(interval: Int32) {
        let kills: [(code: String, error: String)] = [
            ("process.terminate(victim)", "terminated"),
            ("process.spawn('app:failing', 'app:processes', victim)", "failed: linked"),
            ("process.cancel(victim, '1s')", "cancelled: deadline exceeded"),
        ]
        for (doings, isComputing) in [(Self.waiting, false), (Self.computing, true)] {
            // A deadline does not come while somebody computes and time stands still, nor an end where Lua cannot yield:
            // `HostileProgramTests` have those.
            for (kill, text) in kills.prefix(isComputing ? 2 : 3) {
                for doing in doings {
                    let world = LuaHarness(interruptedEvery: interval)
                    world.define("app:failing", "process.link(...) error('linked', 0)")
                    world.define("app:killer", "local victim = ... \(kill)")
                    world.define("app:victim", Self.coroutines(computing: isComputing) + "print('last') \(doing) print('went on')")
                    let victim = world.start("app:victim")
                    let simulation = world.scheduler.simulation!
                    let limit = simulation.steps + 5_000_000
                    while world.lines.last != "last", simulation.steps < limit, simulation.step() {}
                    let before = world.lines
                    #expect(before.sorted() == (Self.begun(computing: isComputing) + ["last"]).sorted())
                    let pid = encoded {
                        $0.writeArrayHeader(1)
                        $0.writeString(world.system.text(of: victim))
                    }
                    _ = pid.withUnsafeBytes { world.start("app:killer", arguments: $0) }
                    while world.system.table.living(victim) != nil, simulation.steps < limit, simulation.step() {}
                    guard case .error(let error) = world.result(of: victim) else {
                        Issue.record("\(doing), \(kill): \(world.result(of: victim))")
                        _ = world.system.terminate(victim, from: .none)
                        continue
                    }
                    world.settle()
                    #expect(error.hasSuffix(text) && world.lines == before, "\(doing), \(kill)")
                    #expect(world.scheduler.timers.count == 0 && world.system.aliveCount == 0)
                }
            }
        }
    }

    /// Those that end by themselves close what they have, the innermost first, and it may take its time.
    @Test(arguments: intervals) func thoseThatEndCloseTheirVariablesInOrder_P7(interval: Int32) {
        for last in ["return", "return 1, 'error'", "error('x', 0)", "process.exit()", "local t = nil; t.x = 1"] {
            let world = LuaHarness(interruptedEvery: interval)
            _ = world.run(
                Self.closing + """
                    local a <close> = closing("a")
                    local slow <close> = setmetatable({}, {__close = function() require("time").sleep("1s") print("slow closed") end})
                    local function inner() local b <close> = closing("b") \(last) end
                    local c <close> = closing("c")
                    return inner()
                    """)
            #expect(world.lines == ["b closed", "c closed", "slow closed", "a closed"], "\(last)")
        }
    }

    // MARK: Links (L9)

    /// Twenty links from where it began: the cause is still that error object, told once, and not once for each link.
    @Test(arguments: intervals) func anErrorObjectKeepsItsKindAlongAChain_L9(interval: Int32) {
        let world = LuaHarness(interruptedEvery: interval)
        world.define(
            "app:chain",
            """
            local n, first = ...
            if n == 0 then
              process.send(first, "began", process.pid())
              error(errors.new("TIMEOUT", "too late"))
            end
            process.spawn_linked("app:chain", "app:processes", n - 1, first)
            channel.new():receive()
            """)
        #expect(
            world.run(
                """
                process.set_options{trap_links = true}
                local p = process.spawn_linked_monitored("app:chain", "app:processes", 20, process.pid())
                local began = process.inbox():receive():payload():data()
                local exit, down = process.events():receive(), process.events():receive()
                local out = {}
                for i, e in ipairs{exit, down} do
                  local cause = e.result.error
                  out[i] = {e.kind, e.from == p, e.origin == began, e.hops, type(cause) == "string" or cause:kind(),
                    (tostring(cause):gsub("{.-}", "PID"))}
                end
                return out
                """)
                == .value(
                    #"[["pid.exit",true,true,20,"TIMEOUT","linked process PID failed: too late"],"#
                        + #"["pid.link.down",true,true,20,"TIMEOUT","linked process PID failed: too late"]]"#))
    }

    // MARK: Requests (M7)

    /// Nothing else is taken out of the mailbox, nor does a reply that comes too late come anywhere: not to the inbox, not
    /// to a channel, not to the next request.
    @Test(arguments: intervals) func aLateReplyVanishesAndNothingElseIsTaken_M7(interval: Int32) {
        let world = LuaHarness(interruptedEvery: interval)
        world.define(
            "app:slow",
            """
            while true do
              local m = process.inbox():receive()
              process.send(m:from(), "note", m:payload():data())
              coroutine.spawn(function() require("time").sleep(m:payload():data() .. "s") m:reply("reply " .. m:payload():data()) end)
            end
            """)
        #expect(
            world.run(
                """
                local time, out = require("time"), {}
                local topic = process.listen("reply")
                local s = process.spawn("app:slow", "app:processes")
                process.send(process.pid(), "own", 0)
                local v, e = process.request(s, "q", 3, "1s")
                out[1] = v == nil and e:match("^timeout") or v
                out[2] = process.request(s, "q", 1, "10s")
                out[3] = process.request(s, "q", 5, "10s")
                time.sleep("1m")
                for i = 1, 4 do out[#out + 1] = process.inbox():receive():payload():data() end
                out[#out + 1] = channel.select{process.inbox():case_receive(), topic:case_receive(), process.events():case_receive(), default = true}.default
                return out
                """) == .value(#"["timeout","reply 1","reply 5",0,3,1,5,true]"#))
    }

    /// At the very moment of virtual time at which the other one ends, or at the timeout, and no sooner or later.
    @Test(arguments: intervals) func aRequestEndsWithTheOtherOneOrAtItsTimeout_M7(interval: Int32) {
        let world = LuaHarness(interruptedEvery: interval)
        world.define("app:dies", "process.inbox():receive() require('time').sleep('7s') error('died', 0)")
        world.define("app:ends", "process.inbox():receive() require('time').sleep('8s') return 'well'")
        world.define("app:killed", "process.inbox():receive() process.cancel(process.pid(), '9s') while true do require('time').sleep('1h') end")
        #expect(
            world.run(
                """
                local time, out = require("time"), {}
                for _, name in ipairs{"dies", "ends", "killed"} do
                  for _, limit in ipairs{"1h", "2s"} do
                    local p = process.spawn("app:" .. name, "app:processes")
                    local start = time.now()
                    local v, e = process.request(p, "q", 1, limit)
                    out[#out + 1] = tostring(time.now():sub(start)) .. " " .. (tostring(e):gsub("{.-}", "PID"))
                  end
                end
                return out
                """)
                == .value(
                    #"["7s no reply: process PID failed: died","2s timeout: no reply from PID within 2s","8s no reply: process PID ended","#
                        + #""2s timeout: no reply from PID within 2s","9s no reply: process PID failed: cancelled: deadline exceeded","#
                        + #""2s timeout: no reply from PID within 2s"]"#))
    }
}
