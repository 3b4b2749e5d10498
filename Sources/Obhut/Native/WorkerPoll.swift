import CNative
import CObhut
import Glibc

/// The descriptors of the children of a runtime, and who waits for them: the thread `obhut-native` always, and with it an idle
/// worker, if there is one (`IdlePoll`).
///
/// The kernel wakes one of those that wait, and of them the one that came last. So what a child asks reaches the worker that has just
/// gone idle, which does it and what follows from it without a wake-up of anybody; while all workers are busy, it reaches the thread. Nothing
/// depends on whom it reaches but that: what is heard is handled under one lock, by `handler`.
///
/// Each of the two has a bell that makes it return, and may hear the other's. A bell is told once, until it is armed again. Who hears
/// one that is not its own arms it for the other, and stays away until that has left, lest it hear it again.
final class WorkerPoll: IdlePoll, @unchecked Sendable {  // guard notes stand on each mutable field
    /// One of the two. What varies is guarded by the poll's lock.
    private final class Waiter {
        /// Of its bell, smaller than those of children.
        let token: UInt64
        let bell = obh_eventfd()
        var isHere = false
        /// How often it has left.
        var leavings = 0
        /// Its bell has been told, and is not armed.
        var isTold = false

        init(token: UInt64) { self.token = token }

        /// Not before: a thread that was about to ring it would write into a file of the program's that got its number.
        deinit { if bell >= 0 { Glibc.close(bell) } }
    }

    private let poll: Int32
    private let thread = Waiter(token: 0)
    private let worker = Waiter(token: 1)
    private let isOpen: Bool
    /// Held while events are handled; taken before every lock that the handler takes.
    private let handling = Lock()
    /// Set before the first descriptor is added.
    var handler: (obn_poll_event) -> Void = { _ in }

    private let lock = Lock()
    private let left = Condition()

    /// Nil: no descriptor is left.
    static func open() -> WorkerPoll? {
        let poll = WorkerPoll()
        if poll.isOpen { return poll }
        poll.closePoll()
        return nil
    }

    private override init() {
        poll = obn_poll_new()
        let (poll, waiters) = (poll, [thread, worker])
        isOpen =
            poll >= 0
            && waiters.allSatisfy { $0.bell >= 0 && obn_poll_add(poll, $0.bell, $0.token, Int32(OBN_POLL_ONCE)) == 0 }
        super.init()
    }

    /// Its thread has ended, and nobody else uses it but a worker, which leaves.
    func close() {
        retire()
        closePoll()
    }

    private func closePoll() { if poll >= 0 { Glibc.close(poll) } }

    // MARK: Descriptors

    /// - Parameter token: more than 3.
    /// - Parameter watching: OBN_POLL_….
    /// - Returns: 0 or an errno.
    func add(_ descriptor: Int32, token: UInt64, watching: Int32 = 0) -> Int32 { obn_poll_add(poll, descriptor, token, watching) }
    func change(_ descriptor: Int32, token: UInt64, watching: Int32) { _ = obn_poll_change(poll, descriptor, token, watching) }
    func remove(_ descriptor: Int32) { obn_poll_remove(poll, descriptor) }

    // MARK: Waiting

    /// Waits, and handles what it hears.
    /// - Parameter timeout: milliseconds; -1: for ever.
    /// - Parameter after: as if it were handled.
    func waitAsThread(timeout: Int32, after: () -> Void) {
        _ = wait(as: thread, beside: worker, timeout: timeout)
        handling.with(after)
    }

    /// Lets the thread's wait that is under way, or else its next, return; any thread.
    func interruptThread() { obh_eventfd_ring(thread.bell) }

    override func wait() { _ = wait(as: worker, beside: thread, timeout: -1) }
    override func look() -> Bool { wait(as: worker, beside: thread, timeout: 0) }
    override func interrupt() { obh_eventfd_ring(worker.bell) }

    /// - Returns: whether a child has said something.
    private func wait(as waiter: Waiter, beside other: Waiter, timeout: Int32) -> Bool {
        lock.with {
            waiter.isHere = true
            if waiter.isTold { armLocked(waiter) }
        }
        return withUnsafeTemporaryAllocation(of: obn_poll_event.self, capacity: 32) { room in
            let count = obn_poll_wait(poll, room.baseAddress, Int32(room.count), timeout)
            let events = room.prefix(Int(count))
            func hears(_ waiter: Waiter) -> Bool { events.contains { $0.token == waiter.token } }
            if hears(waiter) { obh_eventfd_silence(waiter.bell) }
            let leavings = lock.with { () -> Int? in
                if hears(waiter) { waiter.isTold = true }
                waiter.isHere = false
                waiter.leavings += 1
                left.broadcast()
                return hears(other) ? passOnLocked(to: other) : nil
            }
            handling.with {
                for event in events where event.token > worker.token {
                    Host.shareReady()
                    handler(event)
                }
            }
            if let leavings { lock.with { while other.leavings == leavings { left.wait(lock) } } }
            return events.contains { $0.token > worker.token }
        }
    }

    /// Its bell was heard by the other.
    /// - Returns: how often it had left, if it is here and will hear it; where it is not, it arms the bell when it comes.
    private func passOnLocked(to waiter: Waiter) -> Int? {
        waiter.isTold = true
        guard waiter.isHere else { return nil }
        armLocked(waiter)
        return waiter.leavings
    }

    /// It is told at once if it has been rung already.
    private func armLocked(_ waiter: Waiter) {
        waiter.isTold = false
        _ = obn_poll_change(poll, waiter.bell, waiter.token, Int32(OBN_POLL_ONCE))
    }
}
