import Testing

@testable import Obhut

struct RunQueueTests {
    @Test func keepsItsOrderThroughGrowthAndGivesTheMemoryOfABurstBack() {
        let queue = RunQueue()
        let empty = queue.footprint
        // Never read through.
        func runnable(_ number: Int) -> RunnablePointer { RunnablePointer(bitPattern: 64 * number)! }
        for burst in [10, 100_000, 5_000, 3] {
            var next = 1
            for number in 1...burst {
                queue.push(runnable(number))
                // So that the ring's head is somewhere in its middle when it grows.
                if number % 3 == 0 {
                    #expect(queue.pop() == runnable(next))
                    next += 1
                }
            }
            while let popped = queue.pop() {
                #expect(popped == runnable(next))
                next += 1
            }
            #expect(next == burst + 1)
            #expect(queue.isEmpty && queue.footprint <= 64 * empty)
        }
    }
}
