import Foundation
import Testing

@testable import Obhut

/// How a program is run: in simulation, or on threads in real time.
struct Drive: Sendable, CustomTestStringConvertible {
    /// Nil: a real runtime.
    var seed: UInt64?
    /// Preemption in simulation.
    var instructions: Int32 = 1

    static let real = Drive()

    /// Seeds with preemption at every instruction, and as many with an interval of the seed's own; `OBHUT_TEST_SEED`
    /// chooses one, and `OBHUT_TEST_INSTRUCTIONS` the interval of all.
    static let simulated: [Drive] = {
        let chosen = getenv("OBHUT_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
        let seeds = chosen.map { $0...$0 } ?? 1...UInt64(max(2, 6 * testScale))
        return seeds.flatMap { seed -> [Drive] in
            if getenv("OBHUT_TEST_INSTRUCTIONS") != nil { return [Drive(seed: seed, instructions: testInstructions)] }
            var random = RandomSource(seed: seed)
            return [Drive(seed: seed), Drive(seed: seed, instructions: Int32(2 + random.below(500)))]
        }
    }()

    static let all = [real] + simulated

    var testDescription: String {
        guard let seed else { return "real runtime" }
        return "seed \(seed), preempted every \(instructions)"
    }
}

/// An application of Lua programs in a runtime of its own, and a port that watches what the test starts.
///
/// Used from one thread. In simulation nothing runs but inside these calls.
final class ApplicationWorld {
    struct End: Equatable, CustomStringConvertible {
        var isAbnormal: Bool
        /// JSON of the value, or the error's text.
        var text: String

        static func value(_ json: String) -> End { End(isAbnormal: false, text: json) }
        static func error(_ text: String) -> End { End(isAbnormal: true, text: text) }
        var description: String { (isAbnormal ? "error: " : "value: ") + text }
    }

    struct Stuck: Error, CustomStringConvertible { let description: String }

    let runtime: Runtime
    private let port: Obhut.Port
    private let portPid: Pid
    private var ends: [Pid: End] = [:]
    private let output: Lines
    private let log = Lines()
    private let simulation: Simulation?
    private let files: TemporaryApplication?

    /// What was printed, line by line; complete for processes of a real runtime only after `close`.
    final class Lines: @unchecked Sendable {  // guarded by its condition
        private let changed = NSCondition()
        private var bytes: [UInt8] = []

        func append(_ text: UnsafeRawBufferPointer) {
            changed.lock()
            bytes.append(contentsOf: text)
            changed.broadcast()
            changed.unlock()
        }

        private var textLocked: [String] {
            var lines = String(decoding: bytes, as: UTF8.self).components(separatedBy: "\n")
            lines.removeLast()  // what follows the last newline
            return lines
        }

        var all: [String] {
            changed.lock()
            defer { changed.unlock() }
            return textLocked
        }

        /// - Returns: false after 60 s.
        func wait(until isThere: ([String]) -> Bool) -> Bool {
            let limit = Date(timeIntervalSinceNow: 60)
            changed.lock()
            defer { changed.unlock() }
            while !isThere(textLocked) {
                if !changed.wait(until: limit) { return false }
            }
            return true
        }
    }

    /// - Parameters:
    ///   - folder: the application.
    ///   - files: or its files, by their path; they are written to a temporary folder.
    ///   - services: starts what has `auto_start`, and not only the hosts.
    ///   - configure: changes what the runtime is made with.
    init(
        _ drive: Drive, folder: String? = nil, files: [String: String] = [:], services: Bool = false,
        configure: (inout RuntimeConfiguration) -> Void = { _ in }
    ) throws {
        let (lines, log) = (Lines(), log)
        var configuration = RuntimeConfiguration()
        configuration.cloning = testCloning
        configuration.output = { text, _ in lines.append(text) }
        configuration.log = { text, _ in log.append(text) }
        if let seed = drive.seed {
            configuration.simulated = true
            configuration.seed = seed
            configuration.preemption = .counted(instructions: drive.instructions)
        }
        configure(&configuration)
        output = lines
        runtime = try Runtime(configuration)
        self.files = folder == nil ? try TemporaryApplication(files) : nil
        try runtime.load([.folder(folder ?? self.files!.folder)])
        try runtime.start(hostsOnly: !services)
        simulation = runtime.scheduler.simulation
        (port, portPid) = try runtime.openPort()
    }

    /// Stops the runtime; whatever has been printed can then be read.
    /// - Parameter timeout: nanoseconds; nil: as the application says.
    func close(timeout: Int64? = 1_000_000_000) {
        runtime.closePort(portPid)
        runtime.stop(timeout: timeout)
    }

    var lines: [String] { output.all }
    var logged: [String] { log.all }

    /// The entries of all that lives, sorted; without the port.
    var alive: [String] {
        var found: [String] = []
        runtime.system.table.forEachLiving { slot, _ in if slot.host != nil { found.append(slot.pointee.entryID ?? "?") } }
        return found.sorted()
    }

    func text(of pid: Pid) -> String { runtime.system.text(of: pid) }

    /// Starts a process; its end will be seen.
    func start(_ entry: String, _ arguments: EntryValue...) throws -> Pid {
        try start(entry, arguments)
    }

    /// - Parameter host: nil: the only one there is.
    func start(_ entry: String, on host: String? = nil, _ arguments: [EntryValue]) throws -> Pid {
        var writer = PayloadWriter()
        writer.write(.list(arguments))
        return try port.act(as: portPid) { process in
            Result { try runtime.spawn(entry, on: host, arguments: writer.bytes, parent: process, options: .monitored) }
        }.get()
    }

    /// Watches a process that the application has started, by the text of its pid; its end will be seen.
    func watch(_ text: String) throws -> Pid {
        var text = text
        guard let pid = text.withUTF8({ runtime.system.pid(fromText: $0) }),
            try port.act(as: portPid, { $0.monitor(pid) }) == .done
        else { throw Stuck(description: "\(text) is not there to be watched") }
        return pid
    }

    /// Runs until the process, which this world watches, has ended.
    func end(of pid: Pid) throws -> End {
        if let simulation {
            let limit = simulation.steps + 20_000_000
            while runtime.system.table.living(pid) != nil {
                guard simulation.step() else { throw Stuck(description: "nothing can run any more") }
                guard simulation.steps < limit else { throw Stuck(description: "it runs on and on") }
            }
        }
        while ends[pid] == nil {
            let signal: SignalPointer
            do {
                signal = try port.receive(as: portPid, timeout: simulation == nil ? 60_000_000_000 : 0)
            } catch {
                throw Stuck(description: "\(text(of: pid)) has not ended")
            }
            defer { signal.release() }
            guard signal.pointee.kind == .exit else { continue }
            let reason = signal.reason
            ends[signal.pointee.from] =
                reason.isAbnormal
                ? .error(reason.text)
                : .value(reason.payload.withUnsafeBytes { payloadToJSON($0) })
        }
        return ends[pid]!
    }

    func run(_ entry: String, _ arguments: EntryValue...) throws -> End {
        try end(of: start(entry, arguments))
    }

    /// Goes on to this point of virtual time, in seconds since the start.
    func advance(to seconds: Double) {
        simulation!.run(until: Int64((seconds * 1e9).rounded()))
    }

    /// Runs until what was printed satisfies this.
    func wait(until isThere: ([String]) -> Bool) throws {
        if let simulation {
            while !isThere(lines) {
                guard simulation.step() else { throw Stuck(description: "never printed; there is \(lines)") }
            }
        } else if !output.wait(until: isThere) {
            throw Stuck(description: "not printed in a minute; there is \(lines)")
        }
    }
}
