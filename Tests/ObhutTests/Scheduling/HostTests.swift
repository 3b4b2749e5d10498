import CObhut
import Foundation
import Synchronization
import Testing

@testable import Obhut

/// Hosts on real threads (H1–H4). A fact is waited for, never a time; `limit` only keeps a broken runtime from hanging.
@Suite(.serialized) struct HostTests {
    // MARK: Workers (H1)

    /// In a process of its own, so that every thread is one of ours.
    @Test func aHostHasItsWorkersByNameAndAnotherOneItsOwn_H1() async {
        await #expect(processExitsWith: .success) {
            func names() -> [String] { threads().map(\.name).filter { $0.hasPrefix("obhut-") }.sorted() }
            demand(names() == [], "before: \(names())")
            let runtime = RealRuntime(workers: 3) { $0.spareWorkers = 2 }
            let own = ["obhut-w0", "obhut-w1", "obhut-w2", "obhut-watch"]
            demand(eventually { names() == own }, "one host: \(names())")
            var limits = HostLimits()
            limits.workers = 2
            let other = runtime.scheduler.addHost(named: "app:others", limits: limits)
            demand(names() == own, "a host that is not started: \(names())")
            other.start()
            demand(eventually { names() == (own + ["obhut-w0", "obhut-w1"]).sorted() }, "two hosts: \(names())")
            other.stop()
            demand(eventually { names() == own }, "one stopped: \(names())")
            runtime.close()
            demand(eventually { names() == [] }, "after: \(names())")
        }
    }

    /// 300 processes of one host run on its three threads and no others; with all three held by steps that wait for each
    /// other all three are in use, and the other host's are not.
    @Test func processesOfOneHostShareItsThreadsAlone_H1() {
        let runtime = RealRuntime(workers: 3) { $0.spareWorkers = 0 }
        var limits = HostLimits()
        limits.workers = 2
        let other = runtime.scheduler.addHost(named: "app:others", limits: limits)
        other.start()
        let (here, there) = (SharedSet(), SharedSet())
        let atOnce = Atomic<Int>(0)
        let isThere = Atomic<Int>(0)
        for _ in 0..<3 {
            runtime.spawn { _ in
                here.insert(threadID())
                atOnce.add(1, ordering: .sequentiallyConsistent)
                // Only where each of the three holds a thread of its own does this end.
                hold { atOnce.load(ordering: .sequentiallyConsistent) == 3 }
                return .end
            }
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        for _ in 0..<2 {
            runtime.spawn(on: other) { _ in
                there.insert(threadID())
                isThere.add(1, ordering: .sequentiallyConsistent)
                hold { isThere.load(ordering: .sequentiallyConsistent) == 2 }
                return .end
            }
        }
        for _ in 0..<300 {
            runtime.spawn { _ in
                here.insert(threadID())
                return .end
            }
            runtime.spawn(on: other) { _ in
                there.insert(threadID())
                return .end
            }
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        #expect(here.all.count == 3 && there.all.count == 2 && here.all.isDisjoint(with: there.all))
        other.stop()
        runtime.close()
    }

    // MARK: The two run queues (H2)

    /// Two that answer each other are always there to be run, and two that were interrupted wait: after each 8 of the
    /// woken exactly one of the interrupted has its turn, and those take turns.
    @Test func afterEightWokenOnesAnInterruptedOneHasItsTurn_H2() {
        let runtime = RealRuntime(workers: 1) { $0.spareWorkers = 0 }
        let order = SharedList()
        let isOver = Atomic<Bool>(false)
        // They come to the one worker in one step, so that none begins alone.
        runtime.spawn { me in
            for name in ["a", "b"] {
                runtime.spawn(by: me) { _ in
                    order.append(name)
                    return isOver.load(ordering: .relaxed) ? .end : .again
                }
            }
            var left = 2000
            let echo = runtime.spawn(by: me) { me in
                order.append("w")
                while let signal = me.next() {
                    me.send(signal.pointee.from)
                    signal.release()
                }
                return .wait
            }
            var isFirst = true
            runtime.spawn(by: me) { me in
                order.append("w")
                if isFirst { me.send(echo) }
                isFirst = false
                while let signal = me.next() {
                    signal.release()
                    left -= 1
                    if left > 0 { me.send(echo) }
                }
                if left > 0 { return .wait }
                isOver.store(true, ordering: .relaxed)
                _ = runtime.system.terminate(echo, from: me.slot.pid)
                return .end
            }
            return .end
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        // Without the first turns, when the four begin one by one as new ones, and the last, when the two have ended.
        let runs = order.all.joined().split(omittingEmptySubsequences: false) { $0 != "w" }.map(\.count).dropFirst(8).dropLast(4)
        #expect(runs.count > 200 && runs.allSatisfy { $0 == 8 }, "\(Set(runs))")
        let turns = order.all.filter { $0 != "w" }.dropFirst(8).dropLast(4)
        #expect(zip(turns, turns.dropFirst()).allSatisfy { $0 != $1 })
        runtime.close()
    }

    /// Who is called out of its turn, by what turns out not to be its end, has no more turns for it: it stands once among those that
    /// were interrupted.
    @Test func whoIsCalledOutOfItsTurnStandsOnceAmongTheInterrupted_H2() {
        let runtime = RealRuntime(workers: 1) { $0.spareWorkers = 0 }
        let isOver = Atomic<Bool>(false)
        let slots = SharedSlots()
        for _ in 0..<2 {
            runtime.spawn { me in
                slots.insert(me.slot)
                return isOver.load(ordering: .relaxed) ? .end : .again
            }
        }
        #expect(eventually { slots.all.count == 2 })
        let called = slots.all[0]
        for _ in 0..<1000 {
            called.runnable.wakeUrgently(serial: called.pointee.runnable.serial)
            while called.pointee.runnable.attention.load(ordering: .sequentiallyConsistent) {}
        }
        // Each of them once, and a call that has been answered already.
        #expect(eventually { runtime.host.queuedCount <= 3 })
        isOver.store(true, ordering: .relaxed)
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        runtime.close()
    }

    /// Pairs of which each sends to the other whatever comes, on a host with one worker, until they are told to end.
    private final class Conversations: @unchecked Sendable {  // the worker's alone, but for `isOver`; and when all have ended
        let isOver = Atomic<Bool>(false)
        private(set) var turns: [Int]

        init(_ pairs: Int) { turns = Array(repeating: 0, count: pairs) }

        /// All come to the worker in one step, so that none begins alone.
        /// - Parameter turn: called at each turn of the first of a pair.
        func begin(in runtime: RealRuntime, _ turn: @escaping () -> Void) {
            runtime.spawn { [self] me in
                for pair in turns.indices {
                    let echo = runtime.spawn(by: me) { me in
                        while let signal = me.next() {
                            me.send(signal.pointee.from)
                            signal.release()
                        }
                        return .wait
                    }
                    runtime.spawn(by: me) { [self] me in
                        while let signal = me.next() { signal.release() }
                        turn()
                        if !isOver.load(ordering: .relaxed) {
                            turns[pair] += 1
                            me.send(echo)
                            return .wait
                        }
                        _ = runtime.system.terminate(echo, from: me.slot.pid)
                        return .end
                    }
                }
                return .end
            }
        }
    }

    private func wake(_ slots: [ProcessPointer], in runtime: RealRuntime) {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        for slot in slots { _ = runtime.system.send(from: .none, to: slot.pointee.pid, topic: none, payload: none) }
    }

    /// A worker's own ring has 256 places: those that found one have no more turns than the hundreds that did not.
    @Test func hundredsOfConversationsHaveAsManyTurnsEach_H2() {
        let runtime = RealRuntime(workers: 1) { $0.spareWorkers = 0 }
        let conversations = Conversations(800)
        let wanted = 800 * 4 * LocalQueue.turns
        var total = 0
        conversations.begin(in: runtime) {
            total += 1
            if total == wanted { conversations.isOver.store(true, ordering: .relaxed) }
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        let (least, most) = (conversations.turns.min()!, conversations.turns.max()!)
        #expect(least * 4 >= most, "\(least) to \(most) turns")
        runtime.close()
    }

    /// Who is woken from outside does not wait behind all who converse, however many they are: each 61 steps one has its turn.
    @Test func whoIsWokenFromOutsideHasTurnsBesideHundredsOfConversations_H2() {
        let runtime = RealRuntime(workers: 1) { $0.spareWorkers = 0 }
        let count = 20
        var steps = 0
        let sleepers = SharedSlots()
        let waits = SharedList()
        for _ in 0..<count {
            var hasSlept = false
            runtime.spawn { me in
                me.drain()
                if !hasSlept {
                    hasSlept = true
                    sleepers.insert(me.slot)
                    return .wait
                }
                waits.append("\(steps)")
                return .end
            }
        }
        #expect(eventually { sleepers.all.count == count })
        let conversations = Conversations(600)
        conversations.begin(in: runtime) {
            steps += 1
            guard steps == 2400 else { return }
            // All converse by now. Another thread wakes the sleepers while the worker is held here.
            pthread_join(startThread(named: "waker") { wake(sleepers.all, in: runtime) }!, nil)
            steps = 0
        }
        #expect(eventually { waits.all.count == count })
        conversations.isOver.store(true, ordering: .relaxed)
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        // Only every other step is counted.
        #expect(waits.all.allSatisfy { Int($0)! <= (count + 1) * 61 }, "\(waits.all)")
        runtime.close()
    }

    /// Nor do those who converse wait for ever while others are woken from outside without a pause.
    @Test func hundredsOfConversationsGoOnBesideAFloodFromOutside_H2() {
        let runtime = RealRuntime(workers: 1) { $0.spareWorkers = 0 }
        let steps = Atomic<Int>(0)
        let handled = Atomic<Int>(0)
        let sinks = SharedSlots()
        let conversations = Conversations(600)
        for _ in 0..<20 {
            var isFirst = true
            runtime.spawn { me in
                while let signal = me.next() { signal.release() }
                if isFirst {
                    isFirst = false
                    sinks.insert(me.slot)
                    return .wait
                }
                handled.add(1, ordering: .relaxed)
                if conversations.isOver.load(ordering: .relaxed) { return .end }
                // Another thread wakes others before this step is over: whenever the worker chooses, somebody waits from outside.
                pthread_join(startThread(named: "waker") { wake(sinks.all.filter { $0 != me.slot }, in: runtime) }!, nil)
                return .wait
            }
        }
        #expect(eventually { sinks.all.count == 20 })
        conversations.begin(in: runtime) { steps.add(1, ordering: .relaxed) }
        wake(sinks.all, in: runtime)
        #expect(eventually { steps.load(ordering: .relaxed) > 600 * 20 && handled.load(ordering: .relaxed) > 20 })
        conversations.isOver.store(true, ordering: .relaxed)
        #expect(eventually {
            wake(sinks.all, in: runtime)
            return runtime.system.aliveCount == 0
        })
        runtime.close()
    }

    /// Two that wake each other keep their worker busy, and each step of theirs is long: those that others wake have turns in between,
    /// not one for each sixty steps.
    @Test func whoIsWokenFromOutsideHasTurnsBesideALongConversation_H2() {
        let runtime = RealRuntime(workers: 1) { $0.spareWorkers = 0 }
        let count = 20
        let steps = Atomic<Int>(0)
        let woken = Atomic<Int>(0)
        let isOver = Atomic<Bool>(false)
        let pair = SharedSlots()
        for _ in 0..<2 {
            runtime.spawn { me in
                pair.insert(me.slot)
                guard let message = me.next() else { return .wait }
                message.release()
                let end = Clock.read(CLOCK_MONOTONIC) + 2 * ms
                while Clock.read(CLOCK_MONOTONIC) < end {}
                steps.add(1, ordering: .relaxed)
                for other in pair.all where other != me.slot { me.send(other.pointee.pid) }
                return isOver.load(ordering: .relaxed) ? .end : .wait
            }
        }
        #expect(eventually { pair.all.count == 2 })
        let sleepers = SharedSlots()
        for _ in 0..<count {
            var hasSlept = false
            runtime.spawn { me in
                me.drain()
                if hasSlept {
                    woken.add(1, ordering: .relaxed)
                    return .end
                }
                hasSlept = true
                sleepers.insert(me.slot)
                return .wait
            }
        }
        #expect(eventually { sleepers.all.count == count })
        wake([pair.all[0]], in: runtime)
        #expect(eventually { steps.load(ordering: .relaxed) > 100 })
        let before = steps.load(ordering: .relaxed)
        wake(sleepers.all, in: runtime)
        #expect(eventually { woken.load(ordering: .relaxed) == count })
        #expect(steps.load(ordering: .relaxed) - before < 600)
        isOver.store(true, ordering: .relaxed)
        #expect(eventually { runtime.system.aliveCount <= 1 })
        runtime.system.table.forEachLiving { _, pid in _ = runtime.system.terminate(pid, from: .none) }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        runtime.close()
    }

    // MARK: Who holds a worker (H3)

    /// One worker and one spare: the first is stuck, the second runs on the spare and is stuck too, and a third waits.
    /// The one that began first is ended first, with the time and the place in its reason.
    @Test func theLongestIsEndedFirst_H3() {
        let runtime = RealRuntime(workers: 1) {
            $0.spareWorkers = 1
            $0.stepLimit = 150 * ms
        }
        let ended = SharedList()
        let begun = SharedList()
        runtime.system.abnormalEnd = { process, reason, _ in ended.append("\(process.pid) \(reason.text)") }
        let isOver = Atomic<Bool>(false)
        for _ in 0..<2 {
            runtime.spawn { me in
                begun.append("\(me.slot.pid)")
                while !isOver.load(ordering: .relaxed) {
                    if me.slot.pointee.runnable.attention.load(ordering: .relaxed) { return .wait }
                }
                return .end
            }
        }
        runtime.spawn { _ in
            isOver.store(true, ordering: .relaxed)
            return .end
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        #expect(begun.all.count == 2 && ended.all.first == "\(begun.all[0]) held a worker for 150ms")
        runtime.close()
    }

    /// Nobody waits for those that have not run yet: a thousand of them do not stand before one that was woken.
    @Test func aWokenOneDoesNotWaitForThoseThatAreNew_H2() {
        let runtime = RealRuntime(workers: 1) { $0.spareWorkers = 0 }
        let order = SharedList()
        runtime.spawn { me in
            let echo = runtime.spawn(by: me) { me in
                while let signal = me.next() {
                    order.append("woken")
                    me.send(signal.pointee.from)
                    signal.release()
                }
                return .wait
            }
            var answers = 0
            runtime.spawn(by: me) { me in
                while let signal = me.next() {
                    signal.release()
                    answers += 1
                }
                switch answers {
                case 0: me.send(echo)
                case 1:
                    // The other one is idle by now: it answered. Its next message comes behind these.
                    for _ in 0..<100 {
                        runtime.spawn(by: me) { _ in
                            order.append("new")
                            return .end
                        }
                    }
                    me.send(echo)
                default:
                    _ = runtime.system.terminate(echo, from: me.slot.pid)
                    return .end
                }
                return .wait
            }
            return .end
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        let turns = order.all
        #expect(turns.count == 102 && turns.first == "woken")
        // One of them may have the turn that is due after 8 woken ones.
        #expect(turns.dropFirst().prefix(2).contains("woken"), "\(turns.prefix(20))")
        runtime.close()
    }

    // MARK: Siblings, and sleep (H4)

    /// What a step enqueues and then waits for can only be run by a sibling.
    @Test(arguments: [2, 50]) func aSiblingTakesWhatWaitsBehindALongStep_H4(count: Int) { waitBehindALongStep(count) }

    /// For a single one no sibling is woken: that is left to the watch.
    @Test
    func theWatchWakesASiblingForASingleOne_H4() { waitBehindALongStep(1) }

    private func waitBehindALongStep(_ count: Int) {
        let runtime = RealRuntime(workers: 2) { $0.spareWorkers = 0 }
        for _ in 0..<scaled(20) {
            let ran = Atomic<Int>(0)
            let threads = SharedSet()
            runtime.spawn { me in
                for _ in 0..<count {
                    runtime.spawn(by: me) { _ in
                        threads.insert(threadID())
                        ran.add(1, ordering: .sequentiallyConsistent)
                        return .end
                    }
                }
                hold { ran.load(ordering: .sequentiallyConsistent) == count }
                #expect(!threads.all.contains(threadID()))
                return .end
            }
            #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
            #expect(threads.all.count == 1)
        }
        runtime.close()
    }

    /// The same for those that were interrupted: they stand in a queue of their worker's own.
    @Test func aSiblingTakesWhoWasInterrupted_H4() {
        let runtime = RealRuntime(workers: 2) { $0.spareWorkers = 0 }
        let turns = Atomic<Int>(0)
        let isHeld = Atomic<Bool>(false)
        let isOver = Atomic<Bool>(false)
        for _ in 0..<10 {
            runtime.spawn { _ in
                if isHeld.load(ordering: .sequentiallyConsistent) { turns.add(1, ordering: .sequentiallyConsistent) }
                return isOver.load(ordering: .sequentiallyConsistent) ? .end : .again
            }
        }
        runtime.spawn { _ in
            isHeld.store(true, ordering: .sequentiallyConsistent)
            // Every turn from here on is the sibling's, and it soon has none left but those of this worker.
            hold { turns.load(ordering: .sequentiallyConsistent) > 1000 }
            isOver.store(true, ordering: .sequentiallyConsistent)
            hold { runtime.system.aliveCount == 1 }
            return .end
        }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        runtime.close()
    }

    /// In a process of its own: no thread of a runtime in which nobody computes is given the processor, though processes
    /// wait, some of them with a timer, and though all of it was busy before.
    @Test func anIdleRuntimeUsesNoProcessor_H4() async {
        await #expect(processExitsWith: .success) {
            func look() -> [String] {
                threads().filter { $0.name.hasPrefix("obhut-") }.map { "\($0.id) \($0.name) \($0.turns)" }.sorted()
            }
            let runtime = RealRuntime(workers: 4)
            demand(isStill(look), "not used yet: \(look())")
            for i in 0..<1000 {
                var left = 20
                runtime.spawn { me in
                    me.drain()
                    left -= 1
                    if left > 0 { return .again }
                    if i % 2 == 0 { me.slot.pointee.wakeAt = runtime.scheduler.clock.now + 3_600_000 * ms }
                    return .wait
                }
            }
            demand(isStill(look), "a thousand that wait: \(look())")
            runtime.system.table.forEachLiving { _, pid in _ = runtime.system.terminate(pid, from: .none) }
            demand(runtime.system.waitUntilAlive(atMost: 0, until: nil), "left")
            demand(isStill(look), "all have ended: \(look())")
            runtime.close()
        }
    }
}

/// Nanoseconds after which a test gives up.
private let limit: Int64 = 20_000 * ms

/// For a step that waits for others while it holds its worker.
private func hold(until holds: () -> Bool) {
    let deadline = Clock.read(CLOCK_MONOTONIC) + limit
    while !holds() {
        if Clock.read(CLOCK_MONOTONIC) > deadline {
            Issue.record("it never came to pass")
            return
        }
    }
}

private func threadID() -> Int { Int(bitPattern: UInt(pthread_self())) }

/// What the system knows of the threads of this process.
/// `turns`: how often each left the processor, by itself or not, and what it has used of it.
private func threads() -> [(id: Int, name: String, turns: String)] {
    let ids = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task"))?.compactMap { Int($0) } ?? []
    return ids.compactMap { id in
        func read(_ file: String) -> String? { try? String(contentsOfFile: "/proc/self/task/\(id)/\(file)", encoding: .utf8) }
        guard let name = read("comm"), let status = read("status"), let stat = read("stat") else { return nil }
        let switches = status.split(separator: "\n").filter { $0.contains("ctxt_switches") }.map { $0.split(separator: "\t").last ?? "" }
        // utime and stime: the 12th and 13th after the name, which stands in brackets.
        let used = stat.split(separator: ")").last?.split(separator: " ").dropFirst(11).prefix(2) ?? []
        return (id, String(name.dropLast()), (switches + used).joined(separator: " "))
    }
}

/// Whether what is seen comes to stay the same: ten looks in a row. A thread that ticked would be seen in each; that
/// they are 20 ms apart only says how slow a tick could hide.
private func isStill(_ look: () -> [String]) -> Bool {
    var last = look()
    var same = 0
    for _ in 0..<1500 {
        usleep(20_000)
        let now = look()
        same = now == last ? same + 1 : 0
        if same == 10 { return true }
        last = now
    }
    return false
}

private final class SharedSet: @unchecked Sendable {  // guarded by lock
    private let lock = Lock()
    private var values: Set<Int> = []
    func insert(_ value: Int) { lock.with { _ = values.insert(value) } }
    var all: Set<Int> { lock.with { values } }
}

/// In the order in which they came, each once.
private final class SharedSlots: @unchecked Sendable {  // guarded by lock
    private let lock = Lock()
    private var values: [ProcessPointer] = []
    func insert(_ value: ProcessPointer) { lock.with { if !values.contains(value) { values.append(value) } } }
    var all: [ProcessPointer] { lock.with { values } }
}

private final class SharedList: @unchecked Sendable {  // guarded by lock
    private let lock = Lock()
    private var values: [String] = []
    func append(_ value: String) { lock.with { values.append(value) } }
    var all: [String] { lock.with { values } }
}
