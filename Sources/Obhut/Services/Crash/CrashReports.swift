import Glibc

/// How many crash reports are kept, and what else becomes of them.
struct CrashConfiguration {
    /// Of the ring; 0: none is kept.
    var count = 256
    /// Of all that are kept, roughly.
    var bytes = 4 << 20
    var messages = CrashMessages()
    /// What may be shown of contents; nil: the payload's JSON.
    var redaction: CrashRecord.Redaction?
    /// Takes each report as one line of JSON.
    var sink: OutputQueue.Sink?

    static let mostKept = 1 << 20
}

/// The crash reports of a runtime: one for each abnormal end, the last ones kept in a bounded ring.
///
/// The law here: *a report is published once, when it is complete.* That of a process that nobody supervises is
/// complete when the process ends, before anybody is told of the end: whoever gets the EXIT finds it here. That of a
/// supervised one is *open* until its supervisor has decided what follows (`settle`), or is gone itself: whoever ends
/// a supervisor settles what it leaves. Both sides first do their part (the process puts its report among the open
/// ones, the supervisor closes its queue) and then look at the other's, so that none stays open.
///
/// Published reports are numbered from 1. Any thread.
final class CrashReports: @unchecked Sendable {  // guard notes stand on each mutable field
    /// Hands lines of JSON to the sink; nil without one.
    let queue: OutputQueue?
    private let configuration: CrashConfiguration  // without its functions
    private let hasRedaction: Bool
    private var redaction: CrashRecord.Redaction?  // guarded by lock; nil once let go of
    private var redacting = 0  // guarded by lock; calls of it that are under way
    private let redacted = Condition()
    private unowned let system: ProcessSystem
    private let lock = Lock()
    @exclusivity(unchecked) private var ring: [CrashRecord] = []  // guarded by lock; from `first` on in order, then from 0
    @exclusivity(unchecked) private var first = 0  // guarded by lock; the oldest, once the ring is full
    @exclusivity(unchecked) private var bytes = 0  // guarded by lock
    @exclusivity(unchecked) private var lastSequence: UInt64 = 0  // guarded by lock
    private var open: [Pid: CrashRecord] = [:]  // guarded by lock
    /// Memory for the report of a process that ended because there was none; guarded by lock.
    private var reserve: UnsafeMutableRawPointer?

    /// Nanoseconds that `letGo` waits for calls that are under way.
    private static let closingTime: Int64 = 2_000_000_000
    /// Bytes: what making a report takes at most, with room to spare.
    private static let reserved = 4 * CrashDocument.mostBytes

    init(_ configuration: CrashConfiguration, system: ProcessSystem, threaded: Bool) {
        var plain = configuration
        plain.redaction = nil
        plain.sink = nil
        self.configuration = plain
        redaction = configuration.redaction
        hasRedaction = configuration.redaction != nil
        self.system = system
        queue = configuration.sink.map {
            OutputQueue(sink: $0, threaded: threaded) { "{\"missing\":\($0)}\n" }
        }
        reserve = malloc(CrashReports.reserved)
    }

    deinit { free(reserve) }

    private var isWanted: Bool { configuration.count > 0 || queue != nil }

    // MARK: Ends

    /// On the worker of the process, at its last moment.
    /// - Returns: what is known now; nil if nobody wants reports.
    func ended(_ process: ProcessPointer, _ reason: ExitReason, _ end: AbnormalEnd) -> CrashRecord? {
        guard isWanted else { return nil }
        if reason.kind == .memoryLimit { makeRoom() }
        guard let record = record(process, reason, end) else { return nil }
        guard record.supervisor != .none else {
            publish(record)
            return record
        }
        lock.with { open[record.pid] = record }
        if system.table.living(record.supervisor) == nil { return settle(record.pid) ?? record }
        return record
    }

    /// - Returns: nil: the host program is not to be asked any more what may be shown.
    private func record(_ process: ProcessPointer, _ reason: ExitReason, _ end: AbnormalEnd) -> CrashRecord? {
        guard hasRedaction else { return CrashRecord(process, reason, end, nil) }
        guard lock.with({ redaction != nil }) else { return nil }
        return CrashRecord(process, reason, end, shown)
    }

    /// What may be shown of a message: nothing when the host program is not asked any more.
    private func shown(_ entry: String, _ topic: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) -> String? {
        let redaction = lock.with { () -> CrashRecord.Redaction? in
            if self.redaction != nil { redacting += 1 }
            return self.redaction
        }
        guard let redaction else { return nil }
        defer {
            lock.with {
                redacting -= 1
                redacted.broadcast()
            }
        }
        return redaction(entry, topic, payload)
    }

    /// From now on the functions of the host program are not called: a process that was left behind may end when that does not expect it
    /// any more. After the `close` of the queue.
    func letGo() {
        let redaction = lock.with { () -> CrashRecord.Redaction? in
            let redaction = self.redaction
            self.redaction = nil
            let deadline = Clock.read(CLOCK_MONOTONIC) + CrashReports.closingTime
            // One that never returns is what is left behind itself.
            while redacting > 0, redacted.wait(lock, until: deadline) {}
            return redaction
        }
        // Its last act may call this library.
        withExtendedLifetime(redaction) {}
        queue?.letGo()
    }

    /// When memory is short, that of the reserve is free for the report that follows.
    private func makeRoom() {
        let probe = malloc(CrashReports.reserved)
        free(probe)
        lock.with {
            if probe == nil {
                free(reserve)
                reserve = nil
            } else if reserve == nil {
                reserve = malloc(CrashReports.reserved)
            }
        }
    }

    /// A supervisor has decided what follows from the end of `pid`, or nobody will.
    /// - Returns: the complete report; nil if there is none that is open.
    @discardableResult
    func settle(_ pid: Pid, _ decision: CrashRecord.Decision? = nil) -> CrashRecord? {
        guard isWanted, let record = lock.with({ open.removeValue(forKey: pid) }) else { return nil }
        record.decision = decision
        publish(record)
        return record
    }

    /// A supervisor ends; its queue is closed.
    func settleAll(of supervisor: Pid) {
        guard isWanted else { return }
        let left = lock.with { open.values.filter { $0.supervisor == supervisor }.map(\.pid) }
        for pid in left.sorted() { settle(pid) }
    }

    private func publish(_ record: CrashRecord) {
        let most = configuration.count
        let (evicted, isTooMuch) = lock.with { () -> (CrashRecord?, Bool) in
            lastSequence += 1
            record.sequence = lastSequence
            guard most > 0 else { return (nil, false) }
            return (keepLocked(record, most), bytes > configuration.bytes)
        }
        // What they held is given back without the lock.
        withExtendedLifetime(evicted) {}
        if isTooMuch { withExtendedLifetime(lock.with { shrinkLocked() }) {} }
        guard let queue else { return }
        queue.write(CrashDocument(record, in: system).json, level: Log.Level.error.rawValue)
    }

    /// - Returns: the one whose place it takes.
    private func keepLocked(_ record: CrashRecord, _ most: Int) -> CrashRecord? {
        let count = ring.count
        if count < most && first == 0 {
            bytes += record.size
            ring.append(record)
            return nil
        }
        var evicted = record
        swap(&evicted, &ring[first])
        bytes += record.size - evicted.size
        first = first + 1 == count ? 0 : first + 1
        return evicted
    }

    /// Rare: some are large. The ring is laid out anew without the oldest; one always stays.
    private func shrinkLocked() -> [CrashRecord] {
        guard bytes > configuration.bytes, !ring.isEmpty else { return [] }
        var ordered = Array(ring[first...] + ring[..<first])
        var dropped = 0
        while bytes > configuration.bytes, dropped < ordered.count - 1 {
            bytes -= ordered[dropped].size
            dropped += 1
        }
        let outgrown = Array(ordered[..<dropped])
        ordered.removeFirst(dropped)
        ring = ordered
        first = 0
        return outgrown
    }

    // MARK: Reading

    /// The oldest that is kept and has a number above `after`; nil: there is none.
    func next(after: UInt64) -> CrashDocument? {
        let record: CrashRecord? = lock.with {
            // In order from `first` on: the one that is wanted is found by halving.
            var (low, high) = (0, ring.count)
            while low < high {
                let middle = (low + high) / 2
                if ring[(first + middle) % ring.count].sequence > after { high = middle } else { low = middle + 1 }
            }
            return low < ring.count ? ring[(first + low) % ring.count] : nil
        }
        return record.map { CrashDocument($0, in: system) }
    }

    /// Of those that are kept, and those that wait for a supervisor.
    var counts: (kept: Int, open: Int, bytes: Int) { lock.with { (ring.count, open.count, bytes) } }
}
