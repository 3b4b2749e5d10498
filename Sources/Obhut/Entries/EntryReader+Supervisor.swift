// The fields of a supervisor and of its children.

extension EntryReader {
    func readSupervisor(_ fields: Fields, _ declaration: Declaration) -> SupervisorEntry {
        let strategy = fields.choice("strategy", SupervisorStrategy.self) ?? .oneForOne
        var intensity = RestartIntensity()
        if let part = fields.fields("intensity", known: ["max_restarts", "max_seconds"]) {
            if let value = part.int("max_restarts", in: 0...1_000_000) { intensity.maxRestarts = value }
            if let value = part.number("max_seconds", in: 0.001...31_536_000) {
                intensity.window = Int64(value * 1e9)
            }
        }
        var children: [ChildEntry] = []
        var places: [String: SourcePosition] = [:]
        if fields["children"] == nil {
            faults.report(at: declaration.node.position, "the supervisor has no 'children': a list of what it runs")
        }
        for node in fields.list("children", of: "children, such as { process: worker }") ?? [] {
            guard let child = readChild(node, in: declaration.id.namespace) else { continue }
            if let first = places[child.name] {
                faults.report(
                    at: node.position,
                    "child '\(child.name)' is declared twice: first at \(first.path):\(first.line):\(first.column); "
                        + "give one of them another 'name'")
            } else {
                places[child.name] = node.position
                children.append(child)
            }
        }
        return SupervisorEntry(strategy: strategy, intensity: intensity, children: children)
    }

    private static let childFields = [
        "name", "process", "host", "input", "count", "restart", "stable_threshold", "ready", "start_timeout",
        "shutdown", "significant",
    ]

    /// Nil without a process to run, and that is reported.
    /// - Parameter isAdded: to a supervisor that runs.
    func readChild(_ node: YAMLNode, in namespace: String, isAdded: Bool = false) -> ChildEntry? {
        let known = isAdded ? EntryReader.childFields.filter { $0 != "count" } : EntryReader.childFields
        guard let fields = Fields(node, of: "a child", known: known, faults: faults) else { return nil }
        let host = readHostReference(fields, in: namespace, role: "the child's 'host'")
        let input = fields.list("input", of: "arguments")?.map(\.value)
        let count = fields.int("count", in: 1...1_000_000)
        let named = fields["process"].flatMap {
            catalogue.resolve(
                $0, in: namespace, role: "the child's 'process'",
                mustBe: "a process.lua, a process.native, a process.external, a function.lua, a process.service or a supervisor", \.isSupervisable)
        }
        let kind = named.flatMap { catalogue[$0]?.kind }
        let service = kind == .processService ? named.flatMap(entry(of:)) : nil
        let restart = readChildRestart(fields, service?.lifecycle?.restart)
        let stableThreshold = fields.duration("stable_threshold", canBeZero: true)
        let readiness = fields.choice("ready", Readiness.self)
        let startTimeout = fields.duration("start_timeout")
        let shutdown = fields.duration("shutdown")
        let isSignificant = fields.bool("significant") ?? false
        if isSignificant, restart.policy == .always, let node = fields["significant"] {
            faults.report(
                at: node.position,
                "a permanent child never ends for good, so it cannot be 'significant': "
                    + "give it 'restart: transient' or 'restart: temporary'")
        }
        let name = readChildName(fields)
        if fields["process"] == nil {
            faults.report(at: node.position, "the child has no 'process': the id of the process or supervisor that it runs")
        }
        guard let named else { return nil }
        if kind == .supervisor {
            for field in ["host", "input"] {
                guard let place = fields.keyPosition(field) else { continue }
                faults.report(at: place, "'\(named)' is a supervisor: it takes no '\(field)'")
            }
            if readiness == .call, let node = fields["ready"] {
                faults.report(at: node.position, "'\(named)' is a supervisor: it is ready when its children are")
            }
        }
        guard case .service(let wrapped)? = service?.definition, let lifecycle = service?.lifecycle else {
            // One that has faults of its own has been reported.
            if kind == .processService { return nil }
            return ChildEntry(
                name: name ?? named.name, process: named, host: host, input: input ?? [], count: count,
                restart: restart, stableThreshold: stableThreshold ?? Lifecycle().stableThreshold,
                startTimeout: startTimeout, shutdown: shutdown, readiness: readiness ?? .running,
                isSignificant: isSignificant, position: node.position)
        }
        return ChildEntry(
            name: name ?? named.name, process: wrapped.process, service: named, host: host ?? wrapped.host,
            input: input ?? wrapped.input, count: count, restart: restart,
            stableThreshold: stableThreshold ?? lifecycle.stableThreshold,
            startTimeout: startTimeout ?? lifecycle.startTimeout, shutdown: shutdown ?? lifecycle.stopTimeout,
            readiness: readiness ?? lifecycle.readiness, isSignificant: isSignificant, position: node.position)
    }

    /// Also of one that stands further below; what is wrong with it is reported once.
    private func entry(of id: EntryID) -> Entry? {
        finished.map { $0(id) } ?? catalogue[id].flatMap(read)
    }

    private func readChildName(_ fields: Fields) -> String? {
        guard let node = fields["name"] else { return nil }
        if let name = node.string, EntryID.isValidPart(name) { return name }
        fields.wrong("name", node, mustBe: "1 to 127 letters, digits, '_', '-' or '.'", advice: node.quotingAdvice)
        return nil
    }

    private enum RestartType: String, CaseIterable {
        case permanent, transient, temporary

        var policy: RestartPolicy.Policy {
            switch self {
            case .permanent: .always
            case .transient: .onFailure
            case .temporary: .never
            }
        }
    }

    /// The type alone, or a mapping of it and the back-off.
    /// - Parameter service: what the service says that it runs.
    private func readChildRestart(_ fields: Fields, _ service: RestartPolicy?) -> RestartPolicy {
        var restart = service ?? RestartPolicy()
        if service == nil {
            restart.policy = .always
            // The intensity is what bounds a child that fails again and again: with the delays of a
            // service it would hardly ever be reached.
            restart.initialDelay = 100_000_000
        }
        guard let node = fields["restart"] else { return restart }
        if node.mapping == nil {
            if let type = fields.choice("restart", RestartType.self) { restart.policy = type.policy }
            return restart
        }
        guard let part = fields.fields("restart", known: ["type"] + EntryReader.backoffFields) else { return restart }
        if let type = part.choice("type", RestartType.self) { restart.policy = type.policy }
        return readBackoff(part, restart, of: "restart")
    }
}
