import CObhut
import Synchronization

typealias RunnablePointer = UnsafeMutablePointer<Runnable>

/// What the scheduler schedules: the first field of a process, and of a port.
///
/// The law of this folder. A runnable is in exactly one *phase*:
///
///     free ──publish──▶ idle ──wake──▶ queued ──take──▶ running ──▶ idle | queued | free
///                       idle ────────claim────────────▶ running
///
/// - The phase shares one atomic word with the *serial* of the life it belongs to, so
///   that every transition is one compare-and-swap, and an act on an earlier life fails.
/// - Whoever wins `take` or `claim` owns the runnable and all state behind it until it leaves
///   `running`: nobody else touches that state. All others send signals.
/// - Queues hold hints. A runnable may stand in several queues (its own worker's, and
///   the urgent lane); the first to win `take` runs it, the other entries are skipped. But it stands
///   only once among the interrupted, where an entry is worth a whole turn.
/// - The memory of a runnable is never given back while the runtime lives, so that a
///   stale entry or a stale pid reads a word of the right type and is refused.
///
/// Lost wake-ups: a sender first pushes its signal, then tries `idle → queued`. A worker
/// first stores `idle`, then looks at the signal queue again. All four accesses are
/// sequentially consistent, so at least one of the two sees the other.
struct Runnable: ~Copyable {
    enum Phase: UInt64 {
        case free = 0, idle, queued, running
    }

    /// Not used. A change of any field of a slot by its owner counts for the thread sanitizer
    /// as an access to the slot's first byte; an atomic there would race with it in its eyes.
    private let first: UInt64 = 0

    /// `serial << 8 | phase`.
    private let word = Atomic<UInt64>(0)

    /// Set by whoever sends a lethal signal, after the push; cleared by the owner before
    /// it drains. Advisory: what counts is in the signal queue. A runnable that computes
    /// is interrupted early because of it.
    let attention = Atomic<Bool>(false)

    /// While an entry for it is in its host's queue of the interrupted: the serial of the life that was, and 1; otherwise 0.
    /// Changed by `Host` alone.
    let interruptedLife = Atomic<UInt64>(0)

    /// The host it runs on, nil for a port. Constant once set; hosts outlive runnables.
    var host: Unmanaged<Host>? = nil

    /// Runs it, on the thread that won `take`; leaves the phase as it should be. Constant.
    var run: @convention(c) (UnsafeMutableRawPointer) -> Void = { _ in }

    /// Called once by whoever moved it from idle to queued, when it has no host (ports).
    var notify: @convention(c) (UnsafeMutableRawPointer) -> Void = { _ in }

    /// Called by the watch when its step has passed the host's `step_limit` and every
    /// spare worker is in use (H3), with the serial of the life whose step it is. Constant.
    var overrun: @convention(c) (UnsafeMutableRawPointer, UInt64) -> Void = { _, _ in }

    @inline(__always)
    static func make(_ serial: UInt64, _ phase: Phase) -> UInt64 { serial << 8 | phase.rawValue }

    @inline(__always)
    var serial: UInt64 { word.load(ordering: .sequentiallyConsistent) >> 8 }

    @inline(__always)
    var phase: Phase {
        Phase(rawValue: word.load(ordering: .sequentiallyConsistent) & 0xff).unsafelyUnwrapped
    }

    /// Whether the life that is now has a place among the interrupted, seen by whoever has taken it from somewhere else.
    var standsInterrupted: Bool { interruptedLife.load(ordering: .sequentiallyConsistent) == serial &+ 1 }

    /// Begins or ends a life; only the owner of the slot.
    func set(serial: UInt64, _ phase: Phase) {
        word.store(Runnable.make(serial, phase), ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    func become(_ phase: Phase) {
        let serial = word.load(ordering: .relaxed) >> 8
        word.store(Runnable.make(serial, phase), ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    func wakeWord(serial: UInt64) -> Bool { leaveIdle(serial, .queued) }

    /// Claims an idle runnable for this thread, which need not be a worker: instead of a wake-up.
    @inline(__always)
    func claimWord(serial: UInt64) -> Bool { leaveIdle(serial, .running) }

    @inline(__always)
    private func leaveIdle(_ serial: UInt64, _ phase: Phase) -> Bool {
        // Looked at first: to one that is awake a locked instruction less.
        guard word.load(ordering: .sequentiallyConsistent) == Runnable.make(serial, .idle) else { return false }
        return word.compareExchange(
            expected: Runnable.make(serial, .idle), desired: Runnable.make(serial, phase),
            ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// Claims a queued runnable, whatever its serial.
    @inline(__always)
    func takeWord() -> Bool {
        // Not relaxed: after what `Host.takeInterrupted` has stored.
        let current = word.load(ordering: .sequentiallyConsistent)
        guard current & 0xff == Phase.queued.rawValue else { return false }
        return word.compareExchange(
            expected: current, desired: current & ~0xff | Phase.running.rawValue,
            ordering: .sequentiallyConsistent
        ).exchanged
    }
}

extension UnsafeMutablePointer where Pointee == Runnable {
    /// After a signal was pushed: makes an idle runnable run. Any thread.
    @inline(__always)
    func wake(serial: UInt64) {
        guard pointee.wakeWord(serial: serial) else { return }
        enqueue()
    }

    /// Puts a runnable that is `queued` where a worker will find it.
    @inline(__always)
    func enqueue() {
        guard let host = pointee.host else { return pointee.notify(UnsafeMutableRawPointer(self)) }
        host._withUnsafeGuaranteedRef { $0.enqueue(self) }
    }

    /// After a lethal signal was pushed: any free worker takes it from the urgent lane,
    /// whatever queue it stands in; one that runs is interrupted. Any thread.
    func wakeUrgently(serial: UInt64) {
        pointee.attention.store(true, ordering: .sequentiallyConsistent)
        guard let host = pointee.host else { return wake(serial: serial) }
        if pointee.wakeWord(serial: serial) { return host.takeUnretainedValue().enqueueUrgently(self) }
        switch pointee.phase {
        case .queued: host.takeUnretainedValue().enqueueUrgently(self)
        case .running: host.takeUnretainedValue().interrupt(self)
        default: break
        }
    }
}
