import Synchronization

/// A queue of runnables behind a lock, first in, first out: the host's injector,
/// its overflow, its urgent lane, and its queues of the new and of the interrupted.
///
/// An entry is a hint and not a promise: whoever pops one must still win the
/// runnable's state word (`Runnable.take`); what was taken elsewhere meanwhile is skipped.
final class RunQueue: @unchecked Sendable {  // all mutable state is guarded by `lock`
    private let lock = Lock()
    private var ring: UnsafeMutablePointer<RunnablePointer?>  // guarded by lock
    private var capacity = RunQueue.least  // guarded by lock; a power of two
    private static let least = 64
    /// A ring that grew beyond this is given back when it is empty.
    private static let kept = 4096
    private var head = 0  // guarded by lock
    private var length = 0  // guarded by lock

    /// Advisory copy of `length`, read without the lock to skip an empty queue. The
    /// backstop for a stale zero is the sleeper's re-check (`Host.park`).
    private let advisoryCount = Atomic<Int>(0)

    init() {
        ring = .allocate(capacity: capacity)
        ring.initialize(repeating: nil, count: capacity)
    }

    deinit { ring.deallocate() }

    @inline(__always)
    var isEmpty: Bool { advisoryCount.load(ordering: .sequentiallyConsistent) == 0 }
    var count: Int { advisoryCount.load(ordering: .relaxed) }

    func push(_ runnable: RunnablePointer) {
        lock.lock()
        if length == capacity { resize(to: capacity * 2) }
        ring[(head &+ length) & (capacity &- 1)] = runnable
        length &+= 1
        advisoryCount.store(length, ordering: .sequentiallyConsistent)
        lock.unlock()
    }

    func pop() -> RunnablePointer? {
        if isEmpty { return nil }
        lock.lock()
        defer { lock.unlock() }
        guard length > 0 else { return nil }
        let runnable = ring[head]
        head = (head &+ 1) & (capacity &- 1)
        length &-= 1
        advisoryCount.store(length, ordering: .sequentiallyConsistent)
        if length == 0 && capacity > RunQueue.kept { resize(to: RunQueue.least) }
        return runnable
    }

    /// Bytes of the ring.
    var footprint: Int { lock.with { capacity * MemoryLayout<RunnablePointer?>.stride } }

    private func resize(to count: Int) {
        let other = UnsafeMutablePointer<RunnablePointer?>.allocate(capacity: count)
        other.initialize(repeating: nil, count: count)
        for i in 0..<length { other[i] = ring[(head + i) & (capacity - 1)] }
        ring.deallocate()
        ring = other
        capacity = count
        head = 0
    }
}

/// A worker's own queue of the woken: a ring of fixed size that its owner pushes to
/// and everybody takes from, without a lock; and before it one place, `next`.
///
/// Who is woken while `next` is free gets it, and runs before the ring: what it was sent, and
/// often itself, is still in this core's cache. Two that talk to each other so run in turns,
/// and of a thousand such pairs each has a few turns where it would have had one, with all its
/// memory to be fetched anew. After `turns` of `next` in a row, or when the watch says that
/// they have taken long, the first of the ring has its turn and who is in `next` goes to the end.
///
/// The end is that of the *overflow*, which all workers of a host share, as long as anybody is there; then that of the ring. So both
/// together are one queue, first in, first out. A ring that took its own back would be full of the same ones for ever, and the
/// thousands that found no place in it would have hardly a turn.
///
/// The owner fills `next` when it is empty, and everybody empties it: thieves by compare-and-swap, the owner, who alone fills
/// it, by a store. At worst both have the same entry, and only one of them wins the runnable.
/// Only the owner writes `tail`; takers (the owner, and thieves) move `head` by
/// compare-and-swap. A slot is read before the swap of `head` that claims it: if the
/// swap succeeds, the owner cannot have overwritten that slot meanwhile, because it
/// never pushes past `head + capacity`.
struct LocalQueue: ~Copyable {
    static let capacity: UInt64 = 256
    static let turns = 32
    private let next = Atomic<UInt>(0)
    private let head = Atomic<UInt64>(0)
    private let tail = Atomic<UInt64>(0)
    private let slots: UnsafeMutablePointer<Atomic<UInt>>

    init() {
        slots = .allocate(capacity: Int(LocalQueue.capacity))
        for i in 0..<Int(LocalQueue.capacity) { (slots + i).initialize(to: Atomic<UInt>(0)) }
    }

    deinit { slots.deallocate() }

    @inline(__always)
    var count: Int {
        let h = head.load(ordering: .sequentiallyConsistent)
        let t = tail.load(ordering: .sequentiallyConsistent)
        let first = next.load(ordering: .sequentiallyConsistent) == 0 ? 0 : 1
        return t > h ? Int(t &- h) &+ first : first
    }

    /// Owner only.
    @inline(__always)
    func push(_ runnable: RunnablePointer, _ overflow: RunQueue) {
        // relaxed: it was this thread that filled it, and whoever empties it writes nothing else.
        if next.load(ordering: .relaxed) == 0 {
            next.store(UInt(bitPattern: runnable), ordering: .releasing)
        } else {
            pushLast(runnable, overflow)
        }
    }

    private func pushLast(_ runnable: RunnablePointer, _ overflow: RunQueue) {
        if !overflow.isEmpty || !pushToRing(runnable) { overflow.push(runnable) }
    }

    /// - Returns: false when it is full.
    private func pushToRing(_ runnable: RunnablePointer) -> Bool {
        let t = tail.load(ordering: .relaxed)
        // acquire: pairs with the takers' swap, so that the slot is free to overwrite.
        let h = head.load(ordering: .acquiring)
        if t &- h >= LocalQueue.capacity { return false }
        slots[Int(t & (LocalQueue.capacity &- 1))].store(
            UInt(bitPattern: runnable), ordering: .relaxed)
        // release: publishes the slot. Who then looks at the sleepers puts a fence between (`Host.enqueue`).
        tail.store(t &+ 1, ordering: .releasing)
        return true
    }

    /// Owner only.
    /// - Parameter streak: how many in a row `next` has given; the owner keeps it.
    /// - Returns: nil: what is left, if anything, is in the overflow.
    @inline(__always)
    func take(_ streak: inout Int, _ overflow: RunQueue) -> RunnablePointer? {
        if streak < LocalQueue.turns, let runnable = popOwnNext() {
            streak &+= 1
            return runnable
        }
        return takeFirst(&streak, overflow)
    }

    @inline(never)
    private func takeFirst(_ streak: inout Int, _ overflow: RunQueue) -> RunnablePointer? {
        streak = 0
        let first = popFirst()
        if first == nil && overflow.isEmpty { return popOwnNext() }
        if let runnable = popOwnNext() { pushLast(runnable, overflow) }
        return first
    }

    /// Owner only.
    @inline(__always)
    private func popOwnNext() -> RunnablePointer? {
        let raw = next.load(ordering: .relaxed)
        if raw == 0 { return nil }
        next.store(0, ordering: .relaxed)
        return RunnablePointer(bitPattern: raw)
    }

    /// Any thread.
    func pop() -> RunnablePointer? { popFirst() ?? popNext() }

    @inline(__always)
    private func popNext() -> RunnablePointer? {
        let raw = next.load(ordering: .acquiring)
        guard raw != 0,
            next.compareExchange(expected: raw, desired: 0, ordering: .acquiringAndReleasing).exchanged
        else { return nil }
        return RunnablePointer(bitPattern: raw)
    }

    @inline(__always)
    private func popFirst() -> RunnablePointer? {
        var h = head.load(ordering: .acquiring)
        while true {
            let t = tail.load(ordering: .acquiring)
            if h >= t { return nil }
            let raw = slots[Int(h & (LocalQueue.capacity &- 1))].load(ordering: .relaxed)
            let (exchanged, original) = head.weakCompareExchange(
                expected: h, desired: h &+ 1, successOrdering: .acquiringAndReleasing,
                failureOrdering: .acquiring)
            if exchanged { return RunnablePointer(bitPattern: raw) }
            h = original
        }
    }
}
