import Glibc

/// The runtime's log: one line for each record, through a queue of its own, so that a sink
/// that blocks stops no process.
final class Log: Sendable {
    typealias Level = LogRecord.Level

    let queue: OutputQueue
    /// The reports of the ends that it tells of.
    let crashes: CrashReports
    private let clock: Clock
    private let format: LogFormat

    init(
        sink: OutputQueue.Sink?, threaded: Bool, clock: Clock, format: LogFormat = .text, crashes: CrashReports
    ) {
        self.crashes = crashes
        self.clock = clock
        self.format = format
        queue = OutputQueue(sink: sink, threaded: threaded) { [clock] missing in
            let text = "\(missing) \(missing == 1 ? "record" : "records") dropped: the log was not taken in time"
            return format.line(LogRecord(level: .warning, message: text), at: clock.wall)
        }
    }

    func write(_ record: LogRecord) {
        queue.write(format.line(record, at: clock.wall), level: record.level.rawValue)
    }

    func write(_ level: Level, _ text: String) { write(LogRecord(level: level, message: text)) }

    /// An abnormal end that nobody watches or is linked to (F5).
    func died(_ process: ProcessPointer, _ reason: ExitReason, _ crash: CrashRecord?) {
        var record = LogRecord(level: .error, message: "failed: \(reason.text)")
        record.entry = process.pointee.definition?.id ?? "port"
        record.pid = process.pidText
        record.traceback = reason.traceback
        if reason.origin != process.pid && reason.origin != .none {
            var fields = PayloadWriter()
            fields.writeMapHeader(2)
            fields.writeString("hops")
            fields.writeInteger(Int64(reason.hops))
            fields.writeString("origin")
            fields.writeString(process.system.text(of: reason.origin))
            record.fields = [UInt8](fields.bytes)
        }
        record.essentials = essentials(of: crash)
        write(record)
    }

    /// What a record says of an abnormal end beside its message; nothing where nobody would read it.
    func essentials(of crash: CrashRecord?) -> [UInt8] {
        guard format == .json, let crash else { return [] }
        return CrashDocument.essentials(crash)
    }

    func close() { queue.close() }
}
