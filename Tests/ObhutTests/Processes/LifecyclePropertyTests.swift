import Glibc
import Testing

@testable import Obhut

/// Random acts of processes on each other under many seeds, in simulation, against a model
/// (S1–S6, L1–L10, C1–C5, M2, M6, M7, P4, P5, P7). A seed repeats its run:
///
///     OBHUT_TEST_SEED=17 scripts/swift-test one -- --filter LifecyclePropertyTests
@Suite struct LifecyclePropertyTests {
    @Test func whateverProcessesDoToEachOtherTheBooksAgree() {
        var seeds = Array(1...UInt64(scaled(400, atLeast: 20)))
        if let chosen = getenv("OBHUT_TEST_SEED").flatMap({ UInt64(String(cString: $0)) }) {
            seeds = [chosen]
        }
        var failed = 0
        for seed in seeds where failed < 3 {
            let chaos = run(seed: seed)
            let faults = chaos.faults()
            if !faults.isEmpty {
                failed += 1
                Issue.record("\(faults.count) violations: \(faults.prefix(8))")
            }
        }
    }

    @Test func aSeedRepeatsItsRun() {
        for seed in [1, 2, 3] as [UInt64] {
            let (first, second) = (run(seed: seed), run(seed: seed))
            #expect(first.scheduler.simulation!.steps == second.scheduler.simulation!.steps)
            #expect(first.scheduler.clock.now == second.scheduler.clock.now)
            #expect(
                first.system.deadLetters.load(ordering: .relaxed)
                    == second.system.deadLetters.load(ordering: .relaxed))
            #expect(first.accepted.load(ordering: .relaxed) == second.accepted.load(ordering: .relaxed))
        }
    }

    private func run(seed: UInt64) -> Chaos {
        let chaos = Chaos(seed: seed, budget: 800)
        for host in chaos.hosts { host.start() }
        let simulation = chaos.scheduler.simulation!
        for i in 0..<8 { chaos.spawn(on: chaos.hosts[i % 2], seed: seed &* 1000 &+ UInt64(i)) }
        simulation.run()
        while chaos.budget.load(ordering: .relaxed) > 0 {
            for i in 0..<4 { chaos.spawn(on: chaos.hosts[i % 2], seed: seed &* 7777 &+ UInt64(chaos.budget.load(ordering: .relaxed) + i)) }
            simulation.run()
        }
        chaos.isWindingDown.store(true, ordering: .relaxed)
        for slot in chaos.living() { slot.runnable.wake(serial: slot.pid.serial) }
        simulation.run()
        chaos.checkBooks()
        for slot in chaos.living() {
            if chaos.system.terminate(slot.pid, from: .none) { chaos.model?.condemn(slot.pid, "terminated") }
        }
        simulation.run()
        chaos.checkNothingIsLeft()
        return chaos
    }
}
