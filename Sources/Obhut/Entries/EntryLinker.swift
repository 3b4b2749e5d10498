// Last step of a load: what lies between entries rather than in one.

struct EntryLinker {
    private(set) var entries: [Entry]
    private let catalogue: Catalogue
    private let indices: [EntryID: Int]
    /// Of each `process.service` that is a supervisor's child, whose. These start and stop it, and nobody else: it does
    /// not start by itself, whatever its `auto_start` says, and who needs it needs its supervisor.
    private var owners: [EntryID: [EntryID]] = [:]
    /// As declared: a host with faults of its own is a host.
    private let hosts: [EntryID]

    init(entries: [Entry], catalogue: Catalogue) {
        self.entries = entries
        self.catalogue = catalogue
        hosts = catalogue.declarations.filter { $0.kind == .processHost }.map(\.id)
        for entry in entries {
            guard case .supervisor(let supervisor) = entry.definition else { continue }
            for case let service? in supervisor.children.map(\.service) { owners[service, default: []].append(entry.id) }
        }
        indices = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.id, $0) })
    }

    func checkImports(_ faults: FaultList) {
        var needs: [EntryID: [EntryID]] = [:]
        for entry in entries { needs[entry.id] = entry.code?.imports.map(\.library) }
        report(EntryGraph(needs).walk(from: entries.map(\.id)).cycles, of: "imports", faults)
    }

    /// Settles which host each service and child runs on, and the order of the start.
    /// - Returns: what starts, and which of these each needs.
    mutating func orderStart(_ faults: FaultList) -> (order: [EntryID], needs: [EntryID: [EntryID]]) {
        let starting = entries.filter(startsByItself).map(\.id)
        // A host that is settled on may bring needs of its own, and these again need a host.
        var needed: [EntryID] = []
        repeat {
            let (order, _) = EntryGraph(dependencies()).walk(from: starting)
            if order.count == needed.count { break }
            needed = order
            let starts = self.starts(among: needed)
            for id in needed { settleHosts(of: id, isStarted: starts.contains(id), faults) }
        } while true
        // Any process can spawn a supervisor that nothing starts.
        for entry in entries where entry.kind == .supervisor { settleHosts(of: entry.id, isStarted: false, faults) }

        let graph = EntryGraph(dependencies())
        // Cycles are faults also among entries that nothing starts.
        report(graph.walk(from: entries.map(\.id)).cycles, of: "dependencies", faults)
        let started = starts(among: needed)
        let roots = entries.filter { started.contains($0.id) }
        let hostsFirst = roots.filter { $0.kind == .processHost } + roots.filter { $0.kind != .processHost }
        let order = graph.walk(from: hostsFirst.map(\.id)).order.filter(started.contains)
        return (order, needs(of: order, started))
    }

    /// Children of one supervisor start in its order: who depends on one that comes later would start without it.
    func checkOrderOfChildren(_ faults: FaultList) {
        for case .supervisor(let supervisor) in entries.map(\.definition) {
            let services = supervisor.children.map(\.service)
            for (place, service) in services.enumerated() {
                guard let service, let index = indices[service] else { continue }
                let entry = entries[index]
                for need in entry.lifecycle?.dependsOn ?? [] {
                    guard let later = services.lastIndex(of: need), later > place else { continue }
                    faults.report(
                        at: entry.position,
                        "'\(service)' depends on '\(need)', but child '\(supervisor.children[place].name)' starts before "
                            + "'\(supervisor.children[later].name)': children start in the order in which their supervisor names them")
                }
            }
        }
    }

    private func startsByItself(_ entry: Entry) -> Bool {
        entry.lifecycle?.autoStart ?? false && owners[entry.id] == nil
    }

    /// What it needs itself, and of services that are children their supervisors. Children of one supervisor have its
    /// order.
    private func needs(of entry: Entry) -> [EntryID] {
        entry.needs.flatMap { need -> [EntryID] in
            guard let owners = owners[need] else { return [need] }
            return owners.filter { !(self.owners[entry.id] ?? []).contains($0) }
        }
    }

    /// What an entry needs started, and what it runs itself: that need not be started, but has needs too.
    private func dependencies() -> [EntryID: [EntryID]] {
        var needs: [EntryID: [EntryID]] = [:]
        for entry in entries { needs[entry.id] = self.needs(of: entry) + entry.runs }
        return needs
    }

    /// Of those that are reached: what has `auto_start`, or is needed, and not only run by another.
    private func starts(among reached: [EntryID]) -> Set<EntryID> {
        var started: Set<EntryID> = []
        for id in reached {
            guard let index = indices[id] else { continue }
            if startsByItself(entries[index]) { started.insert(id) }
            started.formUnion(needs(of: entries[index]))
        }
        return started
    }

    /// Of each that starts, the others that it needs itself or through what it runs.
    private func needs(of order: [EntryID], _ started: Set<EntryID>) -> [EntryID: [EntryID]] {
        var result: [EntryID: [EntryID]] = [:]
        for id in order {
            var found: [EntryID] = []
            var seen: Set<EntryID> = [id]
            var open = [id]
            while let next = open.popLast(), let index = indices[next] {
                for need in needs(of: entries[index]) where seen.insert(need).inserted { found.append(need) }
                for run in entries[index].runs where seen.insert(run).inserted {
                    if started.contains(run) { found.append(run) } else { open.append(run) }
                }
            }
            result[id] = found
        }
        return result
    }

    /// A service or child without a `host:` runs on the only host there is.
    private mutating func settleHosts(of id: EntryID, isStarted: Bool, _ faults: FaultList) {
        guard let index = indices[id] else { return }
        let entry = entries[index]
        // One that names a host, but not a right one, has its fault.
        let namesOne = catalogue[id]?.node["host"] != nil
        switch entry.definition {
        case .process(var process) where process.host == nil && !namesOne && isStarted:
            process.host = onlyHost(for: "'\(id)' starts with the application", at: entry.position, faults)
            entries[index].definition = .process(process)
        case .native(var native) where native.host == nil && !namesOne && isStarted:
            native.host = onlyHost(for: "'\(id)' starts with the application", at: entry.position, faults)
            entries[index].definition = .native(native)
        case .external(var external) where external.host == nil && !namesOne && isStarted:
            external.host = onlyHost(for: "'\(id)' starts with the application", at: entry.position, faults)
            entries[index].definition = .external(external)
        case .service(var service) where service.host == nil && !namesOne:
            service.host =
                host(of: service.process)
                ?? onlyHost(for: "'\(id)' starts with the application", at: entry.position, faults)
            entries[index].definition = .service(service)
        case .supervisor(var supervisor):
            for (place, child) in supervisor.children.enumerated()
            where child.host == nil && catalogue[child.process]?.kind != .supervisor {
                supervisor.children[place].host =
                    host(of: child.process)
                    ?? onlyHost(for: "child '\(child.name)' of '\(id)' is to run", at: entry.position, faults)
            }
            entries[index].definition = .supervisor(supervisor)
        default: break
        }
    }

    /// What the process says itself.
    private func host(of process: EntryID) -> EntryID? {
        guard let index = indices[process] else { return nil }
        switch entries[index].definition {
        case .process(let process): return process.host
        case .native(let native): return native.host
        case .external(let external): return external.host
        default: return nil
        }
    }

    private func onlyHost(for who: String, at position: SourcePosition, _ faults: FaultList) -> EntryID? {
        switch hosts.count {
        case 1: return hosts[0]
        case 0:
            faults.report(
                at: position, "\(who) but there is no host to run it on: declare a process.host")
        default:
            faults.report(
                at: position, "\(who) and needs a 'host': there are \(listed(hosts, separator: ", "))")
        }
        return nil
    }

    private func report(_ cycles: [[EntryID]], of what: String, _ faults: FaultList) {
        for cycle in cycles {
            guard let first = catalogue[cycle[0]] else { continue }
            faults.report(at: first.node.position, "cycle of \(what): \(listed(cycle, separator: " -> "))")
        }
    }

    /// Cut in the middle if it is longer than a person reads.
    private func listed(_ ids: [EntryID], separator: String) -> String {
        var names = ids.map(\.description)
        if names.count > 20 { names[10..<(names.count - 10)] = ["… \(names.count - 20) more …"] }
        return names.joined(separator: separator)
    }
}

extension Entry {
    /// The Lua text of a kind that has one.
    var code: LuaCode? {
        switch definition {
        case .process(let process): process.code
        case .function(let function): function.code
        case .library(let code): code
        case .host, .native, .external, .service, .supervisor, .nativeLibrary, .data: nil
        }
    }

    /// Entries that are started before this one: `depends_on`, and hosts.
    var needs: [EntryID] {
        var ids = lifecycle?.dependsOn ?? []
        switch definition {
        case .process(let process): if let host = process.host { ids.append(host) }
        case .native(let native): if let host = native.host { ids.append(host) }
        case .external(let external): if let host = external.host { ids.append(host) }
        case .service(let service): if let host = service.host { ids.append(host) }
        case .supervisor(let supervisor): ids += supervisor.children.compactMap(\.host)
        case .host, .function, .library, .nativeLibrary, .data: break
        }
        return ids
    }

    /// Entries that this one makes processes of.
    var runs: [EntryID] {
        switch definition {
        case .service(let service): [service.process]
        case .supervisor(let supervisor): supervisor.children.map { $0.service ?? $0.process }
        case .host, .process, .native, .external, .function, .library, .nativeLibrary, .data: []
        }
    }
}
