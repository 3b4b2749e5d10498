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
///   the lock is taken, its holder looks again after giving it back (`leave`).
/// - The descriptor is readable exactly while something can be received, or a wake-up is
///   asked for. It is written and read under the lock, except by `wake`, which is
///   async-signal-safe: it sets `wakeRequested` and then writes; whoever clears the
///   descriptor looks at `wakeRequested` afterwards, and whoever takes the request waits
///   for a `wake` between the two, whose write would otherwise stay for ever.
/// - Lock, descriptor and this object belong to the slot for ever: a late `notify` for an
///   earlier port finds them alive. The next port in the slot uses them again, and for
///   that waits until those who waited for the earlier one (`waiting`) have left: clearing
///   the descriptor would put them to sleep again.
final class Port: @unchecked Sendable {  // guard notes stand on each field
    private let lock = Lock()
    private let slot: ProcessPointer
    private unowned let system: ProcessSystem
    /// Constant. An eventfd, non-blocking and close-on-exec.
    let descriptor: Int32
    /// The port that lives here now; guarded by lock.
    private var living = Pid.none
    /// Whether the descriptor was written and not read since; guarded by lock.
    private var isReadable = false
    private let wakeRequested = Atomic<Bool>(false)
    /// Calls of `wake` that have not written yet, or only just.
    private let wakers = Atomic<Int>(0)
    /// Threads that wait for the descriptor, or are about to; guarded by lock.
    private var waiting = 0

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
        guard let (slot, pid) = system.table.acquire(for: nil) else { return nil }
        let port: Port
        if let raw = slot.pointee.port {
            port = Unmanaged<Port>.fromOpaque(raw).takeUnretainedValue()
        } else {
            let descriptor = obh_eventfd()
            guard descriptor >= 0 else {
                system.table.release(slot, pid)
                return nil
            }
            port = Port(slot: slot, system: system, descriptor: descriptor)
            slot.pointee.port = Unmanaged.passRetained(port).toOpaque()
            slot.pointee.runnable.notify = { raw in
                let slot = ProcessPointer.from(raw)
                Unmanaged<Port>.fromOpaque(slot.pointee.port!).takeUnretainedValue().notify()
            }
        }
        port.lock.with {
            // Their descriptor is readable since `end`: they are on their way.
            while port.waiting > 0 {
                port.lock.unlock()
                sched_yield()
                port.lock.lock()
            }
            port.living = pid
            slot.pointee.pid = pid
            slot.pointee.startedAt = system.clock.now
            slot.pointee.trapLinks = .failures
            port.wakeRequested.store(false, ordering: .sequentiallyConsistent)
            port.clearDescriptor()
            slot.pointee.signals.open(serial: pid.serial)
            slot.pointee.runnable.set(serial: pid.serial, .idle)
        }
        return (port, pid)
    }

    // MARK: Calls of the owner

    /// Runs `body` as the process `pid`, with all signals handled before.
    func act<Result>(as pid: Pid, _ body: (ProcessPointer) -> Result) throws(Failure) -> Result {
        lock.lock()
        guard living == pid else {
            lock.unlock()
            throw .closed
        }
        settle()
        let result = body(slot)
        leave()
        return result
    }

    func isOpen(as pid: Pid) -> Bool { lock.with { living == pid } }

    /// The next message or event in order of arrival; the caller releases it.
    /// - Parameter timeout: nanoseconds; negative: for ever, 0: not at all.
    func receive(as pid: Pid, timeout: Int64) throws(Failure) -> SignalPointer {
        let start = Clock.read(CLOCK_MONOTONIC)
        var hasWaited = false
        while true {
            if let signal = try tryReceive(as: pid, hasWaited, willWait: timeout != 0) { return signal }
            var wait: Int64 = -1
            if timeout >= 0 {
                wait = max(0, timeout - (Clock.read(CLOCK_MONOTONIC) - start))
                if wait == 0 {
                    if timeout > 0 { lock.with { waiting -= 1 } }
                    throw .timeout
                }
            }
            obh_wait_readable(descriptor, wait)
            hasWaited = true
        }
    }

    /// - Parameter willWait: whether the caller, when nothing is there, waits for the
    ///   descriptor; it counts in `waiting` until it is back here.
    private func tryReceive(
        as pid: Pid, _ hasWaited: Bool, willWait: Bool
    ) throws(Failure) -> SignalPointer? {
        lock.lock()
        if hasWaited { waiting -= 1 }
        guard living == pid else {
            lock.unlock()
            throw .closed
        }
        if takeWakeRequest() {
            leave()
            throw .interrupted
        }
        settle()
        let signal = slot.takeOldest()
        if signal == nil && willWait { waiting += 1 }
        leave()
        return signal
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
            let answer = try act(as: pid) { $0.pointee.mailbox.answers.removeFirst() }
            if let answer { return answer }
            var wait: Int64 = -1
            if timeout >= 0 {
                wait = max(0, timeout - (Clock.read(CLOCK_MONOTONIC) - start))
                if wait == 0 { throw .timeout }
            }
            obh_wait_readable(descriptor, wait)
        }
    }

    /// Ends one wait; async-signal-safe.
    func wake() {
        _ = wakers.add(1, ordering: .sequentiallyConsistent)
        wakeRequested.store(true, ordering: .sequentiallyConsistent)
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
        _ = wakers.subtract(1, ordering: .sequentiallyConsistent)
    }

    /// Ends the port as a process ends normally; later calls as `pid` are `closed`.
    func end(_ pid: Pid) {
        lock.lock()
        guard living == pid else { return lock.unlock() }
        var writer = PayloadWriter()
        writer.writeNil()
        let reason = ExitReason.value(writer.bytes, of: pid)
        living = .none
        slot.finish(reason)
        // Those who wait find that it has ended.
        makeReadable()
        lock.unlock()
    }

    // MARK: Under the lock

    /// On the thread of whoever sent a signal.
    private func notify() {
        if lock.try() { leave() }
    }

    /// Handles what has come, and gives the lock back; looks again if more came meanwhile.
    private func leave() {
        repeat {
            if living != .none { settle() }
            lock.unlock()
        } while slot.pointee.runnable.phase == .queued && lock.try()
    }

    private func settle() {
        slot.pointee.runnable.become(.idle)
        slot.drain()
        slot.pointee.mailbox.route()
        if slot.hasSomething || wakeRequested.load(ordering: .sequentiallyConsistent) {
            makeReadable()
        } else if isReadable {
            clearDescriptor()
        }
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
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    private func clearDescriptor() {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
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
    func takeOldest() -> SignalPointer? {
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
