import ArgumentParser
import ObhutHeader

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run an application until SIGINT or SIGTERM.",
        discussion: """
            Starts what the application says to start by itself. The first SIGINT (Ctrl-C) or SIGTERM stops \
            everything in reverse order, each within its own deadline, and the command ends with 0. A second one \
            ends it at once, with 128 + the signal's number.

            When a service cannot be kept running as its entry says, everything is stopped, the chain of causes is \
            told, and the command ends with 1.

            What the processes print goes to standard output, the log to standard error. What follows -- is what \
            they find in io.args().

            Examples:
              obhut run              the application in this folder
              obhut run shop
              obhut run --log-format json shop -- --verbose
              obhut run --crash-log crashes.log shop
            """)

    @Argument(help: "The application's folder.", completion: .directory)
    var dir = "."

    @OptionGroup
    var native: NativeOptions

    @OptionGroup
    var log: LogOptions

    @OptionGroup
    var crashes: CrashOptions

    @Argument(parsing: .postTerminator, help: ArgumentHelp("What io.args() answers.", valueName: "arg"))
    var arguments: [String] = []

    func run() throws {
        Interruption.watch()
        let application = try Application(
            folder: dir, native: native, logFormat: log.format, crashLog: crashes.open(), arguments: arguments)
        // Asked while it loaded: nothing runs yet, so there is nothing to stop.
        if let status = Interruption.status { throw status }
        try application.start(OBHUT_START_ALL)
        do {
            // Nobody else knows the command's port.
            var failure = try application.watchServices()
            while failure == nil, let message = try application.receive() {
                defer { obhut_message_free(message) }
                var (value, length): (UnsafeRawPointer?, Int) = (nil, 0)
                var text: UnsafePointer<CChar>?
                let isEnd = obhut_message_kind(message) == OBHUT_MESSAGE_EXIT
                if isEnd, !obhut_message_result(message, &value, &length, &text), let text {
                    failure = String(cString: text)
                }
            }
            if let failure {
                application.stop()
                complain("the application has failed: \(failure)")
                throw ExitStatus.abnormal
            }
        } catch let error as LibraryError {
            complain(error.text)
            application.stop()
            throw ExitStatus.abnormal
        }
        application.stop()
        // Having stopped in order because a signal asked for it is what `run` is for.
        if let status = Interruption.status, !Interruption.bySignal { throw status }
    }
}
