import ArgumentParser
import ObhutHeader

/// The `obhut` command: a program that embeds libobhut like any other, through include/obhut.h alone.
///
/// It ends with 0 when all went well, 1 when the process it ran ended abnormally or `explain --strict` warned, 2 when it was used wrongly or the
/// application has faults, and 128 + n when signal n ended it.
@main
struct Command: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "obhut",
        abstract: "Runs applications of supervised processes.",
        discussion: """
            An application is a folder: YAML files that name its process hosts and processes, and the Lua files \
            those refer to.

            Examples:
              obhut check shop               report every fault of the application
              obhut explain shop             what its configuration means
              obhut run shop                 run it until Ctrl-C
              obhut exec shop app:report 7   run one process, print what it returns

            Exit status:
              0      all went well
              1      the process ended abnormally, or a warning with explain --strict
              2      wrong usage, or an application with faults
              128+n  ended by signal n
            """,
        version: "obhut \(String(cString: obhut_version()))",
        subcommands: [
            RunCommand.self, ExecCommand.self, CheckCommand.self, ExplainCommand.self, CrashesCommand.self,
            PluginCommand.self,
        ])

    static func main() {
        guard obhut_abi_version() == UInt32(OBHUT_ABI_VERSION) else {
            complain(
                "libobhut has ABI \(obhut_abi_version()), this command was built for \(OBHUT_ABI_VERSION): "
                    + "install both from the same version")
            leave(.misuse)
        }
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let status as ExitStatus {
            leave(status)
        } catch {
            // A call for help arrives as an error too; ArgumentParser's own status for misuse is 64.
            let text = fullMessage(for: error)
            guard exitCode(for: error).isSuccess else {
                complainPlainly(text)
                leave(.misuse)
            }
            Output.standard.write(text.hasSuffix("\n") ? text : text + "\n")
        }
        leave(.normal)
    }
}
