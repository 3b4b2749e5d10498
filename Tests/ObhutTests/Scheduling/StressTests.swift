import CObhut
import Glibc
import Synchronization
import Testing

@testable import Obhut

/// The same on real threads: no event lost or doubled, every count back to zero. Meant to be
/// run under the thread and the address sanitizer too. None depends on how long things take:
/// who waits, waits for a fact.
@Suite(.serialized) struct StressTests {
    @Test(arguments: [[1], [2], [4], [16], [2, 3]])
    func whateverProcessesDoToEachOtherTheBooksAgree(workers: [Int]) {
        let chaos = Chaos(seed: 5, budget: scaled(60_000), workers: workers)
        chaos.scheduler.start()
        for host in chaos.hosts { host.start() }
        var next: UInt64 = 0
        while chaos.budget.load(ordering: .relaxed) > 0 {
            if chaos.system.aliveCount < 8 {
                next += 1
                chaos.spawn(on: chaos.hosts[Int(next) % chaos.hosts.count], seed: next)
            } else {
                usleep(200)
            }
        }
        quiesce(chaos.scheduler, chaos.system)
        chaos.isWindingDown.store(true, ordering: .sequentiallyConsistent)
        for slot in chaos.living() { slot.runnable.wake(serial: slot.pointee.runnable.serial) }
        quiesce(chaos.scheduler, chaos.system)
        chaos.checkBooks()
        for slot in chaos.living() { _ = chaos.system.terminate(slot.pid, from: .none) }
        #expect(chaos.system.waitUntilAlive(atMost: 0, until: nil))
        quiesce(chaos.scheduler, chaos.system)
        chaos.checkNothingIsLeft()
        stop(chaos.scheduler)
        let faults = chaos.faults()
        #expect(faults.isEmpty, "\(faults.count) violations: \(faults.prefix(8))")
    }

    /// Pairs that answer each other, each a fixed number of times: none is ever forgotten.
    @Test(arguments: [1, 2, 4, 16])
    func pingPongPairsAllComeToTheirEnd(workers: Int) {
        let runtime = RealRuntime(workers: workers)
        let pairs = 20
        let rounds = scaled(3000)
        for _ in 0..<pairs {
            let echo = runtime.spawn { me in
                while let signal = me.next() {
                    me.send(signal.pointee.from)
                    signal.release()
                }
                return .wait
            }
            var left = rounds
            runtime.spawn { me in
                if left == rounds {
                    _ = me.slot.link(echo)
                    left -= 1
                    me.send(echo)
                }
                while let signal = me.next() {
                    signal.release()
                    if left == 0 { return .fail("done") }  // takes its echo with it
                    left -= 1
                    me.send(echo)
                }
                return .wait
            }
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        #expect(runtime.system.ended.load(ordering: .relaxed) == UInt64(2 * pairs))
        runtime.close()
    }

    /// Many watch and are linked to many that end at the same time, in random order, of two
    /// causes; each end is told once to each.
    @Test(arguments: [2, 4])
    func massSpawnAndKillTellsEachEndOnce(workers: Int) {
        let runtime = RealRuntime(workers: workers)
        let count = scaled(50_000)
        let bosses = 4
        let finished = Atomic<Int>(0)
        let exits = Atomic<Int>(0)
        let downs = Atomic<Int>(0)
        let pids = SharedPids()
        for boss in 0..<bosses {
            var spawned = 0
            var left = 2 * count / bosses
            var last: Set<Pid> = []
            runtime.spawn { me in
                if spawned == 0 { me.slot.setTrapLinks(.failures) }
                // A few at a time, so that ends come while it spawns.
                for _ in 0..<200 where spawned < count / bosses {
                    spawned += 1
                    let pid = runtime.spawn(by: me, options: [.linked, .monitored]) { _ in .wait }
                    if spawned % 2 == boss % 2 { _ = runtime.system.terminate(pid, from: me.slot.pid) }
                    else { pids.append(pid) }
                }
                while let signal = me.next() {
                    let from = signal.pointee.from
                    if signal.pointee.kind == .exit {
                        exits.add(1, ordering: .relaxed)
                        if !last.insert(from).inserted { Issue.record("second EXIT") }
                    } else if last.contains(from) {
                        downs.add(1, ordering: .relaxed)
                    } else {
                        Issue.record("LINK_DOWN before EXIT")
                    }
                    signal.release()
                    left -= 1
                }
                if spawned < count / bosses { return .again }
                if left > 0 { return .wait }
                finished.add(1, ordering: .relaxed)
                return .end
            }
        }
        // The others are ended from outside, in random order.
        var random = SeededGenerator(seed: 3)
        while finished.load(ordering: .relaxed) < bosses {
            for pid in pids.takeAll().shuffled(using: &random) {
                _ = runtime.system.terminate(pid, from: .none)
            }
            usleep(100)
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        #expect(exits.load(ordering: .relaxed) == count / bosses * bosses)
        #expect(downs.load(ordering: .relaxed) == count / bosses * bosses)
        runtime.close()
    }

    /// A chain of links over all workers falls whole, wherever it is broken.
    @Test func chainFallsWhole() {
        let runtime = RealRuntime(workers: 4)
        for round in 0..<scaled(40) {
            let length = 500
            let linked = Atomic<Int>(0)
            var pids: [Pid] = []
            for _ in 0..<length {
                let before = pids.last
                var isFirst = true
                pids.append(
                    runtime.spawn { me in
                        if isFirst, let before { _ = me.slot.link(before) }
                        if isFirst { linked.add(1, ordering: .sequentiallyConsistent) }
                        isFirst = false
                        return .wait
                    })
            }
            while linked.load(ordering: .sequentiallyConsistent) < length { usleep(100) }
            #expect(runtime.system.terminate(pids[round * 37 % length], from: .none))
            #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        }
        runtime.close()
    }

    /// Links and unlinks that really cross: both sides agree when all is quiet.
    @Test func crossingLinksOnThreadsEndSymmetric_L1() {
        let runtime = RealRuntime(workers: 4)
        let pids = SharedPids()
        let rounds = scaled(20_000)
        let running = Atomic<Int>(8)
        for i in 0..<8 {
            var random = RandomSource(seed: UInt64(i))
            var left = rounds
            let pid = runtime.spawn { me in
                guard let peers = pids.all(atLeast: 8), left > 0 else {
                    me.drain()
                    return left > 0 ? .again : .wait
                }
                for _ in 0..<20 {
                    let peer = peers[random.below(peers.count)]
                    if peer == me.slot.pid { continue }
                    if random.below(2) == 0 { _ = me.slot.link(peer) } else { me.slot.unlink(peer) }
                }
                left -= 20
                if left <= 0 { running.subtract(1, ordering: .sequentiallyConsistent) }
                return left > 0 ? .again : .wait
            }
            pids.append(pid)
        }
        while running.load(ordering: .sequentiallyConsistent) > 0 { usleep(200) }
        quiesce(runtime.scheduler, runtime.system)
        let all = pids.takeAll()
        for pid in all {
            let slot = runtime.system.table.living(pid)!
            for (peer, link) in slot.pointee.relations.links {
                let back = runtime.system.table.living(peer)!.pointee.relations.links[pid]
                #expect(back?.mine == link.theirs && back?.theirs == link.mine)
            }
        }
        for pid in all { _ = runtime.system.terminate(pid, from: .none) }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        runtime.close()
    }

    /// Names are registered by others while their processes end: none survives (P5).
    @Test func namesRegisteredWhileProcessesEndAreAllFree_P5() {
        let runtime = RealRuntime(workers: 4)
        let pids = SharedPids()
        for _ in 0..<scaled(3000) {
            pids.append(runtime.spawn { _ in .end })
            if let pid = pids.takeAll().last {
                for i in 0..<4 {
                    _ = runtime.system.names.register("\(pid.raw).\(i)", for: pid)
                }
            }
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        #expect(runtime.system.names.count == 0)
        runtime.close()
    }

    /// Senders hammer pids whose slots are used again meanwhile: the next life's mailbox
    /// begins empty, and every message is read or a dead letter.
    @Test func refusedSendersLeaveNoLoadBehind_M5_M6() {
        let runtime = RealRuntime(workers: 4)
        let current = Atomic<UInt64>(0)
        let isOver = Atomic<Bool>(false)
        let accepted = Atomic<Int>(0)
        for _ in 0..<3 {
            runtime.spawn { me in
                for _ in 0..<50 {
                    let pid = Pid(raw: current.load(ordering: .relaxed))
                    if runtime.system.sendText(from: me.slot.pid, to: pid, "") == .sent {
                        accepted.add(1, ordering: .relaxed)
                    }
                }
                return isOver.load(ordering: .relaxed) ? .end : .again
            }
        }
        let lives = scaled(30_000)
        var left = lives
        runtime.spawn { me in
            for _ in 0..<20 {
                current.store(runtime.spawn(by: me) { _ in .end }.raw, ordering: .relaxed)
            }
            left -= 20
            return left > 0 ? .again : .end
        }
        while runtime.system.ended.load(ordering: .relaxed) < UInt64(lives) { usleep(200) }
        isOver.store(true, ordering: .relaxed)
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        #expect(runtime.system.deadLetters.load(ordering: .relaxed) == UInt64(accepted.load(ordering: .relaxed)))
        runtime.close()
    }

    /// Timers that are armed, replaced and disarmed as their processes wait and end (P5).
    @Test func timersWakeWhoWaitsAndNoneIsLeft() {
        let runtime = RealRuntime(workers: 4)
        for i in 0..<200 {
            var random = RandomSource(seed: UInt64(i))
            var left = scaled(100)
            var due: Int64 = 0
            runtime.spawn { me in
                me.drain()
                let now = runtime.scheduler.clock.now
                if now >= due {
                    left -= 1
                    due = now + Int64(random.below(2_000_000))
                }
                if left == 0 {
                    // Ends with a timer armed for an hour hence, or with one that just fires.
                    return .end
                }
                if left == 1 && i % 2 == 0 { me.slot.pointee.wakeAt = now + 3_600_000 * ms }
                else { me.slot.pointee.wakeAt = due }
                if left == 1 && i % 2 == 0 {
                    _ = runtime.system.terminate(me.slot.pid, from: .none)
                }
                return .wait
            }
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        runtime.close()
    }

    /// A victim is found in the urgent lane though a thousand others wait before it: between
    /// the act of the one who ends it and its end, none of them makes a step (H2).
    @Test func lethalSignalReachesItsVictimBeforeAThousandSpinners_H2() {
        let runtime = RealRuntime(workers: 1) { $0.spareWorkers = 0 }
        let steps = Atomic<Int>(0)
        let atAct = Atomic<Int>(-1)
        let waited = Atomic<Int>(0)
        let ended = Atomic<Int>(0)
        runtime.system.abnormalEnd = { _, _, _ in
            ended.add(1, ordering: .relaxed)
            waited.add(steps.load(ordering: .relaxed) - atAct.load(ordering: .relaxed), ordering: .relaxed)
        }
        let spinners = (0..<1000).map { _ in
            runtime.spawn { _ in
                steps.add(1, ordering: .relaxed)
                return .again
            }
        }
        var left = spinners
        runtime.spawn { me in
            atAct.store(steps.load(ordering: .relaxed), ordering: .relaxed)
            guard let victim = left.popLast() else { return .end }
            #expect(runtime.system.terminate(victim, from: me.slot.pid))
            return .again
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        #expect(ended.load(ordering: .relaxed) == 1000 && waited.load(ordering: .relaxed) == 0)
        runtime.close()
    }

    /// Steps that hold their workers: spare ones help out, what waited behind the stuck is
    /// run, and afterwards nobody is counted as stuck (H3).
    @Test(arguments: [1, 2])
    func spareWorkersHelpOutAndGoBack_H3(workers: Int) {
        let runtime = RealRuntime(workers: workers) { $0.spareWorkers = 3 }
        for _ in 0..<3 {
            let answered = Atomic<Int>(0)
            let count = 50
            let holders = workers + 1
            for _ in 0..<holders {
                runtime.spawn { _ in
                    // Holds its worker until all others have run.
                    while answered.load(ordering: .sequentiallyConsistent) < count {}
                    return .end
                }
            }
            for _ in 0..<count {
                runtime.spawn { me in
                    answered.add(1, ordering: .sequentiallyConsistent)
                    return .end
                }
            }
            #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        }
        while !runtime.host.isAsleep { usleep(500) }
        runtime.close()
    }

    /// Steps that wait in a system call hold their workers no less than those that compute (H3): the pipe is
    /// written to by processes that only spare workers can run.
    @Test(arguments: [1, 2])
    func spareWorkersHelpOutWhoIsBlocked_H3(workers: Int) throws {
        let runtime = RealRuntime(workers: workers) { $0.spareWorkers = 3 }
        for _ in 0..<2 {
            var ends: [Int32] = [0, 0]
            try #require(pipe(&ends) == 0)
            let (reader, writer) = (ends[0], ends[1])
            let holders = workers + 1
            let isHeld = Atomic<Int>(0)
            for _ in 0..<holders {
                runtime.spawn { _ in
                    isHeld.add(1, ordering: .sequentiallyConsistent)
                    var byte: UInt8 = 0
                    #expect(read(reader, &byte, 1) == 1)
                    return .end
                }
            }
            // All who hold a worker do, before there is anybody to help them.
            while isHeld.load(ordering: .sequentiallyConsistent) < workers { usleep(500) }
            for _ in 0..<holders {
                runtime.spawn { _ in
                    var byte: UInt8 = 1
                    #expect(write(writer, &byte, 1) == 1)
                    return .end
                }
            }
            #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
            close(reader)
            close(writer)
        }
        while !runtime.host.isAsleep { usleep(500) }
        runtime.close()
    }

    /// Every spare worker is used up: one that has held a worker beyond the step limit is
    /// ended, and who has waited for a worker runs (H3).
    @Test func stepLimitEndsWhoHeldAWorkerLongest_H3() {
        let runtime = RealRuntime(workers: 1) {
            $0.spareWorkers = 1
            $0.stepLimit = 150 * ms
        }
        let ends = Atomic<Int>(0)
        runtime.system.abnormalEnd = { _, reason, _ in
            if reason.text.hasPrefix("held a worker for") { ends.add(1, ordering: .relaxed) }
        }
        let isOver = Atomic<Bool>(false)
        for _ in 0..<2 {
            runtime.spawn { me in
                // It cannot be interrupted, but it can be ended.
                while !isOver.load(ordering: .relaxed) {
                    if me.slot.pointee.runnable.attention.load(ordering: .relaxed) { return .wait }
                }
                return .end
            }
        }
        var hasRun = false
        let third = Atomic<Bool>(false)
        runtime.spawn { _ in
            hasRun = true
            third.store(true, ordering: .sequentiallyConsistent)
            return .end
        }
        while !third.load(ordering: .sequentiallyConsistent) { usleep(500) }
        isOver.store(true, ordering: .relaxed)
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        #expect(hasRun && ends.load(ordering: .relaxed) >= 1)
        runtime.close()
    }

    @Test func runtimesAreMadeAndStoppedAHundredTimes() {
        for round in 0..<scaled(100) {
            let runtime = RealRuntime(workers: 1 + round % 4)
            for i in 0..<20 {
                runtime.spawn { me in
                    me.slot.pointee.wakeAt = i % 3 == 0 ? runtime.scheduler.clock.now + 3_600_000 * ms : .max
                    return i % 3 == 1 ? .end : .wait
                }
            }
            // Some wait, some have ended, some may not have run yet, workers sleep or not.
            if round % 2 == 0 { usleep(UInt32(round * 20)) }
            runtime.host.beginStop()
            runtime.system.table.forEachLiving { _, pid in _ = runtime.system.terminate(pid, from: .none) }
            #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
            runtime.close()
        }
    }

    @Test func hostThatWasNeverUsedStops() {
        for workers in [1, 16] {
            let runtime = RealRuntime(workers: workers)
            runtime.close()
        }
        let scheduler = Scheduler(
            clock: Clock(virtual: false), preemption: .signal(number: SIGURG), seed: 1, simulated: false)
        let host = scheduler.addHost(named: "a:b", limits: HostLimits())
        host.stop()
        scheduler.stop()
    }
}

/// Waits until nothing is left to do: every process is idle with nothing to handle, and no
/// timer is armed. Two passes with no step between them, as one pass is no moment.
private func quiesce(_ scheduler: Scheduler, _ system: ProcessSystem) {
    func steps() -> UInt64 {
        var sum: UInt64 = 0
        for host in scheduler.hostsNow() {
            host.withWorkers { sum += $0.core.pointee.steps.load(ordering: .sequentiallyConsistent) }
        }
        return sum
    }
    func isQuiet() -> Bool {
        for number in 1... {
            guard let slot = system.table.slot(number) else { return true }
            switch slot.pointee.runnable.phase {
            case .free: continue
            case .idle: if !slot.pointee.signals.isEmpty { return false }
            default: return false
            }
        }
        return true
    }
    while true {
        // The watch fires one timer after the other: when this one has fired, so have those
        // that were taken out of the heap before it.
        if scheduler.timers.count == 0 {
            let fence = UnsafeMutablePointer<Atomic<Bool>>.allocate(capacity: 1)
            fence.initialize(to: Atomic<Bool>(false))
            _ = scheduler.timers.arm(at: 0, context: fence, argument: 0) { fence, _ in
                fence.assumingMemoryBound(to: Atomic<Bool>.self).pointee
                    .store(true, ordering: .sequentiallyConsistent)
            }
            while !fence.pointee.load(ordering: .sequentiallyConsistent) { usleep(100) }
            fence.deallocate()
            let before = steps()
            if isQuiet(), isQuiet(), steps() == before, scheduler.timers.count == 0 { return }
        }
        usleep(200)
    }
}

private func stop(_ scheduler: Scheduler) {
    for host in scheduler.hostsNow() { host.stop() }
    scheduler.stop()
}

/// Pids that a test and its processes share.
private final class SharedPids: @unchecked Sendable {  // guarded by lock
    private let lock = Lock()
    private var pids: [Pid] = []

    func append(_ pid: Pid) { lock.with { pids.append(pid) } }
    func all(atLeast count: Int) -> [Pid]? { lock.with { pids.count >= count ? pids : nil } }
    func takeAll() -> [Pid] {
        lock.with {
            defer { pids = [] }
            return pids
        }
    }
}
