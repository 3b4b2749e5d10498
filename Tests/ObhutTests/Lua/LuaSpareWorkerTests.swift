import CObhut
import Glibc
import Synchronization
import Testing

@testable import Obhut

/// A host with one worker: spare ones help out while a program holds it, and not a moment longer (H1, H3).
@Suite(.serialized) struct LuaSpareWorkerTests {
    /// Holds its worker in C until the test lets it go; from then on it computes, and can be interrupted, without end.
    private static let holder = "return {main = function() print('hold') while true do end end}"
    private static let spinner = "return {main = function() print('spin') while true do end end}"

    /// A world whose `print('hold')` does not return before `isOver`.
    private final class HeldWorld {
        let world = LuaWorld(interval: nil, spareWorkers: 2)
        let isHeld = Atomic<Bool>(false)
        let isOver = Atomic<Bool>(false)
        /// Processes other than the holder that have begun.
        let others = Atomic<Int>(0)

        init() {
            world.system.writeLine = { [unowned self] line in
                guard line.first == UInt8(ascii: "h") else {
                    others.add(1, ordering: .sequentiallyConsistent)
                    return
                }
                isHeld.store(true, ordering: .sequentiallyConsistent)
                while !isOver.load(ordering: .sequentiallyConsistent) {}
            }
        }

        func end(_ runs: [LuaRun]) {
            isOver.store(true, ordering: .sequentiallyConsistent)
            runs.forEach(world.terminate)
            world.settle(runs)
            world.stop()
        }

        var runningAtOnce: Int {
            var count = 0
            world.host.withWorkers { if $0.core.pointee.running.load(ordering: .relaxed) != 0 { count += 1 } }
            return count
        }
    }

    /// What was interrupted on a spare worker is not left behind there when it goes: the others, who compute, would never look.
    @Test func whoRanOnASpareWorkerRunsOn_H3() {
        let held = HeldWorld()
        let holder = held.world.spawn(LuaSpareWorkerTests.holder)
        #expect(eventually { held.isHeld.load(ordering: .sequentiallyConsistent) })
        let others = (0..<2).map { _ in
            held.world.spawn(
                "return {main = function() print('spin') for i = 1, 30 do for j = 1, 1000000 do end end return 'done' end}")
        }
        // Both have begun, on the spare worker: at least one of them has been interrupted there.
        #expect(eventually { held.others.load(ordering: .sequentiallyConsistent) == 2 })
        held.isOver.store(true, ordering: .sequentiallyConsistent)
        held.world.settle(others, seconds: 60)
        #expect(others.map(\.end) == [.value("done"), .value("done")])
        held.end([holder] + others)
    }

    /// Whom a spare worker runs when the worker is back gives way, though nobody else waits: one worker runs one process at a time.
    @Test func aSpareWorkerGoesWhenTheStuckOneIsBack_H1() {
        let held = HeldWorld()
        let holder = held.world.spawn(LuaSpareWorkerTests.holder)
        #expect(eventually { held.isHeld.load(ordering: .sequentiallyConsistent) })
        let other = held.world.spawn(LuaSpareWorkerTests.spinner)
        #expect(eventually { held.others.load(ordering: .sequentiallyConsistent) == 1 })
        // Now and then it is between two steps.
        #expect(eventually { held.runningAtOnce == 2 })
        held.isOver.store(true, ordering: .sequentiallyConsistent)
        #expect(eventually { held.runningAtOnce == 1 })
        held.end([holder, other])
    }

    /// Who computes alone holds up nobody, for however long, and gives way when somebody comes. (In one of ten worlds: where the
    /// machine stands still for a moment just then, it looks as if it did not.)
    @Test func whoGivesWayWhenItIsAskedNeedsNoSpareWorker_H3() {
        let neededNone = (0..<10).contains { _ in
            let world = LuaWorld(interval: nil, spareWorkers: 2)
            let computing = world.spawn("return {main = function() while true do end end}")
            var used: Int64 = 0
            #expect(
                eventually {
                    world.host.withWorkers { used = obh_thread_cpu_time($0.thread) }
                    return used > 100_000_000
                })
            let other = world.spawn("return {main = function() for i = 1, 1e7 do end return 'done' end}")
            world.settle([other], seconds: 60)
            #expect(other.end == .value("done"))
            var workers = 0
            world.host.withWorkers { _ in workers += 1 }
            world.terminate(computing)
            world.settle([computing])
            world.stop()
            return workers == 1
        }
        #expect(neededNone)
    }
}
