import ArgumentParser
import Glibc
import ObhutHeader

/// Where crash reports are kept for `obhut crashes`.
struct CrashOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Append a report of each process that fails to this file, for 'obhut crashes'.", valueName: "file"),
        completion: .file())
    var crashLog: String?

    /// Opens the file, before anything runs; leaves with `misuse` if that cannot be done.
    func open() throws -> CrashLog? {
        guard let crashLog else { return nil }
        do {
            return try CrashLog(crashLog)
        } catch let problem as CrashLog.Unwritable {
            complain("cannot write the crash log \(crashLog): \(problem.text)")
            throw ExitStatus.misuse
        }
    }
}

/// A file that crash reports are appended to, a line of JSON each.
///
/// Each line is one write to a descriptor in append mode: several commands may share the file, and whatever ends this
/// one, what was reported before is there.
final class CrashLog: Sendable {
    struct Unwritable: Error { let text: String }

    /// Of the messages that a process has taken, with their ages.
    static let received: UInt32 = 8
    static let waiting: UInt32 = 8

    private let path: String
    private let output: Output

    init(_ path: String) throws(Unwritable) {
        self.path = path
        let descriptor = Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Unwritable(text: String(cString: strerror(errno))) }
        output = Output(descriptor, whenFailed: { complain("cannot write to the crash log \(path): \(String(cString: strerror($0)))") })
    }

    func register(in config: OpaquePointer?) {
        obhut_config_set_crash_sink(
            config,
            { user, text, count in
                Unmanaged<CrashLog>.fromOpaque(user!).takeUnretainedValue()
                    .output.write(UnsafeRawBufferPointer(start: text, count: count))
            }, Unmanaged.passRetained(self).toOpaque(), { Unmanaged<CrashLog>.fromOpaque($0!).release() })
        obhut_config_set_crash_messages(config, CrashLog.received, CrashLog.waiting, 0)
    }
}
