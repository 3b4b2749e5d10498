import ArgumentParser
import Glibc
import ObhutHeader

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Tell what an application's configuration means, without running it.",
        discussion: """
            In which order its services start and how long that may take; how long each is tried, and what becomes of a \
            failure that does not go away, from supervisor to supervisor; how long a stop may take; and warnings where \
            this is likely not meant, each as path:line:column: warning: message.

            Ends with 0; with --strict with 1 if there is a warning; with 2 if the application has faults, which are \
            told as check tells them.

            Examples:
              obhut explain                    the application in this folder
              obhut explain --strict shop      for a test: no warnings, or status 1
              obhut explain --json shop        one JSON object
            """)

    @Argument(help: "The application's folder.", completion: .directory)
    var dir = "."

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "End with 1 if there are warnings.")
    var strict = false

    @Option(help: "Whether the text has colours; auto: on a terminal, unless NO_COLOR is set.")
    var color = LogOptions.Color.auto

    @OptionGroup
    var native: NativeOptions

    func run() throws {
        Interruption.watch()
        let application = try Application(folder: dir, native: native)
        if let status = Interruption.status { throw status }
        let format = json ? OBHUT_EXPLAIN_JSON : color.isOn(STDOUT_FILENO) ? OBHUT_EXPLAIN_COLORED : OBHUT_EXPLAIN_TEXT
        do {
            let (text, warnings) = try application.explain(format)
            Output.standard.write(text)
            if let status = Interruption.status { throw status }
            if strict && warnings > 0 { throw ExitStatus.abnormal }
        } catch let error as LibraryError {
            complain(error.text)
            throw ExitStatus.misuse
        }
    }
}
