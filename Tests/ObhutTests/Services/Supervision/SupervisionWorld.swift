@testable import Obhut

/// A `Supervision` without processes, in a time of its own: the test says how children behave.
final class SupervisionWorld {
    struct Said: Equatable, CustomStringConvertible {
        let at: Int64
        let action: Supervision.Action
        var description: String { "\(at / ms)ms \(action)" }
    }

    private(set) var supervision: Supervision
    private(set) var now: Int64 = 0
    private(set) var said: [Said] = []
    /// From its start until a child runs; nil: it does not get there.
    var runsAfter: (Int) -> Int64? = { _ in 0 }
    /// From the cancel to the end of a child; nil: it takes no notice.
    var endsAfter: (Int) -> Int64? = { _ in 0 }

    private struct Event {
        let at: Int64
        let order: Int
        /// Of which life of the child.
        let child: Int
        let life: Int
        let act: (SupervisionWorld) -> Void
    }
    private var events: [Event] = []
    private var order = 0
    private var lives: [Int]
    private var forced: [Int64]

    init(_ plan: SupervisionPlan, seed: UInt64 = 1) {
        supervision = Supervision(plan, seed: seed)
        lives = Array(repeating: 0, count: supervision.childCount)
        forced = Array(repeating: .max, count: supervision.childCount)
    }

    var actions: [Supervision.Action] { said.map(\.action) }
    var finished: Supervision.Outcome? {
        for case .finish(let outcome) in actions { return outcome }
        return nil
    }
    var starts: [Int] { actions.compactMap { if case .start(let child) = $0 { child } else { nil } } }
    var cancels: [Int] { actions.compactMap { if case .cancel(let child, _) = $0 { child } else { nil } } }
    var delays: [Int64] { actions.compactMap { if case .restarting(_, _, let delay) = $0 { delay } else { nil } } }
    var alive: [Int] { (0..<supervision.childCount).filter { supervision.state(of: $0).hasProcess } }

    func forget() { said = [] }

    func start() {
        supervision.start(now: now)
        settle()
    }

    func end(_ child: Int, _ end: Supervision.End = .failure(isRetryable: true)) {
        lives[child] += 1
        supervision.ended(child, end, now: now)
        settle()
    }

    /// - Returns: the number of the new child.
    @discardableResult
    func add(_ policy: SupervisionPlan.Policy) -> Int {
        let child = supervision.add(policy, now: now)
        if child == lives.count {
            lives.append(0)
            forced.append(.max)
        }
        settle()
        return child
    }

    func hold(_ child: Int) {
        supervision.hold(child, now: now)
        settle()
    }

    func resume(_ child: Int) {
        supervision.resume(child, now: now)
        settle()
    }

    func ready(_ child: Int) {
        supervision.ready(child, now: now)
        settle()
    }

    /// - Parameter time: nanoseconds from now.
    func stop(within time: Int64) {
        supervision.stop(deadline: now + time, now: now)
        settle()
    }

    /// To this time.
    func advance(to time: Int64) {
        while true {
            let next = min(events.map(\.at).min() ?? .max, supervision.nextDue)
            guard next <= time else { break }
            now = max(now, next)
            settle()
        }
        now = max(now, time)
    }

    func advance(by time: Int64) { advance(to: now + time) }

    private func later(_ delay: Int64, _ child: Int, _ act: @escaping (SupervisionWorld) -> Void) {
        order += 1
        events.append(Event(at: now + delay, order: order, child: child, life: lives[child], act: act))
    }

    private func settle() {
        while true {
            let actions = supervision.takeActions()
            for action in actions {
                said.append(Said(at: now, action: action))
                carryOut(action)
            }
            if !actions.isEmpty { continue }
            if let index = events.indices.filter({ events[$0].at <= now }).min(by: { events[$0].order < events[$1].order }) {
                let event = events.remove(at: index)
                if lives[event.child] == event.life { event.act(self) }
                continue
            }
            guard supervision.nextDue <= now else { return }
            supervision.tick(now: now)
        }
    }

    private func carryOut(_ action: Supervision.Action) {
        switch action {
        case .start(let child):
            lives[child] += 1
            forced[child] = .max
            if let delay = runsAfter(child) { later(delay, child) { $0.supervision.running(child, now: $0.now) } }
        case .cancel(let child, let deadline):
            let isFirst = forced[child] == .max
            forced[child] = min(forced[child], deadline)
            let byForce = forced[child] - now
            if isFirst, let delay = endsAfter(child), delay < byForce {
                later(delay, child) { $0.finish(child, .normal) }
            }
            later(byForce, child) { $0.finish(child, .failure(isRetryable: true)) }
        case .endOverdue(let child): later(1 * ms, child) { $0.finish(child, .failure(isRetryable: true)) }
        case .restarting, .abandoned, .givenUp, .ready, .finish, .up, .refused, .stopped, .removed: break
        }
    }

    private func finish(_ child: Int, _ end: Supervision.End) {
        lives[child] += 1
        supervision.ended(child, end, now: now)
    }
}

private let second: Int64 = 1_000_000_000  // nanoseconds

extension SupervisionPlan.Policy {
    /// Without jitter, 1 s before the first restart.
    init(_ policy: RestartPolicy.Policy, _ change: (inout Self) -> Void = { _ in }) {
        self.init()
        restart.policy = policy
        restart.jitter = 0
        change(&self)
    }
}

extension SupervisionPlan {
    /// Each group needs the one before it.
    static func chain(
        _ strategy: SupervisorStrategy = .oneForOne, _ intensity: RestartIntensity? = nil, _ policies: [Policy],
        counts: [Int] = []
    ) -> SupervisionPlan {
        SupervisionPlan(
            strategy: strategy, intensity: intensity,
            groups: policies.enumerated().map { index, policy in
                Group(
                    policy: policy, count: counts.isEmpty ? 1 : counts[index], needs: index == 0 ? [] : [index - 1])
            })
    }
}
