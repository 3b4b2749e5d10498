/// The links and monitors of a process, and who watches it; its owner's alone.
///
/// **Links** (L1). Each side that called `link` has given the link a serial of its own. A
/// link stands while at least one serial is known; crossing calls give it two. UNLINK and
/// LINK_DOWN name the serials that their sender knew: they touch these, and no link that
/// was made meanwhile. Both sides so come to the same answer, however the signals cross.
///
/// **Monitors** (S1–S4). The watcher gives each a reference, the watched one keeps it. An
/// EXIT is believed only if the watcher still has a monitor with that reference.
///
/// An event that is queued and unread is marked, not searched for, when it is taken back.
struct Relations {
    struct Link {
        /// The serial that this side has given, 0: none.
        var mine: UInt64 = 0
        /// The serial that the peer has given, 0: none.
        var theirs: UInt64 = 0
        /// The LINK_DOWN of this link, queued and unread.
        var down: SignalPointer? = nil
    }

    struct Monitor {
        let reference: UInt64
        /// The EXIT of this monitor, queued and unread.
        var exit: SignalPointer? = nil
    }

    /// Who watches this process: key to order in which they came.
    struct Watcher: Hashable {
        let pid: Pid
        let reference: UInt64

        /// As that of a pid, which see: references are counted up too.
        func _rawHashValue(seed: Int) -> Int { pid._rawHashValue(seed: seed ^ Int(truncatingIfNeeded: reference)) }
    }

    var links = SmallMap<Pid, Link>()
    /// The program's monitors, one for each process (S3).
    var monitors: [Pid: Monitor] = [:]
    /// The runtime's own, by reference: who was asked (`request`), who was called (`call`).
    var inquiries: [UInt64: Pid] = [:]
    var watchers = SmallMap<Watcher, UInt64>()
    /// Processes that are cancelled when this one ends (`process.call`).
    var callees: Set<Pid> = []
    /// The nearest deadline of the cancels that were sent to this process, and its timer (C3).
    var deadline = (at: Int64.max, timer: Timers.ID.none)

    private var lastSerial: UInt64 = 0

    mutating func nextSerial() -> UInt64 {
        lastSerial += 1
        return lastSerial
    }
}
