import Glibc
import Synchronization
import Testing

@testable import Obhut

struct LocalQueueTests {
    /// A worker's queue, of numbers, with the streak that its owner keeps.
    private final class Queue {
        private let queue = LocalQueue()
        private let shared = RunQueue()
        var streak = 0
        var count: Int { queue.count }

        // Never read through.
        func push(_ number: Int) -> Bool { queue.push(RunnablePointer(bitPattern: 64 * number)!) }
        func take() -> Int? { queue.take(&streak, shared).map { Int(bitPattern: $0) / 64 } }
        func share(_ number: Int) { shared.push(RunnablePointer(bitPattern: 64 * number)!) }
        func takeShared() -> Int? { shared.pop().map { Int(bitPattern: $0) / 64 } }
        func steal() -> Int? { queue.pop().map { Int(bitPattern: $0) / 64 } }
    }

    /// Who is woken while nobody is to run next runs next, all others in their order.
    @Test func whoIsWokenRunsNext_H2() {
        let queue = Queue()
        for number in 1...3 { #expect(queue.push(number)) }
        #expect(queue.count == 3)
        #expect(queue.take() == 1)
        #expect(queue.push(4))
        #expect(queue.push(5))
        for number in [4, 2, 3, 5] { #expect(queue.take() == number) }
        #expect(queue.take() == nil && queue.count == 0)
    }

    /// Two that wake each other for ever leave every other one its turn, and then wait for theirs.
    @Test func whoWakesEachOtherDoesNotKeepTheOthersWaiting_H2() {
        let queue = Queue()
        for number in [1, 11, 12] { #expect(queue.push(number)) }
        for _ in 0..<LocalQueue.turns {
            #expect(queue.take() == 1)
            #expect(queue.push(1))
        }
        for number in [11, 12, 1] { #expect(queue.take() == number) }
        #expect(queue.take() == nil)
    }

    /// The same as soon as the owner was told that the others have their turn, and with a full ring.
    @Test func aStreakThatIsOverGivesTheFirstOfAFullRingItsTurn_H2() {
        let queue = Queue(), all = Int(LocalQueue.capacity) + 1
        for number in 1...all { #expect(queue.push(number)) }
        #expect(!queue.push(1000))
        queue.streak = LocalQueue.turns
        #expect(queue.take() == 2)
        #expect(queue.streak == 0 && queue.count == all - 1)
        var others: [Int] = []
        while let other = queue.take() { others.append(other) }
        #expect(others == Array(3...all) + [1])
    }

    /// While somebody waits where all workers look, nobody has a second turn of the ring: it runs dry.
    @Test func whoHasHadItsTurnWaitsBehindThoseThatWereNeverInTheRing_H2() {
        let queue = Queue()
        for number in 1...3 { #expect(queue.push(number)) }
        queue.share(21)
        queue.streak = LocalQueue.turns
        for number in [2, 3, nil] { #expect(queue.take() == number) }
        #expect(queue.count == 0)
        for number in [21, 1, nil] { #expect(queue.takeShared() == number) }
    }

    /// A thief that finds only who is to run next takes that one: the step before it may last.
    @Test func thievesTakeWhoWaitsLongestAndTheNextOneLast_H4() {
        let queue = Queue()
        for number in 1...3 { #expect(queue.push(number)) }
        for number in [2, 3, 1, nil] { #expect(queue.steal() == number) }
    }

    /// Whatever the owner and two thieves do at the same time, no entry is lost. The owner and a thief may both come by the one in
    /// `next`; the runnable's word, here a flag for each, lets one of them win.
    @Test func nothingIsLostOrWonTwice_H4() throws {
        final class Shared: @unchecked Sendable {  // the queue is made for it
            let queue = LocalQueue()
            let shared = RunQueue()
            let won = Atomic<Int>(0)
            let isOver = Atomic<Bool>(false)
            let isWon: UnsafeMutablePointer<Atomic<Bool>>

            init(_ entries: Int) {
                isWon = .allocate(capacity: entries + 1)
                for number in 0...entries { (isWon + number).initialize(to: Atomic<Bool>(false)) }
            }
            deinit { isWon.deallocate() }

            func take(_ runnable: RunnablePointer) {
                let number = Int(bitPattern: runnable) / 64
                if !isWon[number].exchange(true, ordering: .acquiringAndReleasing) { won.add(1, ordering: .relaxed) }
            }
        }
        let entries = 200_000
        let shared = Shared(entries)
        let owner = startThread(named: "owner") {
            var streak = 0
            for number in 1...entries {
                let runnable = RunnablePointer(bitPattern: 64 * number)!
                while !shared.queue.push(runnable) {
                    if let first = shared.queue.take(&streak, shared.shared) { shared.take(first) }
                }
                if number % 3 == 0, let first = shared.queue.take(&streak, shared.shared) { shared.take(first) }
            }
            while let first = shared.queue.take(&streak, shared.shared) { shared.take(first) }
            shared.isOver.store(true, ordering: .releasing)
        }
        let thieves = (0..<2).map { _ in
            startThread(named: "thief") {
                while !shared.isOver.load(ordering: .acquiring) {
                    if let runnable = shared.queue.pop() { shared.take(runnable) }
                }
            }
        }
        for thread in [owner] + thieves { pthread_join(try #require(thread), nil) }
        // Each that was won is another: all were.
        #expect(shared.won.load(ordering: .relaxed) == entries && shared.queue.count == 0)
    }
}
