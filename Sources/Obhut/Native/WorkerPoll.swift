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
    private enum Place: UInt64 {
        case thread = 0, worker
    }

    private struct Waiter {
        var isHere = false
        /// How often it has left.
        var leavings = 0
        /// Its bell has been told, and is not armed.
        var isTold = false
    }

    private let poll: Int32
    private let threadBell: Int32
    private let workerBell: Int32
    private let isOpen: Bool
    /// Held while events are handled; taken before every lock that the handler takes.
    private let handling = Lock()
    /// Set before the first descriptor is added.
    var handler: (obn_poll_event) -> Void = { _ in }

    private let lock = Lock()
    private let left = Condition()
    private var thread = Waiter()  // guarded by lock
    private var worker = Waiter()  // guarded by lock

    /// Nil: no descriptor is left.
    static func open() -> WorkerPoll? {
        let poll = WorkerPoll()
        if poll.isOpen { return poll }
        poll.closeDescriptors()
        return nil
    }

    private override init() {
        poll = obn_poll_new()
        threadBell = obh_eventfd()
        workerBell = obh_eventfd()
        let once = Int32(OBN_POLL_ONCE)
        isOpen =
            poll >= 0 && threadBell >= 0 && workerBell >= 0 && obn_poll_add(poll, threadBell, Place.thread.rawValue, once) == 0
            && obn_poll_add(poll, workerBell, Place.worker.rawValue, once) == 0
        super.init()
    }

    /// Its thread has ended, and nobody else uses it but a worker, which leaves.
    func close() {
        retire()
        closeDescriptors()
    }

    private func closeDescriptors() {
        for descriptor in [poll, threadBell, workerBell] where descriptor >= 0 { Glibc.close(descriptor) }
    }

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
        wait(at: .thread, timeout: timeout)
        handling.with(after)
    }

    /// Lets the thread's wait that is under way, or else its next, return; any thread.
    func interruptThread() { WorkerPoll.ring(threadBell) }

    override func wait() { wait(at: .worker, timeout: -1) }
    override func interrupt() { WorkerPoll.ring(workerBell) }

    private func wait(at place: Place, timeout: Int32) {
        enter(place)
        withUnsafeTemporaryAllocation(of: obn_poll_event.self, capacity: 32) { room in
            let count = obn_poll_wait(poll, room.baseAddress, Int32(room.count), timeout)
            let events = room.prefix(Int(count))
            let passedOn = leave(place, events)
            handling.with {
                for event in events where event.token > Place.worker.rawValue { handler(event) }
            }
            if let passedOn { stayAway(passedOn) }
        }
    }

    private func enter(_ place: Place) {
        lock.with {
            with(place) { $0.isHere = true }
            if with(place, { $0.isTold }) { armLocked(place) }
        }
    }

    /// What was passed on to the other, that it has to hear before this one waits again.
    private struct PassedOn {
        let place: Place
        let leavings: Int
    }

    private func leave(_ place: Place, _ events: Slice<UnsafeMutableBufferPointer<obn_poll_event>>) -> PassedOn? {
        let other: Place = place == .thread ? .worker : .thread
        let hears = { (place: Place) in events.contains { $0.token == place.rawValue } }
        if hears(place) { WorkerPoll.silence(place == .thread ? threadBell : workerBell) }
        return lock.with {
            with(place) {
                if hears(place) { $0.isTold = true }
                $0.isHere = false
                $0.leavings += 1
            }
            left.broadcast()
            guard hears(other) else { return nil }
            with(other) { $0.isTold = true }
            // Where it is not, it arms the bell when it comes.
            guard with(other, { $0.isHere }) else { return nil }
            armLocked(other)
            return PassedOn(place: other, leavings: with(other) { $0.leavings })
        }
    }

    private func stayAway(_ passedOn: PassedOn) {
        lock.with {
            while with(passedOn.place, { $0.leavings }) == passedOn.leavings { left.wait(lock) }
        }
    }

    /// With `lock` held.
    private func with<Result>(_ place: Place, _ body: (inout Waiter) -> Result) -> Result {
        place == .thread ? body(&thread) : body(&worker)
    }

    /// It is told at once if it has been rung already.
    private func armLocked(_ place: Place) {
        with(place) { $0.isTold = false }
        _ = obn_poll_change(poll, place == .thread ? threadBell : workerBell, place.rawValue, Int32(OBN_POLL_ONCE))
    }

    private static func ring(_ bell: Int32) {
        var one: UInt64 = 1
        _ = Glibc.write(bell, &one, 8)
    }

    private static func silence(_ bell: Int32) {
        var value: UInt64 = 0
        _ = Glibc.read(bell, &value, 8)
    }
}
