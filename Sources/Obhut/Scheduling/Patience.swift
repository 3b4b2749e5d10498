import CObhut
import Glibc
import Synchronization

/// Whether a thread, before it sleeps, looks out for a while for what it waits for.
///
/// Who sleeps has to be woken. That costs the one who wakes it some microseconds, and where its processor went to sleep with it,
/// twenty more pass until it runs. Who is spoken to again and again by somebody who waits for the answer would pay this each
/// time. So a thread that had to be woken soon after it had fallen asleep, some times in a row, looks out next time: about as
/// long as a sleep costs, so that it never pays much more than double (Karlin, Li, Manasse and Owicki, "Empirical studies of
/// competitive spinning for a shared-memory multiprocessor", 1991). Once in vain, and it sleeps at once again until it has new
/// reason, twice as much each time: an idle runtime uses no CPU (H4), and one that is woken in a steady beat that is a little too
/// slow uses hardly more than it did.
struct Patience {
    /// Nanoseconds.
    private static let longest: Int64 = 50_000
    /// A sleep of up to so many nanoseconds, with the time that it took to be woken from it, would have been spared by a look.
    private static let soon = 2 * longest
    /// Between two looks nobody else had the processor for as long, unless it was asked for.
    private static let hop: Int64 = 2_000
    /// So many of them in a row are reason enough, at first and at most.
    private static let enough: (first: UInt8, most: UInt8) = (3, 96)

    /// A seam for tests: every thread looks out before it sleeps.
    static let isEndless = Atomic<Bool>(false)

    private var shortSleeps: UInt8 = 0
    private var enough = Patience.enough.first

    var isWorthwhile: Bool { hasReason || Patience.isEndless.load(ordering: .relaxed) }
    var hasReason: Bool { shortSleeps >= enough }

    /// It slept for so many nanoseconds, until what it waited for had come.
    mutating func slept(_ duration: Int64) {
        shortSleeps = duration <= Patience.soon ? min(shortSleeps + 1, enough) : 0
    }

    /// It looked out, and what it waited for has come, or has not.
    mutating func lookedOut(_ hasCome: Bool) {
        enough = hasCome ? Patience.enough.first : min(enough * 2, Patience.enough.most)
        shortSleeps = hasCome ? enough : 0
    }

    /// - Parameter most: nanoseconds; negative: no less than is usual.
    /// - Parameter hasCome: asked again and again, and what takes longer, `elsewhere`, each microsecond or so.
    /// - Returns: whether `hasCome`; false when it has not for long enough.
    static func lookOut(for most: Int64 = -1, elsewhere: () -> Bool = { false }, _ hasCome: () -> Bool) -> Bool {
        let start = Clock.read(CLOCK_MONOTONIC)
        let end = start + (most < 0 ? longest : min(most, longest))
        var now = start, looks = 1
        repeat {
            for _ in 0..<looks {
                if hasCome() { return true }
                obh_relax()
            }
            if elsewhere() { return true }
            // Who is to come may wait for this processor. Where nobody does, looking costs less than asking.
            let before = now
            sched_yield()
            now = Clock.read(CLOCK_MONOTONIC)
            looks = now - before > hop ? 1 : 32
        } while now < end
        return hasCome()
    }
}

/// The place of one thread that looks out, and that others call where they would have to wake one who sleeps.
///
/// Whoever looks out takes the place, then looks whether something has come before, and then waits for a call. Whoever has
/// something for it makes that visible and then calls; if nobody is there, somebody sleeps or will look before sleeping. All in
/// sequential consistency, so that one of the two sees the other.
struct Lookout: ~Copyable {
    private static let nobody: UInt8 = 0
    private static let somebody: UInt8 = 1
    private static let called: UInt8 = 2
    private let word = Atomic<UInt8>(nobody)

    /// False: another one has it.
    func take() -> Bool {
        word.compareExchange(
            expected: Lookout.nobody, desired: Lookout.somebody, ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// Any thread, also in a signal handler.
    /// - Returns: whether somebody is there who has not been called before, and comes now.
    @inline(__always)
    func call() -> Bool {
        word.load(ordering: .sequentiallyConsistent) == Lookout.somebody
            && word.compareExchange(
                expected: Lookout.somebody, desired: Lookout.called, ordering: .sequentiallyConsistent
            ).exchanged
    }

    /// For whoever has taken it. Acquiring: what was made visible before the call is seen.
    var wasCalled: Bool { word.load(ordering: .acquiring) == Lookout.called }

    /// For whoever has taken it.
    /// - Returns: whether it was called; it deals with what has come, then.
    func giveBack() -> Bool { word.exchange(Lookout.nobody, ordering: .sequentiallyConsistent) == Lookout.called }
}
