import Glibc

/// Text on its way out: what processes print, or the log.
///
/// The law here: *whoever writes never waits for the sink.* Lines go into a bounded queue,
/// and one thread of the library, `obhut-output`, hands them to the sink in order. When the
/// queue is full because the sink is stuck, new lines are dropped and counted; the next
/// line that fits is preceded by one that says how many are missing. Without a sink the
/// last lines are kept, for whoever asks.
///
/// The thread exists only while there is a sink, and sleeps when there is nothing to hand
/// over. `close` hands over what is queued and then returns; a sink that never returns
/// would keep it for ever, so it waits at most `closingTime`. What is queued then is
/// dropped: after `close` the sink is not called again. Who keeps the queue for longer than that lets go of the
/// sink (`letGo`).
final class OutputQueue: @unchecked Sendable {  // all mutable state is guarded by `lock`
    typealias Sink = (_ text: UnsafeRawBufferPointer, _ level: Int32) -> Void

    /// Bytes that may be queued for a sink, and lines that are kept without one.
    private static let byteLimit = 4 << 20
    private static let keptLines = 1024
    /// Nanoseconds that `close` waits for a stuck sink.
    private static let closingTime: Int64 = 2_000_000_000

    private struct Line {
        let text: [UInt8]
        let level: Int32
    }

    /// Nil: there is none, or it was let go of; threaded, guarded by lock.
    private var sink: Sink?
    private let hasSink: Bool
    private let lock = Lock()
    private let changed = Condition()
    private var lines: [Line] = []  // guarded by lock
    private var first = 0  // guarded by lock; index of the oldest line in `lines`
    private var bytes = 0  // guarded by lock
    private var droppedCount = 0  // guarded by lock; ever
    private var missing = 0  // guarded by lock; dropped since the last line that fitted
    private var handing = 0  // guarded by lock; taken from the queue and not yet given to the sink
    private var closing = false  // guarded by lock
    private var abandoned = false  // guarded by lock; `close` did not wait any longer
    private var finished = true  // guarded by lock; no thread hands over
    private let isThreaded: Bool
    /// The line that says how many are missing.
    private let note: (_ missing: Int) -> String
    private var thread: pthread_t?  // start and close only

    /// - Parameter threaded: false in simulation: the sink is called by whoever writes.
    init(
        sink: Sink?, threaded: Bool,
        note: @escaping (_ missing: Int) -> String = {
            "… \($0) \($0 == 1 ? "line" : "lines") dropped: the output was not taken in time\n"
        }
    ) {
        self.sink = sink
        hasSink = sink != nil
        self.note = note
        isThreaded = threaded
    }

    /// Begins to hand over; until then text is queued.
    /// - Returns: false when the system gives no thread.
    func start() -> Bool {
        guard let sink, isThreaded, thread == nil else { return true }
        finished = false
        // The thread keeps this object: one that is stuck in the sink may outlive its owner,
        // and lets the sink go when it comes back.
        thread = startThread(named: "obhut-output") { self.main(sink) }
        return thread != nil
    }

    /// Lines dropped so far.
    var dropped: Int { lock.with { droppedCount } }

    func write(_ text: String, level: Int32) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0), level: level) }
    }

    /// Queues one piece of text, whole lines with their line feeds. Any thread; never waits.
    func write(_ text: UnsafeRawBufferPointer, level: Int32) {
        if !isThreaded, let sink { return sink(text, level) }
        lock.with {
            if !hasSink { return keepLocked(text, level) }
            // One line that is longer than the queue is taken if nothing else is there.
            if closing || (bytes + text.count > OutputQueue.byteLimit && !lines.isEmpty) {
                droppedCount += 1
                missing += 1
                return
            }
            noteMissingLocked(level)
            appendLocked(Line(text: Array(text), level: level))
            changed.signal()
        }
    }

    private func appendLocked(_ line: Line) {
        lines.append(line)
        bytes += line.text.count
    }

    private func noteMissingLocked(_ level: Int32) {
        guard missing > 0 else { return }
        let text = note(missing)
        missing = 0
        appendLocked(Line(text: Array(text.utf8), level: level))
    }

    private func keepLocked(_ text: UnsafeRawBufferPointer, _ level: Int32) {
        appendLocked(Line(text: Array(text), level: level))
        while lines.count - first > OutputQueue.keptLines
            || (bytes > OutputQueue.byteLimit && lines.count - first > 1)
        {
            bytes -= lines[first].text.count
            lines[first] = Line(text: [], level: 0)
            first += 1
            droppedCount += 1
        }
        if first > OutputQueue.keptLines {
            lines.removeFirst(first)
            first = 0
        }
    }

    /// Takes what was kept because there is no sink.
    func takeKept() -> [UInt8] {
        lock.with {
            guard !hasSink else { return [] }
            let kept = lines[first...].flatMap(\.text)
            lines = []
            first = 0
            bytes = 0
            return kept
        }
    }

    /// Hands over what is queued, then ends the thread. Later writes are dropped and counted;
    /// what was kept stays readable. Called with no lock held that a sink might want.
    func close() {
        guard let thread else { return }
        let ended = lock.with { () -> Bool in
            closing = true
            changed.broadcast()
            let deadline = Clock.read(CLOCK_MONOTONIC) + OutputQueue.closingTime
            while !finished {
                if !changed.wait(lock, until: deadline) { break }
            }
            if !finished {
                abandoned = true
                droppedCount += handing + lines.count
                lines = []
            }
            return finished
        }
        // One that is stuck inside the sink cannot be waited for.
        if ended { pthread_join(thread, nil) } else { pthread_detach(thread) }
        self.thread = nil
    }

    /// After `close`: of a queue that is there for ever nobody else would.
    func letGo() {
        let sink = lock.with { () -> Sink? in
            defer { self.sink = nil }
            return self.sink
        }
        // Its last act may call this library.
        withExtendedLifetime(sink) {}
    }

    private func main(_ sink: Sink) {
        while true {
            let batch: ArraySlice<Line> = lock.with {
                while lines.isEmpty && !closing { changed.wait(lock) }
                if closing { noteMissingLocked(lines.last?.level ?? Log.Level.warning.rawValue) }
                let batch = lines[...]
                lines = []
                bytes = 0
                handing = batch.count
                return batch
            }
            if batch.isEmpty { break }
            for line in batch {
                let isOver = lock.with {
                    handing -= 1
                    return abandoned
                }
                if isOver { return }
                line.text.withUnsafeBytes { sink($0, line.level) }
            }
        }
        lock.with {
            finished = true
            changed.broadcast()
        }
    }

    deinit { assert(thread == nil, "an output queue was dropped while its thread ran") }
}
