import CObhut
import Glibc
import Synchronization

/// A mailbox of the host program (ARCHITECTURE D7): a process whose body is whoever calls.
///
/// A port lives in a slot like any process, and its signals are handled by the same code.
/// What for a process is the worker that has it, is for a port the thread that holds
/// `lock`. The law here:
///
/// - Who wakes it (`notify`, on the thread of the one who sent) only *tries* the lock, so
///   that sending never waits, and two ports that send to each other never deadlock. If
///   the lock is taken, its holder looks again after giving it back: so whoever has it while
///   a process lives here gives it back by `leave` and by nothing else, however little it did.
///   Where a thread looks out for what comes, it is called instead, and deals with it.
/// - The descriptor is readable exactly while something can be received, or a wake-up is
///   asked for; as long as somebody looks at it: a thread that waits here, or the program,
///   which asked for it. It is written and read under the lock, except by `wake`, which is
///   async-signal-safe: it sets `wakeRequested` and then writes; whoever clears the
///   descriptor looks at `wakeRequested` afterwards, and whoever takes the request waits
///   for a `wake` between the two, whose write would otherwise stay for ever.
/// - Lock, descriptor and this object belong to the slot for ever: a late `notify` for an
///   earlier port finds them alive. The next port in the slot uses them again, and for
///   that waits until those who waited for the earlier one (`waiting`) have left: clearing
///   the descriptor would put them to sleep again.
/// - A port may also be a process that the host program runs (`ExternalProgram`): then it has a
///   definition, counts as alive, and a lethal signal ends it. It is ended by whoever leaves the
///   lock, one after the other (`CondemnedPorts`), because an end tells others, who may fall by it.
///   Its slot is kept until the program, which knows nothing of that yet, has let go of the port
///   (`letGo`): descriptor and `wake` must not become another's meanwhile.
final class Port: @unchecked Sendable {  // guard notes stand on each field
    private let lock = Lock()
    private let slot: ProcessPointer
    private unowned let system: ProcessSystem
    /// Constant. An eventfd, non-blocking and close-on-exec.
    private let descriptor: Int32
    /// The port that lives here now; guarded by lock.
    private var living = Pid.none
    /// Whether the descriptor was written and not read since; guarded by lock.
    private var isReadable = false
    private let wakeRequested = Atomic<Bool>(false)
    /// Calls of `wake` that have not written yet, or only just.
    private let wakers = Atomic<Int>(0)
    /// Threads that wait for the descriptor, or are about to; guarded by lock.
    private var waiting = 0
    /// Whether the program has the descriptor; guarded by lock.
    private var isShown = false
    /// For one thread that waits, before it does so for the descriptor.
    private let lookout = Lookout()
    /// Of those who wait; guarded by lock.
    private var patience = Patience()
    /// Timers of requests under way, by their number; guarded by lock.
    private var requests: [UInt64: RequestDeadline] = [:]
    /// What counts as alive while it lives here; nil: a plain port. Guarded by lock.
    private var external: External?
    /// A lethal signal has come and its end is near; guarded by lock.
    private var isCondemned = false
    /// Whose slot has not been given back, for the program still has the port of that life; guarded by lock.
    private var keptFor = Pid.none

    /// A process that the host program runs.
    struct External {
        /// Where it is counted; nil: nowhere.
        let host: Host?
    }

    enum Failure: Error { case timeout, interrupted, closed }

    private init(slot: ProcessPointer, system: ProcessSystem, descriptor: Int32) {
        self.slot = slot
        self.system = system
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Opens a port.
    /// - Returns: nil when the system has no descriptor, or all pids are in use.
    static func open(in system: ProcessSystem) -> (port: Port, pid: Pid)? {
        guard let (port, pid) = try? acquire(in: system) else { return nil }
        port.lock.lock()
        port.beginLocked(pid) { $0.pointee.trapLinks = .failures }
        port.lock.unlock()
        return (port, pid)
    }

    /// A free slot with its port, not published yet.
    static func acquire(in system: ProcessSystem) throws(ProcessSystem.SpawnFault) -> (port: Port, pid: Pid) {
        guard let (slot, pid) = system.table.acquire(for: nil) else { throw .tooManyProcesses }
        let port: Port
        if let raw = slot.pointee.port {
            port = Unmanaged<Port>.fromOpaque(raw).takeUnretainedValue()
        } else {
            let descriptor = obh_eventfd()
            guard descriptor >= 0 else {
                system.table.release(slot, pid)
                throw .noDescriptor
            }
            port = Port(slot: slot, system: system, descriptor: descriptor)
            slot.pointee.port = Unmanaged.passRetained(port).toOpaque()
            slot.pointee.runnable.notify = { raw in
                let slot = ProcessPointer.from(raw)
                Unmanaged<Port>.fromOpaque(slot.pointee.port!).takeUnretainedValue().notify()
            }
        }
        return (port, pid)
    }

    /// Begins a life; `prepare` sets what is constant in it.
    private func beginLocked(_ pid: Pid, _ prepare: (ProcessPointer) -> Void) {
        // Their descriptor is readable since `end`: they are on their way.
        while waiting > 0 {
            lock.unlock()
            sched_yield()
            lock.lock()
        }
        living = pid
        isCondemned = false
        isShown = false
        slot.pointee.pid = pid
        slot.pointee.startedAt = system.clock.now
        slot.pointee.parent = .none
        slot.pointee.isSupervised = false
        slot.pointee.definitionWord.store(0, ordering: .releasing)
        prepare(slot)
        wakeRequested.store(false, ordering: .sequentiallyConsistent)
        clearDescriptor()
        slot.pointee.signals.open(serial: pid.serial)
        slot.pointee.runnable.set(serial: pid.serial, .idle)
    }

    /// Begins the life of a process that the host program runs. `offer` runs when others can send to
    /// it and nothing can be done as it: it answers why it is not to be, or nil and then `relate`
    /// gives it its relations.
    func begin(
        _ pid: Pid, as external: External, prepare: (ProcessPointer) -> Void,
        offer: () -> ProcessSystem.SpawnFault?, relate: (ProcessPointer) -> Void
    ) throws(ProcessSystem.SpawnFault) {
        lock.lock()
        beginLocked(pid, prepare)
        if let fault = offer() {
            endLocked(.nothing(of: pid))
            lock.unlock()
            throw fault
        }
        self.external = external
        relate(slot)
        leave()
    }

    // MARK: Calls of the owner

    /// Runs `body` as the process `pid`, with all signals handled before.
    func act<Result>(as pid: Pid, _ body: (ProcessPointer) -> Result) throws(Failure) -> Result {
        lock.lock()
        guard living == pid else {
            leave()
            throw .closed
        }
        settle()
        if isCondemned {
            leave()
            throw .closed
        }
        let result = body(slot)
        leave()
        return result
    }

    func isOpen(as pid: Pid) -> Bool {
        lock.lock()
        defer { leave() }
        return living == pid && !isCondemned
    }

    enum RequestOutcome { case sent(UInt64), notFound, full }

    /// Asks `target` (M7): exactly one answer comes to the mailbox under the number, by whichever is
    /// first: a reply, the end of `target`, or the time.
    /// - Parameter timeout: nanoseconds, more than 0; negative: for ever.
    func request(
        as pid: Pid, _ target: Pid, topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer, timeout: Int64
    ) throws(Failure) -> RequestOutcome {
        try act(as: pid) { process in
            guard let number = process.beginInquiry(target) else { return .notFound }
            switch system.send(from: pid, to: target, topic: topic, payload: payload, request: number) {
            case .sent: break
            case .notFound:
                process.endInquiry(number)
                return .notFound
            case .full:
                process.endInquiry(number)
                return .full
            }
            if timeout > 0 { requests[number] = RequestDeadline(system, pid, number, after: timeout) }
            return .sent(number)
        }
    }

    /// An answer has come; under the lock.
    fileprivate func forgetRequest(_ number: UInt64) { requests.removeValue(forKey: number)?.disarm() }

    /// The descriptor for the program to wait for; from now on it tells what can be received.
    func showDescriptor(as pid: Pid) -> Int32 {
        lock.lock()
        if living == pid { isShown = true }
        leave()
        return descriptor
    }

    /// The next message or event in order of arrival; the caller releases it.
    /// - Parameter timeout: nanoseconds; negative: for ever, 0: not at all.
    func receive(as pid: Pid, timeout: Int64) throws(Failure) -> SignalPointer {
        let start = Clock.read(CLOCK_MONOTONIC)
        var end = LastWait.none
        while true {
            let wait: Wait
            switch try tryReceive(as: pid, after: end, willWait: timeout != 0) {
            case .received(let signal): return signal
            case .nothing(let next): wait = next
            }
            let now = Clock.read(CLOCK_MONOTONIC)
            let left = timeout < 0 ? -1 : max(0, timeout - (now - start))
            switch wait {
            case .no: throw .timeout
            case .lookOut:
                let look = Patience.lookOut(for: left) { lookout.wasCalled }
                end = .lookedOut(lookout.giveBack(after: look))
            case .sleep where left == 0:
                lock.lock()
                waiting -= 1
                leave()
                throw .timeout
            case .sleep:
                obh_wait_readable(descriptor, left)
                end = .slept(Clock.read(CLOCK_MONOTONIC) - now)
            }
        }
    }

    /// How a thread waits for what it did not find.
    private enum Wait { case no, lookOut, sleep }

    /// What came of it.
    private enum LastWait {
        case none
        case lookedOut(LookoutEnd)
        /// For so many nanoseconds.
        case slept(Int64)
    }

    private enum Received {
        case received(SignalPointer)
        case nothing(Wait)
    }

    /// - Parameter willWait: whether the caller waits when nothing is there. It does what the answer says: has the `lookout`,
    ///   or counts in `waiting`, until it is back here.
    private func tryReceive(as pid: Pid, after last: LastWait, willWait: Bool) throws(Failure) -> Received {
        lock.lock()
        var mayLookOut = true
        var slept: Int64?
        switch last {
        case .none: break
        case .lookedOut(let end):
            patience.lookedOut(end)
            mayLookOut = end == .came
        case .slept(let duration):
            waiting -= 1
            slept = duration
        }
        guard living == pid else {
            leave()
            throw .closed
        }
        if takeWakeRequest() {
            leave()
            throw .interrupted
        }
        handle()
        if isCondemned {
            leave()
            throw .closed
        }
        if let signal = slot.takeOldest() {
            if let slept { patience.slept(slept) }
            leave()
            return .received(signal)
        }
        // It was the time that woke it, and a look would not have spared the sleep.
        if slept != nil { patience.sleptInVain() }
        var wait = Wait.no
        if willWait { wait = mayLookOut && patience.isWorthwhile && lookout.take() ? .lookOut : .sleep }
        if wait == .sleep { waiting += 1 }
        // If something has come before it had the lookout, this calls it.
        leave()
        return .nothing(wait)
    }

    /// Asks `target` and waits for its answer or its end (M7); the caller releases it. For a port that does nothing
    /// else, and is open until this has returned or the runtime stops.
    /// - Parameter timeout: nanoseconds; negative: for ever, 0: it is only asked.
    /// - Returns: nil when `target` has ended before.
    func ask(
        as pid: Pid, _ target: Pid, _ topic: SupervisionTopic, _ payload: UnsafeRawBufferPointer, timeout: Int64
    ) throws(Failure) -> SignalPointer? {
        let start = Clock.read(CLOCK_MONOTONIC)
        let isAsked = try act(as: pid) { process -> Bool in
            guard let number = process.beginInquiry(target) else { return false }
            return system.sendUnbounded(from: pid, to: target, topic: topic, payload: payload, request: number)
        }
        guard isAsked else { return nil }
        while true {
            let left = timeout < 0 ? -1 : max(0, timeout - (Clock.read(CLOCK_MONOTONIC) - start))
            let signal = try receive(as: pid, timeout: left)
            if signal.pointee.kind == .reply { return signal }
            signal.release()
        }
    }

    /// Ends one wait; async-signal-safe.
    func wake() {
        _ = wakers.add(1, ordering: .sequentiallyConsistent)
        wakeRequested.store(true, ordering: .sequentiallyConsistent)
        _ = lookout.call()
        obh_eventfd_ring(descriptor)
        _ = wakers.subtract(1, ordering: .sequentiallyConsistent)
    }

    /// Ends it as a process ends, by default normally with nil; later calls as `pid` are `closed`.
    /// - Returns: false when it had ended already.
    @discardableResult
    func end(_ pid: Pid, _ reason: ExitReason? = nil) -> Bool {
        lock.lock()
        guard living == pid else {
            leave()
            return false
        }
        // A lethal signal that came before is the cause (P4).
        settle()
        let cause = slot.pointee.doom
        endLocked(cause ?? reason ?? .nothing(of: pid))
        lock.unlock()
        if cause != nil { system.condemned.endAll() }
        system.offers.endAll(of: pid)
        return cause == nil
    }

    /// Carries out what a lethal signal has begun.
    fileprivate func endCondemned(_ pid: Pid) {
        lock.lock()
        let reason = living == pid ? slot.pointee.doom : nil
        if let reason { endLocked(reason) }
        leave()
        if reason != nil { system.offers.endAll(of: pid) }
    }

    /// For who had the port of `pid`, or had taken it out of the offers, and will use it no more; it has ended, or is about to.
    func letGo(_ pid: Pid) {
        lock.lock()
        let isKept = keptFor == pid
        if isKept { keptFor = .none }
        leave()
        if isKept { system.table.giveBack(slot, pid) }
    }

    private func endLocked(_ reason: ExitReason) {
        let pid = living
        let external = external
        living = .none
        self.external = nil
        for (_, deadline) in requests { deadline.disarm() }
        requests = [:]
        let isKept = external != nil && !system.offers.remove(pid)
        if isKept { keptFor = pid }
        slot.finish(reason, keepingSlot: isKept)
        // Those who wait find that it has ended.
        makeReadable()
        _ = lookout.call()
        guard let external else { return }
        external.host?.processCount.subtract(1, ordering: .relaxed)
        system.ended.wrappingAdd(1, ordering: .relaxed)
        system.countDown()
    }

    // MARK: Under the lock

    /// On the thread of whoever sent a signal.
    private func notify() {
        if lookout.call() { return }
        if lock.try() { leave() }
    }

    /// Handles what has come, and gives the lock back; looks again if more came meanwhile.
    private func leave() {
        var condemned = false
        repeat {
            if living != .none {
                settle()
                condemned = condemned || isCondemned
            }
            lock.unlock()
        } while slot.pointee.runnable.phase == .queued && lock.try()
        if condemned { system.condemned.endAll() }
    }

    private func settle() {
        handle()
        let isDue = slot.hasSomething || wakeRequested.load(ordering: .sequentiallyConsistent)
        if isDue && lookout.call() { return }
        if isDue && (isShown || waiting > 0) {
            makeReadable()
        } else if isReadable {
            clearDescriptor()
        }
    }

    private func handle() {
        slot.pointee.runnable.become(.idle)
        slot.drain()
        if slot.pointee.doom != nil && !isCondemned {
            isCondemned = true
            system.condemned.add(self, living)
        }
        slot.pointee.mailbox.route()
    }

    /// Takes the request of `wake`, if there is one, with all that was written for it.
    private func takeWakeRequest() -> Bool {
        guard wakeRequested.exchange(false, ordering: .sequentiallyConsistent) else { return false }
        // Who has requested and not written yet is between two instructions, on another
        // thread: a handler on this one has run to its end.
        while wakers.load(ordering: .sequentiallyConsistent) > 0 { sched_yield() }
        clearDescriptor()
        return true
    }

    private func makeReadable() {
        guard !isReadable else { return }
        isReadable = true
        obh_eventfd_ring(descriptor)
    }

    private func clearDescriptor() {
        obh_eventfd_silence(descriptor)
        isReadable = false
        // `wake` sets its request before it writes: what was read away is put back.
        if wakeRequested.load(ordering: .sequentiallyConsistent) { makeReadable() }
    }
}

extension UnsafeMutablePointer where Pointee == ProcessSlot {
    fileprivate var hasSomething: Bool {
        pointee.mailbox.head(of: .inbox) != nil || pointee.mailbox.head(of: .events) != nil
            || pointee.mailbox.answers.head != nil
    }

    /// The oldest of inbox and events; route before. The caller releases it.
    @inline(__always)
    func takeOldest() -> SignalPointer? {
        pointee.mailbox.hasEvents ? takeOldestOfBoth() : take(from: .inbox)
    }

    private func takeOldestOfBoth() -> SignalPointer? {
        let message = pointee.mailbox.head(of: .inbox)
        let event = pointee.mailbox.head(of: .events)
        switch (message, event) {
        case (nil, nil): return nil
        case (_?, nil): return take(from: .inbox)
        case (nil, _?): return take(from: .events)
        case (let message?, let event?):
            return take(
                from: message.pointee.sequence < event.pointee.sequence ? .inbox : .events)
        }
    }
}

// MARK: Answers

/// How a request was answered: field `b` of the reply that a port's owner reads.
enum RequestAnswer {
    static let value: UInt64 = 0
    /// Of `ReplyError` there is one more between these, which only a supervisor answers, to `ask`.
    static let error: UInt64 = ReplyError.refused
    static let timeout: UInt64 = ReplyError.failed + 1
    static let ended: UInt64 = ReplyError.failed + 2
}

/// The time of a request of a port. It keeps itself alive until its timer has fired or is disarmed.
final class RequestDeadline {
    private unowned let system: ProcessSystem
    private let pid: Pid
    private let number: UInt64
    private let timeout: Int64
    private var timer = Timers.ID.none

    init(_ system: ProcessSystem, _ pid: Pid, _ number: UInt64, after timeout: Int64) {
        self.system = system
        self.pid = pid
        self.number = number
        self.timeout = timeout
        let (sum, overflow) = system.clock.now.addingReportingOverflow(timeout)
        timer = system.scheduler.timers.arm(
            at: overflow ? .max - 1 : sum, context: Unmanaged.passRetained(self).toOpaque(), argument: 0
        ) { context, _ in Unmanaged<RequestDeadline>.fromOpaque(context).takeRetainedValue().fire() }
    }

    func disarm() {
        if system.scheduler.timers.disarm(timer) { Unmanaged.passUnretained(self).release() }
    }

    private func fire() {
        var writer = PayloadWriter()
        ErrorValue(kind: "TIMEOUT", message: "timeout: no reply within \(formatDuration(timeout))", retryable: true)
            .write(into: &writer)
        _ = system.deliver(
            .makeMessage(
                .reply, from: .none, topic: UnsafeRawBufferPointer(start: nil, count: 0), payload: writer.bytes,
                a: number, b: RequestAnswer.timeout),
            to: pid)
    }
}

extension UnsafeMutablePointer where Pointee == ProcessSlot {
    /// Appends the answer to a request to a port's mailbox, the end of the one asked as a reply that says so.
    func keepPortAnswer(_ signal: SignalPointer) {
        let number = signal.pointee.a
        Unmanaged<Port>.fromOpaque(pointee.port!)._withUnsafeGuaranteedRef { $0.forgetRequest(number) }
        guard signal.pointee.kind == .exit else { return pointee.mailbox.append(signal) }
        let (from, reason) = (signal.pointee.from, signal.reason)
        let how = reason.isAbnormal ? "failed: \(reason.text)" : "ended"
        var writer = PayloadWriter()
        ErrorValue(kind: "NOT_FOUND", message: "no reply: process \(system.text(of: from)) \(how)").write(into: &writer)
        pointee.mailbox.append(
            .makeMessage(
                .reply, from: from, topic: UnsafeRawBufferPointer(start: nil, count: 0), payload: writer.bytes,
                a: number, b: RequestAnswer.ended))
        signal.release()
    }
}

/// Ports whose process has to end by a lethal signal. One thread at a time ends them, one after the
/// other: each end tells others, who may fall by it in turn, and a chain of any length must not
/// become as many calls within each other.
final class CondemnedPorts: @unchecked Sendable {  // guarded by lock
    private let lock = Lock()
    private var waiting: [(port: Port, pid: Pid)] = []
    private var isEnding = false

    /// Under the lock of the port.
    func add(_ port: Port, _ pid: Pid) { lock.with { waiting.append((port, pid)) } }

    /// Without the lock of any port.
    func endAll() {
        let isMine = lock.with { () -> Bool in
            defer { isEnding = true }
            return !isEnding
        }
        guard isMine else { return }
        while true {
            let batch = lock.with { () -> [(port: Port, pid: Pid)] in
                if waiting.isEmpty { isEnding = false }
                defer { waiting = [] }
                return waiting
            }
            if batch.isEmpty { return }
            for (port, pid) in batch { port.endCondemned(pid) }
        }
    }
}
