import ArgumentParser
import Glibc
import ObhutHeader

/// How the log is written to standard error.
struct LogOptions: ParsableArguments {
    enum Format: String, CaseIterable, ExpressibleByArgument {
        case text, json
    }

    enum Color: String, CaseIterable, ExpressibleByArgument {
        case auto, always, never
    }

    @Option(help: "How the log is written: text for people, json with one object a line.")
    var logFormat = Format.text

    @Option(help: "Whether the log has colours; auto: on a terminal, unless NO_COLOR is set.")
    var color = Color.auto

    /// OBHUT_LOG_FORMAT_…
    var format: Int32 {
        if logFormat == .json { return OBHUT_LOG_FORMAT_JSON }
        return color.isOn(STDERR_FILENO) ? OBHUT_LOG_FORMAT_COLORED : OBHUT_LOG_FORMAT_TEXT
    }
}

extension LogOptions.Color {
    /// Whether what goes to this descriptor has colours.
    func isOn(_ descriptor: Int32) -> Bool {
        switch self {
        case .always: true
        case .never: false
        case .auto: isatty(descriptor) == 1 && !isSet("NO_COLOR") && !isDumb
        }
    }

    /// As no-color.org has it: set, and not empty.
    private func isSet(_ name: String) -> Bool { getenv(name).map { $0.pointee != 0 } ?? false }

    private var isDumb: Bool { getenv("TERM").map { String(cString: $0) } == "dumb" }
}
