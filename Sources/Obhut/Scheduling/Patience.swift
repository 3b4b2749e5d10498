import CObhut
import Glibc
import Synchronization

/// Whether a thread, before it sleeps, looks out for a while for what it waits for.
///
/// Who sleeps has to be woken. That costs the one who wakes it some microseconds, and where its processor went to sleep with
/// it, twenty more pass until it runs. Who is spoken to again and again by somebody who waits for the answer would pay this
/// each time. So a thread that had to be woken soon after it had fallen asleep, and not only by chance, looks out next time:
/// about as long as a sleep costs, so that it never pays much more than double (Karlin, Li, Manasse and Owicki, "Empirical
/// studies of competitive spinning for a shared-memory multiprocessor", 1991). As soon as somebody else wants its processor
/// it sleeps. Once in vain, and it sleeps at once again until it has new reason, twice as much each time: an idle runtime
/// uses no CPU (H4), and one that is woken in a steady beat that is a little too slow uses hardly more than it did.
struct Patience {
    /// Nanoseconds.
    private static let longest: Int64 = 50_000
    /// A sleep of up to so many nanoseconds, with the time that it took to be woken from it, would have been spared by a look.
    private static let soon = 2 * longest
    /// So many of them are reason enough, at first and at most.
    private static let enough: (first: UInt8, most: UInt8) = (3, 96)
    /// So many of them a longer one takes back. Not all: where one in ten is long by chance, 96 in a row never come.
    private static let price: UInt8 = 3
    /// Who gave way for so many nanoseconds gave way to somebody.
    private static let turn: Int64 = 2_000

    /// A seam for tests: every thread looks out before it sleeps.
    static let isEndless = Atomic<Bool>(false)

    private var shortSleeps: UInt8 = 0
    private var enough = Patience.enough.first

    var isWorthwhile: Bool { hasReason || Patience.isEndless.load(ordering: .relaxed) }
    var hasReason: Bool { shortSleeps >= enough }

    /// It slept for so many nanoseconds, until what it waited for had come.
    mutating func slept(_ duration: Int64) {
        if duration <= Patience.soon {
            shortSleeps = min(shortSleeps + 1, enough)
        } else {
            shortSleeps -= min(shortSleeps, Patience.price)
        }
    }

    /// It slept, and what it waited for had not come.
    mutating func sleptInVain() { shortSleeps = 0 }

    /// It looked out.
    mutating func lookedOut(_ end: LookoutEnd) {
        switch end {
        case .came: enough = Patience.enough.first
        case .inVain: enough = min(enough * 2, Patience.enough.most)
        case .gaveWay: break  // it cost no more than to sleep at once
        }
        shortSleeps = end == .came ? enough : 0
    }

    /// - Parameter most: nanoseconds; negative: no less than is usual.
    /// - Parameter hasCome: asked again and again, and what takes longer, `elsewhere`, each microsecond or so.
    static func lookOut(for most: Int64 = -1, elsewhere: (() -> Bool)? = nil, _ hasCome: () -> Bool) -> LookoutEnd {
        let start = Clock.read(CLOCK_MONOTONIC)
        let end = start + (most < 0 ? longest : min(most, longest))
        while true {
            for _ in 0..<32 {
                if hasCome() { return .came }
                obh_relax()
            }
            if let elsewhere, elsewhere() { return .came }
            let before = Clock.read(CLOCK_MONOTONIC)
            sched_yield()
            let now = Clock.read(CLOCK_MONOTONIC)
            if now - before > turn { return .gaveWay }
            if now >= end { return .inVain }
        }
    }
}

/// How a look ended; something may have come all the same, if not `inVain`.
enum LookoutEnd {
    case came, inVain
    /// Somebody else wanted the processor, perhaps who is to come; and from one that is awake it costs little to be woken.
    case gaveWay
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

    /// For whoever has taken it, and looked out.
    /// - Returns: how that ended: who was called while it gave way to somebody was right to look.
    func giveBack(after end: LookoutEnd) -> LookoutEnd { giveBack() ? .came : end }

    /// For whoever has taken it.
    /// - Returns: whether it was called; it deals with what has come, then.
    func giveBack() -> Bool { word.exchange(Lookout.nobody, ordering: .sequentiallyConsistent) == Lookout.called }
}
