import Foundation
import Testing

@testable import Obhut

/// Start and stop of an application's services, to the nanosecond of virtual time (V1, V2, V4), and what the log says (F5).
@Suite struct ServiceTests {
    /// Seconds of virtual time, its name and pid at each turn. Of a CANCEL it says so and then cleans up for `seconds`;
    /// with -1 it takes no notice.
    private static let service = """
        local time = require("time")
        local function say(what) print(string.format("%g %s %s", (time.now():unix_nano() - 1767225600000000000) / 1e9, process.id(), what)) end
        local function main(seconds)
          say("started as " .. process.pid())
          if seconds == "fail" then error("failed at once") end
          process.events():receive()
          say("cancelled")
          if seconds < 0 then while true do process.events():receive() end end
          time.sleep(seconds * time.SECOND)
          say("done")
        end
        return { main = main }
        """

    private static func world(_ entries: String, seed: UInt64, services: Bool = true) throws -> ApplicationWorld {
        try ApplicationWorld(
            Drive(seed: seed), files: ["app.yaml": "namespace: app\nentries:\n" + entries, "service.lua": service],
            services: services)
    }

    private static func entry(_ name: String, _ input: String, _ lifecycle: String, more: String = "") -> String {
        "- { name: \(name), kind: process.lua, source: file://service.lua, modules: [time], input: [\(input)], lifecycle: { \(lifecycle) }\(more) }\n"
    }

    /// Those that have started, in the order of their pids, which is that of their start.
    private static func started(_ lines: [String]) -> [String] {
        var found: [(place: Substring, name: String)] = []
        for line in lines where line.contains("started as") {
            found.append((line.split(separator: "|")[1], String(line.split(separator: " ")[1])))
        }
        return found.sorted { $0.place < $1.place }.map(\.name)
    }

    private static let seeds = 1...5 as ClosedRange<UInt64>

    @Test(arguments: seeds) func whatSaysAutoStartStartsOnce_V1(seed: UInt64) throws {
        let world = try Self.world(
            "- { name: first, kind: process.host, lifecycle: { auto_start: true } }\n"
                + "- { name: unused, kind: process.host }\n"
                + Self.entry("runs", "1", "auto_start: true", more: ", host: first")
                + Self.entry("does_not", "1", "auto_start: false")
                + Self.entry("fails", "fail", "auto_start: true, restart: { policy: never }", more: ", host: first"), seed: seed)
        world.advance(to: 3600)
        #expect(Self.started(world.lines).sorted() == ["app:fails", "app:runs"])
        #expect(world.lines.count == 2)
        #expect(world.alive == ["app:runs", "obhut:services"])
        #expect(world.runtime.directory.hosts["app:first"]?.state == .started)
        #expect(world.runtime.directory.hosts["app:unused"]?.state == .created)
        #expect(throws: (any Error).self) { try world.start("app:does_not", on: "app:unused", []) }
        _ = try world.start("app:does_not", on: "app:first", [.int(1)])
        // F5: a dead service is in the log, with the place and the traceback, once.
        #expect(world.logged[0].contains("error: app:fails {app:first|0x") && world.logged[0].hasSuffix("failed and is not restarted: service.lua:5: failed at once"))
        #expect(world.logged[1] == "stack traceback:" && world.logged.contains { $0.contains("service.lua:5: in") })
        #expect(world.logged.filter { $0.contains("error: ") }.count == 1)
        world.close()
    }

    @Test(arguments: seeds) func hostsAloneStartNoService_V1(seed: UInt64) throws {
        let world = try Self.world(
            "- { name: host, kind: process.host }\n" + Self.entry("runs", "1", "auto_start: true"), seed: seed, services: false)
        world.advance(to: 1)
        #expect(world.lines == [] && world.runtime.directory.hosts["app:host"]?.state == .started)
        world.close()
    }

    /// Written in the wrong order, and all but one without an `auto_start` of their own.
    private static let dependent =
        Self.entry("last", "0", "auto_start: true, depends_on: [third, second]")
        + Self.entry("third", "0", "depends_on: [second]", more: ", host: other")
        + Self.entry("unneeded", "0", "depends_on: [last]")
        + Self.entry("second", "0", "requires: [first]", more: ", host: host")
        + Self.entry("first", "0", "auto_start: false", more: ", host: host")
        + "- { name: host, kind: process.host }\n- { name: other, kind: process.host, lifecycle: { depends_on: [first] } }\n"

    @Test(arguments: seeds) func whatIsNeededStartsFirstAndStopsLast_V2_V4(seed: UInt64) throws {
        let text = Self.dependent.replacingOccurrences(of: "third, second] }", with: "third, second] }, host: other")
            .replacingOccurrences(of: "depends_on: [last] }", with: "depends_on: [last] }, host: host")
        let world = try Self.world(text, seed: seed)
        world.advance(to: 1)
        let order = ["app:first", "app:second", "app:third", "app:last"]
        #expect(Self.started(world.lines) == order)
        world.close(timeout: nil)
        #expect(world.lines.filter { $0.hasSuffix("cancelled") } == order.reversed().map { "1 \($0) cancelled" })
        #expect(world.lines.suffix(8) == order.reversed().flatMap { ["1 \($0) cancelled", "1 \($0) done"] })
    }

    /// One after the other, each with its own time: one cleans up for 3 s of its 5, one does not end and has 2 s, one
    /// takes the 10 s that are the default. Then the processes that are no services, with 5 s, all at once. Then it is
    /// over, whoever does not listen.
    @Test(arguments: seeds) func servicesStopOneByOneEachInItsTime_V4(seed: UInt64) throws {
        let world = try Self.world(
            "- { name: host, kind: process.host }\n"
                + Self.entry("a", "-1", "auto_start: true")
                + Self.entry("b", "-1", "auto_start: true, depends_on: [a], stop_timeout: 2s")
                + Self.entry("c", "3", "auto_start: true, depends_on: [b], stop_timeout: 5s")
                + Self.entry("free", "-1", ""), seed: seed)
        _ = try world.start("app:free", .int(-1))
        _ = try world.start("app:free", .int(-1))
        _ = try world.start("app:free", .int(4))
        world.advance(to: 100)
        let before = world.lines.count
        world.close(timeout: nil)
        #expect(
            world.lines.dropFirst(before) == [
                "100 app:c cancelled", "103 app:c done", "103 app:b cancelled", "105 app:a cancelled",
                "115 app:free cancelled", "115 app:free cancelled", "115 app:free cancelled", "119 app:free done",
            ])
        #expect(world.runtime.scheduler.clock.now == 120_000 * ms)
        #expect(world.runtime.system.aliveCount == 0 && world.runtime.scheduler.timers.count == 0)
        #expect(world.runtime.directory.hosts["app:host"]?.state == .stopped)
    }

    /// With a time limit for all of it: it is split between those that stop one after the other.
    @Test(arguments: seeds) func aLimitForTheWholeStopCutsItShort_V4(seed: UInt64) throws {
        let world = try Self.world(
            "- { name: host, kind: process.host }\n" + Self.entry("a", "0", "auto_start: true")
                + Self.entry("b", "-1", "auto_start: true, depends_on: [a]"), seed: seed)
        world.advance(to: 100)
        world.close(timeout: 3000 * ms)
        // Each has its share of it, and the supervisor a quarter of a second for itself.
        #expect(world.lines.dropFirst(2) == ["100 app:b cancelled", "101.375 app:a cancelled", "101.375 app:a done"])
        #expect(world.runtime.scheduler.clock.now == 101_375 * ms && world.runtime.system.aliveCount == 0)
    }

    // MARK: Who holds a worker, as its author reads it (H3)

    @Test(arguments: [
        ("string.find(('a'):rep(40), ('a*'):rep(40) .. 'b')", "find"),
        ("local t = {} for i = 1, 100 do t[i] = ('a'):rep(40) end table.sort(t, function(a) return a:find(('a*'):rep(40) .. 'b') end)", "find"),
    ]) func heldAWorkerSaysWhereAndForHowLong_H3(code: String, function: String) throws {
        let world = try ApplicationWorld(
            .real,
            files: [
                "app.yaml": """
                namespace: app
                entries:
                  - { name: host, kind: process.host, host: { workers: 1, spare_workers: 0, step_limit: 1s } }
                  - { name: stuck, kind: process.lua, source: file://stuck.lua }
                  - { name: waits, kind: process.lua, source: "return { main = function() return 'ran' end }" }
                """,
                "stuck.lua": "return { main = function() pcall(function() print('begun') \(code) end) while true do end end }",
            ])
        let stuck = try world.start("app:stuck")
        try world.wait { $0.contains("begun") }
        let waits = try world.start("app:waits")
        #expect(try world.end(of: stuck) == .error("held a worker for 1 s in \(function)"))
        #expect(try world.end(of: waits) == .value(#""ran""#))
        world.close()
    }

    /// Nobody waits for its worker: it may hold it as long as it likes.
    @Test func whoDisturbsNobodyIsNotEnded_H3() throws {
        let world = try ApplicationWorld(
            .real,
            files: [
                "app.yaml": """
                namespace: app
                entries:
                  - { name: host, kind: process.host, host: { workers: 1, spare_workers: 0, step_limit: 20ms } }
                  - { name: long, kind: process.lua, source: file://long.lua }
                """,
                "long.lua": "return { main = function() local t = {} for i = 1, 3e5 do t[i] = (i * 7919) % 1000003 end table.sort(t) return #t end }",
            ])
        #expect(try world.run("app:long") == .value("300000"))
        world.close()
    }
}
