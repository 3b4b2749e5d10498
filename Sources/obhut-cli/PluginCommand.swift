import ArgumentParser
import ObhutHeader

struct PluginCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plugin",
        abstract: "Look at shared libraries whose functions run as processes.",
        subcommands: [InspectCommand.self])
}

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Tell what a shared library offers, without running any of it.",
        discussion: """
            Of a plugin its name, version, ABI and entries, each with its signature; of any other library the names of \
            its functions. Ends with 2 if the file is no library for this machine, or a plugin of another ABI.

            Examples:
              obhut plugin inspect libimages.so
              obhut plugin inspect libz.so.1         a library that the system's loader finds
              obhut plugin inspect --json libimages.so
            """)

    @Flag(help: "Print one JSON object.")
    var json = false

    @Argument(help: "The library: a file, or a name that the loader finds.", completion: .file(extensions: ["so"]))
    var file: String

    func run() throws {
        Interruption.watch()
        var text: UnsafeMutablePointer<CChar>?, length = 0
        do {
            try attempt { obhut_plugin_inspect(file, json ? OBHUT_INSPECT_JSON : OBHUT_INSPECT_TEXT, &text, &length, $0) }
        } catch {
            complain(error.text)
            throw ExitStatus.misuse
        }
        defer { obhut_bytes_free(text) }
        Output.standard.write(String(decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self))
        if let status = Interruption.status { throw status }
    }
}
