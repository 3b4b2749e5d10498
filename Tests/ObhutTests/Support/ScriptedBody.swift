import CObhut
import Glibc
import Synchronization

@testable import Obhut

/// A kind of process for tests: its code is Swift closures, so that the core is tested
/// without Lua. It is a third table of functions beside Lua and native ones (D11).
///
/// A `TestProcess` acts by *tasks*, which the test gives it and its next step runs in order,
/// and by what its `onStep` says. After them it reads all that has arrived, oldest first,
/// into `log`, unless `reads` is false. It ends when a task calls `finish` or `fail`.
///
/// All but `give` happens on the worker that has the process. A simulated world has one
/// thread, so there tests may look at everything between two runs.
final class TestProcess: @unchecked Sendable {  // `tasks` is guarded by lock, see above
    typealias Task = (TestProcess) -> Void

    enum Event: Equatable {
        case message(from: Pid, topic: String, payload: String)
        case exit(from: Pid, End)
        case linkDown(from: Pid, End)
        case cancel(from: Pid, deadline: Int64)
        case answer(Pid, String)
        case answerEnd(Pid, String)
    }

    /// An `ExitReason` as it is told to others.
    struct End: Equatable, CustomStringConvertible {
        var text: String
        var isAbnormal: Bool
        var kind: String?  // of an error object
        var origin: Pid
        var hops: Int

        init(_ reason: ExitReason) {
            text = reason.text
            isAbnormal = reason.isAbnormal
            origin = reason.origin
            hops = reason.hops
            kind = reason.payload.withUnsafeBytes { bytes in
                var reader = PayloadReader(bytes)
                guard case .ext(PayloadExtension.error, let body) = reader.next() else { return nil }
                return ErrorValue.read(from: body)?.kind
            }
        }

        var description: String { "\(isAbnormal ? "error" : "value") \(text) [\(origin), \(hops)]" }
    }

    let name: String
    fileprivate(set) var pid = Pid.none
    /// Valid while one of its tasks runs, and in a simulated world as long as it lives.
    fileprivate(set) var pointer: ProcessPointer!
    private let lock = Lock()
    private var tasks: [Task] = []

    /// Run at each step, after the tasks and before reading.
    var onStep: Task?
    var reads = true
    /// What the next step answers instead of waiting.
    var isBusy = false
    fileprivate(set) var log: [Event] = []
    fileprivate(set) var steps = 0
    fileprivate(set) var hasStarted = false
    /// Set when the body is stopped: how it ended, nil if it lives or never started.
    fileprivate(set) var end: End?
    fileprivate var isFinished = false

    init(_ name: String = "") { self.name = name }

    func give(_ task: @escaping Task) {
        lock.with { tasks.append(task) }
    }

    // MARK: For tasks

    func finish(_ value: String = "done") {
        encoded { $0.writeString(value) }.withUnsafeBytes { pointer.end(.value($0, of: pid)) }
        isFinished = true
    }

    func fail(_ error: String) {
        pointer.end(.error(error, of: pid))
        isFinished = true
    }

    func fail(_ error: ErrorValue) {
        let payload = encoded { error.write(into: &$0) }
        payload.withUnsafeBytes { pointer.end(.error($0, of: pid)) }
        isFinished = true
    }

    /// A body that is at fault.
    func endWithoutResult() { isFinished = true }

    @discardableResult
    func send(_ peer: Pid, _ topic: String, _ payload: String = "") -> ProcessSystem.SendOutcome {
        pointer.system.sendText(from: pid, to: peer, topic, payload)
    }

    /// Reads the oldest of all queues into the log.
    @discardableResult
    func readOne() -> Event? {
        pointer.pointee.mailbox.route()
        if let answer = pointer.pointee.mailbox.answers.removeFirst() {
            defer { answer.release() }
            let event: Event =
                answer.pointee.kind == .exit
                ? .answerEnd(answer.pointee.from, answer.reason.text)
                : .answer(answer.pointee.from, text(answer.payload))
            log.append(event)
            return event
        }
        let heads = [Mailbox.Queue.inbox, .events].compactMap { queue in
            pointer.pointee.mailbox.head(of: queue).map { (queue, $0.pointee.sequence) }
        }
        guard let oldest = heads.min(by: { $0.1 < $1.1 }),
            let signal = pointer.take(from: oldest.0)
        else { return nil }
        defer { signal.release() }
        let event = event(of: signal)
        log.append(event)
        return event
    }

    func event(of signal: SignalPointer) -> Event {
        let from = signal.pointee.from
        switch signal.pointee.kind {
        case .message:
            return .message(
                from: from, topic: String(decoding: signal.topic, as: UTF8.self),
                payload: text(signal.payload))
        case .exit: return .exit(from: from, End(signal.reason))
        case .linkDown: return .linkDown(from: from, End(signal.reason))
        case .cancel: return .cancel(from: from, deadline: Int64(bitPattern: signal.pointee.a))
        default: fatalError("not for the mailbox: \(signal.pointee.kind)")
        }
    }

    private func text(_ payload: UnsafeRawBufferPointer) -> String {
        payload.isEmpty ? "" : describeError(payload)
    }

    // MARK: The body

    fileprivate func step() -> Int32 {
        steps += 1
        while !isFinished, !pointer.isDoomed,
            let task = lock.with({ tasks.isEmpty ? nil : tasks.removeFirst() })
        {
            task(self)
        }
        if !isFinished && !pointer.isDoomed { onStep?(self) }
        if isFinished { return Int32(OBH_STEP_ENDED) }
        if reads && !pointer.isDoomed {
            while !isFinished, readOne() != nil {}
            if isFinished { return Int32(OBH_STEP_ENDED) }
        }
        return Int32(isBusy ? OBH_STEP_INTERRUPTED : OBH_STEP_WAITING)
    }

    private static func of(_ raw: UnsafeMutableRawPointer?) -> TestProcess {
        let pointer = ProcessPointer.from(raw!)
        let process = unsafeDowncast(pointer.pointee.definition!.program, to: TestProcess.self)
        process.pointer = pointer
        return process
    }

    /// A table that lives for ever.
    nonisolated(unsafe) static let body: UnsafePointer<obh_body> = {
        let table = UnsafeMutablePointer<obh_body>.allocate(capacity: 1)
        table.initialize(
            to: obh_body(
                start: { raw in
                    let process = TestProcess.of(raw)
                    process.pid = process.pointer.pid
                    process.hasStarted = true
                    return 0
                },
                step: { raw in TestProcess.of(raw).step() },
                stop: { raw in
                    let process = TestProcess.of(raw)
                    let pointer = process.pointer!
                    process.end = (pointer.pointee.doom ?? pointer.pointee.outcome).map(End.init)
                    process.pointer = nil
                }, where: nil, memory: nil))
        return UnsafePointer(table)
    }()
}

extension ProcessSystem {
    func sendText(from sender: Pid, to pid: Pid, _ topic: String, _ payload: String = "") -> SendOutcome {
        let bytes = payload.isEmpty ? [] : encoded { $0.writeString(payload) }
        return Array(topic.utf8).withUnsafeBytes { topic in
            bytes.withUnsafeBytes { send(from: sender, to: pid, topic: topic, payload: $0) }
        }
    }
}

/// A runtime on one thread in virtual time, with one host.
final class World {
    let scheduler: Scheduler
    let system: ProcessSystem
    let host: Host
    /// Ends that were abnormal, as log and crash report see them, and whether somebody was told.
    private(set) var abnormalEnds: [(pid: Pid, text: String, isSeen: Bool)] = []
    /// Definitions outlive the processes that run them.
    private var definitions: [ProcessDefinition] = []

    init(seed: UInt64 = 1, _ change: (inout HostLimits) -> Void = { _ in }) {
        scheduler = Scheduler(
            clock: Clock(virtual: true), preemption: .counted(instructions: 1), seed: seed,
            simulated: true)
        system = ProcessSystem(scheduler: scheduler)
        var limits = HostLimits()
        change(&limits)
        host = scheduler.addHost(named: "app:processes", limits: limits)
        host.start()
        system.abnormalEnd = { [unowned self] process, reason, end in
            self.abnormalEnds.append((process.pid, reason.text, end.isSeen))
        }
    }

    /// No runtime goes before its processes: what they hold would stay.
    deinit {
        system.abnormalEnd = nil
        system.table.forEachLiving { _, pid in _ = system.terminate(pid, from: .none) }
        scheduler.simulation!.run()
    }

    var now: Int64 { scheduler.clock.now }

    /// Runs until nothing can run; with `after`, not further than so many nanoseconds from now.
    func run(after: Int64? = nil) {
        scheduler.simulation!.run(until: after.map { now + $0 } ?? .max)
    }

    /// Runs what can run now, without letting time pass.
    func settle() { run(after: 0) }

    /// - Parameter first: its first task.
    @discardableResult
    func spawn(
        _ name: String = "", by parent: TestProcess? = nil,
        options: ProcessSystem.SpawnOptions = [], _ first: TestProcess.Task? = nil
    ) -> TestProcess {
        try! trySpawn(name, by: parent, options: options, first)
    }

    func trySpawn(
        _ name: String = "", by parent: TestProcess? = nil,
        options: ProcessSystem.SpawnOptions = [], _ first: TestProcess.Task? = nil
    ) throws(ProcessSystem.SpawnFault) -> TestProcess {
        let process = TestProcess(name)
        if let first { process.give(first) }
        let definition = ProcessDefinition(id: "test:\(name)", body: TestProcess.body, program: process)
        definitions.append(definition)
        process.pid = try system.spawn(
            definition, on: host, arguments: UnsafeRawBufferPointer(start: nil, count: 0),
            parent: parent?.pointer, options: options
        ).pid
        return process
    }

    /// Lets `process` do something in a step of its own, now.
    func act(_ process: TestProcess, _ task: @escaping TestProcess.Task) {
        give(process, task)
        settle()
    }

    /// The same, when it is its turn.
    func give(_ process: TestProcess, _ task: @escaping TestProcess.Task) {
        process.give(task)
        system.table.slot(process.pid.slot)?.runnable.wake(serial: process.pid.serial)
    }

    func isAlive(_ process: TestProcess) -> Bool { system.table.living(process.pid) != nil }

    /// Everything that must be back where it was when no process is left.
    func leftovers() -> [String] {
        var found: [String] = []
        func check(_ what: String, _ count: Int) { if count != 0 { found.append("\(what): \(count)") } }
        check("alive", system.aliveCount)
        check("on the host", host.processCount.load(ordering: .relaxed))
        check("timers", scheduler.timers.count)
        check("names", system.names.count)
        check("spawned but not ended", Int(system.spawned.load(ordering: .relaxed)) - Int(system.ended.load(ordering: .relaxed)))
        found += system.slotLeftovers()
        return found
    }
}

extension ProcessSystem {
    /// What free slots still hold, with no process running.
    func slotLeftovers() -> [String] {
        var found: [String] = []
        for number in 1... {
            guard let slot = table.slot(number) else { break }
            let s = slot.pointee.runnable.serial
            if slot.pointee.runnable.phase != .free { continue }
            if slot.loadNow != 0 {
                found.append("slot \(number), life \(s): load \(slot.loadNow)")
            }
            if slot.pointee.mailbox.count != 0 || slot.pointee.mailbox.answers.count != 0 {
                found.append("slot \(number), life \(s): mailbox")
            }
            if !slot.pointee.relations.isEmpty { found.append("slot \(number), life \(s): relations") }
            if slot.pointee.trapLinks != .no { found.append("slot \(number), life \(s): trapLinks") }
            if slot.pointee.wakeTimer != .none || slot.pointee.staleTimers != 0 {
                found.append("slot \(number), life \(s): timer")
            }
            if slot.pointee.definition != nil || slot.pointee.doom != nil || slot.pointee.outcome != nil {
                found.append("slot \(number), life \(s): definition or reason")
            }
        }
        return found
    }
}

extension Relations {
    var isEmpty: Bool {
        links.isEmpty && monitors.isEmpty && inquiries.isEmpty && watchers.isEmpty
            && callees.isEmpty && deadline.timer == .none
    }
}

extension [TestProcess.Event] {
    /// Their kinds and texts, for short comparisons: `exit done`, `linkDown boom`, `message hello`.
    var texts: [String] {
        map {
            switch $0 {
            case .message(_, let topic, let payload):
                "message \(topic)" + (payload.isEmpty ? "" : " \(payload)")
            case .exit(_, let end): "exit \(end.text)"
            case .linkDown(_, let end): "linkDown \(end.text)"
            case .cancel: "cancel"
            case .answer(_, let text): "answer \(text)"
            case .answerEnd(_, let text): "answerEnd \(text)"
            }
        }
    }
}

/// How much longer or shorter the tests with many rounds are; 0.1 under the sanitizers.
let testScale = getenv("OBHUT_TEST_SCALE").flatMap { Double(String(cString: $0)) } ?? 1

func scaled(_ count: Int, atLeast minimum: Int = 1) -> Int {
    max(minimum, Int(Double(count) * testScale))
}

let ms: Int64 = 1_000_000  // nanoseconds
