/// What an application's configuration means before anything runs: who is started when, how long
/// each thing is tried, how a failure rises, what a stop takes (`obhut explain`).
///
/// The law here:
///
/// - It is made of the plans that the supervisors run by (`SupervisorProgram`), not of a second
///   reading of the entries.
/// - Each supervisor is shown once, where the tree names it first: entries may name each other so
///   that the tree has more places than there is memory for.
/// - Nothing recurs: supervisors are nested as deep as their author likes.
/// - Times are nanoseconds, `Int64.max` is "for ever".
struct Explanation: Sendable {
    /// A child, or a service.
    struct Place: Sendable {
        /// As messages call it: the child's name, or the entry's id.
        let name: String
        /// What it runs.
        let entry: String
        let group: SupervisionPlan.Group
        let isNumbered: Bool
        let position: SourcePosition
        var kind: Kind
        /// From 1: what has the same number starts together; each waits for those that it needs.
        let level: Int
        let needs: [String]
        /// Of a process: what happens if it fails at each start, supervisor by supervisor.
        var ascent: [Step] = []
    }

    enum Kind: Sendable {
        case process
        case host
        /// Index of the supervisor that it is; `isRepeated`: shown where it was first.
        case supervisor(Int, isRepeated: Bool)
    }

    struct Step: Sendable {
        /// Index in `supervisors`, and of its child that fails.
        let supervisor: Int
        let place: Int
        let result: AscentStep
    }

    struct Supervisor: Sendable {
        /// Nil: of what starts with the runtime.
        let id: String?
        let plan: SupervisionPlan
        let position: SourcePosition?
        var places: [Place]
        /// What it has to stop, and what its children may take one after the other.
        let stopTime: Int64
        var stopNeeds: Int64 { plan.tails.max() ?? 0 }
        /// What it has to be ready, and what its children may take: those that are ready once they
        /// run take none.
        let startTime: Int64
        var startNeeds: Int64 = 0
        /// Where the tree shows it; nil: nothing that starts with the runtime runs it.
        var parent: (supervisor: Int, place: Int)?
        var isRoot: Bool { id == nil }
    }

    struct Warning: Sendable {
        let position: SourcePosition
        let text: String
        let advice: String
        var description: String { Fault(at: position, "warning: \(text): \(advice)").description }
    }

    /// Hosts that are open when the start returns.
    private(set) var hosts: [String] = []
    /// The first is the root, if anything starts with the runtime.
    private(set) var supervisors: [Supervisor] = []
    /// Those that nothing runs unless a program spawns them.
    private(set) var spawned: [Int] = []
    private(set) var warnings: [Warning] = []
    /// What processes that are no service have to end when the runtime stops.
    let remainder = Runtime.remainderTimeout

    init(_ application: Application, _ directory: Directory) {
        var indices: [String: Int] = [:]
        if let services = directory.services {
            supervisors.append(Explanation.root(services, application))
        }
        for entry in application.entries {
            guard case .supervisor(let supervisor) = entry.definition,
                let program = directory.definitions[entry.id.description]?.program as? SupervisorProgram
            else { continue }
            indices[entry.id.description] = supervisors.count
            supervisors.append(Explanation.supervisor(entry, supervisor, program))
        }
        let supervised = Set(directory.services?.groups.map(\.name) ?? [])
        hosts = application.startOrder.map(\.description).filter { directory.hosts[$0] != nil && !supervised.contains($0) }
        link(indices, hasRoot: directory.services != nil)
        sumStarts()
        followFailures()
        warnings = makeWarnings(application)
    }

    private static func root(_ program: SupervisorProgram, _ application: Application) -> Supervisor {
        var levels: [Int] = []
        var places: [Place] = []
        for (group, shown) in zip(program.plan.groups, program.groups) {
            levels.append(1 + (group.needs.map { levels[$0] }.max() ?? 0))
            let id = EntryID(reference: shown.name, in: "")
            let position = id.flatMap { application[$0]?.position } ?? SourcePosition(path: "", line: 1, column: 1)
            places.append(place(shown, group, position, levels.last!, group.needs.map { program.groups[$0].name }))
        }
        return Supervisor(
            id: nil, plan: program.plan, position: nil, places: places, stopTime: program.plan.stopTime, startTime: .max)
    }

    private static func supervisor(_ entry: Entry, _ fields: SupervisorEntry, _ program: SupervisorProgram) -> Supervisor {
        var places: [Place] = []
        for (index, (group, shown)) in zip(program.plan.groups, program.groups).enumerated() {
            let position = index < fields.children.count ? fields.children[index].position : nil
            places.append(
                place(shown, group, position ?? entry.position, index + 1, group.needs.map { program.groups[$0].name }))
        }
        let lifecycle = entry.lifecycle ?? Lifecycle()
        return Supervisor(
            id: entry.id.description, plan: program.plan, position: entry.position, places: places,
            stopTime: lifecycle.stopTimeout, startTime: lifecycle.startTimeout)
    }

    private static func place(
        _ shown: SupervisorProgram.Group, _ group: SupervisionPlan.Group, _ position: SourcePosition, _ level: Int,
        _ needs: [String]
    ) -> Place {
        var entry = shown.name
        var kind = Kind.host
        if case .process(let id, _, _) = shown.work { (entry, kind) = (id, .process) }
        return Place(
            name: shown.name, entry: entry, group: group, isNumbered: shown.isNumbered, position: position, kind: kind,
            level: level, needs: needs)
    }

    /// Finds for each supervisor the first place that runs it, from the root down.
    private mutating func link(_ indices: [String: Int], hasRoot: Bool) {
        var seen = [Bool](repeating: false, count: supervisors.count)
        var named: Set<Int> = []
        for supervisor in supervisors {
            for place in supervisor.places { if let index = indices[place.entry] { named.insert(index) } }
        }
        func visit(_ start: Int, _ all: inout [Supervisor]) {
            var open = [start]
            seen[start] = true
            while let index = open.popLast() {
                var below: [Int] = []
                for place in all[index].places.indices {
                    guard let child = indices[all[index].places[place].entry] else { continue }
                    all[index].places[place].kind = .supervisor(child, isRepeated: seen[child])
                    if seen[child] { continue }
                    seen[child] = true
                    all[child].parent = (index, place)
                    below.append(child)
                }
                open += below.reversed()
            }
        }
        if hasRoot { visit(0, &supervisors) }
        for index in supervisors.indices where !seen[index] && !named.contains(index) {
            spawned.append(index)
            visit(index, &supervisors)
        }
        // There is no cycle, so the rest is reached from one that nothing names.
    }

    /// Of all supervisors, each after those below it.
    private func upwards() -> [Int] {
        var needs: [EntryID: [EntryID]] = [:]
        func id(_ index: Int) -> EntryID { EntryID(namespace: "", name: String(index)) }
        for index in supervisors.indices {
            needs[id(index)] = supervisors[index].places.compactMap {
                if case .supervisor(let child, _) = $0.kind { id(child) } else { nil }
            }
        }
        return EntryGraph(needs).walk(from: supervisors.indices.map(id)).order.compactMap { Int($0.name) }
    }

    /// Of one place, until it is ready: at most, if it does not fail.
    func startNeeds(_ place: Place) -> Int64 {
        switch place.kind {
        case .host: 0
        case .process: place.group.policy.readiness == .whenCalled ? place.group.policy.startTimeout : 0
        case .supervisor(let index, _): min(place.group.policy.startTimeout, supervisors[index].startNeeds)
        }
    }

    private mutating func sumStarts() {
        for index in upwards() {
            var done: [Int64] = []
            for (place, group) in zip(supervisors[index].places, supervisors[index].plan.groups) {
                done.append(saturating(group.needs.map { done[$0] }.max() ?? 0, plus: startNeeds(place)))
            }
            supervisors[index].startNeeds = done.max() ?? 0
        }
    }

    private mutating func followFailures() {
        for index in supervisors.indices {
            for place in supervisors[index].places.indices {
                guard case .process = supervisors[index].places[place].kind else { continue }
                supervisors[index].places[place].ascent = ascent(from: index, place)
            }
        }
    }

    private func ascent(from index: Int, _ place: Int) -> [Step] {
        var steps: [Step] = []
        var life = Life.process(supervisors[index].plan.groups[place].policy)
        var at: (supervisor: Int, place: Int)? = (index, place)
        while let here = at {
            let supervisor = supervisors[here.supervisor]
            let step = supervisor.plan.ascend(life, from: here.place, isProcess: steps.isEmpty)
            // From here on nothing happens.
            if step.ends == [.unnoticed] { break }
            steps.append(Step(supervisor: here.supervisor, place: here.place, result: step))
            life = step.life
            at = supervisor.parent
        }
        return steps
    }
}
