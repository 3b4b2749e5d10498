/// What can be named in an application: hosts and what runs on them. Immutable.
final class Directory: Sendable {
    let hosts: [String: Host]
    let definitions: [String: ProcessDefinition]
    /// Supervises what starts with the runtime; nil if there is nothing.
    let services: SupervisorProgram?
    /// Where the application's supervisors run, if it has any; not one of `hosts`: nothing names it.
    let supervisorHost: Host?
    private let kinds: [String: String]
    /// What is shown of each entry, in the order of the files.
    let entries: [Summary]

    struct Summary: Sendable {
        let id, kind: String
        let meta: EntryValue
        let position: SourcePosition
    }

    /// Of a runtime without an application.
    init() {
        hosts = [:]
        definitions = [:]
        kinds = [:]
        entries = []
        services = nil
        supervisorHost = nil
    }

    init(
        _ application: Application, _ programs: LuaPrograms, scheduler: Scheduler, log: Log, externals: ExternalEntries
    ) {
        var hosts: [String: Host] = [:]
        var definitions: [String: ProcessDefinition] = [:]
        var kinds: [String: String] = [:]
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
            case .native(let native):
                let program = NativeProgram(native, id: id)
                definitions[id] = ProcessDefinition(
                    id: id, body: native.mode == .handler ? NativeHandler.table : NativeShell.table, program: program,
                    argumentFault: { program.fault(of: $0) })
            case .external: definitions[id] = externals.declare(id)
            case .service, .supervisor, .library, .nativeLibrary, .data: break
            }
        }
        let supervisors = scheduler.addHost(named: SupervisorProgram.hostID, limits: .ofSupervisors)
        let world = SupervisorProgram.World(application: application, hosts: hosts, supervisors: supervisors)
        var hasSupervisors = false
        for entry in application.entries {
            guard case .supervisor(let supervisor) = entry.definition else { continue }
            let id = entry.id.description
            hasSupervisors = true
            definitions[id] = ProcessDefinition(
                id: id, body: Supervisor.table,
                program: SupervisorProgram(supervisor, called: entry.id, in: world, log: log))
        }
        services = SupervisorProgram(servicesOf: world, log: log)
        supervisorHost = hasSupervisors || services != nil ? supervisors : nil
        self.hosts = hosts
        self.definitions = definitions
        self.kinds = kinds
        entries = application.entries.map {
            Summary(id: $0.id.description, kind: $0.kind.rawValue, meta: $0.meta, position: $0.position)
        }
    }

    /// The kind of an entry, nil if there is none with this id.
    func kind(_ id: String) -> String? { kinds[id] }

    func definition(_ id: String) -> ProcessSystem.DefinitionLookup {
        if let definition = definitions[id] { return .found(definition) }
        if let kind = kinds[id] { return .notAProcess(kind: kind) }
        return .notFound
    }
}

extension HostLimits {
    /// One worker, which no program holds; their own few messages are never refused.
    static let ofSupervisors: HostLimits = {
        var limits = HostLimits()
        limits.workers = 1
        limits.spareWorkers = 0
        limits.mailboxMessages = 0
        limits.mailboxBytes = 0
        return limits
    }()

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
