import Testing

@testable import Obhut

/// SEMANTICS, Cancellation.
@Suite struct CancellationTests {
    private func one() -> (World, TestProcess, TestProcess) {
        let world = World()
        let (boss, victim) = (world.spawn("boss"), world.spawn("victim"))
        world.settle()
        world.act(boss) { _ = $0.pointer.monitor(victim.pid) }
        return (world, boss, victim)
    }

    @Test func cancelDeliversTheEventAndEndsAtTheDeadline_C1() {
        let (world, boss, victim) = one()
        world.act(boss) { #expect(world.system.cancel(victim.pid, from: $0.pid, timeout: 100 * ms)) }
        #expect(victim.log == [.cancel(from: boss.pid, deadline: 100 * ms)])
        world.run(after: 100 * ms - 1)
        #expect(world.isAlive(victim))
        world.run(after: 1)
        #expect(boss.log.texts == ["exit cancelled: deadline exceeded"])
    }

    @Test func whoReturnsInTimeEndsAsItReturned_C2() {
        let (world, boss, victim) = one()
        world.act(boss) { _ = world.system.cancel(victim.pid, from: $0.pid, timeout: 100 * ms) }
        world.run(after: 50 * ms)
        world.act(victim) { $0.finish("cleaned up") }
        #expect(boss.log.texts == ["exit cleaned up"])
        #expect(world.scheduler.timers.count == 0)
    }

    @Test func whoReadsNoEventsIsEndedAtTheDeadline_C2() {
        let (world, boss, victim) = one()
        world.act(victim) { $0.reads = false }
        world.act(boss) { _ = world.system.cancel(victim.pid, from: $0.pid, timeout: 5 * ms) }
        world.run()
        #expect(boss.log.texts == ["exit cancelled: deadline exceeded"])
        #expect(world.now == 5 * ms)
    }

    @Test func whoComputesIsEndedAtTheDeadline_C2() {
        let (world, boss, victim) = one()
        world.act(boss) { _ = world.system.cancel(victim.pid, from: $0.pid, timeout: 5 * ms) }
        // In simulation time passes only when nothing runs, so the deadline is made to come.
        world.give(victim) { $0.isBusy = true }
        for _ in 0..<10 { _ = world.scheduler.simulation!.step(until: world.now) }
        world.scheduler.clock.advance(to: 6 * ms)
        world.scheduler.timers.fireDue(now: world.now)
        world.settle()
        #expect(boss.log.texts == ["exit cancelled: deadline exceeded"])
    }

    @Test func secondCancelOnlyBringsTheDeadlineForward_C3() {
        for (first, second) in [(100, 50), (50, 100), (50, 50)] as [(Int64, Int64)] {
            let (world, boss, victim) = one()
            for timeout in [first, second] {
                world.act(boss) { _ = world.system.cancel(victim.pid, from: $0.pid, timeout: timeout * ms) }
            }
            #expect(world.scheduler.timers.count == 1)
            // The event says which deadline holds.
            #expect(
                victim.log == [
                    .cancel(from: boss.pid, deadline: first * ms),
                    .cancel(from: boss.pid, deadline: min(first, second) * ms),
                ])
            world.run()
            #expect(world.now == min(first, second) * ms)
            #expect(boss.log.texts == ["exit cancelled: deadline exceeded"])
        }
    }

    @Test func aThousandCancelsKeepOneTimer_C3() {
        let (world, boss, victim) = one()
        world.act(boss) { me in
            for i in 0..<1000 {
                _ = world.system.cancel(victim.pid, from: me.pid, timeout: Int64(1 + i * 7919 % 1000) * ms)
            }
        }
        #expect(world.scheduler.timers.count == 1)
        world.run()
        #expect(world.now == 1 * ms && !world.isAlive(victim))
        world.act(boss) { $0.finish() }
        #expect(world.leftovers() == [])
    }

    @Test func terminateCannotBeCaught_C4() {
        let (world, boss, victim) = one()
        world.act(victim) { me in
            me.pointer.setTrapLinks(.all)
            me.isBusy = true
            me.onStep = { if $0.steps > 100 { Issue.record("still runs"); $0.finish() } }
            _ = world.system.terminate(me.pid, from: boss.pid)
        }
        #expect(boss.log.texts == ["exit terminated"])
    }

    @Test func ofTheEndedTheyAnswerNotFound_C5() {
        let (world, boss, victim) = one()
        world.act(victim) { $0.finish() }
        world.act(boss) { me in
            #expect(!world.system.cancel(victim.pid, from: me.pid, timeout: ms))
            #expect(!world.system.terminate(victim.pid, from: me.pid))
        }
        #expect(world.scheduler.timers.count == 0)
    }

    @Test func ofOneselfTheyAreAllowed_C5() {
        let (world, boss, victim) = one()
        world.act(victim) { #expect(world.system.cancel($0.pid, from: $0.pid, timeout: ms)) }
        world.run()
        #expect(boss.log.texts == ["exit cancelled: deadline exceeded"])
        let (world2, boss2, victim2) = one()
        world2.act(victim2) { #expect(world2.system.terminate($0.pid, from: $0.pid)) }
        #expect(boss2.log.texts == ["exit terminated"])
    }

    @Test func aTimeoutBeyondTheEndOfTimeIsADeadlineNever_C1() {
        let (world, _, victim) = one()
        #expect(world.system.cancel(victim.pid, from: .none, timeout: .max))
        world.settle()
        #expect(victim.log.texts == ["cancel"] && world.isAlive(victim))
        _ = world.system.terminate(victim.pid, from: .none)
        world.settle()
        #expect(world.scheduler.timers.count == 0)
    }

    @Test func whoWasCalledIsCancelledWhenTheCallerEnds_C1() {
        let world = World()
        var callee: TestProcess!
        let caller = world.spawn { callee = world.spawn(by: $0, options: .called) }
        world.settle()
        world.act(caller) { $0.fail("gone") }
        #expect(callee.log.texts == ["cancel"])
        world.run()
        #expect(callee.end?.text == "cancelled: deadline exceeded")
        #expect(world.leftovers() == [])
    }
}
