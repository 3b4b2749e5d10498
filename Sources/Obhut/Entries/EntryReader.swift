// Second pass over the documents: the fields of each entry.
//
// What the kinds have in common is here, what each has of its own in
// `EntryReader+Kinds.swift`. A reader goes on after a fault with the default of the field:
// its entry is thrown away in the end, but its other faults are found.

struct EntryReader {
    let catalogue: Catalogue
    let sources: LuaSources
    let libraries: NativeLibraries
    let faults: FaultList
    /// What `workers` is if YAML says nothing.
    let cores: Int
    /// Entries that are read already: of a loaded application. Nil: what is asked for is read.
    var finished: ((EntryID) -> Entry?)? = nil

    /// The entry of a declaration; nil if its kind is unknown, or it lacks what nothing can
    /// stand for, which was reported.
    func read(_ declaration: Declaration) -> Entry? {
        guard let kind = declaration.kind else { return nil }
        let known = ["name", "kind"] + EntryReader.fieldNames(of: kind) + ["meta"]
        guard let fields = Fields(declaration.node, of: kind.rawValue, known: known, faults: faults)
        else { return nil }
        let definition: EntryDefinition
        switch kind {
        case .processHost: definition = .host(readHost(fields))
        case .processLua: definition = .process(readProcess(fields, declaration))
        case .processExternal: definition = .external(readExternal(fields, declaration))
        case .processService:
            guard let service = readService(fields, declaration) else { return nil }
            definition = .service(service)
        case .supervisor: definition = .supervisor(readSupervisor(fields, declaration))
        case .functionLua: definition = .function(readFunction(fields, declaration))
        case .libraryLua: definition = .library(readCode(fields, declaration))
        case .registryEntry: definition = .data(fields["data"]?.value ?? .null)
        case .processNative:
            guard let native = readNative(fields, declaration) else { return nil }
            definition = .native(native)
        case .libraryNative:
            guard let library = readNativeLibrary(fields, declaration) else { return nil }
            definition = .nativeLibrary(library)
        }
        return Entry(
            id: declaration.id, kind: kind, definition: definition, meta: fields["meta"]?.value ?? .null,
            position: declaration.node.position,
            lifecycle: kind.isStartable ? readLifecycle(fields, declaration) : nil)
    }

    private func readLifecycle(_ fields: Fields, _ declaration: Declaration) -> Lifecycle {
        var lifecycle = Lifecycle()
        let known = [
            "auto_start", "ready", "start_timeout", "stop_timeout", "stable_threshold", "depends_on", "requires",
            "restart",
        ]
        guard let part = fields.fields("lifecycle", known: known) else { return lifecycle }
        if let value = part.bool("auto_start") { lifecycle.autoStart = value }
        if let value = part.choice("ready", Readiness.self) { lifecycle.readiness = value }
        if lifecycle.readiness == .call, declaration.kind == .processHost || declaration.kind == .supervisor,
            let node = part["ready"]
        {
            faults.report(at: node.position, "'lifecycle.ready' must not be \"call\" here: only a process can call")
        }
        if let value = part.duration("start_timeout") { lifecycle.startTimeout = value }
        if let value = part.duration("stop_timeout") { lifecycle.stopTimeout = value }
        if let value = part.duration("stable_threshold", canBeZero: true) { lifecycle.stableThreshold = value }
        lifecycle.dependsOn = readDependencies(part, declaration)
        if let restart = part.fields("restart", known: EntryReader.restartFields) {
            lifecycle.restart = readRestart(restart)
        }
        return lifecycle
    }

    private func readDependencies(_ part: Fields, _ declaration: Declaration) -> [EntryID] {
        if part["depends_on"] != nil, let second = part.keyPosition("requires") {
            faults.report(at: second, "'requires' and 'depends_on' are the same field: give one of them")
        }
        var ids: [EntryID] = []
        var seen: Set<EntryID> = []
        for name in ["depends_on", "requires"] {
            for node in part.list(name, of: "entry ids") ?? [] {
                let id = catalogue.resolve(
                    node, in: declaration.id.namespace, role: "'lifecycle.\(name)'",
                    mustBe: "an entry that can be started", \.isStartable)
                if let id, seen.insert(id).inserted { ids.append(id) }
            }
        }
        return ids
    }

    private static let restartFields = ["policy"] + backoffFields
    static let backoffFields = ["initial_delay", "max_delay", "backoff_factor", "jitter", "max_attempts"]

    private func readRestart(_ fields: Fields) -> RestartPolicy {
        var restart = RestartPolicy()
        if let value = fields.choice("policy", RestartPolicy.Policy.self) { restart.policy = value }
        return readBackoff(fields, restart, of: "lifecycle.restart")
    }

    /// - Parameter name: whose fields these are, for a fault of two of them.
    func readBackoff(_ fields: Fields, _ defaults: RestartPolicy, of name: String) -> RestartPolicy {
        var restart = defaults
        if let value = fields.duration("initial_delay") { restart.initialDelay = value }
        if let value = fields.duration("max_delay") { restart.maxDelay = value }
        if let value = fields.number("backoff_factor", in: 1...1000) { restart.backoffFactor = value }
        if let value = fields.number("jitter", in: 0...1) { restart.jitter = value }
        if let value = fields.int("max_attempts", in: 0...Int.max) { restart.maxAttempts = value }
        if restart.maxDelay < restart.initialDelay, let node = fields["max_delay"] ?? fields["initial_delay"] {
            let isDefault = fields["max_delay"] == nil
            faults.report(
                at: node.position,
                "'\(name).max_delay'\(isDefault ? " (90s if not given)" : "") "
                    + "must not be shorter than 'initial_delay'")
        }
        return restart
    }
}
