import Foundation
import Testing

@testable import Obhut

/// The Lua module `supervisor`: children that are added to a supervisor while it runs (V6).
@Suite struct DynamicChildrenTests {
    private static let program = """
        local supervisor, time = require("supervisor"), require("time")
        local M = {}
        local function wait() process.events():receive() end
        function M.worker(...) print(table.concat({"start", ...}, " ")) wait() print(table.concat({"stop", ...}, " ")) end
        function M.fails() error("boom") end
        function M.late() time.sleep("100ms") error("late") end
        function M.unready() process.events():receive() end
        function M.hopeless() error(errors.new({kind = "PERMISSION_DENIED", message = "no key"})) end
        function M.square(x) return x * x end
        function M.run(code, ...) return load(code, "=code", "t", setmetatable({supervisor = supervisor, time = time}, {__index = _ENV}))(...) end
        return M
        """

    private static func world(_ entries: String = "", seed: UInt64? = 1, host: String = "") throws -> ApplicationWorld {
        let processes = ["worker", "fails", "late", "unready", "hopeless", "run"].map {
            "- { name: \($0), kind: process.lua, source: file://program.lua, method: \($0), modules: [time, supervisor] }\n"
        }
        return try ApplicationWorld(
            Drive(seed: seed, instructions: 100),
            files: [
                "app.yaml": "namespace: app\nentries:\n- { name: host, kind: process.host, host: { \(host) }, lifecycle: { auto_start: true } }\n"
                    + "- { name: sup, kind: supervisor, children: [{ process: worker, input: [d] }, { name: many, process: worker, count: 2 }], lifecycle: { auto_start: true } }\n"
                    + "- { name: inner, kind: supervisor, children: [{ process: worker, input: [inner] }] }\n"
                    + "- { name: square, kind: function.lua, source: file://program.lua, method: square, modules: [time, supervisor] }\n"
                    + processes.joined() + entries + "\n",
                "program.lua": program,
            ], services: true)
    }

    private static func run(_ world: ApplicationWorld, _ code: String) throws -> String {
        // The supervisor is up before it is asked by its id.
        if let last = try? world.run("app:run", .string(code)) { return last.description } else { return "stuck" }
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>) func aChildIsStartedListedAndStopped_V6(seed: UInt64) throws {
        let world = try Self.world(seed: seed)
        world.advance(to: 1)
        let answer = try Self.run(world, """
            local pid = assert(supervisor.start_child("app:sup", { name = "x", process = "worker", input = {"x", 1} }))
            local list, n = supervisor.children("app:sup"), supervisor.count("app:sup")
            local last = list[#list]
            assert(last.pid == pid and last.name == "x" and last.process == "app:worker" and last.state == "running")
            assert(last.restart == "permanent" and last.restarts == 0 and last.type == "worker" and last.added == true)
            assert(list[1].name == "worker" and list[2].name == "many#1" and list[3].name == "many#2" and #list == 4)
            assert(n.specs == 4 and n.active == 4 and n.workers == 4 and n.supervisors == 0)
            assert(supervisor.stop_child("app:sup", "x"))
            assert(process.info(pid) == nil)
            local ok, err = supervisor.stop_child("app:sup", "x")
            return err:kind() .. ": " .. err:message()
            """)
        #expect(answer == #"value: "NOT_FOUND: app:sup has no child 'x'""#)
        #expect(world.lines.suffix(2) == ["start x 1", "stop x 1"])
        world.close()
        #expect(world.runtime.system.aliveCount == 0)
    }

    @Test func declaredChildrenAreStoppedAndStartedByName_V6() throws {
        let world = try Self.world()
        world.advance(to: 1)
        #expect(try Self.run(world, """
            assert(supervisor.stop_child("app:sup", "many#2"))
            local function state() return supervisor.children("app:sup")[3].state end
            assert(state() == "stopped" and supervisor.count("app:sup").active == 2)
            time.sleep("10s")
            assert(state() == "stopped")
            local pid = assert(supervisor.restart_child("app:sup", "many#2"))
            assert(state() == "running" and supervisor.children("app:sup")[3].pid == pid)
            local ok, err = supervisor.restart_child("app:sup", "many#2")
            local no, ambiguous = supervisor.stop_child("app:sup", "many")
            return err:kind() .. " " .. err:message() .. "; " .. ambiguous:kind() .. " " .. ambiguous:message()
            """) == #"value: "CONFLICT child 'many#2' of app:sup is running: it can be started when it has ended; INVALID app:sup has 2 children 'many': say which, from 'many#1' to 'many#2'""#)
        world.close()
    }

    @Test(arguments: [
        ("{}", "INVALID the child has no 'process': the id of the process or supervisor that it runs"),
        ("{ process = 5 }", "INVALID the child's 'process' must be an entry's id, \\\"namespace:name\\\", or a name of this namespace, got 5"),
        ("{ process = 'wroker' }", "NOT_FOUND the child's 'process' refers to 'app:wroker', which does not exist; did you mean 'app:worker'?"),
        ("{ process = 'host' }", "INVALID the child's 'process' refers to 'app:host', which is a process.host; it must be a process.lua, a process.native, a process.external, a function.lua, a process.service or a supervisor"),
        ("{ process = 'worker', host = 'app:hots' }", "NOT_FOUND the child's 'host' refers to 'app:hots', which does not exist; did you mean 'app:host'?"),
        ("{ process = 'worker', restrat = 'temporary' }", "INVALID unknown field 'restrat' of a child; did you mean 'restart'?"),
        ("{ process = 'worker', restart = 'sometimes' }", "INVALID 'restart' must be one of permanent, transient, temporary, got \\\"sometimes\\\""),
        ("{ process = 'worker', shutdown = 5 }", "INVALID 'shutdown' must be a duration above 0, such as \\\"5s\\\" or \\\"1m30s\\\", got 5: write \\\"5s\\\" for seconds"),
        ("{ process = 'inner', input = {1} }", "INVALID 'app:inner' is a supervisor: it takes no 'input'"),
        ("{ process = 'worker' }", "ALREADY_EXISTS app:sup has a child 'worker' already (running); give this one another 'name'"),
        ("{ name = 'many', process = 'worker' }", "ALREADY_EXISTS app:sup has a child 'many' already (running); give this one another 'name'"),
        ("{ name = 'f', process = 'fails', ready = 'call' }", "UNKNOWN child 'f' failed to start: program.lua:5: boom"),
        ("{ name = 'h', process = 'hopeless', ready = 'call' }", "PERMISSION_DENIED child 'h' failed to start: no key"),
        ("{ name = 'u', process = 'unready', ready = 'call', start_timeout = '2s' }", "UNKNOWN child 'u' failed to start: not ready within 2s"),
    ])
    func whatIsWrongWithASpecificationIsSaid_V6(specification: String, text: String) throws {
        let world = try Self.world()
        world.advance(to: 1)
        let before = world.alive
        #expect(try Self.run(world, """
            local ok, err = supervisor.start_child("app:sup", \(specification))
            assert(ok == nil and supervisor.count("app:sup").specs == 3)
            return err:kind() .. " " .. err:message()
            """) == "value: \"\(text)\"")
        #expect(world.alive == before)
        world.close()
    }

    @Test func whoIsNoSupervisorIsSaid_V6() throws {
        let world = try Self.world()
        world.advance(to: 1)
        #expect(try Self.run(world, """
            local function why(name) local _, err = supervisor.count(name) return err:kind() .. " " .. err:message() end
            assert(process.registry.register("me"))
            return {why("app:worker"), why("app:inner"), why("nobody"), why("me"), (select(2, pcall(supervisor.count, 5)))}
            """) == #"value: ["INVALID app:worker is no supervisor","NOT_FOUND supervisor app:inner is not running","NOT_FOUND supervisor not found: nobody","INVALID me is no supervisor","bad argument #1 to 'supervisor.count' (string expected, got number)"]"#)
        world.close()
    }

    @Test func supervisorsAndFunctionsAreChildrenToo_V6() throws {
        let world = try Self.world()
        world.advance(to: 1)
        #expect(try Self.run(world, """
            local pid = assert(supervisor.start_child("app:sup", { process = "inner" }))
            assert(supervisor.count(pid).active == 1 and supervisor.count("app:inner").active == 1)
            assert(supervisor.count("app:sup").supervisors == 1)
            assert(supervisor.start_child("app:inner", { name = "deep", process = "app:worker", input = {"deep"} }))
            assert(supervisor.start_child("app:sup", { name = "s", process = "square", input = {5}, restart = "temporary" }))
            time.sleep("1s")
            -- What has ended for good is no child any more.
            assert(supervisor.count("app:sup").specs == 4)
            assert(supervisor.stop_child("app:sup", "inner"))
            return supervisor.count("app:sup").specs
            """) == "value: 3")
        #expect(world.lines.suffix(4) == ["start inner", "start deep", "stop deep", "stop inner"])
        world.close()
    }

    @Test func aSupervisorThatIsStartedAgainHasItsDeclaredChildrenOnly_V6() throws {
        let world = try Self.world()
        world.advance(to: 1)
        #expect(try Self.run(world, """
            local pid = assert(supervisor.start_child("app:sup", { name = "i", process = "inner" }))
            assert(supervisor.start_child(pid, { name = "extra", process = "worker" }))
            process.terminate(pid)
            time.sleep("1s")
            assert(process.info(pid) == nil)
            local n = supervisor.count("app:inner")
            return {n.specs, n.active, n.supervisors, n.workers}
            """) == "value: [1,1,0,1]")
        world.close()
    }

    @Test func oneThatFailsIsRestartedAndCounted_V6() throws {
        let world = try Self.world()
        world.advance(to: 1)
        #expect(try Self.run(world, """
            assert(supervisor.start_child("app:sup", { name = "l", process = "late", restart = { type = "transient", initial_delay = "10s", jitter = 0 } }))
            time.sleep("1s")
            local list = supervisor.children("app:sup")
            local l = list[#list]
            return {l.state, l.restarts, l.pid == nil, l.restart}
            """) == #"value: ["backing off",1,true,"transient"]"#)
        #expect(world.logged.contains { $0.hasSuffix("failed (restart 1 in 10s): program.lua:6: late") && $0.contains("app:sup child 'l' (app:late) {app:host|0x") })
        world.close()
    }

    /// The caller can be ended while it waits, and the supervisor goes on (P7).
    @Test func whoWaitsCanBeEnded_V6() throws {
        let world = try Self.world()
        world.advance(to: 1)
        let caller = try world.start("app:run", .string("""
            return supervisor.start_child("app:sup", { name = "u", process = "unready", ready = "call" })
            """))
        world.advance(to: 2)
        #expect(world.runtime.system.table.living(caller) != nil)
        _ = world.runtime.system.terminate(caller, from: .none)
        #expect(try world.end(of: caller) == .error("terminated"))
        #expect(try Self.run(world, "return supervisor.children('app:sup')[4].state") == #"value: "starting""#)
        world.close()
    }

    /// Its supervisor ends while somebody waits: that is an answer.
    @Test func whoseSupervisorEndsIsTold_V6() throws {
        let world = try Self.world()
        world.advance(to: 1)
        let caller = try world.start("app:run", .string("""
            local _, err = supervisor.start_child("app:sup", { name = "u", process = "unready", ready = "call" })
            return (err:kind() .. " " .. err:message():gsub("{.*}", "PID"))
            """))
        world.advance(to: 2)
        var supervisor: Pid?
        world.runtime.system.table.forEachLiving { slot, pid in if slot.pointee.entryID == "app:sup" { supervisor = pid } }
        _ = world.runtime.system.terminate(try #require(supervisor), from: .none)
        #expect(try world.end(of: caller) == .value(#""UNAVAILABLE no reply: supervisor PID failed: terminated""#))
        world.close()
    }

    /// A supervisor that a program has spawned on a host with a bound of one message.
    @Test(arguments: 1...5 as ClosedRange<UInt64>) func noBoundOfAHostRefusesASupervisorAnything_M5_V6(seed: UInt64) throws {
        let world = try Self.world(seed: seed, host: "mailbox_limit: 1, workers: 1")
        world.advance(to: 1)
        #expect(try Self.run(world, """
            local sup = assert(process.spawn("app:inner", "app:host"))
            local done = channel.new(50)
            for i = 1, 50 do
              coroutine.spawn(function()
                for _ = 1, 3 do process.send(sup, "junk", 1) end
                assert(supervisor.start_child(sup, { name = "w" .. i, process = "worker", restart = "transient" }))
                done:send(true)
              end)
            end
            for i = 1, 50 do done:receive() end
            local n = supervisor.count(sup)
            return {n.specs, n.active, n.supervisors, n.workers}
            """) == "value: [51,51,0,51]")
        world.close()
        #expect(world.runtime.system.aliveCount == 0)
    }

    /// On threads: the 10,000 of a `simple_one_for_one`.
    @Test func tenThousandAreStartedAndStopped_V6() throws {
        let world = try Self.world("- { name: pool, kind: supervisor, children: [], lifecycle: { auto_start: true } }", seed: nil)
        #expect(try Self.run(world, """
            while not supervisor.count("app:pool") do time.sleep("1ms") end
            for i = 1, 10000 do
              assert(supervisor.start_child("app:pool", { name = "c" .. i, process = "unready", restart = "transient" }))
            end
            assert(supervisor.count("app:pool").active == 10000)
            for i = 1, 10000, 2 do assert(supervisor.stop_child("app:pool", "c" .. i)) end
            return supervisor.count("app:pool").specs
            """) == "value: 5000")
        world.close(timeout: nil)
        #expect(world.runtime.system.aliveCount == 0)
    }

    // MARK: process.service as a child

    @Test func aServiceAsAChildBringsItsSettingsAndStartsOnlyThere_V1_V3() throws {
        let world = try Self.world("""
            - { name: svc, kind: process.service, process: worker, input: [svc], lifecycle: { auto_start: true, restart: { policy: always, initial_delay: 3s, jitter: 0 } } }
            - { name: late.svc, kind: process.service, process: late, lifecycle: { restart: { initial_delay: 2s, jitter: 0 } } }
            - { name: fn.svc, kind: process.service, process: square, input: [3] }
            - { name: owner, kind: supervisor, children: [{ process: svc }, { process: late.svc, restart: { initial_delay: 7s } }, { name: sq, process: fn.svc }], lifecycle: { auto_start: true } }
            - { name: after, kind: process.service, process: worker, input: [after], lifecycle: { auto_start: true, depends_on: [svc] } }
            """)
        world.advance(to: 1)
        #expect(world.lines.filter { $0 == "start svc" }.count == 1 && world.lines.last == "start after")
        #expect(world.logged.contains { $0.contains("app:owner child 'late.svc' (app:late)") && $0.hasSuffix("failed (restart 1 in 7s): program.lua:6: late") })
        #expect(try Self.run(world, """
            local list = supervisor.children("app:owner")
            assert(supervisor.start_child("app:owner", { name = "again", process = "late.svc" }))
            time.sleep("1s")
            return {list[1].restart, list[2].restart, list[3].state, supervisor.children("app:owner")[4].restart}
            """) == #"value: ["permanent","transient","ended","transient"]"#)
        #expect(world.logged.contains { $0.contains("child 'again'") && $0.hasSuffix("failed (restart 1 in 2s): program.lua:6: late") })
        world.close()
    }
}
