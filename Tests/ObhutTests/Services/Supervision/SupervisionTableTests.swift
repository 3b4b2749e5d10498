import Testing

@testable import Obhut

private let second: Int64 = 1_000_000_000  // nanoseconds

/// Restart type x strategy x way of ending x phase: three children, each after the one before it, and
/// the one in the middle ends (V3, V5, V6).
@Suite struct SupervisionTableTests {
    enum Phase: CaseIterable { case starting, running, stopping, backingOff }

    struct Case: CustomTestStringConvertible {
        let type: RestartPolicy.Policy
        let strategy: SupervisorStrategy
        let end: Supervision.End
        let phase: Phase
        var testDescription: String { "\(type) \(strategy.rawValue), \(end), \(phase)" }
    }

    private static let cases: [Case] = {
        var cases: [Case] = []
        for type in RestartPolicy.Policy.allCases {
            for strategy in SupervisorStrategy.allCases {
                for end in [Supervision.End.normal, .failure(isRetryable: true), .failure(isRetryable: false)] {
                    for phase in Phase.allCases { cases.append(Case(type: type, strategy: strategy, end: end, phase: phase)) }
                }
            }
        }
        return cases
    }()

    private static func world(_ what: Case) -> SupervisionWorld {
        let other = SupervisionPlan.Policy(.always)
        let middle = SupervisionPlan.Policy(what.type) {
            // Only in the phase `starting` it does not say that it is ready by itself.
            $0.readiness = what.phase == .starting ? .whenCalled : .whenRunning
        }
        let world = SupervisionWorld(.chain(what.strategy, nil, [other, middle, other]))
        world.start()
        return world
    }

    @Test(arguments: cases) func whatFollowsFromAnEnd_V3_V5_V6(what: Case) {
        let world = Self.world(what)
        switch what.phase {
        case .starting: starting(world, what)
        case .running: running(world, what)
        case .stopping: stopping(world, what)
        case .backingOff: backingOff(world, what)
        }
        world.stop(within: 20 * second)
        world.advance(by: 30 * second)
        #expect(world.finished != nil && world.alive == [] && world.supervision.nextDue == .max)
    }

    /// Whether the rules of restart types say so, by the table of the documentation.
    private func isRestarted(_ what: Case) -> Bool {
        switch (what.type, what.end) {
        case (.always, _): true
        case (.onFailure, .failure): true
        case (.onFailure, .normal), (.never, _): false
        }
    }

    private func running(_ world: SupervisionWorld, _ what: Case) {
        #expect(world.starts == [0, 1, 2] && world.actions.last == .ready)
        world.advance(by: 1 * second)
        world.forget()
        world.end(1, what.end)
        world.advance(by: 10 * second)
        guard isRestarted(what) else {
            #expect(world.actions == (what.end == .normal ? [] : [.abandoned(1)]))
            #expect(world.alive == [0, 2])
            return
        }
        if what.end == .failure(isRetryable: false) {
            #expect(world.cancels == [2, 0] && world.finished == .failed(1, .notRetryable) && world.starts == [])
            return
        }
        switch what.strategy {
        case .oneForOne: #expect(world.cancels == [] && world.starts == [1])
        case .oneForAll: #expect(world.cancels == [2, 0] && world.starts == [0, 1, 2])
        case .restForOne: #expect(world.cancels == [2] && world.starts == [1, 2])
        }
        #expect(world.delays == [1 * second] && world.alive == [0, 1, 2])
        #expect(world.said.first { if case .start = $0.action { true } else { false } }?.at == 2 * second)
    }

    /// The third waits for it.
    private func starting(_ world: SupervisionWorld, _ what: Case) {
        #expect(world.starts == [0, 1] && world.alive == [0, 1])
        world.forget()
        world.end(1, what.end)
        world.advance(by: 2 * second)
        guard isRestarted(what) else {
            // What will not come back holds up nobody.
            #expect(world.starts == [2] && world.alive == [0, 2] && world.actions.last == .ready)
            return
        }
        if what.end == .failure(isRetryable: false) {
            #expect(world.cancels == [0] && world.finished == .failed(1, .notRetryable))
            return
        }
        #expect(world.cancels == (what.strategy == .oneForAll ? [0] : []))
        #expect(world.starts == (what.strategy == .oneForAll ? [0, 1] : [1]) && world.alive == [0, 1])
        world.forget()
        world.ready(1)
        #expect(world.actions == [.start(2), .ready])
    }

    /// However it ends then, it is what was wanted.
    private func stopping(_ world: SupervisionWorld, _ what: Case) {
        world.endsAfter = { $0 == 1 ? nil : 0 }
        world.stop(within: 100 * second)
        #expect(world.cancels == [2, 1] && world.alive == [0, 1])
        world.forget()
        world.end(1, what.end)
        #expect(world.cancels == [0] && world.finished == .stopped && world.starts == [] && world.delays == [])
    }

    private func backingOff(_ world: SupervisionWorld, _ what: Case) {
        // Only who is restarted gets there; of the others, the first one does.
        let child = isRestarted(what) && what.end != .failure(isRetryable: false) ? 1 : 0
        world.end(child, child == 1 ? what.end : .failure(isRetryable: true))
        world.advance(by: 500 * ms)
        #expect(!world.alive.contains(child))
        world.forget()
        // It has no process: there is nothing that could end.
        world.end(child, what.end)
        #expect(world.actions == [])
        world.stop(within: 10 * second)
        world.advance(by: 60 * second)
        #expect(world.starts == [] && world.finished == .stopped && world.alive == [])
    }
}
