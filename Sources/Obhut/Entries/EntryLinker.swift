// Last step of a load: what lies between entries rather than in one.

struct EntryLinker {
    private(set) var entries: [Entry]
    private let catalogue: Catalogue
    private let indices: [EntryID: Int]
    /// As declared: a host with faults of its own is a host.
    private let hosts: [EntryID]

    init(entries: [Entry], catalogue: Catalogue) {
        self.entries = entries
        self.catalogue = catalogue
        hosts = catalogue.declarations.filter { $0.kind == .processHost }.map(\.id)
        indices = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.id, $0) })
    }

    func checkImports(_ faults: FaultList) {
        var needs: [EntryID: [EntryID]] = [:]
        for entry in entries { needs[entry.id] = entry.code?.imports.map(\.library) }
        report(EntryGraph(needs).walk(from: entries.map(\.id)).cycles, of: "imports", faults)
    }

    /// Settles which host each service runs on, and the order of the start.
    mutating func orderStart(_ faults: FaultList) -> [EntryID] {
        let starting = entries.filter { $0.lifecycle?.autoStart ?? false }.map(\.id)
        // A host that is settled on may bring needs of its own, and these again need a host.
        var needed: [EntryID] = []
        repeat {
            let (order, _) = EntryGraph(dependencies()).walk(from: starting)
            if order.count == needed.count { break }
            needed = order
            for id in needed { settleHost(of: id, faults) }
        } while true

        let graph = EntryGraph(dependencies())
        // Cycles are faults also among entries that nothing starts.
        report(graph.walk(from: entries.map(\.id)).cycles, of: "dependencies", faults)
        let started = Set(needed)
        let roots = entries.filter { started.contains($0.id) }
        let hostsFirst = roots.filter { $0.kind == .processHost } + roots.filter { $0.kind != .processHost }
        return graph.walk(from: hostsFirst.map(\.id)).order
    }

    private func dependencies() -> [EntryID: [EntryID]] {
        var needs: [EntryID: [EntryID]] = [:]
        for entry in entries {
            var ids = entry.lifecycle?.dependsOn ?? []
            if case .process(let process) = entry.definition, let host = process.host { ids.append(host) }
            needs[entry.id] = ids
        }
        return needs
    }

    /// A service without a `host:` runs on the only host there is.
    private mutating func settleHost(of id: EntryID, _ faults: FaultList) {
        guard let index = indices[id], case .process(var process) = entries[index].definition,
            process.host == nil
        else { return }
        let entry = entries[index]
        // One that names a host, but not a right one, has its fault.
        if catalogue[id]?.node["host"] != nil { return }
        switch hosts.count {
        case 1:
            process.host = hosts[0]
            entries[index].definition = .process(process)
        case 0:
            faults.report(
                at: entry.position,
                "'\(id)' starts with the application but there is no host to run it on: declare a process.host")
        default:
            faults.report(
                at: entry.position,
                "'\(id)' starts with the application and needs a 'host': "
                    + "there are \(listed(hosts, separator: ", "))")
        }
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
        case .host, .data: nil
        }
    }
}
