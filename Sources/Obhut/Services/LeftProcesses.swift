/// What a stop leaves behind (V4): processes inside foreign code (a handler, a C function that Lua has called in its place) that does
/// not return, each with the thread that it holds.
struct LeftProcesses {
    /// Their slots: nobody has them next, because a host that stops takes no new process.
    private var held: [ProcessPointer] = []
    /// Those for which nobody is there any more: such code holds every thread of their host, and the host can have no more.
    private var others = 0

    /// How many the text names.
    private static let mostNamed = 20

    /// One of the looks of a stop by force: see `Host.lookForHeld`.
    static func look(at hosts: [Host], longerThan looks: Int, isAnew: Bool) -> LeftProcesses {
        var left = LeftProcesses()
        for host in hosts {
            let (held, isForsaken) = host.lookForHeld(longerThan: looks, isAnew: isAnew)
            left.held += held.map { ProcessPointer.from($0) }
            if isForsaken { left.others += max(0, host.processCount.load(ordering: .relaxed) - held.count) }
        }
        return left
    }

    var count: Int { held.count + others }

    /// For the log. It reads only what does not change while a process lives, and of one that has ended meanwhile what was.
    var text: String {
        var names = held.prefix(LeftProcesses.mostNamed).map(LeftProcesses.name)
        if held.count > names.count { names.append("\(held.count - names.count) more") }
        let isOne = held.count == 1
        var text = "stopped without \(names.joined(separator: ", ")): \(isOne ? "its" : "their") code does not return; "
        text += isOne ? "its thread stays until it does" : "their threads stay until it does"
        if others > 0 { text += "; nor do \(others) more end: their host has no thread left for them" }
        return text
    }

    /// Entry, pid, and as far as others can know it, where it is.
    private static func name(_ process: ProcessPointer) -> String {
        let definition = process.pointee.presentDefinition
        let name = "\(definition?.id ?? "port") \(process.pidText)"
        switch definition?.program {
        case let program as NativeProgram: return "\(name) in \(program.symbol)"
        case let program as LuaProgram:
            let libraries = program.librariesInPlace
            return libraries.isEmpty ? name : "\(name) in a function of \(libraries.joined(separator: " or "))"
        default: return name
        }
    }
}

/// Runtimes of which a thread is left, for ever. In a list, so that whoever looks for leaks finds them.
final class KeptRuntimes: @unchecked Sendable {  // guarded by lock
    static let shared = KeptRuntimes()

    private let lock = Lock()
    private var runtimes: [Runtime] = []

    func keep(_ runtime: Runtime) { lock.with { runtimes.append(runtime) } }
    /// For tests.
    var all: [Runtime] { lock.with { runtimes } }
}
