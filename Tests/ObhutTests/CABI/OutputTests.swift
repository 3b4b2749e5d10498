import Glibc
import ObhutHeader
import Synchronization
import Testing

@testable import Obhut

/// What is printed and logged, the sinks, and their finalizers.
@Suite struct OutputTests {
    /// A sink of a test: what it got, and a gate at which it can be held.
    final class Sink: @unchecked Sendable {  // guarded by lock and the atomics
        private let lock = Lock()
        private var pieces: [(level: Int32, text: String)] = []
        let isHeld = Atomic<Bool>(false)
        let calls = Atomic<Int>(0)
        let finalized = Atomic<Int>(0)
        let inside = Atomic<Int>(0)
        let overlaps = Atomic<Int>(0)

        func take(_ level: Int32, _ text: UnsafePointer<CChar>?, _ length: Int) {
            if inside.add(1, ordering: .sequentiallyConsistent).newValue > 1 {
                _ = overlaps.add(1, ordering: .relaxed)
            }
            defer { _ = inside.subtract(1, ordering: .sequentiallyConsistent) }
            _ = calls.add(1, ordering: .sequentiallyConsistent)
            while isHeld.load(ordering: .acquiring) { usleep(500) }
            let piece = String(decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self)
            lock.with { pieces.append((level, piece)) }
        }

        var all: [(level: Int32, text: String)] { lock.with { pieces } }
        var lines: [String] { all.map(\.text) }
        var finals: Int { finalized.load(ordering: .sequentiallyConsistent) }

        /// A configuration with this as its sinks. This object has to outlive them.
        func config(output: Bool = true, log: Bool = false) -> OpaquePointer? {
            let config = obhut_config_new()
            let user = Unmanaged.passUnretained(self).toOpaque()
            if output {
                _ = obhut_config_set_output_sink(
                    config, { Sink.of($0).take(-1, $1, $2) }, user, { Sink.of($0).finish() })
            }
            if log {
                _ = obhut_config_set_log_sink(
                    config, { Sink.of($0).take($1, $2, $3) }, user, { Sink.of($0).finish() })
            }
            return config
        }

        private func finish() { _ = finalized.add(1, ordering: .sequentiallyConsistent) }
        private static func of(_ user: UnsafeMutableRawPointer?) -> Sink {
            Unmanaged<Sink>.fromOpaque(user!).takeUnretainedValue()
        }
    }

    private static let printer = [("printer", "local n, size = ...\nfor i = 1, n do print(i, string.rep('x', size)) end\nreturn n")]

    private func integers(_ values: Int...) -> [UInt8] {
        encoded {
            $0.writeArrayHeader(values.count)
            for value in values { $0.writeInteger(Int64(value)) }
        }
    }

    // MARK: Output

    @Test func theSinkGetsWholeLinesInOrder() throws {
        let sink = Sink()
        do {
            let config = sink.config()
            let runtime = try CRuntime(application(Self.printer), config: config)
            obhut_config_free(config)
            let port = try CPort(runtime)
            let count = rounds(2000, atLeast: 100)
            _ = try port.spawn("test:printer", integers(count, 10), flags: OBHUT_SPAWN_MONITORED)
            #expect(try port.receive().isNormal)
            try runtime.stop()
            #expect(sink.lines == (1...count).map { "\($0)\txxxxxxxxxx\n" })
            #expect(runtime.counters.dropped_lines == 0)
            #expect(try runtime.readOutput() == "", "what has a sink is not kept")
            #expect(sink.finals == 0)
        }
        #expect(eventually { sink.finals == 1 })
        #expect(sink.overlaps.load(ordering: .relaxed) == 0)
    }

    @Test func linesOfManyProcessesAreNeverTorn() throws {
        let sink = Sink()
        let config = sink.config()
        let runtime = try CRuntime(application(Self.printer), config: config)
        obhut_config_free(config)
        let port = try CPort(runtime)
        for _ in 0..<8 { _ = try port.spawn("test:printer", integers(200, 50), flags: OBHUT_SPAWN_MONITORED) }
        for _ in 0..<8 { #expect(try port.receive().isNormal) }
        try runtime.stop()
        #expect(sink.lines.count == 1600)
        #expect(sink.lines.allSatisfy { $0.hasSuffix("\t" + String(repeating: "x", count: 50) + "\n") })
    }

    @Test func aStuckSinkStopsNobodyAndWhatIsMissingIsTold() throws {
        let sink = Sink()
        let config = sink.config()
        let runtime = try CRuntime(application(Self.printer), config: config)
        obhut_config_free(config)
        let port = try CPort(runtime)
        sink.isHeld.store(true, ordering: .releasing)
        // 16 MB: more than any queue has room for.
        _ = try port.spawn("test:printer", integers(16_000, 1000), flags: OBHUT_SPAWN_MONITORED)
        #expect(try port.receive().result == encoded { $0.writeInteger(16_000) })
        let dropped = Int(runtime.counters.dropped_lines)
        #expect(dropped > 0)
        sink.isHeld.store(false, ordering: .releasing)
        try runtime.stop()
        let lines = sink.lines
        let notes = lines.filter { $0.hasPrefix("… ") }
        #expect(notes.count == 1)
        #expect(notes.first == "… \(dropped) lines dropped: the output was not taken in time\n")
        #expect(lines.count - notes.count + dropped == 16_000)
    }

    @Test func stopDoesNotWaitForASinkThatNeverReturns() throws {
        let sink = Sink()
        do {
            let config = sink.config()
            let runtime = try CRuntime(application(Self.printer), config: config)
            obhut_config_free(config)
            let port = try CPort(runtime)
            sink.isHeld.store(true, ordering: .releasing)
            _ = try port.spawn("test:printer", integers(100, 10), flags: OBHUT_SPAWN_MONITORED)
            #expect(try port.receive().isNormal)
            let before = monotonicNow()
            try runtime.stop()
            #expect(monotonicNow() - before < 8 * oneSecond)
        }
        let calls = sink.calls.load(ordering: .sequentiallyConsistent)
        #expect(sink.finals == 0, "the sink is in use")
        sink.isHeld.store(false, ordering: .releasing)
        #expect(eventually { sink.finals == 1 }, "it came back, and is let go of")
        #expect(sink.calls.load(ordering: .sequentiallyConsistent) == calls, "called after the stop")
    }

    @Test func aSinkMayCallTheLibrary() throws {
        struct Shared { static let runtime = Atomic<UInt>(0) }
        let calls = Counter()
        let config = obhut_config_new()
        #expect(
            obhut_config_set_output_sink(
                config,
                { user, _, _ in
                    let runtime = OpaquePointer(bitPattern: Shared.runtime.load(ordering: .acquiring))
                    var port: OpaquePointer?
                    _ = obhut_port_create(runtime, &port, nil)
                    var counters = obhut_counters()
                    counters.struct_size = MemoryLayout<obhut_counters>.size
                    _ = obhut_runtime_counters(runtime, &counters, nil)
                    obhut_port_free(port)
                    Counter.of(user).increment()
                }, calls.user, nil) == OBHUT_OK)
        let runtime = try CRuntime(application(Self.printer), config: config)
        obhut_config_free(config)
        Shared.runtime.store(UInt(bitPattern: runtime.handle), ordering: .releasing)
        let port = try CPort(runtime)
        _ = try port.spawn("test:printer", integers(500, 1), flags: OBHUT_SPAWN_MONITORED)
        #expect(try port.receive().isNormal)
        let before = monotonicNow()
        try runtime.stop()
        #expect(monotonicNow() - before < 2 * oneSecond, "the sink waits for the stop, and the stop for the sink")
        #expect(calls.count == 500)
    }

    @Test func withoutASinkTheLastLinesAreKept() throws {
        let runtime = try CRuntime(application(Self.printer))
        let port = try CPort(runtime)
        _ = try port.spawn("test:printer", integers(3000, 1), flags: OBHUT_SPAWN_MONITORED)
        #expect(try port.receive().isNormal)
        let lines = try runtime.readOutput().split(separator: "\n", omittingEmptySubsequences: true)
        #expect(lines.count == 1024)
        #expect(lines.first == "1977\tx" && lines.last == "3000\tx")
        #expect(runtime.counters.dropped_lines == 1976)
        #expect(try runtime.readOutput() == "")
        _ = try port.spawn("test:printer", integers(1, 1), flags: OBHUT_SPAWN_MONITORED)
        #expect(try port.receive().isNormal)
        try runtime.stop()
        #expect(try runtime.readOutput() == "1\tx\n", "readable after the stop")
    }

    @Test func aLineLongerThanTheQueueIsTakenWhenNothingElseIsThere() throws {
        let runtime = try CRuntime(application(Self.printer))
        let port = try CPort(runtime)
        _ = try port.spawn("test:printer", integers(3, 6 << 20), flags: OBHUT_SPAWN_MONITORED)
        #expect(try port.receive().isNormal)
        #expect(try runtime.readOutput().hasPrefix("3\txxx"))
        #expect(runtime.counters.dropped_lines == 2)
    }

    // MARK: Log

    @Test func anUnseenFailureIsLoggedAndASeenOneIsNot() throws {
        let sink = Sink()
        let config = sink.config(output: false, log: true)
        let runtime = try CRuntime(application([("fail", "error('boom ' .. (...))")]), config: config)
        obhut_config_free(config)
        let port = try CPort(runtime)
        let seen = encoded { $0.writeArrayHeader(1); $0.writeString("seen") }
        let unseen = encoded { $0.writeArrayHeader(1); $0.writeString("unseen") }
        _ = try port.spawn("test:fail", seen, flags: OBHUT_SPAWN_MONITORED)
        #expect(try port.receive().text?.contains("boom seen") == true)
        let pid = try runtime.spawn("test:fail", unseen)
        #expect(eventually { sink.all.count == 1 })
        try runtime.stop()
        #expect(sink.all.count == 1)
        #expect(sink.all[0].level == OBHUT_LOG_ERROR)
        #expect(sink.all[0].text.contains("boom unseen") && sink.all[0].text.contains("test:fail"))
        #expect(sink.all[0].text.contains(runtime.text(of: pid)) && sink.all[0].text.hasSuffix("\n"))
    }

    @Test func withoutASinkTheLogIsKept() throws {
        let runtime = try CRuntime(application([("fail", "error('boom')")]))
        _ = try runtime.spawn("test:fail")
        var log = ""
        #expect(eventually { log += (try? runtime.readLog()) ?? ""; return !log.isEmpty })
        #expect(log.contains("error: test:fail") && log.contains("boom"))
        #expect(try runtime.readOutput() == "")
    }

    // MARK: Finalizers

    @Test func finalizersRunExactlyOnce() throws {
        let first = Sink(), second = Sink()
        let config = first.config(output: true, log: true)
        #expect(first.finals == 0)
        // Replaced, with nobody else who has it.
        let user = Unmanaged.passUnretained(second).toOpaque()
        _ = obhut_config_set_output_sink(config, { _, _, _ in }, user, { Self.finalized($0) })
        #expect(first.finals == 1)
        // Taken away.
        _ = obhut_config_set_log_sink(config, nil, nil, nil)
        #expect(first.finals == 2)
        // Two runtimes share it beyond the configuration.
        do {
            let one = try CRuntime(config: config, start: false)
            do {
                let two = try CRuntime(config: config)
                obhut_config_free(config)
                #expect(second.finals == 0)
                try two.stop()
            }
            #expect(second.finals == 0)
            _ = one
        }
        #expect(eventually { second.finals == 1 })
        // A function of NULL needs no user.
        let third = Sink()
        let other = obhut_config_new()
        _ = obhut_config_set_log_sink(other, nil, Unmanaged.passUnretained(third).toOpaque(), { Self.finalized($0) })
        #expect(third.finals == 1)
        obhut_config_free(other)
        obhut_config_free(other)
        #expect(third.finals == 1)
    }

    private static func finalized(_ user: UnsafeMutableRawPointer?) {
        _ = Unmanaged<Sink>.fromOpaque(user!).takeUnretainedValue().finalized.add(1, ordering: .sequentiallyConsistent)
    }

    @Test func aFinalizerMayCallTheLibrary() {
        struct Shared {
            static let config = Atomic<UInt>(0)
            static let calls = Counter()
        }
        let config = obhut_config_new()
        Shared.config.store(UInt(bitPattern: config), ordering: .releasing)
        let finalizer: obhut_finalizer = { _ in
            let config = OpaquePointer(bitPattern: Shared.config.load(ordering: .acquiring))
            _ = obhut_config_set_seed(config, 1)
            Shared.calls.increment()
        }
        for _ in 0..<3 { _ = obhut_config_set_output_sink(config, { _, _, _ in }, nil, finalizer) }
        obhut_config_free(config)
        #expect(Shared.calls.count == 3)
    }
}
