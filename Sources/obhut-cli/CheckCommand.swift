import ArgumentParser

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Report every fault of an application without running it.",
        discussion: """
            Reads the YAML and compiles the Lua. Each fault stands on its own line of standard error, as \
            path:line:column: message. Ends with 0 if there is none, else with 2.

            Examples:
              obhut check            the application in this folder
              obhut check shop && obhut run shop
            """)

    @Argument(help: "The application's folder.", completion: .directory)
    var dir = "."

    @OptionGroup
    var native: NativeOptions

    func run() throws {
        Interruption.watch()
        _ = try Application(folder: dir, native: native)
        if let status = Interruption.status { throw status }
        Output.standard.writeLine("\(dir): no faults found")
    }
}
