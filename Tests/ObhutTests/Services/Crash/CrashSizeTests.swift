import Foundation
import Testing

@testable import Obhut

/// A report costs and takes so much and no more, whatever the process held.
@Suite struct CrashSizeTests {
    /// A simulated world whose ends are reported.
    private struct Fixture {
        let world: World
        let crashes: CrashReports
        let looked = Looked()

        final class Looked { var counts: [Int] = [] }

        init(_ configuration: CrashConfiguration = CrashConfiguration(), _ change: (inout HostLimits) -> Void = { _ in }) {
            world = World(seed: 1, change)
            crashes = CrashReports(configuration, system: world.system, threaded: false)
            world.system.crashMessages = configuration.messages
            world.system.abnormalEnd = { [crashes, looked] process, reason, end in
                if let record = crashes.ended(process, reason, end) { looked.counts.append(record.looked) }
            }
        }
    }

    /// They are in its mailbox, or in the queue of signals that it has not even drained.
    @Test(arguments: [true, false]) func aMillionMessagesAreNotLookedAt(drained: Bool) throws {
        let fixture = Fixture { $0.mailboxMessages = 0; $0.mailboxBytes = 0 }
        let world = fixture.world
        let process = world.spawn("full")
        process.reads = false
        world.settle()
        var sent = 0
        for number in 0..<1_000_000 where world.system.sendText(from: .none, to: process.pid, "topic\(number)") == .sent {
            sent += 1
        }
        #expect(sent == 1_000_000)
        if drained { world.act(process) { _ in } }
        world.act(process) { $0.fail("boom") }
        let report = try #require(try CrashReportTests.reports(fixture.crashes).first)
        #expect(fixture.looked.counts.count == 1 && fixture.looked.counts[0] <= 8 + 3)
        #expect(report.number("mailbox", "messages") == 1_000_000 && report.number("mailbox", "bytes") == 128_000_000)
        #expect(report.maps("mailbox", "waiting").map { $0["topic"] as? String } == (0..<8).map { "topic\($0)" })
        #expect(report.line.utf8.count < 2048)
        #expect(!world.isAlive(process) && world.leftovers() == [])
    }

    @Test func thousandsOfRelationsAreCounted() throws {
        let fixture = Fixture()
        let world = fixture.world
        let process = world.spawn("liked")
        let others = (0..<2000).map { _ in world.spawn() }
        world.settle()
        for other in others { world.give(other) { _ = $0.pointer.monitor(process.pid) } }
        world.settle()
        world.act(process) { me in for other in others { _ = me.pointer.monitor(other.pid) } }
        for other in others.prefix(1000) { world.give(other) { other in
            other.pointer.setTrapLinks(.failures)
            _ = other.pointer.link(process.pid)
        } }
        world.settle()
        world.act(process) { $0.fail("boom") }
        let report = try #require(try CrashReportTests.reports(fixture.crashes).first)
        let lowest = others.prefix(8).map { world.system.text(of: $0.pid) }
        for (key, total) in [("links", 1000), ("monitors", 2000), ("watchers", 2000)] {
            #expect(report.number(key, "total") == total && report.map(key)["pids"] as? [String] == lowest)
        }
        #expect(report.text.contains("and 1992 more") && report.line.utf8.count < 4096)
    }

    /// The longest of everything, in characters that JSON must escape.
    @Test func theWorstReportHasItsBound() throws {
        var configuration = CrashConfiguration()
        configuration.messages = CrashMessages(received: 16, waiting: 16, contents: 4096)
        let fixture = Fixture(configuration)
        let world = fixture.world
        let process = world.spawn(String(repeating: "\u{1}", count: 500))
        world.settle()
        let topic = String(repeating: "\u{2}", count: 255)
        for _ in 0..<16 { _ = world.system.sendText(from: process.pid, to: process.pid, topic, String(repeating: "\u{3}", count: 4000)) }
        world.settle()
        process.reads = false
        for _ in 0..<16 { _ = world.system.sendText(from: process.pid, to: process.pid, topic, String(repeating: "\u{3}", count: 4000)) }
        world.settle()
        for number in 0..<40 {
            #expect(world.system.names.register(String(repeating: "\u{4}", count: 250) + "\(number)", for: process.pid) == .done)
        }
        var error = ErrorValue(kind: String(repeating: "\u{5}", count: 1000), message: String(repeating: "\u{6}", count: 1 << 20))
        error.stack = String(repeating: "\u{7}", count: 1 << 20)
        world.act(process) { me in
            var writer = PayloadWriter()
            error.write(into: &writer)
            me.pointer.end(.error(writer.bytes, of: me.pid, traceback: String(repeating: "\u{b}", count: 4096)))
            me.endWithoutResult()
        }
        let report = try #require(try CrashReportTests.reports(fixture.crashes).first)
        #expect(report.maps("mailbox", "received").count == 16 && report.maps("mailbox", "waiting").count == 16)
        #expect(report.number("names_total") == 40)
        #expect(report.line.utf8.count > 30_000 && report.line.utf8.count <= CrashDocument.mostBytes)
        // Nor does the ring hold the megabytes.
        #expect(fixture.crashes.counts.bytes < 200_000)
        // Nothing that a terminal would obey.
        #expect(report.text.unicodeScalars.allSatisfy { $0.value >= 0x20 || $0 == "\n" || $0 == "\t" })
    }

    // MARK: The ring

    @Test func theRingKeepsTheLastInOrder() throws {
        var configuration = CrashConfiguration()
        configuration.count = 10
        let fixture = Fixture(configuration)
        for number in 1...35 {
            let process = fixture.world.spawn()
            fixture.world.act(process) { $0.fail("boom \(number)") }
            let kept = try CrashReportTests.reports(fixture.crashes)
            #expect(kept.map { $0.number("crash")! } == Array(max(1, number - 9)...number))
            #expect(kept.map { $0["error"]! } == (max(1, number - 9)...number).map { "boom \($0)" })
        }
        #expect(fixture.crashes.next(after: 34) != nil && fixture.crashes.next(after: 35) == nil)
        #expect(fixture.crashes.next(after: .max) == nil)
    }

    @Test func theRingIsBoundedInBytes() throws {
        var configuration = CrashConfiguration()
        configuration.bytes = 20_000
        let fixture = Fixture(configuration)
        for number in 1...100 {
            let process = fixture.world.spawn()
            fixture.world.act(process) { $0.fail(String(repeating: "x", count: 100 * (number % 40)) + " \(number)") }
            #expect(fixture.crashes.counts.bytes <= 20_000)
        }
        let kept = try CrashReportTests.reports(fixture.crashes).map { $0.number("crash")! }
        #expect(kept.count > 2 && kept == Array((101 - kept.count)...100))
        // One that is larger than all of it is kept alone.
        configuration.bytes = 10
        let small = Fixture(configuration)
        for _ in 0..<3 { small.world.act(small.world.spawn()) { $0.fail("boom") } }
        #expect(try CrashReportTests.reports(small.crashes).map { $0.number("crash") } == [3])
    }

    @Test func whereNobodyWantsReportsNoneIsMade() {
        var configuration = CrashConfiguration()
        configuration.count = 0
        let fixture = Fixture(configuration)
        fixture.world.act(fixture.world.spawn()) { $0.fail("boom") }
        #expect(fixture.looked.counts == [] && fixture.crashes.next(after: 0) == nil)
    }

    // MARK: As text

    /// What is stored reads as it did when it was new; what is not whole is read as far as it goes.
    @Test func aStoredReportReadsAsBefore() throws {
        let fixture = Fixture()
        fixture.world.act(fixture.world.spawn("one")) { $0.fail("boom\u{1b}[2J") }
        let document = try #require(fixture.crashes.next(after: 0))
        var json = document.json
        let reading = json.withUTF8 { CrashDocument.read(json: UnsafeRawBufferPointer($0)) }
        guard case .report(let stored) = reading else { return #expect(Bool(false), "\(reading)") }
        #expect(CrashText.of(stored) == CrashText.of(document) && stored.json == document.json)
        #expect(CrashText.of(stored).contains("error       boom\\u001b[2J\n"))
        for strange in [
            #"{"time":"t","pid":"p","error":"e","mailbox":7,"links":[],"origin":"x","chain":{},"memory":{"used":"much"},"supervision":{}}"#,
            #"{"time":"t","pid":"p","error":"e","mailbox":{"messages":1,"waiting":[3,{"topic":5}]},"uptime_ns":-9223372036854775808}"#,
        ] {
            var strange = strange
            guard case .report(let document) = strange.withUTF8({ CrashDocument.read(json: UnsafeRawBufferPointer($0)) }) else {
                return #expect(Bool(false))
            }
            #expect(CrashText.of(document).hasPrefix("crash ? at t\n  process     p\n  error       e\n"))
        }
    }
}
