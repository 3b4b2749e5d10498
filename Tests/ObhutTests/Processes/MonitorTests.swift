import Testing

@testable import Obhut

/// SEMANTICS, Monitors.
@Suite struct MonitorTests {
    /// A watcher and a watched one that both wait.
    private func pair(seed: UInt64 = 1) -> (world: World, watcher: TestProcess, watched: TestProcess) {
        let world = World(seed: seed)
        let (watcher, watched) = (world.spawn("watcher"), world.spawn("watched"))
        world.settle()
        return (world, watcher, watched)
    }

    @Test func oneExitForAMonitorWhateverTheCause_S1() {
        let causes: [(String, (World, TestProcess) -> Void)] = [
            ("exit done", { world, it in world.give(it) { $0.finish() } }),
            ("exit boom", { world, it in world.give(it) { $0.fail("boom") } }),
            ("exit terminated", { world, it in _ = world.system.terminate(it.pid, from: .none) }),
            (
                "exit cancelled: deadline exceeded",
                { world, it in _ = world.system.cancel(it.pid, from: .none, timeout: ms) }
            ),
        ]
        for (text, cause) in causes {
            let (world, watcher, watched) = pair()
            world.act(watcher) { #expect($0.pointer.monitor(watched.pid) == .done) }
            cause(world, watched)
            world.run()
            #expect(watcher.log.texts == [text])
            guard case .exit(let from, let end)? = watcher.log.first else { return }
            #expect(from == watched.pid && end.origin == watched.pid && end.hops == 0)
        }
    }

    @Test func eitherNotFoundOrAnExitHoweverTheyRace_S2() {
        var (found, missed) = (0, 0)
        for seed in 1...200 as ClosedRange<UInt64> {
            let (world, watcher, watched) = pair(seed: seed)
            var outcome: ProcessPointer.MonitorOutcome?
            world.give(watched) { $0.finish() }
            world.give(watcher) { outcome = $0.pointer.monitor(watched.pid) }
            world.settle()
            switch outcome {
            case .done:
                found += 1
                #expect(watcher.log.texts == ["exit done"])
            case .notFound:
                missed += 1
                #expect(watcher.log == [])
            default: Issue.record("seed \(seed): \(String(describing: outcome))")
            }
        }
        #expect(found > 20 && missed > 20)
    }

    /// The request reaches a queue that is being closed: it is answered.
    @Test func monitorInAClosingQueueIsAnswered_S2() {
        let (world, watcher, watched) = pair()
        world.act(watched) { me in
            // On another thread this would come between the last drain and the end.
            #expect(watcher.pointer.monitor(me.pid) == .done)
            me.finish()
        }
        #expect(watcher.log.texts == ["exit done"])
    }

    @Test func secondMonitorChangesNothingUntilTheExitIsTaken_S3() {
        let (world, watcher, watched) = pair()
        world.act(watcher) { me in
            me.reads = false
            #expect(me.pointer.monitor(watched.pid) == .done)
            #expect(me.pointer.monitor(watched.pid) == .already)
        }
        world.act(watched) { $0.finish() }
        world.act(watcher) { me in
            #expect(me.pointer.monitor(watched.pid) == .already)
            #expect(me.readOne() != nil && me.readOne() == nil)
            #expect(me.pointer.monitor(watched.pid) == .notFound)
        }
        #expect(watcher.log.texts == ["exit done"])
    }

    @Test func noExitAfterUnmonitor_S4() {
        for seed in 1...50 as ClosedRange<UInt64> {
            let (world, watcher, watched) = pair(seed: seed)
            world.act(watcher) { me in
                me.reads = false
                _ = me.pointer.monitor(watched.pid)
            }
            world.give(watched) { $0.finish() }
            world.give(watcher) { me in
                #expect(me.pointer.unmonitor(watched.pid))
                #expect(!me.pointer.unmonitor(watched.pid))
                me.reads = true
            }
            world.settle()
            #expect(watcher.log == [], "seed \(seed)")
        }
    }

    @Test func exitsOfOthersStayWhenOneIsTakenBack_S4() {
        let world = World()
        let watcher = world.spawn { $0.reads = false }
        world.settle()
        var children: [TestProcess] = []
        world.act(watcher) { me in
            children = (0..<300).map { i in
                world.spawn(by: me, options: .monitored) { $0.finish("\(i)") }
            }
        }
        world.act(watcher) { me in
            for (i, child) in children.enumerated() where i % 3 != 0 {
                #expect(me.pointer.unmonitor(child.pid))
            }
            me.reads = true
        }
        #expect(Set(watcher.log.texts) == Set((0..<100).map { "exit \($0 * 3)" }))
        #expect(watcher.log.count == 100)
    }

    /// The cost of an `unmonitor` does not grow with what is queued: none is searched for.
    @Test func hundredThousandUnreadExitsCostNoScan_S4() {
        let world = World()
        let watcher = world.spawn { $0.reads = false }
        world.settle()
        var children: [TestProcess] = []
        let count = scaled(100_000)
        world.act(watcher) { me in
            children = (0..<count).map { _ in world.spawn(by: me, options: .monitored) { $0.finish() } }
        }
        world.act(watcher) { me in
            #expect(me.pointer.pointee.mailbox.count == count)
            // Half of them, from the end that a scan would reach last.
            for child in children.reversed().prefix(count / 2) {
                #expect(me.pointer.unmonitor(child.pid))
            }
            me.reads = true
        }
        #expect(watcher.log.count == count - count / 2)
    }

    /// A program that watches and never reads its events does not grow by what it takes back.
    @Test func eventsTakenBackDoNotPileUp_S4() {
        let world = World()
        let watcher = world.spawn { $0.reads = false }
        world.settle()
        for _ in 0..<1000 {
            var child: TestProcess?
            world.act(watcher) { child = world.spawn(by: $0, options: [.monitored, .linked]) { $0.finish() } }
            world.act(watcher) { #expect($0.pointer.unmonitor(child!.pid)) }
        }
        #expect(watcher.pointer.pointee.mailbox.count <= 65)
    }

    @Test func monitorAfterUnmonitorIsAnother_S4() {
        let (world, watcher, watched) = pair()
        world.act(watcher) { me in
            for _ in 0..<3 {
                #expect(me.pointer.monitor(watched.pid) == .done)
                #expect(me.pointer.unmonitor(watched.pid))
            }
            #expect(me.pointer.monitor(watched.pid) == .done)
        }
        world.act(watched) { $0.finish() }
        #expect(watcher.log.texts == ["exit done"])
    }

    @Test func spawnMonitoredCannotMissAnEnd_S5() {
        for seed in 1...50 as ClosedRange<UInt64> {
            let world = World(seed: seed)
            let parent = world.spawn { me in
                let child = world.spawn(by: me, options: .monitored) { $0.fail("at once") }
                if seed % 2 == 0 { _ = world.system.terminate(child.pid, from: me.pid) }
            }
            world.run()
            #expect(parent.log.texts == [seed % 2 == 0 ? "exit terminated" : "exit at once"])
        }
    }

    @Test func ifDeadEventDeliversNoproc_S6() {
        let (world, watcher, watched) = pair()
        world.act(watched) { $0.finish() }
        world.act(watcher) { me in
            #expect(me.pointer.monitor(watched.pid, ifDeadEvent: true) == .done)
            #expect(me.pointer.monitor(watched.pid) == .already)
        }
        #expect(watcher.log.texts == ["exit noproc"])
        world.act(watcher) { me in
            #expect(me.pointer.monitor(watched.pid, ifDeadEvent: true) == .done)
            #expect(me.pointer.unmonitor(watched.pid))
        }
        #expect(watcher.log.texts == ["exit noproc"])
    }

    @Test func watcherIsNotAffected_S7() {
        let (world, watcher, watched) = pair()
        world.act(watcher) { _ = $0.pointer.monitor(watched.pid) }
        world.act(watched) { $0.fail("boom") }
        #expect(watcher.end == nil && world.isAlive(watcher))
        // Nor is the watched one by the end of its watcher; the monitor goes with it.
        let (world2, watcher2, watched2) = pair()
        world2.act(watcher2) { _ = $0.pointer.monitor(watched2.pid) }
        world2.act(watcher2) { $0.fail("boom") }
        #expect(world2.isAlive(watched2) && watched2.log == [])
        #expect(watched2.pointer.pointee.relations.watchers.isEmpty)
    }

    @Test func manyWatchersAreAllTold_S1() {
        let world = World()
        let watched = world.spawn()
        world.settle()
        let watchers = (0..<500).map { _ in world.spawn { _ = $0.pointer.monitor(watched.pid) } }
        world.settle()
        world.act(watched) { $0.fail("boom") }
        #expect(watchers.allSatisfy { $0.log.texts == ["exit boom"] })
    }

    @Test func monitorOfOneselfIsNeverTold_S1() {
        let world = World()
        let process = world.spawn { #expect($0.pointer.monitor($0.pid) == .done) }
        world.settle()
        world.act(process) { $0.finish() }
        #expect(process.log == [])
        #expect(world.leftovers() == [])
    }
}
