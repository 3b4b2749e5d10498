import Glibc
import Synchronization

/// What one idle worker of all hosts waits for beside its queues, in the place of a condition: something outside of the runtime.
///
/// A thread that hears of it and wakes a worker for what it means costs a wake-up more than the worker that hears it
/// itself and goes on with it. Where a processor sleeps deeply, that is most of what a message costs.
///
/// Whoever is outside must be heard when no worker is idle, too: that is the concern of whoever makes one.
class IdlePoll: @unchecked Sendable {  // subclasses guard what they add
    private static let taken: UInt8 = 1
    private static let retired: UInt8 = 2

    private let word = Atomic<UInt8>(0)

    init() {}

    /// For one worker at a time, until `giveBack`.
    final func tryTake() -> Bool {
        word.load(ordering: .relaxed) == 0
            // acquiring: what the last one has left behind is seen.
            && word.compareExchange(expected: 0, desired: IdlePoll.taken, ordering: .acquiringAndReleasing).exchanged
    }

    final func giveBack() { word.bitwiseAnd(~IdlePoll.taken, ordering: .releasing) }

    /// No worker takes it any more; returns when the last one has left.
    final func retire() {
        word.bitwiseOr(IdlePoll.retired, ordering: .relaxed)
        while word.load(ordering: .acquiring) & IdlePoll.taken != 0 {
            interrupt()
            usleep(100)
        }
    }

    /// Waits until something has come, and deals with it, or until it is interrupted. May return without cause.
    func wait() { preconditionFailure("of a subclass") }

    /// Deals with what has come, and waits for nothing.
    /// - Returns: whether something had.
    func look() -> Bool { preconditionFailure("of a subclass") }

    /// Lets the `wait` that is under way, or else the next, return; any thread.
    func interrupt() { preconditionFailure("of a subclass") }
}
