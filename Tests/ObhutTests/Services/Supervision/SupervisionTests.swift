import Testing

@testable import Obhut

private let second: Int64 = 1_000_000_000  // nanoseconds

/// What a supervisor decides, in virtual time (V2–V6).
@Suite struct SupervisionTests {
    // MARK: Delays (V3, V5)

    private static func delays(
        _ count: Int, seed: UInt64 = 1, _ change: (inout SupervisionPlan.Policy) -> Void = { _ in }
    ) -> [Int64] {
        let world = SupervisionWorld(SupervisionPlan(groups: [.init(policy: .init(.onFailure, change))]), seed: seed)
        world.start()
        for _ in 0..<count {
            world.end(0)
            world.advance(by: world.delays.last ?? 0)
        }
        return world.delays
    }

    @Test func delaysGrowAndAreCapped_V3_V5() {
        let delays = Self.delays(12) { $0.restart.maxDelay = 90 * second }
        #expect(delays.map { $0 / second } == [1, 2, 4, 8, 16, 32, 64, 90, 90, 90, 90, 90])
        let steady = Self.delays(3) { $0.restart.backoffFactor = 1 }
        #expect(steady == [second, second, second])
        let steep = Self.delays(4) {
            $0.restart.backoffFactor = 1000
            $0.restart.maxDelay = .max / 4
        }
        #expect(steep.map { $0 / second } == [1, 1000, 1_000_000, 1_000_000_000])
    }

    /// The longest durations that can be written down are waited for, and nothing overflows.
    @Test func noDurationIsTooLong_F1() {
        var random = RandomSource(seed: 1)
        for jitter in [0, 0.5, 1] {
            let restart = RestartPolicy(
                policy: .always, initialDelay: .max, maxDelay: .max, backoffFactor: 1000, jitter: jitter, maxAttempts: 0)
            for attempt in [1, 2, 3, 1_000_000, .max] { #expect(restart.delay(attempt: attempt, &random) >= 0) }
            let policy = SupervisionPlan.Policy(
                restart: restart, stableThreshold: .max, startTimeout: .max, shutdown: .max)
            let plan = SupervisionPlan.chain(.restForOne, nil, [policy, policy, policy], counts: [2, 2, 2])
            var supervision = Supervision(plan, seed: 1)
            let now = 3600 * second
            supervision.start(now: now)
            for child in 0..<6 { supervision.running(child, now: now) }
            supervision.ended(3, .failure(isRetryable: true), now: now)
            #expect(supervision.nextDue > now)
            supervision.tick(now: now + 1)
            supervision.stop(deadline: .max - 1, now: now + 2)
            supervision.stop(deadline: now + plan.stopTime, now: now + 2)
            for child in [4, 5, 3, 2, 1, 0] { supervision.ended(child, .normal, now: now + 3) }
            #expect(supervision.takeActions().last == .finish(.stopped))
        }
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>) func delaysAreVariedAndNeverAboveTheCap_V3(seed: UInt64) {
        let delays = Self.delays(200, seed: seed) {
            $0.restart.jitter = 0.25
            $0.restart.maxDelay = 8 * second
        }
        let plain: [Int64] = [1, 2, 4].map { $0 * second } + Array(repeating: 8 * second, count: 197)
        for (delay, plain) in zip(delays, plain) {
            #expect(delay >= plain / 4 * 3 && delay <= min(plain / 4 * 5, 8 * second))
        }
        // Those at the cap come back at different times, too, over the whole of it.
        #expect(Set(delays).count == delays.count)
        #expect(delays.dropFirst(3).min()! < 8 * second / 100 * 80 && delays.max()! > 8 * second / 100 * 98)
        #expect(delays == Self.delays(200, seed: seed) {
            $0.restart.jitter = 0.25
            $0.restart.maxDelay = 8 * second
        })
        #expect(delays != Self.delays(200, seed: seed + 100) {
            $0.restart.jitter = 0.25
            $0.restart.maxDelay = 8 * second
        })
    }

    @Test func havingBeenStableResetsTheDelay_V3() {
        let world = SupervisionWorld(
            SupervisionPlan(groups: [.init(policy: .init(.onFailure) { $0.stableThreshold = 5 * second })]))
        world.start()
        for _ in 0..<3 {
            world.end(0)
            world.advance(by: world.delays.last!)
        }
        #expect(world.delays.map { $0 / second } == [1, 2, 4])
        world.advance(by: 5 * second - 1)
        world.end(0)
        #expect(world.delays.last == 8 * second)
        world.advance(by: 8 * second)
        world.advance(by: 5 * second)
        world.end(0)
        #expect(world.delays.last == 1 * second && world.supervision.attempts(of: 0) == 1)
    }

    /// It must have been ready for so long, not only alive.
    @Test func whatIsNotReadyIsNotStable_V3() {
        let world = SupervisionWorld(
            SupervisionPlan(groups: [
                .init(policy: .init(.onFailure) {
                    $0.readiness = .whenCalled
                    $0.startTimeout = 60 * second
                })
            ]))
        world.start()
        world.advance(by: 30 * second)
        world.end(0)
        world.advance(by: 30 * second)
        world.end(0)
        #expect(world.delays.map { $0 / second } == [1, 2])
    }

    @Test func maxAttemptsIsTheNumberOfRestarts_V3_V5() {
        for attempts in 1...4 {
            let world = SupervisionWorld(
                SupervisionPlan(groups: [.init(policy: .init(.onFailure) { $0.restart.maxAttempts = attempts })]))
            world.start()
            while world.finished == nil {
                world.end(0)
                world.advance(by: 100 * second - world.now % (100 * second))
                if world.supervision.state(of: 0) == .running, world.starts.count > 10 { break }
            }
            // Having run for so long it was stable each time: it is never given up.
            #expect(world.finished == nil)
            world.forget()
            for _ in 0...attempts {
                world.end(0)
                world.advance(by: world.delays.last ?? 0)
            }
            #expect(world.starts.count == attempts && world.finished == .failed(0, .attempts(attempts)))
        }
    }

    // MARK: Intensity (V6)

    @Test func soManyRestartsAreAllowedAndOneMoreFails_V6() {
        for most in 0...5 {
            let world = SupervisionWorld(
                .chain(.oneForOne, RestartIntensity(maxRestarts: most, window: 5 * second), [
                    .init(.always), .init(.always) { $0.restart.initialDelay = 1 * ms },
                ]))
            world.start()
            for _ in 0..<most {
                world.end(1)
                world.advance(by: 100 * ms)
            }
            #expect(world.finished == nil && world.alive == [0, 1])
            world.end(1)
            #expect(world.finished == .failed(1, .intensity(most + 1)) && world.alive == [])
        }
    }

    /// One that lies exactly as long back as the window is wide still counts, and not a nanosecond more.
    @Test func theWindowOfTheIntensitySlides_V6() {
        func outcome(_ ends: [Int64]) -> Supervision.Outcome? {
            let world = SupervisionWorld(
                SupervisionPlan(
                    intensity: RestartIntensity(maxRestarts: 2, window: 5 * second),
                    groups: [.init(policy: .init(.always) { $0.restart.maxDelay = 1 * ms; $0.restart.initialDelay = 1 * ms })]))
            world.start()
            for time in ends {
                world.advance(to: time)
                world.end(0)
            }
            return world.finished
        }
        #expect(outcome([1 * second, 3 * second, 6 * second]) == .failed(0, .intensity(3)))
        #expect(outcome([1 * second, 3 * second, 6 * second + 1]) == nil)
        #expect(outcome((1...100).map { $0 * 2501 * ms }) == nil)
        #expect(outcome((1...1000).map { $0 * 2501 * ms } + [2_501_001 * ms, 2_501_010 * ms]) == .failed(0, .intensity(3)))
    }

    @Test func restartsOfAllChildrenCountTogether_V6() {
        let world = SupervisionWorld(
            .chain(.oneForOne, RestartIntensity(maxRestarts: 3, window: 5 * second), [.init(.always)], counts: [10]))
        world.start()
        for child in 0..<3 { world.end(child) }
        #expect(world.finished == nil)
        world.end(3)
        #expect(world.finished == .failed(3, .intensity(4)))
    }

    // MARK: Start (V2)

    /// A diamond: what needs nothing of each other starts at the same time.
    @Test func aLevelStartsTogetherAndAfterWhatItNeeds_V2() {
        let policy = SupervisionPlan.Policy(.always) { $0.readiness = .whenCalled }
        let world = SupervisionWorld(
            SupervisionPlan(groups: [
                .init(policy: policy), .init(policy: policy, count: 3, needs: [0]), .init(policy: policy, needs: [0]),
                .init(policy: policy, needs: [1, 2]),
            ]))
        world.start()
        #expect(world.starts == [0])
        world.forget()
        world.ready(0)
        #expect(world.starts == [1, 2, 3, 4])
        for child in [4, 2, 1] { world.ready(child) }
        #expect(world.alive == [0, 1, 2, 3, 4])
        world.forget()
        world.ready(3)
        #expect(world.actions == [.start(5)])
        world.ready(5)
        #expect(world.actions == [.start(5), .ready])
        // In reverse: who needs it first, the middle together.
        world.forget()
        world.endsAfter = { _ in 1 * second }
        world.stop(within: 100 * second)
        world.advance(by: 100 * second)
        #expect(world.cancels == [5, 1, 2, 3, 4, 0] || world.cancels == [5, 4, 1, 2, 3, 0])
        #expect(world.said.map { $0.at / second } == [0, 1, 1, 1, 1, 2, 3])
    }

    @Test func whatIsNotReadyInTimeIsEndedAndHasFailed_V2_V3() {
        let world = SupervisionWorld(
            .chain(.oneForOne, nil, [
                .init(.onFailure) {
                    $0.readiness = .whenCalled
                    $0.startTimeout = 10 * second
                }, .init(.always),
            ]))
        world.start()
        world.advance(to: 10 * second - 1)
        #expect(world.starts == [0])
        world.advance(to: 11 * second)
        #expect(world.actions.contains(.endOverdue(0)) && world.delays == [1 * second])
        world.advance(to: 12 * second)
        #expect(world.starts == [0, 0])
        world.ready(0)
        world.advance(to: 60 * second)
        #expect(world.starts == [0, 0, 1] && world.actions.last == .ready)
    }

    /// One that was ready and fails does not take along who needs it; but it starts nobody anew.
    @Test func whoNeedsAServiceWaitsUntilItIsBack_V2() {
        let world = SupervisionWorld(.chain(.oneForOne, nil, [.init(.always) { $0.restart.initialDelay = 7 * second }, .init(.always)]))
        world.start()
        world.end(0)
        #expect(world.alive == [1] && world.cancels == [])
        world.end(1)
        world.advance(to: 7 * second - 1)
        #expect(world.alive == [])
        world.advance(to: 7 * second)
        #expect(world.starts == [0, 1, 0, 1] && world.alive == [0, 1])
    }

    // MARK: Significant children

    @Test func aSignificantChildEndsItsSupervisor_V6() {
        for end in [Supervision.End.normal, .failure(isRetryable: true)] {
            let world = SupervisionWorld(
                .chain(.oneForAll, nil, [.init(.always), .init(.never) { $0.isSignificant = true }, .init(.always)]))
            world.start()
            world.end(1, end)
            #expect(world.cancels == [2, 0] && world.alive == [])
            #expect(world.finished == (end == .normal ? .done(1) : .failed(1, .significant)))
        }
        let world = SupervisionWorld(.chain(.oneForOne, nil, [.init(.onFailure) { $0.isSignificant = true }]))
        world.start()
        world.end(0)
        #expect(world.finished == nil && world.delays == [second])  // it comes back: it has not ended for good
    }

    // MARK: Renewals (V6)

    @Test func aTemporaryChildIsNotStartedAgainWithTheOthers_V6() {
        let world = SupervisionWorld(.chain(.oneForAll, nil, [.init(.always), .init(.never), .init(.onFailure), .init(.always)]))
        world.start()
        world.end(2, .normal)
        world.forget()
        world.end(0)
        world.advance(by: 5 * second)
        // The transient one had ended as it should; the others need it anew.
        #expect(world.cancels == [3, 1] && world.starts == [0, 2, 3] && world.alive == [0, 2, 3])
    }

    /// The delay and the stop of the others run at the same time.
    @Test func nothingIsStartedBeforeAllAreDown_V6() {
        let world = SupervisionWorld(.chain(.oneForAll, nil, [.init(.always), .init(.always), .init(.always)]))
        world.start()
        world.endsAfter = { _ in 3 * second }
        world.end(1)
        world.advance(by: 20 * second)
        #expect(world.said.filter { if case .start = $0.action { true } else { false } }.map { $0.at / second } == [0, 0, 0, 6, 6, 6])
        #expect(world.delays == [second])
    }

    @Test func aFailureBeforeTheRestWidensTheRenewal_V6() {
        let world = SupervisionWorld(.chain(.restForOne, nil, (0..<5).map { _ in .init(.always) }))
        world.start()
        world.endsAfter = { _ in 1 * second }
        world.end(3)
        #expect(world.cancels == [4])
        world.end(1)
        #expect(world.cancels == [4])  // 2 is told when 4 is down
        world.advance(by: 20 * second)
        #expect(world.cancels == [4, 2] && world.starts.suffix(4) == [1, 2, 3, 4] && world.alive == [0, 1, 2, 3, 4])
    }

    // MARK: Stop (V4, V6)

    @Test func eachHasItsTimeAndThenItEndsByForce_V4_V6() {
        let policies = [2, 3, 5].map { time in SupervisionPlan.Policy(.always) { $0.shutdown = time * second } }
        let world = SupervisionWorld(.chain(.oneForOne, nil, policies))
        world.start()
        world.endsAfter = { _ in nil }
        world.forget()
        world.stop(within: world.supervision.plan.stopTime)
        world.advance(by: 60 * second)
        #expect(world.said == [
            .init(at: 0, action: .cancel(2, deadline: 5 * second)),
            .init(at: 5 * second, action: .cancel(1, deadline: 8 * second)),
            .init(at: 8 * second, action: .cancel(0, deadline: 10 * second)),
            .init(at: 10 * second, action: .finish(.stopped)),
        ])
    }

    /// A budget that is too small is split in the proportion of what each would have, and something is left
    /// for the supervisor itself: it outlives its children.
    @Test func aSmallBudgetIsSplit_V4() {
        let policies = [2, 3, 5].map { time in SupervisionPlan.Policy(.always) { $0.shutdown = time * second } }
        for budget in [1 * ms, 100 * ms, 1 * second, 5 * second, 9 * second] {
            let world = SupervisionWorld(.chain(.oneForOne, nil, policies))
            world.start()
            world.endsAfter = { _ in nil }
            world.forget()
            world.stop(within: budget)
            world.advance(by: 60 * second)
            #expect(world.cancels == [2, 1, 0])
            let end = world.said.last!
            #expect(end.action == .finish(.stopped) && end.at < budget && end.at >= budget / 100 * 80)
            let times = zip(world.said, world.said.dropFirst()).map { $1.at - $0.at }
            for (time, share) in zip(times, [5, 3, 2] as [Int64]) {
                #expect(abs(time - end.at * share / 10) <= end.at / 100 + 3)
            }
        }
    }

    @Test func aSecondStopBringsTheEndForward_V4() {
        let world = SupervisionWorld(.chain(.oneForOne, nil, [.init(.always), .init(.always)]))
        world.start()
        world.endsAfter = { _ in nil }
        world.stop(within: 100 * second)
        world.advance(to: 1 * second)
        world.stop(within: 2 * second)
        world.stop(within: 50 * second)
        world.advance(to: 60 * second)
        #expect(world.finished == .stopped && world.said.last!.at < 3 * second)
    }

    /// Also while it gives up, or waits for a child that does not start.
    @Test func aStopEndsEverything_V4() {
        let world = SupervisionWorld(
            .chain(.oneForOne, RestartIntensity(maxRestarts: 0, window: second), [.init(.always), .init(.always)]))
        world.runsAfter = { $0 == 1 ? nil : 0 }
        world.start()
        world.endsAfter = { _ in nil }
        world.end(0)
        #expect(world.cancels == [1])
        world.stop(within: 1 * second)
        world.advance(by: 60 * second)
        #expect(world.finished == .failed(0, .intensity(1)) && world.said.last!.at < second && world.alive == [])
        let idle = SupervisionWorld(SupervisionPlan(groups: []))
        idle.start()
        idle.stop(within: second)
        #expect(idle.actions == [.ready, .finish(.stopped)])
    }

    /// Each event costs what it changes: 100,000 equal children, and as many groups in a chain and side by side.
    @Test func manyChildrenCostNoSquare_V6() {
        let many = 100_000
        let policy = SupervisionPlan.Policy(.always)
        let shapes: [SupervisionPlan] = [
            SupervisionPlan(groups: [.init(policy: policy, count: many)]),
            .chain(.oneForOne, nil, Array(repeating: policy, count: many)),
            SupervisionPlan(groups: Array(repeating: .init(policy: policy), count: many)),
        ]
        for plan in shapes {
            var supervision = Supervision(plan, seed: 1)
            supervision.start(now: 0)
            var started = 0
            while true {
                let actions = supervision.takeActions()
                if actions.isEmpty { break }
                for case .start(let child) in actions {
                    started += 1
                    supervision.running(child, now: 0)
                }
            }
            #expect(started == many)
            for child in 0..<many { supervision.ended(child, .normal, now: 0) }
            for time in 1...3 { supervision.tick(now: Int64(time) * second) }
            var finished = false
            for case .start(let child) in supervision.takeActions() { supervision.running(child, now: 3 * second) }
            supervision.stop(deadline: 100 * second, now: 3 * second)
            while !finished {
                for action in supervision.takeActions() {
                    switch action {
                    case .start(let child): supervision.running(child, now: 3 * second)
                    case .cancel(let child, _): supervision.ended(child, .normal, now: 3 * second)
                    case .finish: finished = true
                    default: break
                    }
                }
            }
        }
    }

    /// At random, and always: nothing is started that has a process, or before what it needs has settled;
    /// and a stop ends with nothing left.
    @Test(arguments: 1...200 as ClosedRange<UInt64>) func itNeverLosesAChild_V6(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let strategy = SupervisorStrategy.allCases.randomElement(using: &random)!
        let groups = (0..<Int.random(in: 1...8, using: &random)).map { index -> SupervisionPlan.Group in
            var policy = SupervisionPlan.Policy(RestartPolicy.Policy.allCases.randomElement(using: &random)!)
            policy.restart.initialDelay = Int64.random(in: 0...2000, using: &random) * ms
            policy.readiness = Bool.random(using: &random) ? .whenCalled : .whenRunning
            policy.shutdown = Int64.random(in: 1...3000, using: &random) * ms
            return .init(
                policy: policy, count: Int.random(in: 1...3, using: &random),
                needs: strategy == .oneForOne
                    ? (0..<index).filter { _ in Int.random(in: 0...2, using: &random) == 0 }
                    : (index == 0 ? [] : [index - 1]))
        }
        let world = SupervisionWorld(SupervisionPlan(strategy: strategy, groups: groups), seed: seed)
        let (slow, deaf) = (Int64.random(in: 0...500, using: &random) * ms, Int.random(in: 0...8, using: &random))
        world.endsAfter = { $0 == deaf ? nil : slow }
        world.start()
        for _ in 0..<200 {
            if world.finished != nil { break }
            let child = Int.random(in: 0..<world.supervision.childCount, using: &random)
            switch Int.random(in: 0...5, using: &random) {
            case 0: if world.supervision.state(of: child).hasProcess { world.end(child) }
            case 1: if world.supervision.state(of: child).hasProcess { world.end(child, .normal) }
            case 2, 3: if world.supervision.state(of: child) == .starting { world.ready(child) }
            default: world.advance(by: Int64.random(in: 0...1500, using: &random) * ms)
            }
            for child in 0..<world.supervision.childCount where world.supervision.state(of: child) == .waiting {
                // Who waits has a reason: a need that is not settled, or a renewal.
                let group = world.supervision.place(of: child).group
                let isHeld = groups[group].needs.contains { need in
                    (0..<world.supervision.childCount).contains {
                        world.supervision.place(of: $0).group == need && !world.supervision.state(of: $0).isSettled
                    }
                }
                #expect(isHeld || strategy != .oneForOne)
            }
        }
        world.forget()
        let begun = world.now
        world.stop(within: 5 * second)
        world.advance(by: 60 * second)
        #expect(world.finished == .stopped && world.said.last!.at < begun + 5 * second && world.starts == [])
        #expect(world.alive == [])
    }
}
