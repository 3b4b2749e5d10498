import CNative
import CObhut
import Foundation
import Glibc
import Testing

@testable import Obhut

/// The libraries of Tests/Native that crash, and the program in which they may.
enum NativeFixtures {
    static let faulty = CompiledLibrary.path("faulty.c", "-w", "-O1")
    static let throwing = CompiledLibrary.path("throwing.cpp", "-w", "-O1")
    static let failing = CompiledLibrary.path("throwing.cpp", "-w", "-DFAILING")

    /// The worker program, as `make build` makes it: without the sanitizer that the tests may run under, which would
    /// take the place of signals.
    static let worker = {
        let path = "\(CompiledLibrary.folder)/obhut-worker"
        let sources = ["arguments", "call", "context", "file", "find", "frames", "init", "launch", "library", "poll"].map { "Sources/CNative/\($0).c" }
        CompiledLibrary.compile(
            ["-std=gnu11", "-O2", "-w", "-I", ABIBaselineTests.root("Sources/CNative/include")]
                + (sources + ["Sources/obhut-worker/main.c"]).map(ABIBaselineTests.root) + ["-lffi", "-ldl", "-lrt", "-pthread"],
            to: path, isShared: false)
        return path
    }()
}

extension NativeSignature {
    /// Of tests: letters, the result first. c context, s string, i i32, l i64, t status, v void.
    init(_ letters: String) {
        var raw = obn_signature()
        let types: [Character: Int] = [
            "c": OBN_CONTEXT, "s": OBN_STRING, "i": OBN_I32, "l": OBN_I64, "t": OBN_STATUS, "v": OBN_VOID,
        ]
        let codes = letters.map { UInt8(types[$0]!) }
        raw.result = codes[0]
        raw.count = UInt8(codes.count - 1)
        withUnsafeMutableBytes(of: &raw.parameters) { room in
            for (index, code) in codes.dropFirst().enumerated() { room[index] = code }
        }
        self.init(raw: raw)
    }
}

/// A runtime on real threads with native processes, a port that watches them, and what they print and log.
final class NativeRuntime: @unchecked Sendable {  // guard notes stand on each mutable field
    let runtime: RealRuntime
    let execution: NativeExecution
    var system: ProcessSystem { runtime.system }
    let port: Obhut.Port
    let pid: Pid
    private let lock = Lock()
    private var definitions: [String: ProcessDefinition] = [:]  // guarded by lock
    private var printedText = ""  // guarded by lock
    private var logged: [LogRecord] = []  // guarded by lock

    struct Arguments: ExpressibleByArrayLiteral {
        var values: [EntryValue]
        init(arrayLiteral elements: EntryValue...) { values = elements }
        var payload: [UInt8] { encoded { $0.write(.list(values)) } }
    }

    init(workers: Int = 2, worker: String? = nil, _ change: (inout HostLimits) -> Void = { _ in }) {
        runtime = RealRuntime(workers: workers, change)
        execution = NativeExecution(worker: worker, scheduler: runtime.system.scheduler)
        let system = runtime.system
        (port, pid) = Obhut.Port.open(in: system)!
        system.native = execution
        system.resolveDefinition = { [unowned self] id in
            self.lock.with { self.definitions[id] }.map { .found($0) } ?? .notFound
        }
        system.resolveHost = { [host = runtime.host] in $0 == host.name ? host : nil }
        system.writeLine = { [unowned self] line in
            self.lock.with { self.printedText += String(decoding: line, as: UTF8.self) }
        }
        system.surroundings.log = { [unowned self] record in self.lock.with { self.logged.append(record) } }
    }

    var printed: String { lock.with { printedText } }
    var log: [LogRecord] { lock.with { logged } }

    func close() {
        system.table.forEachLiving { slot, pid in if slot.host != nil { _ = system.terminate(pid, from: .none) } }
        #expect(system.waitUntilAlive(atMost: 0, until: system.clock.now + 60_000 * ms))
        port.end(pid)
        execution.close()
        #expect(execution.workers.count == 0)
        runtime.close()
    }

    // MARK: Programs

    func define(
        _ id: String, _ symbol: String, _ signature: String, _ isolation: NativeIsolation = .process,
        mode: NativeMode = .function, library: String = NativeFixtures.faulty, memoryLimit: Int? = nil, cpuLimit: Int64? = nil
    ) -> ProcessDefinition {
        let program = NativeProgram(
            id: id, library: library, symbol: symbol, signature: NativeSignature(signature), isolation: isolation, mode: mode,
            memoryLimit: memoryLimit, cpuLimit: cpuLimit)
        let definition = ProcessDefinition(
            id: id, body: mode == .handler ? NativeHandler.table : NativeShell.table, program: program)
        lock.with { definitions[id] = definition }
        return definition
    }

    func spawn(
        _ definition: ProcessDefinition, _ arguments: Arguments = [], options: ProcessSystem.SpawnOptions = .monitored
    ) -> Pid {
        try! port.act(as: pid) { [runtime] process in
            arguments.payload.withUnsafeBytes { bytes in
                try! system.spawn(definition, on: runtime.host, arguments: bytes, parent: process, options: options).pid
            }
        }
    }

    func send(_ pid: Pid, _ topic: String, _ payload: EntryValue = .null) {
        let bytes = encoded { $0.write(payload) }
        let outcome = Array(topic.utf8).withUnsafeBytes { topic in
            bytes.withUnsafeBytes { system.send(from: self.pid, to: pid, topic: topic, payload: $0) }
        }
        #expect(outcome == .sent)
    }

    enum Received: Equatable, CustomStringConvertible {
        case message(Pid, String, String)
        case exit(Pid, String, isError: Bool)
        case linkDown(Pid, String)
        case other

        var description: String {
            switch self {
            case .message(_, let topic, let text): "message \(topic) \(text)"
            case .exit(_, let text, let isError): "\(isError ? "error" : "value") \(text)"
            case .linkDown(_, let text): "linkDown \(text)"
            case .other: "other"
            }
        }
    }

    /// The next that the port receives; there has to be one.
    func next() -> Received {
        guard let signal = try? port.receive(as: pid, timeout: 30_000 * ms) else {
            Issue.record("nothing has come")
            return .other
        }
        defer { signal.release() }
        switch signal.pointee.kind {
        case .message:
            return .message(signal.pointee.from, String(decoding: signal.topic, as: UTF8.self), payloadToJSON(signal.payload))
        case .exit:
            let reason = signal.reason
            let text = reason.isAbnormal ? reason.text : reason.payload.withUnsafeBytes { payloadToJSON($0) }
            return .exit(signal.pointee.from, text, isError: reason.isAbnormal)
        case .linkDown: return .linkDown(signal.pointee.from, signal.reason.text)
        default: return .other
        }
    }

    /// Whether nothing more has come.
    var isQuiet: Bool {
        guard let signal = try? port.receive(as: pid, timeout: 0) else { return true }
        signal.release()
        return false
    }

    /// Runs one to its end: how it ended.
    func run(_ definition: ProcessDefinition, _ arguments: Arguments = []) -> String {
        let pid = spawn(definition, arguments)
        let end = next()
        if case .exit(pid, _, _) = end { return "\(end)" }
        return "\(end), and no EXIT of it"
    }
}

/// Runs `body` with a runtime of its own, which leaves nothing behind.
func withNativeRuntime(
    workers: Int = 2, worker: String? = NativeFixtures.worker, _ change: (inout HostLimits) -> Void = { _ in }, _ body: (NativeRuntime) -> Void
) {
    let native = NativeRuntime(workers: workers, worker: worker, change)
    defer { native.close() }
    body(native)
}

/// Whether an OS process is there, ended or not.
func processExists(_ pid: Int32) -> Bool { kill(pid, 0) == 0 || errno == EPERM }

/// A text with its OS pid as N, and without the note that a core was dumped, which is the machine's to decide.
func withoutOSPid(_ text: String) -> String {
    text.replacing(/OS process [0-9]+/, with: "OS process N").replacing(" (core dumped)", with: "")
}

/// OS pids that a text names.
func osPid(in text: String) -> Int32? {
    text.firstMatch(of: /OS process ([0-9]+)/).flatMap { Int32($0.output.1) }
}
