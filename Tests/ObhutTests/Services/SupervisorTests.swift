import Foundation
import Testing

@testable import Obhut

/// Services and supervisors as processes: restarts, readiness, failing upward, stop (V1–V6), to the nanosecond of virtual time.
@Suite struct SupervisorTests {
    /// A program that says when it starts (and when in virtual time, and with which arguments), and what it hears.
    private static let program = """
        local time = require("time")
        local function say(what) print(string.format("%g %s %s", (time.now():unix_nano() - 1767225600000000000) / 1e9, process.id(), what)) end
        local M = {}
        function M.main(...)
          say(table.concat({"start", ...}, " "))
          process.events():receive()
          say("cancelled")
        end
        function M.fails(after, ...)
          say(table.concat({"start", ...}, " "))
          time.sleep(after)
          error("boom")
        end
        function M.answers(after) say("start") time.sleep(after) return nil, "no luck" end
        function M.hopeless() say("start") return nil, errors.new({ message = "no such disk", kind = "INVALID", retryable = false }) end
        function M.returns(after) say("start") time.sleep(after) return "done" end
        function M.readies(after) say("start") time.sleep(after) process.ready() say("ready") process.events():receive() end
        function M.deaf(...) say(table.concat({"start", ...}, " ")) while true do process.events():receive() end end
        function M.owns(how)
          assert(process.spawn_linked("app:sup", "app:host"))
          time.sleep("1s")
          if how == "fails" then error("no owner", 0) end
        end
        function M.links(to) assert(process.link(to)) error("no friend", 0) end
        return M
        """

    private static let methods = ["main", "fails", "answers", "hopeless", "returns", "readies", "deaf", "owns", "links"]

    /// A host, each method of the program as an entry of its name, and `entries`.
    static func world(_ entries: String, seed: UInt64 = 1, services: Bool = true) throws -> ApplicationWorld {
        let processes = methods.map {
            "- { name: \($0), kind: process.lua, source: file://program.lua, method: \($0), modules: [time] }\n"
        }
        return try ApplicationWorld(
            Drive(seed: seed),
            files: [
                "app.yaml": "namespace: app\nentries:\n- { name: host, kind: process.host, lifecycle: { auto_start: true } }\n" + processes.joined() + entries + "\n",
                "program.lua": program,
            ], services: services)
    }

    private static func service(_ name: String, _ process: String, _ input: String, _ lifecycle: String) -> String {
        "- { name: \(name), kind: process.service, process: \(process), input: [\(input)], lifecycle: { auto_start: true, \(lifecycle) } }\n"
    }

    private static let seeds = 1...5 as ClosedRange<UInt64>

    private static func times(_ world: ApplicationWorld, _ what: String = "start") -> [Double] {
        world.lines.filter { $0.contains(what) }.compactMap { Double($0.split(separator: " ")[0]) }
    }

    // MARK: process.service (V1, V3, V5)

    @Test(arguments: seeds) func aServiceRunsAnotherEntryWithItsInput_V1(seed: UInt64) throws {
        let world = try Self.world(
            Self.service("one", "main", "a, 1", "") + Self.service("two", "app:main", "b", "depends_on: [one]"), seed: seed)
        world.advance(to: 10)
        // The process says whose entry it runs; the entry itself is no service.
        #expect(world.lines.map { $0.dropFirst(2) } == ["app:main start a 1", "app:main start b"])
        #expect(world.alive == ["app:main", "app:main", "obhut:services"])
        world.close(timeout: nil)
        #expect(world.runtime.system.aliveCount == 0 && world.runtime.scheduler.timers.count == 0)
    }

    @Test(arguments: ["fails", "answers"]) func aFailureOfEitherKindIsRestartedLaterAndLater_V3_V5(method: String) throws {
        let world = try Self.world(
            Self.service("s", method, "1ms", "restart: { jitter: 0, initial_delay: 100ms, max_delay: 1s }"))
        world.advance(to: 4)
        let times = Self.times(world)
        let gaps = zip(times, times.dropFirst()).map { (($1 - $0) * 1000).rounded() }
        #expect(gaps == [101, 201, 401, 801, 1001, 1001])
        #expect(world.logged.filter { $0.contains("app:s (app:\(method)) {app:host|0x") }.count == 7)
        #expect(world.logged.contains { $0.hasSuffix("failed (restart 3 in 400ms): \(method == "fails" ? "program.lua:12: boom" : "no luck")") })
        world.close()
    }

    @Test func aNormalEndIsRestartedOnlyAlways_V3() throws {
        let world = try Self.world(
            Self.service("once", "returns", "1ms", "") + Self.service("again", "returns", "10ms", "restart: { policy: always, jitter: 0 }"))
        world.advance(to: 1.5)
        #expect(world.lines.count == 3 && Self.times(world).last == 1.01)
        #expect(world.logged.count == 2 && world.logged[0].contains("info: app:again (app:returns) {app:host|0x"))
        #expect(world.logged[0].hasSuffix(" ended (restart 1 in 1s)") && world.logged[1].hasSuffix(" ended (restart 2 in 2s)"))
        world.close()
    }

    /// The error object says so, and then nothing above it tries again either: the application has failed.
    @Test func whatIsNotRetryableIsNotRetried_V5() throws {
        let world = try Self.world(
            "- { name: sup, kind: supervisor, children: [ { process: main }, { process: hopeless, restart: transient } ], lifecycle: { auto_start: true } }")
        world.advance(to: 100)
        #expect(world.lines.filter { $0.contains("hopeless") }.count == 1 && world.alive == [])
        let last = try #require(world.logged.last)
        #expect(last.contains("error: obhut:services {obhut:supervisors|0x"))
        #expect(last.hasSuffix(
            "failed: app:sup failed and is not to be tried again: "
                + "child 'hopeless' (app:hopeless) failed and is not to be tried again: no such disk"))
        world.close()
    }

    @Test(arguments: seeds) func whoUsesUpItsAttemptsFailsTheApplication_V3(seed: UInt64) throws {
        let world = try Self.world(
            Self.service("other", "main", "", "") + Self.service("s", "fails", "1ms", "restart: { max_attempts: 3, jitter: 0 }"), seed: seed)
        world.advance(to: 100)
        #expect(world.lines.filter { $0.contains("app:fails start") }.count == 4)
        #expect(world.lines.last?.hasSuffix("app:main cancelled") == true && world.alive == [])
        #expect(world.logged.last?.hasSuffix("failed: app:s (app:fails) failed after 3 restarts: program.lua:12: boom") == true)
        // The host is open for others.
        #expect(try world.run("app:returns", .string("1ms")) == .value(#""done""#))
        world.close()
    }

    /// The same record for machines: which child of whom, why, and what follows.
    @Test func whatTheLogSaysOfAChildIsInFieldsToo_F5() throws {
        let log = ApplicationWorld.Lines()
        var configuration = RuntimeConfiguration()
        configuration.simulated = true
        configuration.seed = 1
        configuration.logFormat = .json
        configuration.log = { text, _ in log.append(text) }
        let runtime = try Runtime(configuration)
        let yaml = """
            namespace: app
            entries:
            - { name: host, kind: process.host, lifecycle: { auto_start: true } }
            - { name: fails, kind: process.lua, source: "return { main = function() error('boom', 0) end }" }
            - { name: sup, kind: supervisor, children: [{ process: fails, count: 1, restart: { initial_delay: 250ms, jitter: 0 } }], lifecycle: { auto_start: true } }
            """
        try runtime.load([.yaml(yaml, name: "app.yaml")])
        try runtime.start()
        runtime.scheduler.simulation!.run(until: 100_000_000)
        runtime.stop(timeout: 0)
        let line = try #require(log.all.first { $0.contains("restart 1") })
        let record = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(record["entry"] as? String == "app:fails" && (record["pid"] as? String)?.hasPrefix("{app:host|0x") == true)
        #expect(record["level"] as? String == "error")
        let fields = try #require(record["fields"] as? [String: Any])
        #expect(fields["supervisor"] as? String == "app:sup" && fields["child"] as? String == "fails#1")
        #expect(fields["reason"] as? String == "boom" && fields["restart"] as? Int == 1 && fields["delay_ns"] as? Int == 250_000_000)
    }

    // MARK: Readiness (V2)

    @Test(arguments: seeds) func whoNeedsItWaitsUntilItIsReady_V2(seed: UInt64) throws {
        let world = try Self.world(
            Self.service("slow", "readies", "3s", "ready: call") + Self.service("after", "main", "", "depends_on: [slow]")
                + Self.service("beside", "main", "", "depends_on: []"), seed: seed)
        world.advance(to: 10)
        #expect(Set(world.lines.prefix(2)) == ["0 app:readies start", "0 app:main start"])
        #expect(world.lines.suffix(2) == ["3 app:readies ready", "3 app:main start"])
        world.close()
    }

    @Test func whatIsNotReadyInTimeHasFailed_V2() throws {
        let world = try Self.world(Self.service("slow", "readies", "3s", "ready: call, start_timeout: 2s, restart: { jitter: 0 }"))
        world.advance(to: 6)
        #expect(world.lines == ["0 app:readies start", "3 app:readies start"])
        #expect(world.logged.first?.hasSuffix("failed (restart 1 in 1s): not ready within 2s") == true)
        world.close()
    }

    /// The same program runs without a supervisor, and what it says then is said to nobody.
    @Test func readyIsForAnybodyToCall_V2() throws {
        let world = try Self.world("")
        defer { world.close() }
        let pid = try world.start("app:readies", .string("1s"))
        world.advance(to: 2)
        #expect(world.lines == ["0 app:readies start", "1 app:readies ready"])
        #expect(world.runtime.system.table.living(pid) != nil)
    }

    /// A host that needs a service is opened when that is ready.
    @Test func aHostCanNeedAService_V2() throws {
        let world = try Self.world(
            "- { name: late, kind: process.host, lifecycle: { depends_on: [slow] } }\n"
                + "- { name: slow, kind: process.service, process: readies, host: host, input: [2s], lifecycle: { ready: call } }\n"
                + "- { name: on_it, kind: process.service, process: main, host: late, lifecycle: { auto_start: true } }\n")
        world.advance(to: 1)
        #expect(world.runtime.directory.hosts["app:late"]?.state == .created)
        world.advance(to: 5)
        #expect(world.runtime.directory.hosts["app:late"]?.state == .started)
        #expect(world.lines.last == "2 app:main start")
        world.close(timeout: nil)
        #expect(world.runtime.system.aliveCount == 0)
    }

    // MARK: supervisor (V6)

    @Test(arguments: seeds) func aPoolIsNumberedAndStaysWhole_V6(seed: UInt64) throws {
        let world = try Self.world(
            "- { name: pool, kind: supervisor, lifecycle: { auto_start: true }, intensity: { max_restarts: 100 }, children: [ { name: w, process: fails, input: [3s], count: 4, restart: { type: permanent, jitter: 0 } } ] }", seed: seed)
        world.advance(to: 1)
        #expect(world.lines.sorted() == (1...4).map { "0 app:fails start \($0)" })
        #expect(world.alive == Array(repeating: "app:fails", count: 4) + ["app:pool", "obhut:services"])
        world.advance(to: 3.5)
        #expect(world.lines.suffix(4).sorted() == (1...4).map { "3.1 app:fails start \($0)" })
        #expect(world.logged.contains { $0.contains("error: app:pool child 'w#2' (app:fails) {app:host|0x") })
        world.close(timeout: nil)
        #expect(world.runtime.system.aliveCount == 0)
    }

    /// `examples/supervised-pool`: four workers that fail all the time, and the pool is whole again each time.
    @Test(arguments: seeds) func theExamplesPoolStaysWhole_V6(seed: UInt64) throws {
        let world = try ApplicationWorld(
            Drive(seed: seed), folder: SeedFiles.repository + "/examples/supervised-pool", services: true)
        for time in 1...60 {
            world.advance(to: Double(time))
            // One that fails is back after some tenths of a second.
            let workers = world.alive.filter { $0 == "app:task_worker" }.count
            if workers < 4 { world.advance(to: Double(time) + 0.9) }
        }
        let starts = world.lines.filter { $0.contains(" started: ") }.count
        #expect(starts > 60 && starts < 400)
        for number in 1...4 { #expect(world.lines.filter { $0.hasPrefix("Task worker \(number) ") }.count > 10) }
        #expect(world.alive.contains("app:pool"))
        world.close(timeout: nil)
        #expect(world.runtime.system.aliveCount == 0)
    }

    /// `examples/star/declared`: all begin again with the one in the middle, until the pool gives up, twice.
    @Test(arguments: seeds) func theExamplesStarRisesAndFalls_V6(seed: UInt64) throws {
        let world = try ApplicationWorld(
            Drive(seed: seed), folder: SeedFiles.repository + "/examples/star/declared", services: true)
        world.advance(to: 60)
        // Four lives of the parent in each of two of the supervisor, as `obhut explain` says.
        #expect(world.lines.filter { $0 == "parent started" }.count == 8)
        for number in 1...10 {
            #expect(world.lines.filter { $0 == "child \(number) started" }.count == 8)
            #expect(world.lines.filter { $0 == "child \(number) stopped" }.count == 8)
        }
        #expect(world.alive.isEmpty)
        world.close(timeout: nil)
    }

    /// `examples/chain/declared`: who stands before the one that fails is not touched.
    @Test(arguments: seeds) func theExamplesChainBeginsAgainFromTheMiddle_V6(seed: UInt64) throws {
        let world = try ApplicationWorld(
            Drive(seed: seed), folder: SeedFiles.repository + "/examples/chain/declared", services: true)
        world.advance(to: 60)
        for (name, starts) in ["a": 2, "b": 2, "c": 8, "d": 8, "e": 8] {
            #expect(world.lines.filter { $0 == "\(name) started" }.count == starts)
        }
        #expect(world.lines.filter { $0 == "c stopped" }.isEmpty)
        #expect(world.alive.isEmpty)
        world.close(timeout: nil)
    }

    private static func supervisor(_ strategy: String) -> String {
        """
        - name: sup
          kind: supervisor
          strategy: \(strategy)
          lifecycle: { auto_start: true }
          children:
          - { name: a, process: main, input: [a] }
          - { name: b, process: fails, input: [2s, b], restart: { initial_delay: 1s, jitter: 0 } }
          - { name: c, process: main, input: [c] }

        """
    }

    @Test(arguments: [
        ("one_for_one", ["3 app:fails start b"]),
        ("rest_for_one", ["2 app:main cancelled", "3 app:fails start b", "3 app:main start c"]),
        (
            "one_for_all",
            ["2 app:main cancelled", "2 app:main cancelled", "3 app:main start a", "3 app:fails start b", "3 app:main start c"]
        ),
    ]) func theStrategySaysWhoGoesAlong_V6(strategy: String, expected: [String]) throws {
        for seed in Self.seeds {
            let world = try Self.world(Self.supervisor(strategy), seed: seed)
            world.advance(to: 4)
            // Running is what they wait for: which of them prints first is another matter.
            #expect(world.lines.prefix(3).sorted() == ["0 app:fails start b", "0 app:main start a", "0 app:main start c"])
            #expect(world.lines.dropFirst(3).sorted() == expected.sorted())
            world.close(timeout: nil)
            #expect(world.runtime.system.aliveCount == 0)
        }
    }

    /// Three levels: the innermost gives up, is restarted by the one above until that gives up, and so to the top,
    /// whose error is the chain of causes.
    @Test(arguments: seeds) func whatIsOverItsIntensityFailsUpwardToTheTop_V6(seed: UInt64) throws {
        let world = try Self.world(
            """
            - { name: top, kind: supervisor, intensity: { max_restarts: 1, max_seconds: 60 }, children: [ { process: inner }, { process: main } ], lifecycle: { auto_start: true, restart: { max_attempts: 1, initial_delay: 10ms } } }
            - { name: inner, kind: supervisor, intensity: { max_restarts: 2, max_seconds: 60 }, children: [ { name: w, process: fails, input: [1ms], count: 2 } ] }

            """, seed: seed)
        let supervisor = try #require(world.runtime.servicesPid)
        let (port, portPid) = try world.runtime.openPort()
        _ = try port.act(as: portPid) { $0.monitor(supervisor) }
        world.advance(to: 60)
        #expect(world.alive == [])
        let end = try port.receive(as: portPid, timeout: 0)
        let text = end.reason.text
        end.release()
        world.runtime.closePort(portPid)
        #expect(text.hasPrefix(
            "app:top failed after 1 restart: more than 1 restarts within 1m0s, the last of child 'inner' (app:inner): "
                + "more than 2 restarts within 1m0s, the last of child 'w#"))
        #expect(text.hasSuffix("' (app:fails): program.lua:12: boom"))
        // 2 lives of the top, 2 of the inner one in each, 2 restarts in each beside the first start of two.
        #expect(world.logged.filter { $0.contains("error: app:inner child 'w#") && $0.contains("(restart") }.count == 8)
        // F5: and the one after which nothing is tried any more, with its traceback.
        let last = "(given up: more than 2 restarts within 1m0s): program.lua:12: boom"
        let ends = world.logged.indices.filter { world.logged[$0].hasSuffix(last) }
        #expect(ends.count == 4 && ends.allSatisfy { world.logged[$0 + 1] == "stack traceback:" })
        world.close()
    }

    @Test func aSignificantChildEndsItsSupervisor_V6() throws {
        let world = try Self.world(
            "- { name: job, kind: supervisor, children: [ { process: main }, { process: returns, input: [2s], restart: transient, significant: true } ], lifecycle: { auto_start: true } }")
        world.advance(to: 5)
        #expect(world.lines.last == "2 app:main cancelled" && world.alive == ["obhut:services"])
        #expect(world.logged == [])
        world.close()
    }

    /// It is a process: it can be spawned, seen, cancelled and ended by force, and takes its children along.
    @Test(arguments: seeds) func aSupervisorIsAProcess_V6(seed: UInt64) throws {
        let world = try Self.world(
            "- { name: sup, kind: supervisor, children: [ { process: inner }, { process: main } ] }\n"
                + "- { name: inner, kind: supervisor, children: [ { process: main, count: 3 } ] }\n", seed: seed)
        defer { world.close() }
        let names = Array(repeating: "app:main", count: 4)
        let first = try world.start("app:sup", on: "app:host", [])
        world.advance(to: 1)
        #expect(world.alive == ["app:inner"] + names + ["app:sup"])
        // It was spawned on the host of processes; what it runs itself has its own.
        #expect(world.runtime.directory.hosts["app:host"]?.processCount.load(ordering: .relaxed) == 5)
        #expect(world.runtime.directory.supervisorHost?.processCount.load(ordering: .relaxed) == 1)
        _ = world.runtime.system.cancel(first, from: .none, timeout: 5000 * ms)
        #expect(try world.end(of: first) == .value("null") && world.alive == [])
        let second = try world.start("app:sup", on: "app:host", [])
        world.advance(to: 2)
        #expect(world.alive.count == 6)
        _ = world.runtime.system.terminate(second, from: .none)
        #expect(try world.end(of: second) == .error("terminated"))
        world.advance(to: 2)
        #expect(world.alive == [] && world.runtime.scheduler.timers.count == 0)
    }

    /// Its parent is whoever started it with a link: nobody is left who could decide about it. A normal end says nothing (L2).
    @Test(arguments: ["fails", "returns"]) func aSupervisorEndsInOrderWhenItsParentFails_V6_L2(how: String) throws {
        let world = try Self.world(
            "- { name: sup, kind: supervisor, children: [ { process: main, input: [a] }, { process: main, name: slow, input: [b] } ] }\n")
        defer { world.close() }
        let owner = try world.start("app:owns", .string(how))
        world.advance(to: 0.5)
        #expect(world.alive == ["app:main", "app:main", "app:owns", "app:sup"])
        world.advance(to: 2)
        guard how == "fails" else {
            #expect(world.alive == ["app:main", "app:main", "app:sup"] && world.runtime.crashes.next(after: 0) == nil)
            return
        }
        #expect(world.alive == [])
        // They were asked, and not ended by force.
        #expect(world.lines.suffix(2) == ["1 app:main cancelled", "1 app:main cancelled"])
        let last = try #require(world.runtime.crashes.next(after: 1))
        #expect(last.json.contains("\"entry\":\"app:sup\"") && last.json.contains("\"kind\":\"link\""))
        #expect(last.json.contains("linked process \(world.text(of: owner)) failed: no owner"))
        #expect(world.runtime.crashes.next(after: 2) == nil && world.runtime.scheduler.timers.count == 0)
    }

    /// Whoever links to it later is not its parent: it lives on.
    @Test func whoLinksToASupervisorDoesNotTakeItAlong_V6() throws {
        let world = try Self.world("- { name: sup, kind: supervisor, children: [ { process: main } ] }\n")
        defer { world.close() }
        let supervisor = try world.start("app:sup", on: "app:host", [])
        let friend = try world.start("app:links", .string(world.text(of: supervisor)))
        #expect(try world.end(of: friend) == .error("no friend"))
        #expect(world.alive == ["app:main", "app:sup"])
    }

    // MARK: Stop (V4)

    /// The parent's time bounds that of all below it, however much these say.
    @Test(arguments: seeds) func parentsOutliveTheirChildren_V4(seed: UInt64) throws {
        let world = try Self.world(
            """
            - { name: top, kind: supervisor, children: [ { process: inner }, { process: main } ], lifecycle: { auto_start: true, stop_timeout: 8s } }
            - { name: inner, kind: supervisor, children: [ { process: deaf, count: 3, shutdown: 20s } ] }

            """, seed: seed)
        world.advance(to: 100)
        world.close(timeout: nil)
        // 8 s, and of these a quarter of a second for each level; the two children of the top share the rest.
        let end = Double(world.runtime.scheduler.clock.now) / 1e9
        #expect(end > 105 && end < 108)
        #expect(world.runtime.system.aliveCount == 0 && world.runtime.scheduler.timers.count == 0)
        // Nobody was ended by force but the deaf ones.
        #expect(world.logged.count == 3 && world.logged.allSatisfy { $0.contains("was to end and failed: cancelled: deadline exceeded") })
    }

    /// 10,000 processes in a tree of three levels, three of which do not listen.
    @Test func aTreeOfTenThousandStopsWithinItsBudget_V4() throws {
        let many = scaled(33, atLeast: 5)
        let world = try Self.world(
            """
            - { name: top, kind: supervisor, children: [ { process: middle, count: 10 } ], lifecycle: { auto_start: true, stop_timeout: 10s } }
            - { name: middle, kind: supervisor, children: [ { process: leaf, count: 10 } ] }
            - { name: leaf, kind: supervisor, children: [ { process: main, count: \(3 * many) } ] }
            - { name: stubborn, kind: supervisor, children: [ { process: deaf, count: 3, shutdown: 60s } ], lifecycle: { auto_start: true, stop_timeout: 5s } }

            """)
        world.advance(to: 1)
        #expect(world.runtime.system.aliveCount == 100 * 3 * many + 100 + 10 + 1 + 3 + 1 + 1)
        #expect(world.lines.filter { $0.hasSuffix("deaf start 1") }.count == 1)
        world.close(timeout: 4000 * ms)
        #expect(world.runtime.scheduler.clock.now <= 5000 * ms)
        #expect(world.runtime.system.aliveCount == 0 && world.runtime.scheduler.timers.count == 0)
        #expect(world.lines.filter { $0.hasSuffix("cancelled") }.count == 100 * 3 * many)
        #expect(world.runtime.system.slotLeftovers() == [])
    }

    /// The same on real threads, with the time that it takes.
    @Test func aTreeStopsOnRealThreads_V4() throws {
        let world = try ApplicationWorld(
            .real,
            files: [
                "app.yaml": """
                namespace: app
                entries:
                - { name: host, kind: process.host }
                - { name: waits, kind: process.lua, source: "return { main = function() process.events():receive() end }" }
                - { name: deaf, kind: process.lua, source: "return { main = function() while true do end end }" }
                - { name: top, kind: supervisor, children: [ { process: leaf, count: 10 } ], lifecycle: { auto_start: true } }
                - { name: leaf, kind: supervisor, children: [ { process: waits, count: \(scaled(1000, atLeast: 10)) } ] }
                - { name: stubborn, kind: process.service, process: deaf, lifecycle: { auto_start: true } }

                """
            ], services: true)
        let wanted = 10 * scaled(1000, atLeast: 10) + 10 + 3
        let begun = Clock.read(CLOCK_MONOTONIC)
        while world.runtime.system.aliveCount < wanted, Clock.read(CLOCK_MONOTONIC) - begun < 60_000 * ms { usleep(1000) }
        let started = Clock.read(CLOCK_MONOTONIC)
        #expect(world.runtime.system.aliveCount == wanted)
        world.close(timeout: 1000 * ms)
        let stopped = Clock.read(CLOCK_MONOTONIC)
        print("\(wanted) processes: started in \((started - begun) / ms) ms after the start had returned, stopped in \((stopped - started) / ms) ms")
        #expect(world.runtime.system.aliveCount == 0 && world.runtime.scheduler.timers.count == 0)
    }
}
