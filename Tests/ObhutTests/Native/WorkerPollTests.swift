import CNative
import CObhut
import Glibc
import Testing

@testable import Obhut

/// The thread of the children and an idle worker wait in one place: whatever comes is handled once, and each bell reaches whom it is for.
@Suite(.serialized) struct WorkerPollTests {
    @Test func eachBellReachesWhomItIsFor() throws {
        let poll = try #require(WorkerPoll.open())
        let (events, handled) = (obh_eventfd(), Counter())
        let inside = Counter()
        poll.handler = { event in
            inside.increment()
            #expect(inside.count == 1)
            #expect(event.token == 4)
            var value: UInt64 = 0
            if Glibc.read(events, &value, 8) == 8 { handled.add(Int(value)) }
            inside.add(-1)
        }
        #expect(poll.add(events, token: 4, watching: Int32(OBN_POLL_EDGE)) == 0)
        let (ofThread, ofWorker, ends) = (Counter(), Counter(), Counter())
        let thread = startThread(named: "thread") {
            while ends.count == 0 {
                poll.waitAsThread(timeout: -1) { ofThread.increment() }
            }
        }
        let worker = startThread(named: "worker") {
            while ends.count == 0 {
                guard poll.tryTake() else { continue }
                poll.wait()
                poll.giveBack()
                ofWorker.increment()
            }
        }
        var written = 0
        for round in 0..<scaled(5000) {
            // Which of the two goes to wait last, and so is told first, differs by what came before.
            let before = (thread: ofThread.count, worker: ofWorker.count)
            if round % 3 != 0 {
                var one: UInt64 = 1
                #expect(Glibc.write(events, &one, 8) == 8)
                written += 1
            }
            if round % 2 == 0 {
                poll.interrupt()
                #expect(eventually { ofWorker.count > before.worker })
            }
            if round % 5 == 0 {
                poll.interruptThread()
                #expect(eventually { ofThread.count > before.thread })
            }
            if round % 7 == 0 { #expect(eventually { handled.count == written }) }
        }
        #expect(eventually { handled.count == written })
        ends.increment()
        poll.interrupt()
        poll.interruptThread()
        for each in [thread, worker] { pthread_join(try #require(each), nil) }
        poll.close()
        Glibc.close(events)
    }

    /// A bell that rings while no worker is there waits for the next.
    @Test func aBellThatNobodyHeardIsKept() throws {
        let poll = try #require(WorkerPoll.open())
        poll.interrupt()
        // The thread hears it, and has nobody to pass it on to.
        for _ in 0..<3 {
            poll.interruptThread()
            poll.waitAsThread(timeout: -1) {}
        }
        #expect(poll.tryTake())
        poll.wait()
        poll.giveBack()
        poll.interrupt()
        #expect(poll.tryTake())
        poll.wait()
        poll.giveBack()
        poll.close()
    }

    /// Children that never fall silent hold a worker for so many of their words at a time, and no other child is passed over.
    @Test func aWaitHandlesSoManyAndTheOthersNext_H2() throws {
        let poll = try #require(WorkerPoll.open())
        let count = 100, most = 32
        let children = (0..<count).map { _ in obh_eventfd() }
        var heard: [UInt64] = []
        // They stay readable.
        poll.handler = { heard.append($0.token) }
        for (number, child) in children.enumerated() {
            obh_eventfd_ring(child)
            #expect(poll.add(child, token: UInt64(10 + number)) == 0)
        }
        for _ in 0..<3 {
            heard = []
            while Set(heard).count < count {
                let before = heard.count
                #expect(poll.tryTake())
                #expect(poll.look())
                poll.giveBack()
                #expect(heard.count > before && heard.count - before <= most)
                try #require(heard.count <= 2 * count, "some are heard again and again, and others never")
            }
        }
        for child in children { poll.remove(child) }
        #expect(poll.tryTake())
        #expect(!poll.look())
        poll.giveBack()
        poll.close()
        for child in children { Glibc.close(child) }
    }

    /// Children are answered whether workers are idle, or just now busy, or all busy.
    @Test(arguments: [1, 2])
    func messagesPassWhileWorkersComeAndGo(workers: Int) {
        withNativeRuntime(workers: workers) { native in
            let echo = native.define("t:echo", "echo", "tc")
            let echoes = (0..<3).map { _ in native.spawn(echo) }
            let busy = (0..<workers).map { _ in
                native.runtime.spawn { me in
                    while let signal = me.next() {
                        signal.release()
                        let until = Clock.read(CLOCK_MONOTONIC) + 300_000
                        while Clock.read(CLOCK_MONOTONIC) < until {}
                    }
                    return .wait
                }
            }
            for round in 0..<scaled(400) {
                for (number, pid) in busy.enumerated() where round >> number & 1 == 1 { native.send(pid, "compute") }
                for pid in echoes { native.send(pid, "\(round)") }
                var answered: [Pid] = []
                for _ in echoes {
                    guard case .message(let from, "\(round)", _) = native.next() else {
                        Issue.record("not answered in order")
                        return
                    }
                    answered.append(from)
                }
                #expect(Set(answered) == Set(echoes))
            }
        }
    }
}
