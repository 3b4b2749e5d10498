import Glibc

/// The runtime's log: one line for each record, through a queue of its own, so that a sink
/// that blocks stops no process.
final class Log: Sendable {
    enum Level: Int32 {
        case debug = 0, info, warning, error

        var text: String {
            switch self {
            case .debug: "debug"
            case .info: "info"
            case .warning: "warning"
            case .error: "error"
            }
        }
    }

    let queue: OutputQueue
    private let clock: Clock

    init(queue: OutputQueue, clock: Clock) {
        self.queue = queue
        self.clock = clock
    }

    func write(_ level: Level, _ text: String) {
        let line = "\(formatRFC3339(unixNanoseconds: clock.wall)) \(level.text): \(text)\n"
        queue.write(line, level: level.rawValue)
    }

    /// An abnormal end that nobody watches or is linked to (F5).
    func died(_ process: ProcessPointer, _ reason: ExitReason) {
        var text = "\(process.pointee.definition?.id ?? "port") \(process.pidText) failed: \(reason.text)"
        if reason.origin != process.pid && reason.origin != .none {
            text += " (began at \(process.system.text(of: reason.origin)), \(reason.hops) \(reason.hops == 1 ? "link" : "links") away)"
        }
        if let traceback = reason.traceback { text += "\n" + traceback }
        write(.error, text)
    }

    func close() { queue.close() }
}
