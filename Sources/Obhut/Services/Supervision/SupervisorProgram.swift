import Synchronization

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
        /// An encoded array, in the place of `input`.
        var arguments: [UInt8]? = nil
    }

    let plan: SupervisionPlan
    let groups: [Group]
    let log: Log
    /// The entry; nil: of the services of the application, which are no one's to add to.
    let entry: EntryID?
    /// What children that are added can name.
    let world: World
    /// Who runs it.
    let instances = SupervisorInstances()
    /// How the supervisor of all services has failed.
    let verdict = Verdict()

    struct World: Sendable {
        let application: Application
        let hosts: [String: Host]
        let supervisors: Host
    }

    init(plan: SupervisionPlan, groups: [Group], entry: EntryID?, world: World, log: Log) {
        precondition(plan.groups.count == groups.count)
        self.plan = plan
        self.groups = groups
        self.entry = entry
        self.world = world
        self.log = log
    }
}

/// An error that is written once and read by anybody.
final class Verdict: @unchecked Sendable {  // guarded by its lock
    private let lock = Lock()
    private var stored: ExitReason?

    var reason: ExitReason? {
        get { lock.with { stored } }
        set { lock.with { stored = newValue } }
    }
}

/// The processes that run one supervisor entry, so that its id can stand for the only one there is.
///
/// Atomics, not state behind a lock: supervisors of one entry write, anybody reads. `latest` is a hint: it may name one
/// that has ended while another lives.
final class SupervisorInstances: Sendable {
    private let count = Atomic<Int>(0)
    private let latest = Atomic<UInt64>(0)

    func begin(_ pid: Pid) {
        latest.store(pid.raw, ordering: .sequentiallyConsistent)
        count.add(1, ordering: .sequentiallyConsistent)
    }

    func end(_ pid: Pid) {
        count.subtract(1, ordering: .sequentiallyConsistent)
        _ = latest.compareExchange(expected: pid.raw, desired: 0, ordering: .sequentiallyConsistent)
    }

    /// How many there are, and one of them, if it is known.
    var now: (count: Int, latest: Pid) {
        (count.load(ordering: .sequentiallyConsistent), Pid(raw: latest.load(ordering: .sequentiallyConsistent)))
    }
}

extension SupervisionPlan.Readiness {
    init(_ readiness: Readiness) { self = readiness == .call ? .whenCalled : .whenRunning }
}

extension SupervisorProgram {
    /// Of a `supervisor` entry: each child after the one that is declared before it.
    convenience init(
        _ entry: SupervisorEntry, called id: EntryID, in world: World, log: Log
    ) {
        var plans: [SupervisionPlan.Group] = []
        var groups: [Group] = []
        for (index, child) in entry.children.enumerated() {
            plans.append(
                .init(
                    policy: world.policy(of: child), count: child.count ?? 1, needs: index == 0 ? [] : [index - 1]))
            groups.append(
                Group(
                    name: child.name,
                    work: .process(entry: child.process.description, host: world.host(of: child), input: child.input),
                    isNumbered: child.count != nil))
        }
        self.init(
            plan: SupervisionPlan(strategy: entry.strategy, intensity: entry.intensity, groups: plans),
            groups: groups, entry: id, world: world, log: log)
    }

    /// Of all that starts with the runtime (V1, V2), but for the hosts that need no service.
    /// - Returns: nil if there is nothing but these.
    convenience init?(servicesOf world: World, log: Log) {
        let (application, hosts, supervisors) = (world.application, world.hosts, world.supervisors)
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
            case .native(let native):
                guard let host = native.host.flatMap({ hosts[$0.description] }) else { continue }
                work = .process(entry: id.description, host: host, input: native.input)
            case .external(let external):
                guard let host = external.host.flatMap({ hosts[$0.description] }) else { continue }
                work = .process(entry: id.description, host: host, input: external.input)
            case .service(let service):
                guard let host = service.host.flatMap({ hosts[$0.description] }) else { continue }
                work = .process(entry: service.process.description, host: host, input: service.input)
            case .supervisor:
                policy.readiness = .whenCalled
                work = .process(entry: id.description, host: supervisors, input: [])
            case .function, .library, .nativeLibrary, .data: continue
            }
            indices[id] = groups.count
            plans.append(.init(policy: policy, needs: needs))
            groups.append(Group(name: id.description, work: work, isNumbered: false))
        }
        if groups.isEmpty { return nil }
        self.init(plan: SupervisionPlan(groups: plans), groups: groups, entry: nil, world: world, log: log)
    }
}

extension SupervisorProgram.World {
    /// What runs it says how long a supervisor has; it must be longer than its children need.
    func policy(of child: ChildEntry) -> SupervisionPlan.Policy {
        let named = application[child.process]
        let nested = named?.kind == .supervisor ? named?.lifecycle : nil
        var policy = SupervisionPlan.Policy()
        policy.restart = child.restart
        policy.stableThreshold = child.stableThreshold
        policy.startTimeout = child.startTimeout ?? nested?.startTimeout ?? policy.startTimeout
        policy.shutdown = child.shutdown ?? nested?.stopTimeout ?? policy.shutdown
        policy.readiness = nested == nil ? .init(child.readiness) : .whenCalled
        policy.isSignificant = child.isSignificant
        return policy
    }

    func host(of child: ChildEntry) -> Host {
        child.host.flatMap { hosts[$0.description] } ?? supervisors
    }
}
