import Testing

@testable import Obhut

private let second: Int64 = 1_000_000_000  // nanoseconds

/// What is computed of a failure that does not go away, beside the machine that decides it, in virtual time (V3, V5, V6).
@Suite struct AscentTests {
    @Test(arguments: 1...(UInt64(max(40, 300 * testScale)))) func agreesWithTheSupervisors_V3_V5_V6(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let depth = Int.random(in: 1...3, using: &random)
        var levels: [FailingTree.Level] = []
        for height in 0..<depth { levels.append(Self.level(height: height, top: height == depth - 1, &random)) }

        var life = Life.process(levels[0].plan.groups[levels[0].failing].policy)
        for (height, level) in levels.enumerated() {
            life = level.plan.ascend(life, from: level.failing, isProcess: height == 0).life
        }
        // Seeds for the jitter: each a run of its own.
        for run in 0..<3 {
            let tree = FailingTree(levels, seed: seed &* 31 &+ UInt64(run))
            let outcome = tree.run(starts: 1000, until: 400_000 * second)
            let what = "seed \(seed) run \(run): \(life) but \(outcome) after \(tree.starts) starts at \(tree.now)"
            switch (outcome, life.fails) {
            case (.failed, .never), (.quiet, .always): Issue.record("\(what)")
            case (.failed, _):
                #expect(tree.starts >= life.starts.least && tree.starts <= life.starts.most, "\(what)")
                #expect(tree.now >= life.time.least && tree.now <= life.time.most, "\(what)")
            case (.cut, .always):
                // Cut short: what was said is more than was waited for.
                #expect(life.starts.most > 1000 || life.time.most > 400_000 * second, "\(what)")
            case (.cut, _), (.quiet, _): #expect(tree.starts <= life.starts.most, "\(what)")
            }
        }
    }

    private static func level(height: Int, top: Bool, _ random: inout RandomSource) -> FailingTree.Level {
        func pick<T>(_ values: [T]) -> T { values.randomElement(using: &random)! }
        let count = Int.random(in: 1...3, using: &random)
        let failing = Int.random(in: 0..<count, using: &random)
        let jitter = pick([0, 0, 0.1, 0.5])
        var groups: [SupervisionPlan.Group] = []
        for index in 0..<count {
            var policy = SupervisionPlan.Policy()
            policy.restart = RestartPolicy(
                policy: pick([.always, .always, .onFailure, .onFailure, .never]), initialDelay: pick([second / 10, second, 3 * second]),
                maxDelay: pick([3 * second, 20 * second]), backoffFactor: pick([1, 1.5, 2, 3]), jitter: jitter,
                maxAttempts: pick([0, 0, 1, 2, 5]))
            policy.stableThreshold = pick([0, second, 5 * second, 5 * second, 60 * second])
            policy.startTimeout = pick([2 * second, 10 * second])
            policy.readiness = index == failing && height > 0 ? .whenCalled : pick([.whenRunning, .whenRunning, .whenCalled])
            policy.isSignificant = policy.restart.policy == .never && Bool.random(using: &random)
            groups.append(
                .init(policy: policy, count: pick([1, 1, 1, 2, 3]), needs: index == 0 ? [] : [index - 1]))
        }
        let intensity = RestartIntensity(maxRestarts: pick([0, 1, 2, 3, 6]), window: pick([second, 5 * second, 60 * second]))
        return .init(
            plan: SupervisionPlan(
                strategy: pick(SupervisorStrategy.allCases), intensity: top && Bool.random(using: &random) ? nil : intensity, groups: groups),
            failing: failing)
    }

    // MARK: By hand

    /// - Parameter life: of the child; nil: a process.
    private static func rise(
        _ intensity: RestartIntensity?, count: Int = 1, life: Life? = nil, _ change: (inout SupervisionPlan.Policy) -> Void
    ) -> AscentStep {
        let policy = SupervisionPlan.Policy(.onFailure, change)
        let plan = SupervisionPlan.chain(.oneForOne, intensity, [policy], counts: [count])
        return plan.ascend(life ?? .process(policy), from: 0, isProcess: life == nil)
    }

    @Test func attemptsAreRestarts_V5() {
        let step = Self.rise(nil) { $0.restart.maxAttempts = 4 }
        #expect(step.ends == [.attempts])
        #expect(step.restarts == .exactly(4))
        #expect(step.life.starts == .exactly(5))
        #expect(step.life.time == .exactly(15 * second))
    }

    @Test func theIntensityEndsItSooner_V6() {
        let step = Self.rise(.init(maxRestarts: 2, window: 3 * second)) { $0.restart.maxAttempts = 4 }
        #expect(step.ends == [.intensity])
        #expect(step.restarts == .exactly(2))
        #expect(step.life.time == .exactly(3 * second))
    }

    @Test func delaysThatGrowOutOfTheWindowAreForEver_V6() {
        let step = Self.rise(.init(maxRestarts: 3, window: 5 * second)) { _ in }
        #expect(step.ends == [.forEver(.window)])
        #expect(step.life.fails == .never)
        #expect(!step.restarts.isLimited)
    }

    @Test func jitterMakesItChance_V3() {
        let step = Self.rise(.init(maxRestarts: 3, window: 7 * second)) { $0.restart.jitter = 0.5 }
        #expect(step.ends == [.intensity, .forEver(.window)])
        #expect(step.life.fails == .perhaps)
        #expect(step.life.time.least == 7 * second / 2)
    }

    @Test func aLifeLongerThanTheThresholdBeginsTheCountAnew_V3() {
        let life = Life(starts: .exactly(4), time: .exactly(6 * second), isReady: true)
        let reset = Self.rise(nil, life: life) { $0.restart.maxAttempts = 2 }
        #expect(reset.ends == [.forEver(.stable)])
        let counted = Self.rise(nil, life: life) { $0.restart.maxAttempts = 2; $0.stableThreshold = 7 * second }
        #expect(counted.ends == [.attempts])
        #expect(counted.life.starts == .exactly(12))
        #expect(counted.life.time == .exactly(21 * second))
    }

    @Test func copiesShareTheIntensity_V6() {
        let step = Self.rise(.init(maxRestarts: 6, window: 3 * second), count: 3) { _ in }
        #expect(step.ends == [.intensity])
        #expect(step.restarts == .exactly(6))
        #expect(step.life.time == .exactly(3 * second))
    }

    @Test func noDurationIsTooLong_F1() {
        for jitter in [0, 0.5, 1] {
            for time in [0, 1, .max] as [Int64] {
                let step = Self.rise(
                    .init(maxRestarts: 1_000_000, window: .max), count: 1_000_000,
                    life: Life(starts: .exactly(.max), time: .exactly(time), isReady: false)
                ) {
                    $0.restart = RestartPolicy(
                        policy: .always, initialDelay: .max, maxDelay: .max, backoffFactor: 1000, jitter: jitter, maxAttempts: .max)
                    $0.startTimeout = .max
                }
                #expect(step.life.time.least >= 0 && step.life.starts.most == .max)
            }
        }
    }
}

/// Supervisors one above the other, of which each has one child that is the next; the lowest has one that fails.
/// All others are well, and nothing takes time but delays.
private final class FailingTree {
    struct Level {
        let plan: SupervisionPlan
        let failing: Int
    }
    enum Outcome: Equatable { case failed, quiet, cut }

    /// One that lives.
    private final class Node {
        let height: Int
        var supervision: Supervision
        weak var parent: Node?
        let child: Int
        var below: [Int: Node] = [:]
        /// Children that fail when all else has been done.
        var failing: [Int] = []

        init(_ plan: SupervisionPlan, height: Int, seed: UInt64, parent: Node?, child: Int) {
            (self.height, self.parent, self.child) = (height, parent, child)
            supervision = Supervision(plan, seed: seed)
        }
    }

    private let levels: [Level]
    private var random: RandomSource
    private var root: Node
    private var outcome: Outcome?
    private(set) var now: Int64 = 0
    private(set) var starts: Int64 = 0

    init(_ levels: [Level], seed: UInt64) {
        self.levels = levels
        random = RandomSource(seed: seed)
        root = Node(levels.last!.plan, height: levels.count - 1, seed: random.next(), parent: nil, child: 0)
    }

    func run(starts most: Int64, until limit: Int64) -> Outcome {
        root.supervision.start(now: now)
        while true {
            settle(root)
            // Of those that are to fail, one at a time: what follows from it comes first.
            if let node = nodes(root).first(where: { !$0.failing.isEmpty }) {
                let child = node.failing.removeFirst()
                node.supervision.ended(child, .failure(isRetryable: true), now: now)
                continue
            }
            if let outcome { return outcome }
            let all = nodes(root)
            let next = all.map(\.supervision.nextDue).min() ?? .max
            if next == .max { return .quiet }
            if starts > most || next > limit { return .cut }
            now = max(now, next)
            for node in all where node.supervision.nextDue <= now { node.supervision.tick(now: now) }
        }
    }

    private func nodes(_ node: Node) -> [Node] {
        node.below.sorted { $0.key < $1.key }.flatMap { nodes($0.value) } + [node]
    }

    private func settle(_ root: Node) {
        var isDone = false
        while !isDone {
            isDone = true
            for node in nodes(root) {
                let actions = node.supervision.takeActions()
                if actions.isEmpty { continue }
                isDone = false
                for action in actions { carryOut(action, node) }
            }
        }
    }

    private func carryOut(_ action: Supervision.Action, _ node: Node) {
        switch action {
        case .start(let child):
            let level = levels[node.height]
            let group = node.supervision.place(of: child).group
            if group != level.failing {
                node.supervision.running(child, now: now)
                node.supervision.ready(child, now: now)
            } else if node.height == 0 {
                starts += 1
                node.supervision.running(child, now: now)
                node.failing.append(child)
            } else {
                let below = Node(
                    levels[node.height - 1].plan, height: node.height - 1, seed: random.next(), parent: node, child: child)
                node.below[child] = below
                below.supervision.start(now: now)
            }
        case .cancel(let child, let deadline):
            node.failing.removeAll { $0 == child }
            if let below = node.below[child] {
                below.supervision.stop(deadline: deadline, now: now)
            } else {
                node.supervision.ended(child, .normal, now: now)
            }
        case .endOverdue(let child):
            node.below[child] = nil
            node.failing.removeAll { $0 == child }
            node.supervision.ended(child, .failure(isRetryable: true), now: now)
        case .ready: node.parent?.supervision.ready(node.child, now: now)
        case .finish(let result):
            var isFailure = false
            if case .failed = result { isFailure = true }
            if node === root { outcome = isFailure ? .failed : .quiet }
            // One whose supervisor was ended at the same instant tells nobody.
            guard let parent = node.parent, parent.below[node.child] === node else { return }
            parent.below[node.child] = nil
            parent.supervision.ended(node.child, isFailure ? .failure(isRetryable: true) : .normal, now: now)
        case .restarting, .abandoned, .givenUp, .up, .refused, .stopped, .removed: break
        }
    }
}
