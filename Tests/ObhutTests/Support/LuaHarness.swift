import CObhut
import Glibc
import Testing

@testable import Obhut

/// How a process ended, as a test compares it.
enum LuaResult: Equatable, CustomStringConvertible {
    /// The value as JSON.
    case value(String)
    /// The error's text.
    case error(String)
    case stillRunning

    var description: String {
        switch self {
        case .value(let json): "value \(json)"
        case .error(let text): "error \(text)"
        case .stillRunning: "still running"
        }
    }
}

/// A simulated runtime with one host, `app:processes`, and entries given as Lua text.
///
///     let world = LuaHarness()
///     world.define("app:echo", "local msg = process.inbox():receive() ...")
///     #expect(world.run("return 1 + 1") == .value("2"))
///
/// The text of an entry is the body of its `main(...)`. Time is virtual, the order is given by the seed. Lua is interrupted
/// every `testInstructions`, unless a test says otherwise.
final class LuaHarness {
    let scheduler: Scheduler
    let system: ProcessSystem
    let host: Host
    /// What was printed, line by line.
    private(set) var lines: [String] = []
    /// What was logged.
    private(set) var records: [LogRecord] = []
    /// What `io` reads, piece by piece; then comes the end. Nil: an error.
    var input: [String?] = []

    private var definitions: [String: ProcessDefinition] = [:]
    private let port: Port
    private let portPid: Pid

    init(
        seed: UInt64 = 1, interruptedEvery instructions: Int32 = testInstructions, memory: Int = 64 << 20,
        _ adjust: (inout HostLimits) -> Void = { _ in }
    ) {
        if let fault = LuaLibrary.open() { fatalError(fault) }
        scheduler = Scheduler(
            clock: Clock(virtual: true), preemption: .counted(instructions: instructions), seed: seed,
            simulated: true)
        system = ProcessSystem(scheduler: scheduler)
        var limits = HostLimits()
        limits.workers = 1
        limits.processMemory = memory
        adjust(&limits)
        host = scheduler.addHost(named: "app:processes", limits: limits)
        host.start()
        let stopped = scheduler.addHost(named: "app:stopped", limits: HostLimits())
        (port, portPid) = Port.open(in: system)!
        let hosts = ["app:processes": host, "app:stopped": stopped]
        system.resolveHost = { hosts[$0] }
        system.resolveDefinition = { [unowned self] id in
            if let definition = definitions[id] { return .found(definition) }
            return id == "app:processes" ? .notAProcess(kind: "process.host") : .notFound
        }
        system.writeLine = { [unowned self] line in
            lines.append(String(decoding: line.last == UInt8(ascii: "\n") ? line.dropLast() : line[...], as: UTF8.self))
        }
        system.surroundings.log = { [unowned self] in records.append($0) }
    }

    /// Gives the processes input, arguments and environment; before the first start.
    func surround(arguments: [String] = [], environment: [String: String] = [:]) {
        let input = InputQueue(
            source: { [unowned self] buffer in
                guard !self.input.isEmpty else { return 0 }
                guard let piece = self.input.removeFirst() else { return -Int(EIO) }
                buffer.copyBytes(from: piece.utf8)
                return piece.utf8.count
            }, threaded: false,
            deliver: { [unowned system] request, payload, isError in
                system.reply(from: .none, to: request.pid, request: request.number, payload: payload, isError: isError)
            })
        system.surroundings.arguments = arguments
        system.surroundings.environment = environment.mapValues { Array($0.utf8) }
        system.surroundings.read = { input.ask($0) }
    }

    deinit {
        system.table.forEachLiving { _, pid in if pid != portPid { _ = system.terminate(pid, from: .none) } }
        scheduler.simulation!.run()
        port.end(portPid)
    }

    /// An entry whose `main(...)` has this body.
    func define(
        _ id: String, _ body: String, modules: [String] = ["time"], imports: [String: LuaUnit] = [:],
        environment: [String] = []
    ) {
        define(id, source: "local function main(...) \(body)\nend return {main = main}", modules, imports, environment)
    }

    /// An entry with this source.
    func define(
        _ id: String, source: String, _ modules: [String] = ["time"], _ imports: [String: LuaUnit] = [:],
        _ environment: [String] = [], cloning: Cloning = testCloning
    ) {
        let unit = LuaHarness.unit(id, source, modules, imports, environment)
        definitions[id] = ProcessDefinition(
            id: id, body: CheckedLuaBody.table,
            program: LuaProgram(unit: unit, method: "main", cloning: cloning))
    }

    /// A source; `id` is its chunk's name, too.
    static func unit(
        _ id: String, _ source: String, _ modules: [String] = [], _ imports: [String: LuaUnit] = [:],
        _ environment: [String] = []
    ) -> LuaUnit {
        do {
            return try LuaUnit(id: id, chunkName: id, text: Array(source.utf8), modules: modules, imports: imports,
                environment: environment)
        } catch {
            fatalError("\(id):\(error.line): \(error.message)")
        }
    }

    /// Starts an entry, watched.
    func start(_ id: String, arguments: UnsafeRawBufferPointer = .init(start: nil, count: 0)) -> Pid {
        try! port.act(as: portPid) { parent in
            try! system.spawn(
                definitions[id]!, on: host, arguments: arguments, parent: parent, options: .monitored
            ).pid
        }
    }

    /// Runs everything, in virtual time, until nothing can run before `horizon` (nanoseconds).
    func settle(until horizon: Int64 = .max) { scheduler.simulation!.run(until: horizon) }

    /// How a process that `start` began has ended.
    func result(of pid: Pid) -> LuaResult {
        while let signal = try? port.receive(as: portPid, timeout: 0) {
            if signal.pointee.kind == .exit { ends[signal.pointee.from] = LuaHarness.result(signal.reason, system) }
            signal.release()
        }
        return ends[pid] ?? .stillRunning
    }

    private var ends: [Pid: LuaResult] = [:]

    private static func result(_ reason: ExitReason, _ system: ProcessSystem) -> LuaResult {
        if reason.isAbnormal { return .error(reason.text) }
        return .value(
            reason.payload.withUnsafeBytes { payloadToJSON($0, pidText: { system.text(of: Pid(raw: $0)) }) })
    }

    /// Runs the body of a `main` as `app:main`, everything else with it, and answers how it ended.
    func run(
        _ body: String, modules: [String] = ["time"], imports: [String: LuaUnit] = [:], environment: [String] = [],
        until horizon: Int64 = 100 * 3_600_000_000_000
    ) -> LuaResult {
        define("app:main", body, modules: modules, imports: imports, environment: environment)
        let pid = start("app:main")
        settle(until: horizon)
        return result(of: pid)
    }
}

/// Runs the body of a `main` in a world of its own.
func runMain(_ body: String, seed: UInt64 = 1) -> LuaResult { LuaHarness(seed: seed).run(body) }

/// After how many instructions Lua is interrupted where a test does not say; the passes of `make test-interrupted` set it.
let testInstructions = getenv("OBHUT_TEST_INSTRUCTIONS").flatMap { Int32(String(cString: $0)) } ?? 1000

/// Lua's body, with a look after each step that no Swift function was left without its return: a Lua error that had
/// unwound through one would have taken its `in_host` along (F3).
enum CheckedLuaBody {
    nonisolated(unsafe) static let table: UnsafePointer<obh_body> = {  // written once, here
        let lua = LuaBody.table.pointee
        let table = UnsafeMutablePointer<obh_body>.allocate(capacity: 1)
        table.initialize(
            to: obh_body(start: lua.start, step: { CheckedLuaBody.step($0) }, stop: lua.stop, where: lua.where, memory: lua.memory))
        return UnsafePointer(table)
    }()

    static func step(_ raw: UnsafeMutableRawPointer?) -> Int32 {
        let answer = LuaBody.table.pointee.step(raw)
        let vm = ProcessPointer.from(raw!).pointee.bodyState?.assumingMemoryBound(to: obh_vm.self)
        if let vm, vm.pointee.in_host != 0 {
            Issue.record("a Lua error unwound through \(vm.pointee.in_host) Swift functions (F3)")
        }
        return answer
    }
}

/// How the VMs of tests are made: as copies from the first process of an entry on, or with OBHUT_TEST_CLONING=never each
/// from nothing.
let testCloning: Cloning = getenv("OBHUT_TEST_CLONING").map { String(cString: $0) } == "never" ? .never : .always

extension LuaUnit {
    /// Of a source that nobody else has.
    convenience init(
        id: String, chunkName: String, text: [UInt8], modules: [String] = [], imports: [String: LuaUnit] = [:],
        environment: [String] = []
    ) throws(SyntaxFault) {
        self.init(
            id: id, try LuaCompiler().chunk(text, chunkName), modules: modules, imports: imports, environment: environment)
    }
}
