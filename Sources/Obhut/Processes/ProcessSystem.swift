import CObhut
import Glibc
import Synchronization

/// The processes of one runtime: what they share, and the one way from one to another.
final class ProcessSystem: @unchecked Sendable {  // guard notes stand on each mutable field
    let scheduler: Scheduler
    let table = ProcessTable()
    let names: NameRegistry

    /// Messages that were accepted for a process that ended before reading them (M6).
    let deadLetters = Atomic<UInt64>(0)
    let spawned = Atomic<UInt64>(0)
    let ended = Atomic<UInt64>(0)

    /// Processes that the host program runs: not taken yet, or about to be ended by force.
    let offers = OfferedProcesses()
    let condemned = CondemnedPorts()
    /// Between start and stop: whether there may be new ones.
    let takesExternals = Atomic<Bool>(false)

    /// Processes alive.
    private let alive = Atomic<Int>(0)
    private let aliveLock = Lock()
    private let aliveChanged = Condition()
    private let aliveWaiters = Atomic<Int>(0)
    /// Not more alive than so many is what somebody waits for, -1: nobody. Written under
    /// `aliveLock`. Ends above it wake nobody: each would cost more than the whole end.
    private let awaitedLevel = Atomic<Int>(-1)
    private var levelWaiters = 0  // guarded by aliveLock

    /// Told of each abnormal end, on the worker of the process that ended, while its mailbox,
    /// relations and memory are still there. Set before the first spawn.
    var abnormalEnd: ((_ process: ProcessPointer, _ reason: ExitReason, _ end: AbnormalEnd) -> Void)?
    /// What is kept of messages for the report of an abnormal end. Set before the first spawn.
    var crashMessages = CrashMessages()

    /// What the ids in `spawn` mean, and where lines of `print` go. Set before the first spawn;
    /// any thread calls them. Whoever sets the first keeps its definitions as long as this lives.
    var resolveDefinition: (_ id: String) -> DefinitionLookup = { _ in .notFound }
    var resolveHost: (_ id: String) -> Host? = { _ in nil }
    var resolveSupervisor: (_ text: String) -> SupervisorLookup = { .refused(kind: "NOT_FOUND", "supervisor not found: \($0)") }
    var writeLine: ((_ line: UnsafeRawBufferPointer) -> Void)?
    var surroundings = Surroundings()
    /// What the bodies of native processes share; the core does not look at it. Set before the first spawn.
    var native: AnyObject?

    enum DefinitionLookup {
        case found(ProcessDefinition)
        case notFound
        /// The entry is of another kind.
        case notAProcess(kind: String)
    }

    enum SupervisorLookup {
        case found(Pid)
        /// With the kind of an error object.
        case refused(kind: StaticString, _ text: String)
    }

    /// The bounds of a port's mailbox (M5), the defaults of a host's: messages and bytes.
    static let portMessages = UInt64(1_000_000)
    static let portBytes = 256 << 20

    /// Text before the number in the pid of a port.
    static let portHost = "obhut:port"

    init(scheduler: Scheduler) {
        self.scheduler = scheduler
        names = NameRegistry(table: table)
        table.system = self
    }

    var clock: Clock { scheduler.clock }
    var aliveCount: Int { alive.load(ordering: .sequentiallyConsistent) }

    // MARK: Delivery

    /// The one function through which every act on another process goes (D4, D10).
    /// - Returns: false if `pid` has ended or never was; the signal has been released then.
    @inline(__always)
    func deliver(_ signal: SignalPointer, to pid: Pid) -> Bool {
        guard let slot = push(signal, to: pid) else { return false }
        slot.runnable.wake(serial: pid.serial)
        return true
    }

    /// The same for what may end the receiver: it does not wait in a run queue (D4).
    func deliverUrgently(_ signal: SignalPointer, to pid: Pid) -> Bool {
        guard let slot = push(signal, to: pid) else { return false }
        slot.runnable.wakeUrgently(serial: pid.serial)
        return true
    }

    /// The same for a thread that has nothing better to do than what the signal is about: if the receiver waits, this thread does its
    /// step at once (`ProcessPointer.runInPlace`), and no worker is woken for it.
    func deliverInPlace(_ signal: SignalPointer, to pid: Pid) -> Bool {
        guard let slot = push(signal, to: pid) else { return false }
        if slot.pointee.runnable.claimWord(serial: pid.serial) {
            slot.runInPlace()
        } else {
            slot.runnable.wake(serial: pid.serial)
        }
        return true
    }

    /// Nil if `pid` has ended or never was; the signal has been released then.
    @inline(__always)
    private func push(_ signal: SignalPointer, to pid: Pid) -> ProcessPointer? {
        guard pid.node == 0, let slot = table.slot(pid.slot),
            slot.pointee.runnable.serial == pid.serial,
            slot.pointee.signals.push(signal, serial: pid.serial)
        else {
            signal.release()
            return nil
        }
        return slot
    }

    enum SendOutcome { case sent, notFound, full }

    /// Sends a copy of `payload`; any thread (M1, M5).
    /// - Parameter request: the number under which the sender waits for an answer, or 0.
    func send(
        from sender: Pid, to pid: Pid, topic: UnsafeRawBufferPointer,
        payload: UnsafeRawBufferPointer, request: UInt64 = 0
    ) -> SendOutcome {
        post(.makeMessage(.message, from: sender, topic: topic, payload: payload, a: request), to: pid)
    }

    /// Sends a message that was made for it: it is the receiver's from now on, or, if it is refused, released.
    func post(_ message: SignalPointer, to pid: Pid) -> SendOutcome {
        var receiver: ProcessPointer?
        let outcome = post(message, to: pid, waking: &receiver)
        if let receiver { receiver.runnable.wake(serial: pid.serial) }
        return outcome
    }

    /// The same for who has to do something first that somebody waits for.
    /// - Parameter receiver: whom the caller wakes at once, with the serial of `pid`: nothing else does it.
    @inline(__always)
    func post(_ message: SignalPointer, to pid: Pid, waking receiver: inout ProcessPointer?) -> SendOutcome {
        guard pid.node == 0, let slot = table.slot(pid.slot), slot.pointee.runnable.serial == pid.serial else {
            message.release()
            return .notFound
        }
        if crashMessages.received > 0 { message.pointee.sentAt = clock.wall }
        let charge = message.charge
        let load = slot.pointee.load.add(charge)
        if isOver(load.atMost, slot) && isOver(slot.pointee.load.look(load.sum, slot.pointee.taken), slot) {
            slot.pointee.load.takeBack(charge)
            message.release()
            return slot.pointee.signals.isOpen(serial: pid.serial) ? .full : .notFound
        }
        guard slot.pointee.signals.push(message, serial: pid.serial) else {
            slot.pointee.load.takeBack(charge)
            message.release()
            return .notFound
        }
        receiver = slot
        return .sent
    }

    /// The same for what the runtime itself has to say to a process that reads it at once (a supervisor): no bound of its
    /// mailbox refuses it.
    /// - Returns: false if `pid` has ended or never was.
    func sendUnbounded(
        from sender: Pid, to pid: Pid, topic: SupervisionTopic,
        payload: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0), request: UInt64 = 0
    ) -> Bool {
        guard pid.node == 0, let slot = table.slot(pid.slot), slot.pointee.runnable.serial == pid.serial else {
            return false
        }
        let signal = SignalPointer.makeMessage(
            .message, from: sender, topic: topic.bytes, payload: payload, a: request)
        let charge = signal.charge
        _ = slot.pointee.load.add(charge)
        guard slot.pointee.signals.push(signal, serial: pid.serial) else {
            slot.pointee.load.takeBack(charge)
            signal.release()
            return false
        }
        slot.runnable.wake(serial: pid.serial)
        return true
    }

    @inline(__always)
    private func isOver(_ load: UInt64, _ slot: ProcessPointer) -> Bool {
        guard let host = slot.pointee.runnable.host else {
            return load >> 36 > ProcessSystem.portMessages
                || load & (MailboxLoad.oneMessage - 1) > UInt64(ProcessSystem.portBytes / 16)
        }
        return host._withUnsafeGuaranteedRef {
            let limits = $0.mailboxBounds
            return load >> 36 > limits.messages || load & (MailboxLoad.oneMessage - 1) > limits.bytes
        }
    }

    /// Answers a request; nothing happens if the one who asked has ended (M7).
    func reply(
        from sender: Pid, to pid: Pid, request: UInt64, payload: UnsafeRawBufferPointer,
        isError: Bool
    ) -> Bool {
        deliver(
            .makeMessage(
                .reply, from: sender, topic: UnsafeRawBufferPointer(start: nil, count: 0),
                payload: payload, a: request, b: isError ? 1 : 0),
            to: pid)
    }

    /// Ends `pid` now (C4); any thread.
    func terminate(_ pid: Pid, from sender: Pid) -> Bool {
        deliverUrgently(.make(.terminate, from: sender), to: pid)
    }

    /// Delivers CANCEL and arms the deadline (C1); any thread.
    /// - Parameter timeout: nanoseconds, more than 0.
    func cancel(_ pid: Pid, from sender: Pid, timeout: Int64) -> Bool {
        guard table.living(pid) != nil else { return false }
        let (sum, overflow) = clock.now.addingReportingOverflow(timeout)
        let deadline = overflow ? Int64.max - 1 : sum
        let timer = scheduler.timers.arm(
            at: deadline, context: Unmanaged.passUnretained(self).toOpaque(), argument: pid.raw
        ) { context, raw in
            let system = Unmanaged<ProcessSystem>.fromOpaque(context).takeUnretainedValue()
            _ = system.deliverUrgently(.make(.deadline, from: .none), to: Pid(raw: raw))
        }
        let signal = SignalPointer.make(
            .cancel, from: sender, a: UInt64(bitPattern: deadline), b: timer.raw)
        signal.pointee.sentAt = clock.wall
        if deliver(signal, to: pid) { return true }
        // If the timer has fired, the time was over before CANCEL came, and that is what has ended it.
        return !scheduler.timers.disarm(timer)
    }

    // MARK: Names and texts

    /// The text of a pid, with the name of its host while it lives.
    func text(of pid: Pid) -> String {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: ProcessSystem.maximumPidText) { buffer in
            let count = writeText(of: pid, to: buffer.baseAddress!)
            return String(decoding: UnsafeBufferPointer(start: buffer.baseAddress!, count: count), as: UTF8.self)
        }
    }

    /// Bytes that the text of any pid has room in: a host's id has at most 255
    /// (`EntryID.isValidPart`), what stands around it 17.
    static let maximumPidText = 319

    /// Writes the text of `pid`; `buffer` has room for `maximumPidText` bytes.
    @inline(__always)
    func writeText(of pid: Pid, to buffer: UnsafeMutablePointer<UInt8>) -> Int {
        var prefix = ProcessSystem.portPrefix
        if let slot = table.slot(pid.slot), let host = slot.pointee.runnable.host {
            prefix = host._withUnsafeGuaranteedRef { $0.pidPrefix }
        }
        memcpy(buffer, prefix.baseAddress!, prefix.count)
        return prefix.count + pid.writeNumber(to: buffer + prefix.count)
    }

    // Immutable after initialisation, and never given back.
    nonisolated(unsafe) private static let portPrefix: UnsafeBufferPointer<UInt8> = {
        let bytes = Array("{\(portHost)|0x".utf8)
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        _ = copy.initialize(from: bytes)
        return UnsafeBufferPointer(copy)
    }()

    /// Reads the text of a living process's pid, `{host|0x…}`; the host must be the one it lives on (P3).
    @inline(__always)
    func pid(fromText text: UnsafeBufferPointer<UInt8>) -> Pid? {
        guard let pid = anyPid(fromText: text), let slot = table.slot(pid.slot),
            slot.pointee.runnable.serial == pid.serial
        else { return nil }
        return pid
    }

    /// The same, but also of a process that has ended: what one's own relations know of it is still there to be
    /// taken back (S4, S6, L6). A slot belongs to one host for ever.
    @inline(__always)
    func anyPid(fromText text: UnsafeBufferPointer<UInt8>) -> Pid? {
        let count = text.count
        guard count >= 10, text[count &- 1] == UInt8(ascii: "}") else { return nil }
        var x = count &- 7
        while x > 2 && text[x] != UInt8(ascii: "x") { x &-= 1 }
        let digits = UnsafeBufferPointer(rebasing: text[(x &+ 1)..<(count &- 1)])
        // One text for each pid: no zeros before more than five digits.
        guard digits.count == 5 || digits[0] != UInt8(ascii: "0"), let pid = Pid.parseNumber(digits),
            pid.node == 0, let slot = table.slot(pid.slot)
        else { return nil }
        let prefix =
            slot.pointee.runnable.host?._withUnsafeGuaranteedRef { $0.pidPrefix }
            ?? ProcessSystem.portPrefix
        guard prefix.count == x &+ 1, memcmp(prefix.baseAddress!, text.baseAddress!, x &+ 1) == 0 else {
            return nil
        }
        return pid
    }

    /// What `dest` names in every call that takes one: a pid's text or a registered name.
    @inline(__always)
    func resolve(_ text: UnsafeBufferPointer<UInt8>) -> Pid? {
        if text.first == UInt8(ascii: "{") { return pid(fromText: text) }
        return names.lookup(UnsafeRawBufferPointer(text))
    }

    // MARK: Counting lives

    func countUp() { alive.add(1, ordering: .sequentiallyConsistent) }

    func countDown() {
        let left = alive.subtract(1, ordering: .sequentiallyConsistent).newValue
        // Whoever waits counts itself in first and then reads `alive`: one sees the other.
        if aliveWaiters.load(ordering: .sequentiallyConsistent) > 0
            || left <= awaitedLevel.load(ordering: .sequentiallyConsistent)
        {
            aliveLock.with { aliveChanged.broadcast() }
        }
    }

    /// Waits until a process has ended, or until `deadline` (nanoseconds, monotonic), unless
    /// `isOver` holds already: it is asked where no end can be missed. Not in simulation.
    func waitForAnEnd(until deadline: Int64, unless isOver: () -> Bool) {
        _ = aliveWaiters.add(1, ordering: .sequentiallyConsistent)
        defer { _ = aliveWaiters.subtract(1, ordering: .sequentiallyConsistent) }
        aliveLock.with {
            if !isOver() { aliveChanged.wait(aliveLock, until: deadline) }
        }
    }

    /// Waits until at most `count` processes live, or until `deadline` (nil: for ever).
    /// - Returns: false when the deadline has passed.
    func waitUntilAlive(atMost count: Int, until deadline: Int64?) -> Bool {
        aliveLock.with {
            levelWaiters += 1
            let level = max(count, awaitedLevel.load(ordering: .relaxed))
            awaitedLevel.store(level, ordering: .sequentiallyConsistent)
            defer {
                levelWaiters -= 1
                if levelWaiters == 0 { awaitedLevel.store(-1, ordering: .relaxed) }
            }
            while aliveCount > count {
                if !aliveChanged.wait(aliveLock, until: deadline) { return aliveCount <= count }
            }
            return true
        }
    }
}
