import Glibc
import Synchronization
import Testing

@testable import Obhut

/// Who looks out before it sleeps: only with reason, and no call is lost.
@Suite struct PatienceTests {
    @Test func someShortSleepsAreReason_H4() {
        var patience = Patience()
        #expect(!patience.hasReason)
        for _ in 0..<2 { patience.slept(20_000) }
        #expect(!patience.hasReason)
        patience.slept(20_000)
        #expect(patience.hasReason)
        patience.slept(1_000_000)
        #expect(!patience.hasReason, "it would have been in vain")
        for _ in 0..<3 { patience.slept(20_000) }
        #expect(patience.hasReason)
        patience.lookedOut(.came)
        #expect(patience.hasReason)
        // Each look in vain is paid for with twice as many short sleeps, and one that had to give way with as many as before.
        let looks: [(LookoutEnd, Int)] = [
            (.gaveWay, 3), (.inVain, 6), (.inVain, 12), (.gaveWay, 12), (.inVain, 24), (.inVain, 48), (.inVain, 96), (.inVain, 96),
        ]
        for (end, needed) in looks {
            patience.lookedOut(end)
            #expect(!patience.hasReason)
            for _ in 1..<needed { patience.slept(20_000) }
            #expect(!patience.hasReason, "\(needed)")
            patience.slept(20_000)
            #expect(patience.hasReason, "\(needed)")
        }
        // One long sleep in ten is chance, one in two is not.
        patience.lookedOut(.inVain)
        for number in 1...200 where !patience.hasReason { patience.slept(number % 10 == 0 ? 1_000_000 : 20_000) }
        #expect(patience.hasReason)
        patience.lookedOut(.came)
        patience.lookedOut(.inVain)
        for number in 1...200 {
            patience.slept(number % 2 == 0 ? 1_000_000 : 20_000)
            #expect(!patience.hasReason)
        }
        patience.lookedOut(.came)
        patience.slept(1_000_000)
        for _ in 0..<3 { patience.slept(20_000) }
        #expect(patience.hasReason)
    }

    @Test func aLookEnds() {
        var looks = 0
        let neverComes = Patience.lookOut { looks += 1; return false }
        #expect(neverComes != .came && looks > 1)
        looks = 0
        let comes = Patience.lookOut { looks += 1; return looks == 2 }
        #expect(comes == .came && looks == 2)
        looks = 0
        let hasNoTime = Patience.lookOut(for: 0) { looks += 1; return false }
        #expect(hasNoTime != .came && looks > 0)
        let comesElsewhere = Patience.lookOut(elsewhere: { true }) { false }
        #expect(comesElsewhere == .came)
        let busy = Patience.lookOut(elsewhere: { usleep(5000); return false }) { false }
        #expect(busy != .came)
    }

    @Test func whoLooksOutIsCalledOnce() {
        let lookout = Lookout()
        let beforehand = lookout.call()
        #expect(!beforehand)
        let takes = [lookout.take(), lookout.take()]
        #expect(takes == [true, false])
        let wasCalled = lookout.wasCalled
        #expect(!wasCalled)
        // For what comes besides somebody else has to be woken.
        let calls = [lookout.call(), lookout.call()]
        #expect(calls == [true, false])
        let isCalled = lookout.wasCalled
        #expect(isCalled)
        let ends = [lookout.giveBack(), lookout.call(), lookout.take(), lookout.giveBack()]
        #expect(ends == [true, false, true, false])
    }

    /// Threads of the program send, and wait for the answer or not; processes answer, on workers that look out or sleep.
    @Test(arguments: [1, 2, 4], [false, true]) func noCallIsLost_H4(workers: Int, lookingOut: Bool) {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = RealRuntime(workers: workers)
        let senders = 3, each = scaled(5000)
        let done = (0..<senders).map { _ in Counter() }
        let pids = done.map { done in
            runtime.spawn { me in
                while let signal = me.next() {
                    signal.release()
                    done.increment()
                }
                return .wait
            }
        }
        together(senders) { index in
            let none = UnsafeRawBufferPointer(start: nil, count: 0)
            var random = RandomSource(seed: UInt64(index))
            for sent in 1...each {
                let outcome = runtime.system.send(from: .none, to: pids[index], topic: none, payload: none)
                #expect(outcome == .sent)
                switch random.below(40) {
                case 0: usleep(UInt32(random.below(200)))
                case 1...20: #expect(eventually { done[index].count == sent })
                default: break
                }
            }
            #expect(eventually { done[index].count == each })
        }
        for pid in pids { _ = runtime.system.terminate(pid, from: .none) }
        #expect(runtime.system.waitUntilAlive(atMost: 0, until: nil))
        runtime.close()
    }
}
