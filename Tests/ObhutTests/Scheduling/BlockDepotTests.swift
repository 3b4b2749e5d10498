import Glibc
import Synchronization
import Testing

@testable import Obhut

/// The free blocks of signals: nobody has one that another has, few are enough, and memory goes back.
@Suite struct BlockDepotTests {
    private typealias Block = UnsafeMutableRawPointer

    /// What a worker does with its magazines, here of a depot of the test's own.
    private struct Holder {
        let depot: BlockDepot
        var cache = BlockCache()

        init(_ depot: BlockDepot) { self.depot = depot }

        mutating func allocate() -> Block { cache.loaded?.pop() ?? cache.reload(from: depot).pop()! }
        mutating func free(_ block: Block) {
            if cache.loaded?.push(block) != true { _ = cache.unload(to: depot).push(block) }
        }
        mutating func handIn() { cache.handIn(to: depot) }
    }

    private static let region = BlockDepot.regionSize

    @Test func blocksAreDistinctAndAlignedAndUsedAgain() {
        let depot = BlockDepot()
        var (one, other) = (Holder(depot), Holder(depot))
        let count = 2 * BlockDepot.blocksInRegion + 1
        for _ in 0..<3 {
            var blocks = (1...count).map { _ in one.allocate() }
            #expect(Set(blocks).count == count && blocks.allSatisfy { UInt(bitPattern: $0) % 128 == 0 })
            for (number, block) in blocks.enumerated() {
                block.initializeMemory(as: Int.self, repeating: number, count: 16)
            }
            #expect(blocks.enumerated().allSatisfy { $1.load(fromByteOffset: 120, as: Int.self) == $0 })
            #expect(depot.footprint.mapped == 3 * Self.region)
            // Freed by another than they were made by, from both ends in turns.
            blocks.swapAt(0, count / 2)
            for block in blocks { other.free(block) }
        }
        other.handIn()
        one.handIn()
        depot.trim(to: 0)
        #expect(depot.footprint == (0, 0))
    }

    /// 1,000 on the way from one to the other at any time: what is freed there is used here, however long it goes on.
    @Test func aStreamFromOneToAnotherTakesNoMoreMemory() {
        let depot = BlockDepot()
        var (sender, receiver) = (Holder(depot), Holder(depot))
        var way: [Block] = []
        for step in 0..<300_000 {
            let block = sender.allocate()
            if way.count < 1_000 {
                way.append(block)
            } else {
                way.swapAt(step % 1_000, 0)
                receiver.free(way[0])
                way[0] = block
            }
        }
        #expect(depot.footprint.mapped == Self.region)
        for block in way { receiver.free(block) }
        receiver.handIn()
        sender.handIn()
        // None was lost: what was cut is here.
        depot.trim(to: 0)
        #expect(depot.footprint == (0, 0))
    }

    /// At the edge of a magazine, up and down: nothing is exchanged with the depot.
    @Test func aWorkerAtTheEdgeOfAMagazineKeepsItsOwn() {
        let depot = BlockDepot()
        var holder = Holder(depot)
        var blocks = (0..<2 * Magazine.capacity).map { _ in holder.allocate() }
        while let block = blocks.popLast() { holder.free(block) }
        for _ in 0..<100 {
            for _ in 0..<Magazine.capacity + 1 { blocks.append(holder.allocate()) }
            while let block = blocks.popLast() { holder.free(block) }
            #expect(depot.footprint.free == 0)
        }
        holder.handIn()
        #expect(depot.footprint.free == 2 * Magazine.capacity)
    }

    @Test func aRegionGoesBackWhenTheLastOfItsBlocksIsFree() {
        let depot = BlockDepot()
        var holder = Holder(depot)
        let blocks = (0..<4 * BlockDepot.blocksInRegion).map { _ in holder.allocate() }
        // The first region is held whole, of each other one a block.
        func index(of block: Block) -> UInt { UInt(bitPattern: block) / UInt(Self.region) }
        let whole = index(of: blocks[0])
        var held: [Block] = []
        for (number, block) in blocks.enumerated() {
            if number % BlockDepot.blocksInRegion == 7 || index(of: block) == whole {
                held.append(block)
            } else {
                holder.free(block)
            }
        }
        holder.handIn()
        #expect(held.count == BlockDepot.blocksInRegion + 3)
        depot.trim(to: 0)
        #expect(depot.footprint == (4 * Self.region, 4 * BlockDepot.blocksInRegion - held.count))
        for block in held.dropLast() { depot.giveOne(block) }
        depot.trim(to: 0)
        #expect(depot.footprint == (Self.region, BlockDepot.blocksInRegion - 1))
        depot.giveOne(held.last!)
        depot.trim(to: 0)
        #expect(depot.footprint == (0, 0))
    }

    @Test func aFewBlocksAreKept() {
        let depot = BlockDepot()
        let blocks = (0..<100).map { _ in depot.takeOne() }
        for block in blocks { depot.giveOne(block) }
        for _ in 0..<20 {
            depot.giveOne(depot.takeOne())
            depot.trimIfWorthwhile()
        }
        #expect(depot.footprint == (Self.region, Magazine.capacity))
    }

    /// Workers that never sleep keep a bounded number of free blocks.
    @Test func veryManyFreeBlocksGoBackAtOnce() {
        let depot = BlockDepot()
        var holder = Holder(depot)
        let blocks = (0..<3 * BlockDepot.most).map { _ in holder.allocate() }
        let mapped = depot.footprint.mapped
        var most = 0
        for (number, block) in blocks.enumerated() {
            holder.free(block)
            if number % Magazine.capacity == 0 { most = max(most, depot.footprint.free) }
        }
        #expect(most <= BlockDepot.most && depot.footprint.free <= BlockDepot.most)
        #expect(depot.footprint.mapped <= mapped / 2)
        holder.handIn()
        depot.trim(to: 0)
        #expect(depot.footprint == (0, 0))
    }

    /// Threads with and without magazines, and one that trims all the time. Each writes its own number into the blocks
    /// it has, and finds it there.
    @Test func threadsTakeAndGiveWhileOneTrims() {
        let depot = BlockDepot()
        let exchange = Exchange()
        let isOver = Atomic<Bool>(false)
        let wrong = Atomic<Int>(0)
        let rounds = scaled(200)
        let threads = (1...4).map { number in
            startThread(named: "block-\(number)") {
                var holder = Holder(depot)
                let hasMagazines = number <= 2
                for round in 0..<rounds {
                    // Up to as many as two regions hold, between all of them.
                    let blocks = (0..<(round % 7) * 1_000).map { _ in hasMagazines ? holder.allocate() : depot.takeOne() }
                    for block in blocks { block.initializeMemory(as: Int.self, repeating: number, count: 16) }
                    for block in blocks {
                        for word in 0..<16 where block.load(fromByteOffset: 8 * word, as: Int.self) != number {
                            wrong.add(1, ordering: .relaxed)
                        }
                    }
                    // Freed by whoever comes next.
                    for block in exchange.swap(blocks) { hasMagazines ? holder.free(block) : depot.giveOne(block) }
                    if round % 10 == 0 { holder.handIn() }
                }
                holder.handIn()
            }
        }
        let trimmer = startThread(named: "block-trimmer") {
            while !isOver.load(ordering: .relaxed) { depot.trim(to: 0) }
        }
        for thread in threads { pthread_join(thread!, nil) }
        isOver.store(true, ordering: .relaxed)
        pthread_join(trimmer!, nil)
        for block in exchange.swap([]) { depot.giveOne(block) }
        #expect(wrong.load(ordering: .relaxed) == 0)
        depot.trim(to: 0)
        #expect(depot.footprint == (0, 0))
    }

    private final class Exchange: @unchecked Sendable {
        private let lock = Lock()
        private var blocks: [Block] = []  // guarded by lock

        func swap(_ mine: [Block]) -> [Block] {
            lock.with {
                defer { blocks = mine }
                return blocks
            }
        }
    }

    // MARK: The program's own, in a process where nobody else uses it

    /// Many messages that wait take memory; when they are read and all workers sleep it is the system's again.
    @Test func anIdleRuntimeHasGivenItsBlocksBack() async {
        await #expect(processExitsWith: .success) {
            let runtime = RealRuntime(workers: 2)
            let count = 3 * BlockDepot.blocksInRegion
            let mayRead = Atomic<Bool>(false)
            let read = Atomic<Int>(0)
            for _ in 0..<3 {
                mayRead.store(false, ordering: .sequentiallyConsistent)
                read.store(0, ordering: .sequentiallyConsistent)
                let receiver = runtime.spawn { me in
                    guard mayRead.load(ordering: .sequentiallyConsistent) else { return .wait }
                    while let signal = me.next() {
                        signal.release()
                        read.add(1, ordering: .sequentiallyConsistent)
                    }
                    return read.load(ordering: .sequentiallyConsistent) <= count ? .wait : .end
                }
                // One half from a worker, one from a thread that is none.
                runtime.spawn { me in
                    for _ in 0..<count / 2 { me.send(receiver) }
                    return .end
                }
                for _ in count / 2..<count { _ = runtime.system.sendText(from: .none, to: receiver, "") }
                demand(runtime.system.waitUntilAlive(atMost: 1, until: nil), "the sender lives")
                if !Blocks.areSeparate {
                    demand(BlockDepot.shared.footprint.mapped >= 3 * BlockDepot.regionSize, "\(BlockDepot.shared.footprint)")
                }
                mayRead.store(true, ordering: .sequentiallyConsistent)
                _ = runtime.system.sendText(from: .none, to: receiver, "")
                demand(runtime.system.waitUntilAlive(atMost: 0, until: nil), "the receiver lives")
                demand(eventually { BlockDepot.shared.footprint.mapped <= BlockDepot.regionSize }, "\(BlockDepot.shared.footprint)")
            }
            runtime.close()
        }
    }

    /// Messages that nobody has read when a runtime goes are freed with it.
    @Test func aRuntimeThatGoesLeavesNoBlocks() async {
        await #expect(processExitsWith: .success) {
            func live() {
                let runtime = RealRuntime(workers: 2)
                let receiver = runtime.spawn { _ in .wait }
                for _ in 0..<2 * BlockDepot.blocksInRegion { _ = runtime.system.sendText(from: .none, to: receiver, "") }
                _ = runtime.system.terminate(receiver, from: .none)
                demand(runtime.system.waitUntilAlive(atMost: 0, until: nil), "alive")
                runtime.close()
            }
            for _ in 0..<3 {
                live()
                demand(BlockDepot.shared.footprint.mapped <= BlockDepot.regionSize, "\(BlockDepot.shared.footprint)")
            }
        }
    }
}
