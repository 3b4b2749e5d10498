import Glibc
import ObhutHeader

/// What a call of the library said when it failed, for the person.
struct LibraryError: Error {
    let text: String
}

/// Calls a function of the library that reports through `obhut_error **` and throws what it reports.
func attempt(_ call: (UnsafeMutablePointer<OpaquePointer?>) -> obhut_status) throws(LibraryError) {
    var error: OpaquePointer?
    let status = call(&error)
    defer { obhut_error_free(error) }
    if status != OBHUT_OK { throw LibraryError(status, error) }
}

extension LibraryError {
    init(_ status: obhut_status, _ error: OpaquePointer?) {
        text = String(cString: error == nil ? obhut_status_text(status) : obhut_error_text(error))
    }
}

/// One application in one runtime: loaded, started, stopped, in this order, on the main thread.
///
/// What its processes print goes to standard output and its log to standard error, both as it comes. What they read
/// is standard input; the environment is passed on, for what the entries allow of it.
/// Nothing is freed: the command ends right after it stops.
final class Application {
    private let runtime: OpaquePointer
    /// The command's own mailbox, from the start on. Waiting on it is how the command waits for anything.
    private(set) var port: OpaquePointer?

    /// Leaves with `misuse` and the list of the folder's faults if it has any.
    /// - Parameters:
    ///   - native: what the application may use of shared libraries beside what lies in its folder.
    ///   - arguments: for the processes that ask for them.
    init(
        folder: String, native: NativeOptions, logFormat: Int32 = OBHUT_LOG_FORMAT_TEXT, crashLog: CrashLog? = nil,
        arguments: [String] = []
    ) throws {
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        obhut_config_set_output_sink(
            config, { _, text, count in Output.standard.write(UnsafeRawBufferPointer(start: text, count: count)) },
            nil, nil)
        obhut_config_set_log_sink(
            config, { _, _, text, count in Output.error.write(UnsafeRawBufferPointer(start: text, count: count)) },
            nil, nil)
        obhut_config_set_log_format(config, logFormat)
        crashLog?.register(in: config)
        obhut_config_set_input_source(config, { _, buffer, size in standardInput(buffer, size) }, nil, nil)
        environ.withMemoryRebound(to: UnsafePointer<CChar>?.self, capacity: 1) { _ = obhut_config_set_environment(config, $0) }
        withTexts(arguments) { _ = obhut_config_set_arguments(config, $0, arguments.count) }
        var runtime: OpaquePointer?
        do {
            try allowLibraries(of: folder, and: native.patterns, in: config)
            try attempt { obhut_runtime_create(config, &runtime, $0) }
            try attempt { obhut_runtime_load_folder(runtime, folder, $0) }
        } catch {
            complainPlainly(error.text)  // path:line:column first, as editors read it
            throw ExitStatus.misuse
        }
        self.runtime = runtime!
    }

    /// What it means, as `format`, OBHUT_EXPLAIN_…, says, and how many warnings are in that. Before or after the start.
    func explain(_ format: Int32) throws(LibraryError) -> (text: String, warnings: Int) {
        var text: UnsafeMutablePointer<CChar>?, length = 0, warnings = 0
        try attempt { obhut_runtime_explain(runtime, format, &text, &length, &warnings, $0) }
        defer { obhut_bytes_free(text) }
        return (String(decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self), warnings)
    }

    /// `flags`: OBHUT_START_…
    func start(_ flags: UInt32) throws {
        do {
            try attempt { obhut_runtime_start(runtime, flags, $0) }
            try attempt { obhut_port_create(runtime, &port, $0) }
        } catch {
            complain(error.text)
            stop()
            throw ExitStatus.misuse
        }
        Interruption.wakes(port!)
    }

    /// The chain of causes, if what started by itself has failed and was given up already; nil: its end will be a message.
    func watchServices() throws(LibraryError) -> String? {
        var pid: obhut_pid = 0
        // Of hosts alone there is none.
        if obhut_runtime_supervisor(runtime, &pid, nil) != OBHUT_OK { return nil }
        switch obhut_port_monitor(port, pid, nil) {
        case OBHUT_OK: return nil
        case OBHUT_NOT_FOUND:
            var text: UnsafeMutablePointer<CChar>?
            // Who was ended by another process has given no cause; the log has it.
            guard obhut_runtime_failure(runtime, &text, nil, nil) == OBHUT_OK, let text else { return "see the log" }
            defer { obhut_bytes_free(text) }
            return String(cString: text)
        case let status: throw LibraryError(status, nil)
        }
    }

    /// Stops everything in its order, each part within its own deadline.
    /// - Parameter timeout: nanoseconds for the polite part; negative: what the application says.
    func stop(within timeout: Int64 = -1) {
        Interruption.stopsInOrder()
        do {
            try attempt { obhut_runtime_stop(runtime, timeout, $0) }
        } catch {
            complain(error.text)
        }
    }

    /// The next message for the command, or nil once something asked it to stop.
    func receive() throws(LibraryError) -> OpaquePointer? {
        while Interruption.status == nil {
            var message: OpaquePointer?, error: OpaquePointer?
            let status = obhut_port_receive(port, -1, &message, &error)
            defer { obhut_error_free(error) }
            if let message { return message }
            if status != OBHUT_INTERRUPTED { throw LibraryError(status, error) }
        }
        return nil
    }
}

private func allowLibraries(of folder: String, and patterns: [String], in config: OpaquePointer?) throws(LibraryError) {
    for pattern in patterns {
        do throws(LibraryError) { try attempt { obhut_config_allow_native(config, pattern, $0) } } catch {
            throw LibraryError(text: "obhut: --allow-native: \(error.text)")
        }
    }
    // A folder that is not there is told by the load.
    guard let real = realpath(folder, nil) else { return }
    defer { free(real) }
    var pattern = ""
    for character in String(cString: real) {
        if "*?[]\\".contains(character) { pattern.append("\\") }
        pattern.append(character)
    }
    try attempt { obhut_config_allow_native(config, pattern + "/", $0) }
}

/// Reads what is there: the bytes, 0 at the end, a negative errno.
private func standardInput(_ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int64 {
    while true {
        let count = read(STDIN_FILENO, buffer, size)
        if count >= 0 { return Int64(count) }
        let problem = errno
        switch problem {
        case EINTR: continue
        case EAGAIN:
            // Somebody we share the terminal with made it non-blocking.
            var waiting = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            _ = poll(&waiting, 1, -1)
        default: return -Int64(problem)
        }
    }
}

/// The texts as C has them, for the time of the call.
private func withTexts(_ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Void) {
    let copies = texts.map { UnsafePointer<CChar>(strdup($0)) }
    defer { copies.forEach { free(UnsafeMutablePointer(mutating: $0)) } }
    copies.withUnsafeBufferPointer { body($0.baseAddress) }
}
