import CObhut
import Testing

@testable import Obhut

/// SEMANTICS, Processes.
@Suite struct ProcessLifeTests {
    @Test func spawnAnswersAtOnceAndRunsLater_P2() {
        let world = World()
        let process = world.spawn { $0.finish() }
        #expect(world.isAlive(process) && !process.hasStarted)
        world.run()
        #expect(process.end?.text == "done")
        #expect(world.leftovers() == [])
    }

    @Test func hostThatIsNotStartedOrFullRefuses_P2() throws {
        let world = World { $0.maxProcesses = 2 }
        let first = world.spawn()
        world.spawn()
        #expect(throws: ProcessSystem.SpawnFault.hostFull("app:processes", limit: 2)) {
            try world.trySpawn()
        }
        world.act(first) { $0.finish() }
        let third = try world.trySpawn()
        let idle = world.scheduler.addHost(named: "app:idle", limits: HostLimits())
        #expect(throws: ProcessSystem.SpawnFault.hostNotStarted("app:idle")) {
            try world.system.spawn(
                ProcessDefinition(id: "x:y", body: TestProcess.body, program: third), on: idle,
                arguments: UnsafeRawBufferPointer(start: nil, count: 0), parent: nil)
        }
        #expect(world.system.aliveCount == 2)
        #expect(idle.processCount.load(ordering: .relaxed) == 0)
    }

    @Test func stoppedHostRefuses_P2() {
        let world = World()
        world.host.beginStop()
        #expect(throws: ProcessSystem.SpawnFault.hostNotStarted("app:processes")) { try world.trySpawn() }
        #expect(world.leftovers() == [])
    }

    @Test func pidIsNeverReused_P3() {
        let world = World()
        var seen: Set<Pid> = []
        for _ in 0..<1000 {
            let process = world.spawn { $0.finish() }
            #expect(seen.insert(process.pid).inserted)
            world.run()
        }
        let slots = Set(seen.map(\.slot))
        #expect(slots.count < 200, "slots are used again")
    }

    @Test func slotWhoseSerialIsSpentIsRetired_P3() {
        let world = World()
        var processes = (0..<70).map { _ in world.spawn { $0.finish() } }
        world.run()
        let old = processes[0].pid
        world.system.table.slot(old.slot)!.pointee.runnable.set(serial: Pid.maxSerial, .free)
        var last: Pid?
        for _ in 0..<300 {
            let process = world.spawn { $0.finish() }
            if process.pid.slot == old.slot {
                #expect(last == nil, "used after its last serial")
                last = process.pid
                #expect(process.pid.serial == Pid.maxSerial)
            }
            processes.append(process)
            world.run()
        }
        #expect(last != nil)
        #expect(world.system.sendText(from: .none, to: last!, "x") == .notFound)
        #expect(world.system.text(of: last!) == "{app:processes|0xffffff\(hex(last!.slot, 6))}")
        #expect(world.leftovers() == [])
    }

    @Test func textOfAPidNamesHostSerialAndSlot_P3() {
        let world = World()
        let process = world.spawn()
        let text = world.system.text(of: process.pid)
        #expect(text == "{app:processes|0x00001}")
        #expect(resolve(world, text) == process.pid)
        for wrong in [
            "{app:other|0x00001}", "{app:processes|0x00002}", "{app:processes|0x0001}",
            "{app:processes|0x00000}", "{app:processes|0x000001000001}", "{app:processes|x00001}",
            "{app:processes|0xg0001}", "{app:processes|0x00001", "{}", "{", "", "{|0x00001}",
            "{app:processes|0x1000000000001}", "{app:processes|0X00001}", "{app:processes|0x00001}}",
            "{app:processes0x00001}", "{0x00001}", "{x00001}", "{aaaaaaaaa}", "{xxxxxxxxx}",
        ] {
            #expect(resolve(world, wrong) == nil, "\(wrong)")
        }
    }

    @Test func endsOnceWithOneResult_P4() {
        let world = World()
        var ends: [TestProcess] = []
        let watched = world.spawn("watched")
        for _ in 0..<3 {
            ends.append(world.spawn { _ = $0.pointer.monitor(watched.pid) })
        }
        world.settle()
        // It returns in the same moment in which it is terminated twice.
        world.give(watched) { $0.finish("value") }
        _ = world.system.terminate(watched.pid, from: .none)
        _ = world.system.terminate(watched.pid, from: .none)
        world.run()
        for watcher in ends { #expect(watcher.log.texts == ["exit terminated"]) }
        #expect(world.abnormalEnds.map(\.text) == ["terminated"])
    }

    @Test func failureIsAbnormalAndValueIsNot_P4() {
        let world = World()
        let watcher = world.spawn()
        world.settle()
        world.act(watcher) { me in
            world.spawn(by: me, options: .monitored) { $0.finish("fine") }
            world.spawn(by: me, options: .monitored) { $0.fail("broken") }
            world.spawn(by: me, options: .monitored) {
                $0.fail(ErrorValue(kind: "NOT_FOUND", message: "no file"))
            }
        }
        let ends = watcher.log.compactMap { if case .exit(_, let end) = $0 { end } else { nil } }
            .sorted { $0.text < $1.text }
        #expect(ends.map(\.text) == ["broken", "fine", "no file"])
        #expect(ends.map(\.isAbnormal) == [true, false, true])
        #expect(ends.map(\.kind) == [nil, nil, "NOT_FOUND"])
    }

    @Test func bodyThatLeavesNoResultEndsAbnormally_P4() {
        let world = World()
        let process = world.spawn()
        process.onStep = { $0.endWithoutResult() }
        world.run()
        #expect(world.abnormalEnds.map(\.text) == ["ended without a result"])
    }

    @Test func namesAreFreeAndPidIsGoneWhenExitIsSeen_P5() {
        let world = World()
        var seen: [String] = []
        for seed in 0..<20 as Range<UInt64> {
            let world = World(seed: seed)
            let watched = world.spawn("watched")
            let watcher = world.spawn()
            world.settle()
            for name in ["a", "b", "c"] {
                #expect(world.system.names.register(name, for: watched.pid) == .done)
            }
            world.act(watcher) {
                _ = $0.pointer.monitor(watched.pid)
                _ = $0.pointer.link(watched.pid)
                $0.pointer.setTrapLinks(.failures)
            }
            watcher.reads = false
            watcher.onStep = { me in
                while let event = me.readOne() {
                    let system = me.pointer.system
                    seen.append(contentsOf: [event].texts)
                    #expect(system.names.lookup("a") == nil && system.names.count == 0)
                    #expect(me.send(watched.pid, "x") == .notFound)
                    #expect(me.pointer.monitor(watched.pid) == .notFound)
                    #expect(system.names.register("a", for: me.pid) == .done)
                    #expect(system.names.unregister("a"))
                }
            }
            _ = world.system.terminate(watched.pid, from: .none)
            world.run()
        }
        #expect(seen.count == 40)
        #expect(world.leftovers() == [])
    }

    @Test func aNameHasOneProcessAndGoesWithIt_P5() {
        let world = World()
        let names = world.system.names
        let (a, b) = (world.spawn(), world.spawn())
        #expect(names.register("n", for: a.pid) == .done)
        #expect(names.register("n", for: a.pid) == .done)
        #expect(names.register("n", for: b.pid) == .taken)
        #expect(names.names(of: a.pid) == ["n"])
        world.act(a) { $0.finish() }
        #expect(names.register("n", for: a.pid) == .notFound)
        #expect(names.register("n", for: b.pid) == .done)
        #expect(names.unregister("n") && !names.unregister("n"))
    }

    /// Between the moment in which its pid is gone and the one in which its names are taken
    /// out, nobody can tell.
    @Test func nameOfAPidThatIsGoneIsFree_P5() {
        let world = World()
        let names = world.system.names
        let (a, b) = (world.spawn(), world.spawn())
        world.settle()
        #expect(names.register("n", for: a.pid) == .done && names.register("m", for: a.pid) == .done)
        let queue = world.system.table.slot(a.pid.slot)!
        #expect(queue.pointee.signals.close() == nil)
        #expect(names.lookup("n") == nil && names.names(of: a.pid) == [])
        #expect(names.register("n", for: b.pid) == .done)
        #expect(!names.unregister("m"))
        queue.pointee.signals.open(serial: a.pid.serial)
        world.act(a) { $0.finish() }
        #expect(names.lookup("n") == b.pid && names.count == 1)
    }

    @Test func timersAreReleasedAtTheEnd_P5() {
        let world = World()
        let process = world.spawn { $0.pointer.pointee.wakeAt = world.now + 3600 * 1000 * ms }
        world.settle()
        #expect(world.scheduler.timers.count == 1)
        _ = world.system.cancel(process.pid, from: .none, timeout: 1000 * ms)
        world.settle()
        #expect(world.scheduler.timers.count == 2)
        _ = world.system.terminate(process.pid, from: .none)
        world.settle()
        #expect(world.now == 0)
        #expect(world.leftovers() == [])
    }

    /// Whatever the first life chose and left behind, the next in the same slot begins anew.
    @Test func nextLifeInASlotInheritsNothing_P1() {
        let world = World { $0.mailboxMessages = 4 }
        var slots: [Int: Pid] = [:]
        for _ in 0..<300 {
            let neighbour = world.spawn()
            world.settle()
            let process = world.spawn {
                if let before = slots[$0.pid.slot] { #expect(before != $0.pid) }
                slots[$0.pid.slot] = $0.pid
                #expect($0.pointer.pointee.trapLinks == .no)
                #expect(MailboxLoad.messages($0.pointer.loadNow) == 0)
                $0.pointer.setTrapLinks(.all)
                _ = $0.pointer.link(neighbour.pid)
                _ = $0.pointer.monitor(neighbour.pid)
                _ = $0.pointer.pointee.mailbox.listen(UnsafeRawBufferPointer(start: nil, count: 0))
                $0.reads = false
                $0.pointer.pointee.wakeAt = world.now + 1000 * ms
            }
            world.settle()
            for _ in 0..<5 { _ = world.system.sendText(from: .none, to: process.pid, "x") }
            _ = world.system.cancel(process.pid, from: .none, timeout: 10 * ms)
            world.settle()
            _ = world.system.terminate(process.pid, from: .none)
            world.settle()
            world.act(neighbour) { $0.finish() }
            #expect(world.leftovers() == [])
        }
        #expect(slots.count < 300)
    }

    @Test func killedBeforeItsFirstStepItRunsNoCode_P7() {
        let world = World()
        let process = world.spawn { _ in Issue.record("ran") }
        _ = world.system.terminate(process.pid, from: .none)
        world.run()
        #expect(!process.hasStarted && process.steps == 0)
        #expect(world.abnormalEnds.map(\.text) == ["terminated"])
        #expect(world.leftovers() == [])
    }

    @Test func killedWhileItWaitsItRunsNoMoreCode_P7() {
        let world = World()
        let process = world.spawn()
        world.settle()
        let steps = process.steps
        _ = world.system.sendText(from: .none, to: process.pid, "work")
        _ = world.system.terminate(process.pid, from: .none)
        _ = world.system.sendText(from: .none, to: process.pid, "work")
        world.run()
        #expect(process.steps == steps && process.log == [])
        #expect(process.end?.text == "terminated")
    }

    /// A call that drains finds that the process has to end.
    @Test func callThatFindsTheEndSaysSo_P7() {
        let world = World()
        let (victim, peer) = (world.spawn(), world.spawn())
        world.settle()
        world.act(victim) { me in
            _ = me.pointer.system.terminate(me.pid, from: me.pid)
            #expect(me.pointer.link(peer.pid) == .done && me.pointer.isDoomed)
        }
        #expect(victim.end?.text == "terminated")
        #expect(peer.end == nil)
    }

    @Test func abnormalEndThatNobodyWatchesIsReportedAsUnseen_F5() {
        let world = World()
        let watcher = world.spawn { $0.pointer.setTrapLinks(.failures) }
        world.settle()
        world.spawn("alone") { $0.fail("alone") }
        world.act(watcher) { me in
            me.reads = false
            world.spawn(by: me, options: .monitored) { $0.fail("watched") }
            world.spawn(by: me, options: .linked) { $0.fail("linked") }
        }
        world.act(watcher) { $0.fail("its links are all dead and unread") }
        let unseen = world.abnormalEnds.filter { !$0.isSeen }.map(\.text)
        #expect(Set(unseen) == ["alone", "its links are all dead and unread"])
    }

    @Test func argumentsOfAProcessThatNeverRanAreFreed_P7() throws {
        let world = World()
        let arguments = encoded { $0.writeString(String(repeating: "x", count: 5000)) }
        let spawned = try arguments.withUnsafeBytes { bytes throws(ProcessSystem.SpawnFault) in
            try world.system.spawn(
                ProcessDefinition(id: "a:b", body: TestProcess.body, program: TestProcess()),
                on: world.host, arguments: bytes, parent: nil)
        }
        #expect(world.system.table.slot(spawned.pid.slot)!.pointee.arguments?.count == arguments.count)
        _ = world.system.terminate(spawned.pid, from: .none)
        world.run()
        #expect(world.system.table.slot(spawned.pid.slot)!.pointee.arguments == nil)
    }
}

private func resolve(_ world: World, _ text: String) -> Pid? {
    Array(text.utf8).withUnsafeBufferPointer { world.system.resolve($0) }
}

private func hex(_ number: Int, _ digits: Int) -> String {
    let text = String(number, radix: 16)
    return String(repeating: "0", count: digits - text.count) + text
}
