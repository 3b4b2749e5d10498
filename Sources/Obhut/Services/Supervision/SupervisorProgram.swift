/// What a supervisor runs: its plan, and what each group of the plan stands for.
final class SupervisorProgram: Sendable {
    struct Group: Sendable {
        enum Work: Sendable {
            /// An entry that can run as a process; looked up when it is started.
            case process(entry: String, host: Host, input: [EntryValue])
            /// A host that needs services: it is open when it is started, and nothing can fail.
            case host(Host)
        }

        /// As messages call it.
        let name: String
        let work: Work
        /// With `count:`: each child has its number, from 1, in its name and as its last argument.
        let isNumbered: Bool
    }

    let plan: SupervisionPlan
    let groups: [Group]
    let log: Log

    init(plan: SupervisionPlan, groups: [Group], log: Log) {
        precondition(plan.groups.count == groups.count)
        self.plan = plan
        self.groups = groups
        self.log = log
    }
}

extension SupervisionPlan.Readiness {
    init(_ readiness: Readiness) { self = readiness == .call ? .whenCalled : .whenRunning }
}

extension SupervisorProgram {
    /// Of a `supervisor` entry: each child after the one that is declared before it.
    convenience init(
        _ entry: SupervisorEntry, in application: Application, hosts: [String: Host], supervisors: Host, log: Log
    ) {
        var plans: [SupervisionPlan.Group] = []
        var groups: [Group] = []
        for (index, child) in entry.children.enumerated() {
            // What runs it says how long a supervisor has; it must be longer than its children need.
            let named = application[child.process]
            let nested = named?.kind == .supervisor ? named?.lifecycle : nil
            var policy = SupervisionPlan.Policy()
            policy.restart = child.restart
            policy.stableThreshold = child.stableThreshold
            policy.startTimeout = child.startTimeout ?? nested?.startTimeout ?? policy.startTimeout
            policy.shutdown = child.shutdown ?? nested?.stopTimeout ?? policy.shutdown
            policy.readiness = nested == nil ? .init(child.readiness) : .whenCalled
            policy.isSignificant = child.isSignificant
            plans.append(.init(policy: policy, count: child.count ?? 1, needs: index == 0 ? [] : [index - 1]))
            let host = child.host.flatMap { hosts[$0.description] } ?? supervisors
            groups.append(
                Group(
                    name: child.name,
                    work: .process(entry: child.process.description, host: host, input: child.input),
                    isNumbered: child.count != nil))
        }
        self.init(
            plan: SupervisionPlan(strategy: entry.strategy, intensity: entry.intensity, groups: plans),
            groups: groups, log: log)
    }

    /// Of all that starts with the runtime (V1, V2), but for the hosts that need no service.
    /// - Returns: nil if there is nothing but these.
    convenience init?(
        servicesOf application: Application, hosts: [String: Host], supervisors: Host, log: Log
    ) {
        var plans: [SupervisionPlan.Group] = []
        var groups: [Group] = []
        var indices: [EntryID: Int] = [:]
        for id in application.startOrder {
            guard let entry = application[id], let lifecycle = entry.lifecycle else { continue }
            let needs = (application.startNeeds[id] ?? []).compactMap { indices[$0] }
            let work: Group.Work
            var policy = SupervisionPlan.Policy()
            policy.restart = lifecycle.restart
            policy.stableThreshold = lifecycle.stableThreshold
            policy.startTimeout = lifecycle.startTimeout
            policy.shutdown = lifecycle.stopTimeout
            policy.readiness = .init(lifecycle.readiness)
            switch entry.definition {
            case .host:
                guard !needs.isEmpty, let host = hosts[id.description] else { continue }
                policy.shutdown = 0  // it stays open until the last process has ended
                work = .host(host)
            case .process(let process):
                guard let host = process.host.flatMap({ hosts[$0.description] }) else { continue }
                work = .process(entry: id.description, host: host, input: process.input)
            case .external(let external):
                guard let host = external.host.flatMap({ hosts[$0.description] }) else { continue }
                work = .process(entry: id.description, host: host, input: external.input)
            case .service(let service):
                guard let host = service.host.flatMap({ hosts[$0.description] }) else { continue }
                work = .process(entry: service.process.description, host: host, input: service.input)
            case .supervisor:
                policy.readiness = .whenCalled
                work = .process(entry: id.description, host: supervisors, input: [])
            case .function, .library, .data: continue
            }
            indices[id] = groups.count
            plans.append(.init(policy: policy, needs: needs))
            groups.append(Group(name: id.description, work: work, isNumbered: false))
        }
        if groups.isEmpty { return nil }
        self.init(plan: SupervisionPlan(groups: plans), groups: groups, log: log)
    }
}
