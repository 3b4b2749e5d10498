import ArgumentParser
import Glibc
import ObhutHeader

struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run one process of an application and print what it returns.",
        usage: "obhut exec [--host <ns:name>] [--log-format text|json] [--color auto|always|never] [--crash-log <file>] [<dir>] <ns:name> [<arg> ...]",
        discussion: """
            Starts the application's process hosts and nothing else, runs the process, and prints the value it \
            returned as JSON, last and alone on its line. If it ends abnormally, the error goes to standard error \
            and the status is 1. The first SIGINT or SIGTERM stops it in order, a second one at once; both end \
            with 128 + the signal's number.

            Each argument is JSON; one that is not, and does not begin like an object, a list or a quoted string, \
            is a string as it stands. Options come before the folder: what follows the id goes to the process.

            Examples:
              obhut exec app:report             in this folder, without arguments
              obhut exec shop app:report 7 '{"year": 2024}' monthly
              obhut exec --host app:small shop app:report
            """)

    /// Nanoseconds that processes which outlive the one that was run have to end by themselves.
    private static let leftoverTime: Int64 = 1_000_000_000

    @Option(help: "The process host to run it on; needed if the application has several.")
    var host: String?

    @OptionGroup
    var native: NativeOptions

    @OptionGroup
    var log: LogOptions

    @OptionGroup
    var crashes: CrashOptions

    @Argument(
        help: ArgumentHelp("The application's folder; this one if left out.", valueName: "dir"),
        completion: .directory)
    var first: String

    @Argument(
        parsing: .captureForPassthrough,
        help: ArgumentHelp("The process's id, then its arguments.", valueName: "ns:name arg"))
    var rest: [String] = []

    /// The folder, the id and the arguments, told apart: what has a colon and is no folder is the id.
    private func operands() throws -> (folder: String, id: String, arguments: ArraySlice<String>) {
        if isFolder(first) || !first.contains(":") {
            guard let id = rest.first else {
                throw ValidationError(
                    isFolder(first)
                        ? "Which process of '\(first)'? Its id, namespace:name, is missing."
                        : "'\(first)' is neither a folder nor a process's id (namespace:name).")
            }
            guard id.contains(":") else {
                throw ValidationError("'\(id)' is not a process's id (namespace:name).")
            }
            return (first, id, rest.dropFirst())
        }
        return (".", first, rest[...])
    }

    private func isFolder(_ path: String) -> Bool {
        var facts = stat()
        return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
    }

    /// Misuse is told from here, where ArgumentParser still knows whose usage to show.
    func validate() throws {
        _ = try Arguments(operands().arguments)
    }

    func run() throws {
        let (folder, id, texts) = try operands()
        let arguments = try Arguments(texts)
        Interruption.watch()
        let application = try Application(
            folder: folder, native: native, logFormat: log.format, crashLog: crashes.open(), arguments: Array(texts))
        if let status = Interruption.status { throw status }
        try application.start(OBHUT_START_HOSTS)

        let outcome: Outcome?
        do {
            let pid = try spawn(id, arguments, application)
            outcome = try waitForEnd(of: pid, application)
        } catch {
            complain(error.text)
            application.stop()
            throw ExitStatus.misuse
        }
        // What outlives the process that was run is left over; an interruption is an order to stop.
        application.stop(within: Interruption.status == nil ? ExecCommand.leftoverTime : -1)

        // Said last, when nothing prints any more.
        switch outcome {
        case .value(let json): Output.standard.writeLine(json)
        case .error(let text): complainPlainly("error: \(text)")
        case nil: break
        }
        if let status = Interruption.status { throw status }
        if case .error = outcome { throw ExitStatus.abnormal }
    }

    private enum Outcome {
        case value(json: String)
        case error(String)
    }

    private func spawn(_ id: String, _ arguments: Arguments, _ application: Application)
        throws(LibraryError) -> obhut_pid
    {
        var pid: obhut_pid = 0
        let flags = OBHUT_SPAWN_MONITORED
        try attempt { error in
            arguments.withPayload { bytes, count in
                obhut_port_spawn(application.port, id, host, bytes, count, flags, &pid, error)
            }
        }
        return pid
    }

    /// Nil if something asked the command to stop first.
    private func waitForEnd(of pid: obhut_pid, _ application: Application) throws(LibraryError) -> Outcome? {
        while let message = try application.receive() {
            defer { obhut_message_free(message) }
            guard obhut_message_kind(message) == OBHUT_MESSAGE_EXIT, obhut_message_from(message) == pid else { continue }
            return try outcome(message)
        }
        return nil
    }

    private func outcome(_ message: OpaquePointer) throws(LibraryError) -> Outcome {
        var bytes: UnsafeRawPointer?, count = 0, text: UnsafePointer<CChar>?
        guard obhut_message_result(message, &bytes, &count, &text) else {
            return .error(text.map { String(cString: $0) } ?? "unknown")
        }
        var json: UnsafeMutablePointer<CChar>?, length = 0
        try attempt { obhut_payload_to_json(bytes, count, &json, &length, $0) }
        defer { obhut_bytes_free(json) }
        return .value(json: String(decoding: UnsafeRawBufferPointer(start: json, count: length), as: UTF8.self))
    }
}
