/// What can be named in an application: hosts and what runs on them. Immutable.
final class Directory: Sendable {
    let hosts: [String: Host]
    let definitions: [String: ProcessDefinition]
    private let kinds: [String: String]

    /// Of a runtime without an application.
    init() {
        hosts = [:]
        definitions = [:]
        kinds = [:]
    }

    init(_ application: Application, scheduler: Scheduler, cloning: Cloning) {
        var hosts: [String: Host] = [:]
        var definitions: [String: ProcessDefinition] = [:]
        var kinds: [String: String] = [:]
        let programs = LuaPrograms(application, cloning: cloning)
        for entry in application.entries {
            let id = entry.id.description
            kinds[id] = entry.kind.rawValue
            switch entry.definition {
            case .host(let host): hosts[id] = scheduler.addHost(named: id, limits: HostLimits(host))
            case .process(let process):
                definitions[id] = programs.definition(
                    entry, process.code, method: process.method, memoryLimit: process.memoryLimit)
            case .function(let function):
                definitions[id] = programs.definition(
                    entry, function.code, method: function.method, memoryLimit: function.memoryLimit)
            case .library, .data: break
            }
        }
        self.hosts = hosts
        self.definitions = definitions
        self.kinds = kinds
    }

    func definition(_ id: String) -> ProcessSystem.DefinitionLookup {
        if let definition = definitions[id] { return .found(definition) }
        if let kind = kinds[id] { return .notAProcess(kind: kind) }
        return .notFound
    }
}

extension HostLimits {
    init(_ entry: HostEntry) {
        self.init(
            workers: entry.workers, maxProcesses: entry.maxProcesses,
            mailboxMessages: entry.mailboxLimit, mailboxBytes: entry.mailboxBytes,
            maxMessage: entry.maxMessage, processMemory: entry.processMemory,
            spareWorkers: entry.spareWorkers, stepLimit: entry.stepLimit)
    }
}

extension PayloadWriter {
    /// Data of a user's own, as it stands in an entry.
    mutating func write(_ value: EntryValue) {
        switch value {
        case .null: writeNil()
        case .bool(let value): writeBool(value)
        case .int(let value): writeInteger(value)
        case .float(let value): writeDouble(value)
        case .string(let value): writeString(value)
        case .list(let values):
            writeArrayHeader(values.count)
            for value in values { write(value) }
        case .map(let pairs):
            writeMapHeader(pairs.count)
            for pair in pairs {
                write(pair.key)
                write(pair.value)
            }
        }
    }
}
