/// What a supervisor has to keep running, and how: the constant part of `Supervision`.
///
/// Children stand in *groups*: a declared child is a group, with `count:` of equal ones. A
/// group needs others; these have a lower index, so a plan has no cycle. Times are
/// nanoseconds.
struct SupervisionPlan: Sendable {
    enum Readiness: Sendable {
        /// As soon as its body has begun.
        case whenRunning
        /// When it says so.
        case whenCalled
    }

    struct Policy: Sendable {
        var restart = RestartPolicy()
        /// Having been ready for so long makes it stable: the count of its attempts begins anew.
        var stableThreshold: Int64 = 5_000_000_000
        var startTimeout: Int64 = 10_000_000_000
        /// From its cancel to its end by force.
        var shutdown: Int64 = 5_000_000_000
        var readiness = Readiness.whenRunning
        /// Its supervisor ends when it has ended for good.
        var isSignificant = false
    }

    struct Group: Sendable {
        var policy: Policy
        var count = 1
        /// Indices of the groups that are started before and stopped after it.
        var needs: [Int] = []
    }

    let strategy: SupervisorStrategy
    /// Nil: as many as it takes.
    let intensity: RestartIntensity?
    let groups: [Group]
    /// Of each group, who needs it.
    let dependents: [[Int]]
    /// Of each group, the time that it and all that is stopped after it may take.
    let tails: [Int64]

    init(strategy: SupervisorStrategy = .oneForOne, intensity: RestartIntensity? = nil, groups: [Group]) {
        self.strategy = strategy
        self.intensity = intensity
        self.groups = groups
        var dependents = [[Int]](repeating: [], count: groups.count)
        var tails: [Int64] = []
        tails.reserveCapacity(groups.count)
        for (index, group) in groups.enumerated() {
            var tail: Int64 = 0
            for need in group.needs {
                precondition(need < index, "a group needs only groups before it")
                dependents[need].append(index)
                tail = max(tail, tails[need])
            }
            let (sum, overflow) = tail.addingReportingOverflow(group.policy.shutdown)
            tails.append(overflow ? .max / 4 : min(sum, .max / 4))
        }
        self.dependents = dependents
        self.tails = tails
    }

    /// What a stop takes at most when every child takes all of its time.
    var stopTime: Int64 { (tails.max() ?? 0) + SupervisionPlan.reserve }

    /// Of what a supervisor has for its stop it keeps this much, or an eighth, for itself:
    /// children that do not end are ended by force, and it sees them end before its own time is over.
    static let reserve: Int64 = 250_000_000
}

extension RestartPolicy {
    /// The wait before restart `attempt`, 1, 2, …: `initialDelay * backoffFactor^(attempt - 1)`, at most
    /// `maxDelay` (V5), varied by up to `jitter` of it to both sides (V3). What the variation would put
    /// above `maxDelay` is mirrored at it: many that wait for the longest time still do not return at once.
    func delay(attempt: Int, _ random: inout RandomSource) -> Int64 {
        var delay = Double(initialDelay)
        // The power would be infinite long before the loop of a service that fails for years ends.
        for _ in 1..<max(2, min(attempt, 4096)) where attempt > 1 && delay < Double(maxDelay) {
            delay *= backoffFactor
        }
        let most = Double(maxDelay)
        delay = min(delay, most)
        if jitter > 0 {
            delay *= 1 + jitter * Double.random(in: -1...1, using: &random)
            if delay > most { delay = 2 * most - delay }
        }
        // The longest duration there is becomes, as a Double, one more.
        return Int64(exactly: max(0, delay.rounded(.down))) ?? .max - 1
    }
}
