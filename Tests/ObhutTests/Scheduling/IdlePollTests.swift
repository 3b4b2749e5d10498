import CObhut
import Glibc
import Synchronization
import Testing

@testable import Obhut

/// An idle worker waits for something outside, and is woken for work all the same: no wake-up is lost.
@Suite(.serialized) struct IdlePollTests {
    /// What comes from outside are functions.
    private final class Outside: IdlePoll, @unchecked Sendable {  // guard notes stand on each mutable field
        private let lock = Lock()
        private let changed = Condition()
        private var come: [() -> Void] = []  // guarded by lock
        private var isInterrupted = false  // guarded by lock
        private(set) var waiting = 0  // guarded by lock
        let waits = Atomic<Int>(0)
        let mostWaiting = Atomic<Int>(0)

        func bring(_ what: @escaping () -> Void) {
            lock.with { come.append(what) }
            changed.signal()
        }

        override func look() -> Bool {
            let come = lock.with { () -> [() -> Void] in
                defer { self.come = [] }
                return self.come
            }
            for what in come { what() }
            return !come.isEmpty
        }

        override func wait() {
            waits.add(1, ordering: .relaxed)
            let come = lock.with { () -> [() -> Void] in
                waiting += 1
                mostWaiting.store(max(waiting, mostWaiting.load(ordering: .relaxed)), ordering: .relaxed)
                while self.come.isEmpty && !isInterrupted { changed.wait(lock) }
                isInterrupted = false
                waiting -= 1
                defer { self.come = [] }
                return self.come
            }
            for what in come { what() }
        }

        override func interrupt() {
            lock.with { isInterrupted = true }
            changed.signal()
        }

        var isWaitedIn: Bool { lock.with { waiting > 0 } }
    }

    private func message(to pid: Pid, in system: ProcessSystem) {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        #expect(system.send(from: .none, to: pid, topic: none, payload: none) == .sent)
    }

    /// A process that counts what it gets.
    private func counting(_ runtime: RealRuntime, on host: Host? = nil, _ count: @escaping () -> Void) -> Pid {
        runtime.spawn(on: host) { me in
            while let signal = me.next() {
                signal.release()
                count()
            }
            return .wait
        }
    }

    @Test(arguments: [1, 2, 4], [false, true])
    func workOfOtherThreadsWakesWhoWaitsThere(workers: Int, lookingOut: Bool) {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = RealRuntime(workers: workers)
        let outside = Outside()
        runtime.scheduler.setIdlePoll(outside)
        let done = Counter()
        let pids = (0..<3).map { _ in counting(runtime) { done.increment() } }
        var sent = 0
        for round in 0..<scaled(3000) {
            // Now and then all sleep, or all but one; sometimes several come at once.
            if round % 7 == 0 { #expect(eventually { outside.isWaitedIn }) }
            for pid in pids.prefix(round % 3 + 1) {
                message(to: pid, in: runtime.system)
                sent += 1
            }
            if round % 2 == 0 { #expect(eventually { done.count == sent }) }
        }
        #expect(eventually { done.count == sent })
        #expect(outside.waits.load(ordering: .relaxed) > 0)
        for pid in pids { _ = runtime.system.terminate(pid, from: .none) }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        #expect(eventually { outside.isWaitedIn })
        runtime.close()
        #expect(outside.mostWaiting.load(ordering: .relaxed) == 1)
    }

    /// What the first thing that was heard has made ready is done by another worker while the one that has heard deals with the next.
    @Test(arguments: [false, true])
    func whatWasMadeReadyDoesNotWaitForWhatIsHeardNext_H4(lookingOut: Bool) {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = RealRuntime(workers: 2)
        let outside = Outside()
        runtime.scheduler.setIdlePoll(outside)
        let (done, rounds) = (Counter(), Counter())
        let pid = counting(runtime) { done.increment() }
        for round in 1...scaled(200) {
            outside.bring {
                self.message(to: pid, in: runtime.system)
                Host.shareReady()
                #expect(eventually { done.count == round })
                rounds.increment()
            }
            #expect(eventually { rounds.count == round })
        }
        #expect(runtime.system.terminate(pid, from: .none))
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        runtime.close()
    }

    @Test(arguments: [1, 2], [false, true])
    func whatComesFromOutsideIsDoneByTheWorkerThatHearsIt(workers: Int, lookingOut: Bool) {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = RealRuntime(workers: workers)
        let outside = Outside()
        runtime.scheduler.setIdlePoll(outside)
        let (done, onWorkers) = (Counter(), Counter())
        let pid = counting(runtime) { done.increment() }
        for round in 1...scaled(2000) {
            outside.bring {
                if WorkerCore.current != nil { onWorkers.increment() }
                message(to: pid, in: runtime.system)
            }
            // Whatever a worker does just then: it looks there before it sleeps again.
            if round % 3 == 0 { #expect(eventually { done.count == round }) }
        }
        let all = scaled(2000)
        #expect(eventually { done.count == all })
        #expect(onWorkers.count == all)
        _ = runtime.system.terminate(pid, from: .none)
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        runtime.close()
    }

    /// What comes from outside without end keeps the only worker from nothing.
    @Test(arguments: [false, true]) func aFloodFromOutsideHoldsNobodyUp_H2(lookingOut: Bool) {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = RealRuntime(workers: 1)
        let outside = Outside()
        runtime.scheduler.setIdlePoll(outside)
        let (done, heard, ends) = (Counter(), Counter(), Counter())
        let pid = counting(runtime) { done.increment() }
        @Sendable func again() {
            heard.increment()
            if ends.count == 0 { outside.bring(again) }
        }
        outside.bring(again)
        for round in 1...scaled(1000) {
            message(to: pid, in: runtime.system)
            #expect(eventually { done.count == round })
            let before = heard.count
            #expect(eventually { heard.count > before })
        }
        ends.increment()
        _ = runtime.system.terminate(pid, from: .none)
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        runtime.close()
    }

    /// Several hosts have one place, and whoever waits there for one of them is woken for that.
    @Test(arguments: [false, true]) func hostsShareIt(lookingOut: Bool) {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = RealRuntime(workers: 1)
        var limits = HostLimits()
        limits.workers = 2
        let other = runtime.scheduler.addHost(named: "app:others", limits: limits)
        other.start()
        let outside = Outside()
        runtime.scheduler.setIdlePoll(outside)
        let done = Counter()
        let pids = [runtime.host, other].map { counting(runtime, on: $0) { done.increment() } }
        for round in 0..<scaled(3000) {
            message(to: pids[round % 2], in: runtime.system)
            if round % 5 > 0 { #expect(eventually { done.count == round + 1 }) }
        }
        for pid in pids { _ = runtime.system.terminate(pid, from: .none) }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        other.stop()
        runtime.close()
        #expect(outside.mostWaiting.load(ordering: .relaxed) == 1)
    }
}
