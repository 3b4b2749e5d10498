#if OBHUT_RUNTIME_API
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
    guard status != 0 else { return }
    let text = error.flatMap { obhut_error_text($0) } ?? obhut_status_text(status)
    throw LibraryError(text: text.map { String(cString: $0) } ?? "status \(status)")
}

/// One application in one runtime: made, loaded, started, stopped, in this order, on the main thread.
///
/// Its processes' output goes to standard output and its log to standard error, both as it comes.
/// There is no `deinit`: the command ends right after it stops, and a runtime must not be freed while a fault
/// elsewhere unwinds.
final class Application {
    private let runtime: OpaquePointer
    /// The command's own mailbox. Waiting on it is how the command waits for anything.
    let port: OpaquePointer

    /// Loads the folder and leaves with `misuse` and the list of its faults if it has any.
    init(folder: String) throws {
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        var runtime: OpaquePointer?, port: OpaquePointer?
        do {
            obhut_config_set_output_sink(
                config, { _, bytes, count in Output.standard.write(UnsafeRawBufferPointer(start: bytes, count: count)) },
                nil, nil)
            obhut_config_set_log_sink(config, { _, level, text, count in Application.log(level, text, count) }, nil, nil)
            try attempt { obhut_runtime_create(config, &runtime, $0) }
            try attempt { obhut_runtime_load_folder(runtime, folder, $0) }
            try attempt { obhut_port_create(runtime, &port, $0) }
        } catch {
            complainPlainly(error.text)  // path:line:column first, as editors read it
            throw ExitStatus.misuse
        }
        self.runtime = runtime!
        self.port = port!
        Interruption.wakes(self.port)
    }

    func start(_ flags: UInt32) throws {
        do {
            try attempt { obhut_runtime_start(runtime, flags, $0) }
        } catch {
            complain(error.text)
            stop()
            throw ExitStatus.misuse
        }
    }

    /// Stops everything in its order. The library bounds how long that takes.
    func stop() {
        Interruption.stopsInOrder()
        do {
            try attempt { obhut_runtime_stop(runtime, -1, $0) }
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
            guard status == OBHUT_INTERRUPTED || status == OBHUT_TIMEOUT else {
                let text = error.flatMap { obhut_error_text($0) } ?? obhut_status_text(status)
                throw LibraryError(text: text.map { String(cString: $0) } ?? "status \(status)")
            }
        }
        return nil
    }

    private static func log(_ level: Int32, _ text: UnsafePointer<CChar>?, _ count: Int) {
        Output.error.write(UnsafeRawBufferPointer(start: text, count: count))
    }
}
#endif
