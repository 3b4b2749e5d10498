/// The entries whose processes the host program runs, by id: declared in the application, or defined by the
/// program alone. They are never taken out, so definitions outlive their processes.
final class ExternalEntries: @unchecked Sendable {  // guarded by lock
    private let lock = Lock()
    private var definitions: [String: ProcessDefinition] = [:]
    /// Acceptors that the library has made itself, by entry.
    private var owned: [String: (port: Port, pid: Pid)] = [:]

    func definition(_ id: String) -> ProcessDefinition? { lock.with { definitions[id] } }

    var ids: [String] { lock.with { definitions.keys.sorted() } }

    /// Notes the acceptor that the library has made for an entry, nil: none.
    /// - Returns: the one before.
    func replaceOwned(_ id: String, by acceptor: (port: Port, pid: Pid)?) -> (port: Port, pid: Pid)? {
        lock.with {
            let before = owned[id]
            owned[id] = acceptor
            return before
        }
    }

    /// The definition with this id, made if there is none.
    func declare(_ id: String) -> ProcessDefinition {
        lock.with {
            if let known = definitions[id] { return known }
            let made = ExternalProgram.definition(id)
            definitions[id] = made
            return made
        }
    }
}
