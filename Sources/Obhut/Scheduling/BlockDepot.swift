import CObhut
import Glibc

/// The free blocks of the whole program that no worker holds, in magazines (see `Blocks`), and the memory they are
/// cut from.
///
/// The law of this file:
///
/// - Blocks are cut from *regions* of 2 MB that begin at a multiple of their size: a block's address tells its region.
///   The first bytes of a region, in the place of a block, say how many blocks were cut from it.
/// - `lock` guards everything. Workers take it once for a magazine, other threads once for a block.
/// - A region goes back to the system when all of its blocks are here. Nobody counts that along the way; `trim` does,
///   and only when enough blocks have come since it last did: so it costs each block next to nothing. The watch
///   trims when all workers sleep, whoever gives a block while there are very many, and the end of a runtime.
/// - A trim takes all magazines out, and works without the lock: meanwhile others cut new blocks. There is one trim
///   at a time.
///
/// It is one for the program, as malloc is, and not one for each runtime: a block may come from any thread, which
/// need not know a runtime.
final class BlockDepot: @unchecked Sendable {  // all mutable state is guarded by `lock`, but for what a trim owns
    static let shared = BlockDepot()

    /// Bytes; a huge page.
    static let regionSize = 2 << 20
    static let blocksInRegion = regionSize / Blocks.size - 1
    /// So many blocks (64 KB) are not worth a trim, nor being given back.
    static let least = 512
    /// More free blocks than these (32 MB) are trimmed while workers are awake, to `kept` (8 MB).
    static let most = 16 * regionSize / Blocks.size
    static let kept = 4 * regionSize / Blocks.size

    private let lock = Lock()
    private var full: MagazinePointer?  // guarded by lock
    private var fullCount = 0  // guarded by lock
    /// The one that single blocks are put into and taken from, never full; nil: none.
    private var loose: MagazinePointer?  // guarded by lock
    private var empty: MagazinePointer?  // guarded by lock
    private var regions: BlockRegion?  // guarded by lock; the first is the one that is cut from
    private var regionCount = 0  // guarded by lock
    /// Blocks that came since the last trim, and those that it left.
    private var given = 0  // guarded by lock
    private var left = 0  // guarded by lock
    private var isTrimming = false  // guarded by lock

    /// Nobody may hold a block any more.
    deinit {
        freeAll(full)
        freeAll(empty)
        loose?.deallocateMagazine()
        while let region = regions {
            regions = region.next
            region.unmap()
        }
    }

    // MARK: Magazines

    /// One with blocks; an empty one is given for it if the caller has one.
    func takeFull(for old: MagazinePointer?) -> MagazinePointer {
        lock.with {
            if let magazine = full {
                if let old { putEmptyLocked(old) }
                full = magazine.pointee.next
                fullCount -= 1
                return magazine
            }
            if let magazine = loose, magazine.pointee.count > 0 {
                loose = old
                return magazine
            }
            let magazine = old ?? takeEmptyLocked()
            cutLocked(into: magazine)
            return magazine
        }
    }

    /// An empty one; a full one is given for it if the caller has one.
    func takeEmpty(for old: MagazinePointer?) -> MagazinePointer {
        let (magazine, isTooMuch) = lock.with {
            if let old { putFullLocked(old) }
            return (takeEmptyLocked(), given >= left && (fullCount + 1) * Magazine.capacity > BlockDepot.most)
        }
        if isTooMuch { trim(to: BlockDepot.kept) }
        return magazine
    }

    /// One with any number of blocks.
    func handIn(_ magazine: MagazinePointer) {
        lock.with {
            if magazine.pointee.count == Magazine.capacity { return putFullLocked(magazine) }
            while let block = magazine.pop() { putLocked(block) }
            putEmptyLocked(magazine)
        }
    }

    // MARK: Single blocks

    func takeOne() -> UnsafeMutableRawPointer {
        lock.with {
            if let block = loose?.pop() { return block }
            if let magazine = full {
                full = magazine.pointee.next
                fullCount -= 1
                if let loose { putEmptyLocked(loose) }
                loose = magazine
            } else {
                let magazine = loose ?? takeEmptyLocked()
                loose = magazine
                cutLocked(into: magazine)
            }
            return loose!.pop()!
        }
    }

    func giveOne(_ block: UnsafeMutableRawPointer) { lock.with { putLocked(block) } }

    private func putLocked(_ block: UnsafeMutableRawPointer) {
        let magazine = loose ?? takeEmptyLocked()
        loose = magazine
        _ = magazine.push(block)
        given += 1
        if magazine.pointee.count == Magazine.capacity {
            loose = nil
            given -= Magazine.capacity
            putFullLocked(magazine)
        }
    }

    private func putFullLocked(_ magazine: MagazinePointer) {
        magazine.pointee.next = full
        full = magazine
        fullCount += 1
        given += Magazine.capacity
    }

    private func putEmptyLocked(_ magazine: MagazinePointer) {
        magazine.pointee.next = empty
        empty = magazine
    }

    private func takeEmptyLocked() -> MagazinePointer {
        guard let magazine = empty else { return .make() }
        empty = magazine.pointee.next
        return magazine
    }

    // MARK: Regions

    /// Fills `magazine`, which is empty, with blocks that were never used. None is touched.
    private func cutLocked(into magazine: MagazinePointer) {
        if regions == nil || regions!.cut == BlockDepot.blocksInRegion {
            // The first one page by page: a program that sends little needs little. Who fills it sends much, and
            // would spend more time in page faults than on anything else.
            let region = BlockRegion.map(huge: regionCount > 0)
            region.next = regions
            regions = region
            regionCount += 1
        }
        let region = regions!
        let count = min(Magazine.capacity, BlockDepot.blocksInRegion - region.cut)
        // They are popped from the end, and so in the order of their addresses, which processors foresee.
        for i in 0..<count { magazine.places[count - 1 - i] = region.base + (region.cut + 1 + i) * Blocks.size }
        magazine.pointee.count = count
        region.cut += count
    }

    // MARK: Giving back

    /// Bytes of address space that blocks are cut from, and free blocks that are here, at this moment.
    var footprint: (mapped: Int, free: Int) {
        lock.with {
            (regionCount * BlockDepot.regionSize, fullCount * Magazine.capacity + (loose?.pointee.count ?? 0))
        }
    }

    /// Blocks that are not here, at this moment: in signals, and in workers' magazines.
    var inUse: Int {
        lock.with {
            var cut = 0
            var next = regions
            while let region = next {
                cut += region.cut
                next = region.next
            }
            return cut - fullCount * Magazine.capacity - (loose?.pointee.count ?? 0)
        }
    }

    /// Trims if enough has come for it to be worth its time; any thread.
    func trimIfWorthwhile() {
        let isWorthwhile = lock.with {
            given >= max(BlockDepot.least, left / 2) && (regionCount > 1 || (regions?.cut ?? 0) > BlockDepot.least)
        }
        if isWorthwhile { trim(to: 0) }
    }

    /// Gives regions whose blocks are all here back to the system, as long as `count` free blocks are left; any thread.
    func trim(to count: Int) {
        lock.lock()
        if isTrimming { return lock.unlock() }
        isTrimming = true
        let taken = takeAllLocked()
        lock.unlock()

        var total = 0
        forEachBlock(of: taken) { block in
            let region = BlockRegion(of: block)
            region.free += 1
            total += 1
        }
        let released = lock.with { unlinkFreeLocked(free: total, least: count) }
        let rest = sift(taken)
        var next = released
        while let region = next {
            next = region.next
            region.unmap()
        }
        lock.with { putBackLocked(rest) }
    }

    private func takeAllLocked() -> MagazinePointer? {
        if let magazine = loose {
            magazine.pointee.next = full
            full = magazine
        }
        let all = full
        (full, fullCount, loose) = (nil, 0, nil)
        return all
    }

    /// Takes those out of the list that no block is missing of, and marks them.
    private func unlinkFreeLocked(free: Int, least: Int) -> BlockRegion? {
        var (kept, released, last) = (BlockRegion?.none, BlockRegion?.none, BlockRegion?.none)
        var free = free
        var next = regions
        while let region = next {
            next = region.next
            let isSmall = region.cut <= BlockDepot.least
            if region.free == region.cut && free - region.cut >= least && !(isSmall && regionCount == 1) {
                free -= region.cut
                regionCount -= 1
                region.isReleased = true
                region.next = released
                released = region
                continue
            }
            region.free = 0
            region.next = nil
            if let last { last.next = region } else { kept = region }
            last = region
        }
        regions = kept
        return released
    }

    /// The blocks whose regions stay, in the same magazines, all full but the first; the others are freed.
    private func sift(_ magazines: MagazinePointer?) -> MagazinePointer? {
        var rest: MagazinePointer?
        var next = magazines
        while let magazine = next {
            next = magazine.pointee.next
            // What stays is moved to the front of this one, then on into the one before until that is full.
            var stays = 0
            for i in 0..<magazine.pointee.count where !BlockRegion(of: magazine.places[i]).isReleased {
                magazine.places[stays] = magazine.places[i]
                stays += 1
            }
            magazine.pointee.count = stays
            if let rest {
                while rest.pointee.count < Magazine.capacity, let block = magazine.pop() { _ = rest.push(block) }
            }
            if magazine.pointee.count == 0 {
                magazine.deallocateMagazine()
            } else {
                magazine.pointee.next = rest
                rest = magazine
            }
        }
        return rest
    }

    private func putBackLocked(_ magazines: MagazinePointer?) {
        var next = magazines
        while let magazine = next {
            next = magazine.pointee.next
            if magazine.pointee.count == Magazine.capacity {
                putFullLocked(magazine)
            } else {
                while let block = magazine.pop() { putLocked(block) }
                putEmptyLocked(magazine)
            }
        }
        freeAll(empty)
        empty = nil
        left = fullCount * Magazine.capacity
        given = 0
        isTrimming = false
    }

    private func forEachBlock(of magazines: MagazinePointer?, _ body: (UnsafeMutableRawPointer) -> Void) {
        var next = magazines
        while let magazine = next {
            next = magazine.pointee.next
            for i in 0..<magazine.pointee.count { body(magazine.places[i]) }
        }
    }

    private func freeAll(_ magazines: MagazinePointer?) {
        var next = magazines
        while let magazine = next {
            next = magazine.pointee.next
            magazine.deallocateMagazine()
        }
    }
}

extension UnsafeMutablePointer where Pointee == Magazine {
    fileprivate func deallocateMagazine() { free(self) }
}

/// 2 MB that blocks are cut from; its own figures stand where its first block would.
private struct BlockRegion {
    let base: UnsafeMutableRawPointer

    private init(base: UnsafeMutableRawPointer) { self.base = base }

    @inline(__always)
    init(of block: UnsafeMutableRawPointer) {
        base = UnsafeMutableRawPointer(
            bitPattern: UInt(bitPattern: block) & ~UInt(BlockDepot.regionSize - 1)).unsafelyUnwrapped
    }

    /// - Parameter huge: it will be used whole; the system may give it as one page.
    static func map(huge: Bool) -> BlockRegion {
        guard let base = obh_map_aligned(BlockDepot.regionSize, huge) else {
            fatalError("obhut: no memory for messages")
        }
        return BlockRegion(base: base)
    }

    func unmap() { munmap(base, BlockDepot.regionSize) }

    // Words of their own, and not fields of a struct: a trim writes `free` without the lock that guards `cut`.

    /// Guarded by the depot's lock, or a trim's own once it is released.
    var next: BlockRegion? {
        get { base.load(as: UnsafeMutableRawPointer?.self).map { BlockRegion(base: $0) } }
        nonmutating set { base.storeBytes(of: newValue?.base, as: UnsafeMutableRawPointer?.self) }
    }

    /// Blocks that were cut from it; guarded by the depot's lock.
    var cut: Int {
        get { base.load(fromByteOffset: 8, as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 8, as: Int.self) }
    }

    /// Blocks that a trim has found; the trim's own, 0 between trims.
    @inline(__always)
    var free: Int {
        get { base.load(fromByteOffset: 16, as: Int.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 16, as: Int.self) }
    }

    /// A trim gives it back; the trim's own.
    var isReleased: Bool {
        get { base.load(fromByteOffset: 24, as: Bool.self) }
        nonmutating set { base.storeBytes(of: newValue, toByteOffset: 24, as: Bool.self) }
    }
}
