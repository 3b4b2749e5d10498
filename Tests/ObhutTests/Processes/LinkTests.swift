import Testing

@testable import Obhut

/// SEMANTICS, Links.
@Suite struct LinkTests {
    /// Two that wait, linked by the first.
    private func pair(seed: UInt64 = 1, trap: TrapLinks = .no) -> (World, TestProcess, TestProcess) {
        let world = World(seed: seed)
        let (a, b) = (world.spawn("a"), world.spawn("b"))
        world.settle()
        world.act(a) { #expect($0.pointer.link(b.pid) == .done) }
        world.act(b) { $0.pointer.setTrapLinks(trap) }
        return (world, a, b)
    }

    private func failure(_ neighbour: TestProcess, _ cause: String, in world: World) -> String {
        "linked process \(world.system.text(of: neighbour.pid)) failed: \(cause)"
    }

    @Test func linkTiesBothAndIsIdempotent_L1() {
        let (world, a, b) = pair()
        world.act(a) { #expect($0.pointer.link(b.pid) == .done) }
        world.act(b) { #expect($0.pointer.link(a.pid) == .done) }
        #expect(a.pointer.pointee.linkCount.load(ordering: .relaxed) == 1)
        #expect(b.pointer.pointee.linkCount.load(ordering: .relaxed) == 1)
        world.act(b) { $0.pointer.unlink(a.pid) }
        #expect(a.pointer.pointee.linkCount.load(ordering: .relaxed) == 0)
        world.act(a) { $0.fail("boom") }
        #expect(world.isAlive(b))
    }

    @Test func linkToOneselfOrToTheDeadIsAnError_L1() {
        let (world, a, b) = pair()
        world.act(a) { #expect($0.pointer.link($0.pid) == .toItself) }
        world.act(b) { $0.finish() }
        world.act(a) { #expect($0.pointer.link(b.pid) == .notFound) }
        #expect(a.pointer.pointee.relations.links.isEmpty)
    }

    /// Every order in which two short scripts of link and unlink and the arrival of their
    /// signals can be mixed, beginning linked and not linked: both sides agree at the end,
    /// also about the serials, and one more unlink leaves nothing.
    @Test func crossingLinksAndUnlinksEndSymmetric_L1() {
        let world = World()
        let (a, b) = (world.spawn(), world.spawn())
        world.settle()
        let scripts: [[Bool]] = [true, false].flatMap { first in
            [[first]] + [true, false].map { [first, $0] }
        }
        var mixes = 0
        var linked = 0
        for begin in [false, true] {
            for scriptA in scripts {
                for scriptB in scripts {
                    forEachMix(of: [scriptA.count, 2, scriptB.count, 2]) { order in
                        if begin { _ = a.pointer.link(b.pid) }
                        settle(a, b)
                        var (nextA, nextB) = (0, 0)
                        for act in order {
                            switch act {
                            case 0:
                                perform(scriptA[nextA], a, b)
                                nextA += 1
                            case 1: a.pointer.drain()
                            case 2:
                                perform(scriptB[nextB], b, a)
                                nextB += 1
                            default: b.pointer.drain()
                            }
                        }
                        settle(a, b)
                        let atA = a.pointer.pointee.relations.links[b.pid]
                        let atB = b.pointer.pointee.relations.links[a.pid]
                        #expect(
                            atA?.mine == atB?.theirs && atA?.theirs == atB?.mine,
                            "\(begin) \(scriptA) \(scriptB) \(order): \(String(describing: atA)) \(String(describing: atB))")
                        mixes += 1
                        if atA != nil { linked += 1 }
                        a.pointer.unlink(b.pid)
                        settle(a, b)
                        #expect(a.pointer.pointee.relations.isEmpty && b.pointer.pointee.relations.isEmpty)
                    }
                }
            }
        }
        #expect(mixes >= scaled(50_000) && linked > 0 && linked < mixes)
    }

    /// As above, and one of them fails at some moment: whether the other is told agrees with
    /// what it has asked for last, where the failed one has asked for nothing.
    @Test func unlinkHoldsHoweverItCrossesTheEnd_L6() {
        var told = 0
        for begin in [false, true] {
            for script in [[true], [false], [true, false], [false, true], [true, true], [false, false]] {
                forEachMix(of: [script.count, 2, 2, 1]) { order in
                    let world = World()
                    let (a, b) = (world.spawn { $0.pointer.setTrapLinks(.failures) }, world.spawn())
                    world.settle()
                    if begin { _ = a.pointer.link(b.pid) }
                    settle(a, b)
                    var next = 0
                    var wants = begin  // a link that a has asked for and that was granted
                    var isDead = false
                    for act in order {
                        switch act {
                        case 0:
                            if script[next] {
                                if a.pointer.linkDrained(b.pid) == .done { wants = true }
                            } else {
                                a.pointer.unlinkDrained(b.pid)
                                wants = false
                            }
                            next += 1
                        case 1: a.pointer.drain()
                        case 2: if !isDead { b.pointer.drain() }
                        default:
                            b.pointer.finish(.error("boom", of: b.pid))
                            isDead = true
                        }
                    }
                    a.pointer.drain()
                    a.readOne()
                    #expect(
                        a.log.texts == (wants ? ["linkDown boom"] : []), "\(begin) \(script) \(order)")
                    #expect(a.pointer.pointee.relations.isEmpty)
                    if wants { told += 1 }
                    a.pointer.finish(.error("over", of: a.pid))
                    #expect(world.leftovers() == [])
                }
            }
        }
        #expect(told > 10)
    }

    @Test func abnormalEndIsToldAndNormalIsNot_L2() {
        let (world, a, b) = pair(trap: .failures)
        world.act(a) { $0.finish() }
        #expect(b.log == [] && world.isAlive(b))
        #expect(b.pointer.pointee.relations.links.isEmpty)
        let (world2, a2, b2) = pair(trap: .failures)
        world2.act(b2) { $0.pointer.setTrapLinks(.failures) }
        world2.act(a2) { $0.fail("boom") }
        #expect(b2.log.texts == ["linkDown boom"])
    }

    @Test func linkDownEndsTheReceiverWhateverItDoes_L3() {
        for state in ["waits", "sleeps", "computes", "never ran"] {
            let world = World()
            let a = world.spawn("a")
            world.settle()
            var b: TestProcess!
            world.act(a) { me in b = world.spawn("b", by: me, options: .linked) }
            world.give(b) { [unowned world] me in  // one that never runs keeps its task
                switch state {
                case "sleeps": me.pointer.pointee.wakeAt = world.now + 3_600_000 * ms
                case "computes": me.isBusy = true
                default: break
                }
            }
            for _ in 0..<(state == "never ran" ? 0 : 5) { _ = world.scheduler.simulation!.step(until: 0) }
            let steps = b.steps
            #expect((steps > 1) == (state == "computes") || state != "computes")
            a.give { $0.fail("boom") }
            world.system.table.slot(a.pid.slot)!.runnable.wake(serial: a.pid.serial)
            while world.isAlive(a) { _ = world.scheduler.simulation!.step(until: 0) }
            world.settle()
            #expect(!world.isAlive(b), "\(state)")
            #expect(
                world.abnormalEnds.map(\.text) == ["boom", failure(a, "boom", in: world)], "\(state)")
            #expect(world.now == 0)
            #expect(world.leftovers() == [])
        }
    }

    @Test func failureCascadesAlongAChain_L3_L9() {
        let world = World()
        let count = 10_000
        var chain: [TestProcess] = []
        for _ in 0..<count {
            let before = chain.last
            chain.append(world.spawn { if let before { #expect($0.pointer.link(before.pid) == .done) } })
            world.settle()
        }
        let watcher = world.spawn { me in
            for process in chain { _ = me.pointer.monitor(process.pid) }
        }
        world.settle()
        world.act(chain[0]) { $0.fail("root") }
        #expect(watcher.log.count == count)
        for (i, event) in watcher.log.enumerated() {
            guard case .exit(let from, let end) = event else { continue }
            let place = chain.firstIndexFast(of: from)
            #expect(end.origin == chain[0].pid && end.hops == place && end.isAbnormal)
            let expected = place == 0 ? "root" : failure(chain[place - 1], "root", in: world)
            if end.text != expected { Issue.record("\(i): \(end.text)") }
        }
        world.act(watcher) { $0.finish() }
        #expect(world.leftovers() == [])
    }

    @Test func failureCascadesAcrossAStar_L3() {
        let world = World()
        let hub = world.spawn("hub")
        world.settle()
        var rim: [TestProcess] = []
        world.act(hub) { me in
            rim = (0..<5000).map { _ in world.spawn(by: me, options: .linked) }
        }
        // It begins at one of the rim, and comes to the others over the hub.
        world.act(rim[17]) { $0.fail(ErrorValue(kind: "TIMEOUT", message: "too late")) }
        #expect(hub.end?.text == failure(rim[17], "too late", in: world))
        #expect(hub.end?.kind == "TIMEOUT" && hub.end?.hops == 1)
        for (i, process) in rim.enumerated() where i != 17 {
            #expect(process.end?.text == failure(hub, "too late", in: world))
            #expect(process.end?.kind == "TIMEOUT" && process.end?.hops == 2)
            #expect(process.end?.origin == rim[17].pid)
        }
        #expect(world.leftovers() == [])
    }

    @Test func trapLinksTurnsItIntoAnEvent_L4() {
        let (world, a, b) = pair(trap: .failures)
        world.act(a) { $0.fail("boom") }
        #expect(b.log.texts == ["linkDown boom"] && world.isAlive(b))
        #expect(b.pointer.pointee.relations.links.isEmpty)
    }

    @Test func optionIsReadWhenTheSignalIsHandled_L5() {
        // Sent while the receiver trapped nothing; it drains first, so that is what holds.
        let (world, a, b) = pair()
        world.act(b) { me in
            a.pointer.finish(.error("boom", of: a.pid))
            me.pointer.setTrapLinks(.failures)
            #expect(me.pointer.isDoomed)
        }
        #expect(b.end?.text == failure(a, "boom", in: world))
        // Sent while it trapped, and it stops trapping before it looks: it lives.
        let (world2, a2, b2) = pair(trap: .failures)
        world2.act(b2) { me in
            a2.pointer.finish(.error("boom", of: a2.pid))
            me.pointer.setTrapLinks(.no)
            #expect(!me.pointer.isDoomed)
        }
        #expect(b2.log.texts == ["linkDown boom"])
        _ = a2.pointer
    }

    @Test func unlinkTakesBackWhatIsUnderWay_L6() {
        let (world, a, b) = pair(trap: .failures)
        world.act(b) { $0.reads = false }
        world.act(a) { $0.fail("boom") }
        world.act(b) { me in
            me.pointer.unlink(a.pid)
            me.pointer.unlink(a.pid)
            me.reads = true
        }
        #expect(b.log == [])
        #expect(b.pointer.pointee.relations.links.isEmpty)
    }

    @Test func spawnLinkedCannotMissAFailure_L7() {
        for seed in 1...50 as ClosedRange<UInt64> {
            let world = World(seed: seed)
            var child: TestProcess!
            let parent = world.spawn { me in
                child = world.spawn(by: me, options: .linked) { $0.fail("at once") }
                if seed % 2 == 0 { _ = world.system.terminate(child.pid, from: me.pid) }
            }
            world.run()
            #expect(
                parent.end?.text == failure(child, seed % 2 == 0 ? "terminated" : "at once", in: world))
        }
    }

    @Test func exitComesBeforeLinkDown_L8() {
        for linkFirst in [true, false] {
            let world = World()
            let (a, b) = (world.spawn(), world.spawn())
            world.settle()
            world.act(b) { me in
                me.pointer.setTrapLinks(.failures)
                if linkFirst { _ = me.pointer.link(a.pid) }
                _ = me.pointer.monitor(a.pid)
                if !linkFirst { _ = me.pointer.link(a.pid) }
            }
            world.act(a) { $0.fail("boom") }
            #expect(b.log.texts == ["exit boom", "linkDown boom"])
        }
    }

    @Test func trapAllDeliversNormalEndsToo_L10() {
        let (world, a, b) = pair(trap: .all)
        world.act(a) { $0.finish("fine") }
        #expect(b.log.texts == ["linkDown fine"])
        guard case .linkDown(_, let end)? = b.log.first else { return }
        #expect(!end.isAbnormal)
    }

    @Test func linkDownOfAnEarlierLinkIsNotBelieved_L1() {
        let (world, a, b) = pair()
        // The peer's old LINK_DOWN, with the serials of a link that is gone.
        world.act(b) { $0.pointer.unlink(a.pid) }
        world.act(b) { _ = $0.pointer.link(a.pid) }
        _ = world.system.deliverUrgently(
            .makeEnd(.linkDown, from: a.pid, a: 1, reason: .error("old", of: a.pid), at: 0), to: b.pid)
        world.settle()
        #expect(world.isAlive(b) && b.pointer.pointee.relations.links.count == 1)
    }
}

private func perform(_ isLink: Bool, _ me: TestProcess, _ peer: TestProcess) {
    if isLink { _ = me.pointer.linkDrained(peer.pid) } else { me.pointer.unlinkDrained(peer.pid) }
}

private func settle(_ a: TestProcess, _ b: TestProcess) {
    for process in [a, b, a, b] where process.pointer != nil { process.pointer.drain() }
}

/// Calls `body` with each order of `counts[i]` times the number i; with a part of them
/// where tests are to be short.
private func forEachMix(of counts: [Int], _ body: ([Int]) -> Void) {
    var left = counts
    var order: [Int] = []
    let stride = max(1, Int(1 / testScale))
    var number = 0
    func extend() {
        if left.allSatisfy({ $0 == 0 }) {
            number += 1
            if number % stride == 0 { body(order) }
            return
        }
        for i in left.indices where left[i] > 0 {
            left[i] -= 1
            order.append(i)
            extend()
            order.removeLast()
            left[i] += 1
        }
    }
    extend()
}

extension [TestProcess] {
    /// Of processes that were spawned one after another.
    fileprivate func firstIndexFast(of pid: Pid) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].pid < pid { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
