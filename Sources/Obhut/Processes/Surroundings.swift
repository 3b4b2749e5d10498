/// What the host program lets the processes see of the world outside, and the ways out that it gives them. All of it
/// comes through its configuration: the runtime itself looks at no environment and no descriptor, and a simulation
/// has only what a test gives it (T2).
///
/// Set before the first spawn and constant from then on; any thread calls what is in it.
struct Surroundings {
    /// For `io.args`.
    var arguments: [String] = []
    /// For `env`, of what the entries allow.
    var environment: [String: [UInt8]] = [:]
    /// For `time.load_location`: the one thing that is read from files, which never change what was read.
    let zones = TimeZoneStore()
    /// Takes one record of the log; never waits.
    var log: ((LogRecord) -> Void)?
    /// Answers a request for input by a reply to `pid` with this number: the bytes, nil at the end of the input, or an
    /// error. Never waits. Nil: there is no input.
    var read: ((_ request: InputRequest) -> Void)?
}

struct InputRequest {
    enum Amount: Equatable {
        /// Up to the next line feed, which is dropped.
        case line
        /// What is there, at least one byte and at most so many.
        case bytes(Int)
    }

    /// Most bytes that one request can have.
    static let mostBytes = 1 << 20

    let pid: Pid
    let number: UInt64
    let amount: Amount
}

/// One record of the log.
struct LogRecord {
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

    var level: Level
    var message: String
    /// Of the process that it is about or comes from.
    var entry: String?
    var pid: String?
    /// What `logger:named` said.
    var logger: String?
    /// An encoded map with str keys; empty: none.
    var fields: [UInt8] = []
    /// As `fields`, of what the message says in words already, or what only a program looks at: in JSON alone.
    var essentials: [UInt8] = []
    var traceback: String?
    /// What the message says already, for machines.
    var said: Said?

    /// In JSON it stands in the members of these names; text does not repeat it.
    struct Said {
        var entry: String?
        var pid: String?
        /// As `LogRecord.fields`.
        var fields: [UInt8]
    }
}

/// What `process.with_context` passed down: an encoded map, shared by all who inherit it.
final class ProcessContext: Sendable {
    let map: [UInt8]

    init(map: [UInt8]) { self.map = map }
}
