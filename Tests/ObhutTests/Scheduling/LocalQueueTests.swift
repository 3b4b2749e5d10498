import Glibc
import Synchronization
import Testing

@testable import Obhut

struct LocalQueueTests {
    /// A worker's queue, of numbers, with the streak that its owner keeps.
    private final class Queue {
        private let queue = LocalQueue()
        private let overflow = RunQueue()
        var streak = 0
        var count: Int { queue.count }

        // Never read through.
        func push(_ number: Int) { queue.push(RunnablePointer(bitPattern: 64 * number)!, overflow) }
        func take() -> Int? { queue.take(&streak, overflow).map { Int(bitPattern: $0) / 64 } }
        func takeOverflow() -> Int? { overflow.pop().map { Int(bitPattern: $0) / 64 } }
        func steal() -> Int? { queue.pop().map { Int(bitPattern: $0) / 64 } }
    }

    /// Who is woken while nobody is to run next runs next, all others in their order.
    @Test func whoIsWokenRunsNext_H2() {
        let queue = Queue()
        for number in 1...3 { queue.push(number) }
        #expect(queue.count == 3)
        #expect(queue.take() == 1)
        queue.push(4)
        queue.push(5)
        for number in [4, 2, 3, 5] { #expect(queue.take() == number) }
        #expect(queue.take() == nil && queue.count == 0)
    }

    /// Two that wake each other for ever leave every other one its turn, and then wait for theirs.
    @Test func whoWakesEachOtherDoesNotKeepTheOthersWaiting_H2() {
        let queue = Queue()
        for number in [1, 11, 12] { queue.push(number) }
        for _ in 0..<LocalQueue.turns {
            #expect(queue.take() == 1)
            queue.push(1)
        }
        for number in [11, 12, 1] { #expect(queue.take() == number) }
        #expect(queue.take() == nil)
    }

    /// The same as soon as the owner was told that the others have their turn, and with a full ring.
    @Test func aStreakThatIsOverGivesTheFirstOfAFullRingItsTurn_H2() {
        let queue = Queue(), all = Int(LocalQueue.capacity) + 1
        for number in 1...all { queue.push(number) }
        queue.streak = LocalQueue.turns
        #expect(queue.take() == 2)
        #expect(queue.streak == 0 && queue.count == all - 1)
        var others: [Int] = []
        while let other = queue.take() { others.append(other) }
        #expect(others == Array(3...all) + [1])
    }

    /// Ring and overflow are one queue: while anybody is in the overflow, nobody has a second turn of the ring, or a place before those.
    @Test func whoHasHadItsTurnWaitsBehindThoseThatFoundNoPlaceInTheRing_H2() {
        let queue = Queue(), all = Int(LocalQueue.capacity) + 1
        for number in 1...(all + 2) { queue.push(number) }
        queue.streak = LocalQueue.turns
        #expect(queue.take() == 2)
        queue.push(1000)
        queue.push(1001)
        queue.streak = LocalQueue.turns
        for number in 3...all { #expect(queue.take() == number) }
        #expect(queue.take() == nil && queue.count == 0)
        for number in [all + 1, all + 2, 1, 1001, 1000, nil] { #expect(queue.takeOverflow() == number) }
        queue.push(1)
        queue.push(2)
        for number in [1, 2, nil] { #expect(queue.take() == number) }
    }

    /// A thief that finds only who is to run next takes that one: the step before it may last.
    @Test func thievesTakeWhoWaitsLongestAndTheNextOneLast_H4() {
        let queue = Queue()
        for number in 1...3 { queue.push(number) }
        for number in [2, 3, 1, nil] { #expect(queue.steal() == number) }
    }

    /// Whatever the owner and two thieves do at the same time, no entry is lost. The owner and a thief may both come by the one in
    /// `next`; the runnable's word, here a flag for each, lets one of them win.
    @Test func nothingIsLostOrWonTwice_H4() throws {
        final class Shared: @unchecked Sendable {  // the queue is made for it
            let queue = LocalQueue()
            let overflow = RunQueue()
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
                shared.queue.push(RunnablePointer(bitPattern: 64 * number)!, shared.overflow)
                if number % 3 == 0, let first = shared.queue.take(&streak, shared.overflow) ?? shared.overflow.pop() { shared.take(first) }
            }
            while let first = shared.queue.take(&streak, shared.overflow) ?? shared.overflow.pop() { shared.take(first) }
            shared.isOver.store(true, ordering: .releasing)
        }
        let thieves = (0..<2).map { _ in
            startThread(named: "thief") {
                while !shared.isOver.load(ordering: .acquiring) {
                    if let runnable = shared.queue.pop() ?? shared.overflow.pop() { shared.take(runnable) }
                }
            }
        }
        for thread in [owner] + thieves { pthread_join(try #require(thread), nil) }
        // Each that was won is another: all were.
        #expect(shared.won.load(ordering: .relaxed) == entries && shared.queue.count == 0)
    }
}
