/// The entries whose processes the host program runs, by id: declared in the application, or defined by the
/// program alone. They are never taken out, so definitions outlive their processes.
final class ExternalEntries: @unchecked Sendable {  // guarded by lock
    private let lock = Lock()
    private var definitions: [String: ProcessDefinition] = [:]

    func definition(_ id: String) -> ProcessDefinition? { lock.with { definitions[id] } }

    var ids: [String] { lock.with { definitions.keys.sorted() } }

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
