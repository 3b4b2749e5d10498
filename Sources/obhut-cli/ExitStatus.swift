import Glibc

/// How the command ends. Thrown to end it from anywhere below `Command.main`.
struct ExitStatus: Error, Equatable {
    let code: Int32

    static let normal = ExitStatus(code: 0)
    /// The process that was run ended abnormally.
    static let abnormal = ExitStatus(code: 1)
    /// Wrong usage, or an application with faults.
    static let misuse = ExitStatus(code: 2)
    /// What a shell reports of a program that a signal ended.
    static func signal(_ number: Int32) -> ExitStatus { ExitStatus(code: 128 + number) }
}

func leave(_ status: ExitStatus) -> Never {
    // Not `exit`: nothing of ours is buffered, and destructors would run beside threads that still work.
    _exit(status.code)
}

/// One or more lines for the person, on standard error.
func complain(_ text: String) {
    complainPlainly("obhut: \(text)")
}

func complainPlainly(_ text: String) {
    Output.error.write(text.hasSuffix("\n") ? text : text + "\n")
}
