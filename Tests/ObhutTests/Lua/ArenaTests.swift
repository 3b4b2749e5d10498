import CObhut
import Glibc
import Testing

@testable import Obhut

/// The memory of one process (arena.c): blocks of every size up to 2 KB, taken and given back in any order.
@Suite struct ArenaTests {
    private let vm: VMPointer

    init() throws {
        precondition(LuaWorld.opened == nil)
        let unit = try LuaUnit(id: "app:test", chunkName: "test.lua", text: Array("return {}".utf8), modules: [])
        var options = obh_vm_options()
        options.code = unit.chunk.code
        options.code_size = unit.chunk.size
        options.code_name = unit.chunk.name
        vm = obh_vm_create(&options, nil)!
    }

    private struct Block {
        let address: UnsafeMutableRawPointer
        let size: Int
        let mark: UInt8

        var isIntact: Bool {
            UnsafeRawBufferPointer(start: address, count: size).allSatisfy { $0 == mark }
        }
    }

    private func take(_ size: Int, _ mark: UInt8) -> Block {
        let address = obh_vm_allocate(vm, size)!
        memset(address, Int32(mark), size)
        return Block(address: address, size: size, mark: mark)
    }

    private func give(_ block: Block) {
        #expect(block.isIntact, "a block of \(block.size) bytes shares its memory with another one")
        obh_vm_free(vm, block.address, block.size)
    }

    @Test func blocksAreApart_F4() {
        defer { obh_vm_destroy(vm) }
        var random = SeededGenerator(seed: 11)
        var blocks: [Block] = []
        for round in 0..<20_000 {
            // It grows and shrinks in turns, so that free blocks of all classes gather and are used.
            if blocks.isEmpty || Int.random(in: 0..<10, using: &random) < (round / 2_000 % 2 == 0 ? 7 : 3) {
                blocks.append(take(Int.random(in: 1...2048, using: &random), UInt8(truncatingIfNeeded: round)))
            } else {
                give(blocks.remove(at: Int.random(in: 0..<blocks.count, using: &random)))
            }
        }
        blocks.forEach(give)
    }

    /// What is free of a size is used for the next one of that size, in whichever order it came: nothing more is taken from malloc.
    @Test func freeBlocksAreFoundAgain_F4() {
        defer { obh_vm_destroy(vm) }
        var random = SeededGenerator(seed: 12)
        let sizes = (1...2048).filter { $0 % 7 == 1 }.flatMap { [$0, $0, $0] }
        func turn() {
            let blocks = sizes.shuffled(using: &random).map { take($0, UInt8(truncatingIfNeeded: $0)) }
            blocks.shuffled(using: &random).forEach(give)
        }
        turn()
        let held = vm.pointee.arena.held
        for _ in 0..<20 { turn() }
        #expect(vm.pointee.arena.held == held)
    }

    /// A heap without a block of the size that is wanted cuts it from a larger one before it grows.
    @Test(arguments: [2048, 1024, 300]) func largerBlocksAreCut_F4(size: Int) {
        defer { obh_vm_destroy(vm) }
        let blocks = (0..<200).map { _ in take(size, 1) }
        blocks.forEach(give)
        let held = vm.pointee.arena.held
        let pieces = (0..<(200 * size / 64 / 2)).map { _ in take(64, 2) }
        #expect(vm.pointee.arena.held == held)
        pieces.forEach(give)
    }
}
