import ArgumentParser
import ObhutHeader

@main
struct Command: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "obhut", abstract: "Runs supervised processes.", version: String(cString: obhut_version()))
}
