import Synchronization

/// All deadlines of a runtime, in one heap behind one lock.
///
/// A process that waits for many timers keeps its own heap and registers here only the
/// moment at which it wants to be woken, so the lock is taken when a process goes idle
/// with a nearer wake-up than the one it has registered, not at every `time.after`.
///
/// A timer calls `fire` once, on the watch's thread (in simulation: on the caller's),
/// with the lock released, or never if it was disarmed before.
final class Timers: @unchecked Sendable {  // all mutable state is guarded by `lock`
    typealias Fire = @convention(c) (_ context: UnsafeMutableRawPointer, _ argument: UInt64) -> Void

    /// Names one armed timer; `none` is no timer.
    struct ID: Equatable {
        fileprivate let node: UInt32
        fileprivate let generation: UInt32
        static let none = ID(node: .max, generation: 0)
        var raw: UInt64 { UInt64(generation) << 32 | UInt64(node) }
        init(raw: UInt64) {
            self.init(
                node: UInt32(truncatingIfNeeded: raw), generation: UInt32(raw >> 32))
        }
        fileprivate init(node: UInt32, generation: UInt32) {
            self.node = node
            self.generation = generation
        }
    }

    private let lock = Lock()
    private var heap = TimerHeap()  // guarded by lock

    /// The nearest deadline, Int64.max when there is none. Advisory outside the lock.
    let nearest = Atomic<Int64>(.max)

    /// Told when the nearest deadline moves forward. Set once, before the first timer.
    var becameNearer: (() -> Void)? = nil

    var count: Int { lock.with { heap.count } }

    func arm(
        at deadline: Int64, context: UnsafeMutableRawPointer, argument: UInt64, _ fire: Fire
    ) -> ID {
        lock.lock()
        let id = heap.add(at: deadline, .init(fire: fire, context: context, argument: argument))
        let nearer = heap.first?.node == id.node
        if nearer { nearest.store(deadline, ordering: .sequentiallyConsistent) }
        lock.unlock()
        if nearer { becameNearer?() }
        return id
    }

    /// - Returns: false when it has fired or was disarmed already.
    @discardableResult
    func disarm(_ id: ID) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        guard heap.remove(id) else { return false }
        nearest.store(heap.first?.deadline ?? .max, ordering: .sequentiallyConsistent)
        return true
    }

    /// Fires all that is due at `now`.
    /// - Returns: how many fired.
    @discardableResult
    func fireDue(now: Int64) -> Int {
        var fired = 0
        while nearest.load(ordering: .sequentiallyConsistent) <= now {
            lock.lock()
            guard let first = heap.first, first.deadline <= now else {
                lock.unlock()
                break
            }
            let act = heap.removeFirst()
            nearest.store(heap.first?.deadline ?? .max, ordering: .sequentiallyConsistent)
            lock.unlock()
            act.fire(act.context, act.argument)
            fired += 1
        }
        return fired
    }
}

/// A heap of four branches, and the nodes that its entries name.
///
/// A struct of its own: as fields of the class each access would be checked for exclusivity at
/// run time, which was 40 % of arming and firing.
private struct TimerHeap {
    struct Act {
        var fire: Timers.Fire
        var context: UnsafeMutableRawPointer
        var argument: UInt64
    }

    struct Entry {
        var deadline: Int64
        var node: UInt32
    }

    private var entries: [Entry] = []
    private var acts: [Act] = []
    private var generations: [UInt32] = []
    /// Where each node's entry is. Apart from the rest of the node, because it is all that is written
    /// when an entry moves: 4 MB of a million timers, not 40.
    private var positions: [UInt32] = []
    private var freeNodes: [UInt32] = []

    /// The position of a node that is free.
    private static var nowhere: UInt32 { .max }

    var count: Int { entries.count }
    var first: Entry? { entries.first }

    mutating func add(at deadline: Int64, _ act: Act) -> Timers.ID {
        let node: UInt32
        if let free = freeNodes.popLast() {
            node = free
            acts[Int(node)] = act
        } else {
            node = UInt32(acts.count)
            acts.append(act)
            generations.append(0)
            positions.append(TimerHeap.nowhere)
        }
        let entry = Entry(deadline: deadline, node: node)
        entries.append(entry)
        rise(entry, from: entries.count - 1)
        return Timers.ID(node: node, generation: generations[Int(node)])
    }

    /// False when it is not there any more.
    mutating func remove(_ id: Timers.ID) -> Bool {
        guard id != .none, Int(id.node) < acts.count, generations[Int(id.node)] == id.generation,
            positions[Int(id.node)] != TimerHeap.nowhere
        else { return false }
        remove(at: Int(positions[Int(id.node)]))
        return true
    }

    /// There is one.
    mutating func removeFirst() -> Act {
        let act = acts[Int(entries[0].node)]
        remove(at: 0)
        return act
    }

    private mutating func remove(at position: Int) {
        let node = entries[position].node
        positions[Int(node)] = TimerHeap.nowhere
        generations[Int(node)] &+= 1
        freeNodes.append(node)
        let last = entries.removeLast()
        if position < entries.count {
            if position > 0 && last.deadline < entries[(position - 1) / 4].deadline {
                rise(last, from: position)
            } else {
                sink(last, from: position)
            }
        }
        if entries.isEmpty && acts.count > 4096 {
            // A burst is over. Generations must outlive their nodes, so only spare
            // capacity is given back.
            entries = []
        }
    }

    @inline(__always)
    private mutating func put(_ entry: Entry, at position: Int) {
        entries[position] = entry
        positions[Int(entry.node)] = UInt32(truncatingIfNeeded: position)
    }

    private mutating func rise(_ entry: Entry, from start: Int) {
        var i = start
        while i > 0 {
            let parent = (i - 1) / 4
            if entries[parent].deadline <= entry.deadline { break }
            put(entries[parent], at: i)
            i = parent
        }
        put(entry, at: i)
    }

    private mutating func sink(_ entry: Entry, from start: Int) {
        var i = start
        while true {
            let first = 4 * i + 1
            if first >= entries.count { break }
            var least = first
            for child in first..<min(first + 4, entries.count)
            where entries[child].deadline < entries[least].deadline { least = child }
            if entries[least].deadline >= entry.deadline { break }
            put(entries[least], at: i)
            i = least
        }
        put(entry, at: i)
    }
}
