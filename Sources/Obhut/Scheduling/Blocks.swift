import CObhut
import Glibc

/// Blocks of one size (128 bytes, two cache lines), for the layer above: its signals.
///
/// Most are freed on another thread than they were made on, and there may be a million of them at once. So a worker
/// keeps free blocks in two *magazines*, and exchanges a full one for an empty one, or an empty one for a full one,
/// with the process-wide depot (`BlockDepot`): one lock for 126 messages instead of malloc's for each. (Bonwick and
/// Adams, "Magazines and Vmem", 2001.) The second magazine keeps a worker that allocates and frees in turns at the
/// edge of one from exchanging each time.
///
/// - `loaded` and `spare` of a worker are its own. `spare` is nil, empty or full.
/// - A thread that is no worker has no magazines: it takes single blocks from the depot and gives them to it.
/// - A worker that goes to sleep or ends hands in what it has, so that the depot knows all that is free.
enum Blocks {
    static let size = 128

    /// Under the address sanitizer each block is malloc's own, so that every use of a freed one is found.
    static let areSeparate = obh_has_address_sanitizer()

    @inline(__always)
    static func allocate() -> UnsafeMutableRawPointer {
        if let worker = WorkerCore.current, let magazine = worker.pointee.blocks.loaded,
            let block = magazine.pop()
        {
            return block
        }
        return allocateSlowly()
    }

    @inline(__always)
    static func free(_ block: UnsafeMutableRawPointer) {
        if let worker = WorkerCore.current, let magazine = worker.pointee.blocks.loaded,
            magazine.push(block)
        {
            return
        }
        freeSlowly(block)
    }

    @inline(never)
    private static func allocateSlowly() -> UnsafeMutableRawPointer {
        if areSeparate { return aligned_alloc(size, size)! }
        guard let worker = WorkerCore.current else { return BlockDepot.shared.takeOne() }
        return worker.pointee.blocks.reload(from: .shared).pop()!
    }

    @inline(never)
    private static func freeSlowly(_ block: UnsafeMutableRawPointer) {
        if areSeparate { return Glibc.free(block) }
        guard let worker = WorkerCore.current else { return BlockDepot.shared.giveOne(block) }
        _ = worker.pointee.blocks.unload(to: .shared).push(block)
    }

    /// Hands a worker's free blocks to the depot; owner only.
    static func handIn(_ worker: WorkerPointer) { worker.pointee.blocks.handIn(to: .shared) }
}

/// The two magazines of a worker; see `Blocks`.
struct BlockCache {
    fileprivate(set) var loaded: MagazinePointer? = nil
    private var spare: MagazinePointer? = nil

    /// `loaded` is empty or nil; the one that it answers, `loaded` from now on, is not.
    mutating func reload(from depot: BlockDepot) -> MagazinePointer {
        if let full = spare, full.pointee.count > 0 {
            spare = loaded
            loaded = full
            return full
        }
        let full = depot.takeFull(for: loaded)
        loaded = full
        return full
    }

    /// `loaded` is full or nil; the one that it answers, `loaded` from now on, is not full.
    mutating func unload(to depot: BlockDepot) -> MagazinePointer {
        let empty: MagazinePointer
        if let spare, spare.pointee.count == 0 {
            empty = spare
            self.spare = loaded
        } else if loaded != nil {
            empty = depot.takeEmpty(for: spare)
            spare = loaded
        } else {
            empty = depot.takeEmpty(for: nil)
        }
        loaded = empty
        return empty
    }

    mutating func handIn(to depot: BlockDepot) {
        if let loaded { depot.handIn(loaded) }
        if let spare { depot.handIn(spare) }
        (loaded, spare) = (nil, nil)
    }
}

typealias MagazinePointer = UnsafeMutablePointer<Magazine>

/// The head of 1 KB that holds the addresses of free blocks. Not a list through the blocks: what is free is not
/// touched, so that it stays out of the caches of those who only pass it on.
struct Magazine {
    static let capacity = 126
    var next: MagazinePointer? = nil
    var count = 0
}

extension UnsafeMutablePointer where Pointee == Magazine {
    static func make() -> MagazinePointer {
        let raw = malloc(MemoryLayout<Magazine>.size + Magazine.capacity * MemoryLayout<UnsafeMutableRawPointer>.stride)!
        let magazine = raw.assumingMemoryBound(to: Magazine.self)
        magazine.initialize(to: Magazine())
        return magazine
    }

    @inline(__always)
    var places: UnsafeMutablePointer<UnsafeMutableRawPointer> {
        UnsafeMutableRawPointer(self + 1).assumingMemoryBound(to: UnsafeMutableRawPointer.self)
    }

    /// Nil if it is empty.
    @inline(__always)
    func pop() -> UnsafeMutableRawPointer? {
        let count = pointee.count &- 1
        guard count >= 0 else { return nil }
        pointee.count = count
        return places[count]
    }

    /// False if it is full.
    @inline(__always)
    func push(_ block: UnsafeMutableRawPointer) -> Bool {
        let count = pointee.count
        guard count < Magazine.capacity else { return false }
        places[count] = block
        pointee.count = count &+ 1
        return true
    }
}
