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

    private struct Node {
        var deadline: Int64
        var position: Int  // in `heap`; -1 when free
        var generation: UInt32
        var fire: Fire
        var context: UnsafeMutableRawPointer
        var argument: UInt64
    }

    private let lock = Lock()
    private var nodes: [Node] = []  // guarded by lock
    private var freeNodes: [UInt32] = []  // guarded by lock
    private var heap: [(deadline: Int64, node: UInt32)] = []  // guarded by lock; 4-ary

    /// The nearest deadline, Int64.max when there is none. Advisory outside the lock.
    let nearest = Atomic<Int64>(.max)

    /// Told when the nearest deadline moves forward. Set once, before the first timer.
    var becameNearer: (() -> Void)? = nil

    var count: Int { lock.with { heap.count } }

    func arm(
        at deadline: Int64, context: UnsafeMutableRawPointer, argument: UInt64, _ fire: Fire
    ) -> ID {
        lock.lock()
        let node: UInt32
        if let free = freeNodes.popLast() {
            node = free
        } else {
            node = UInt32(nodes.count)
            nodes.append(
                Node(
                    deadline: 0, position: -1, generation: 0, fire: fire, context: context,
                    argument: 0))
        }
        nodes[Int(node)].deadline = deadline
        nodes[Int(node)].fire = fire
        nodes[Int(node)].context = context
        nodes[Int(node)].argument = argument
        let generation = nodes[Int(node)].generation
        heap.append((deadline, node))
        siftUp(heap.count - 1)
        let nearer = heap[0].node == node
        if nearer { nearest.store(deadline, ordering: .sequentiallyConsistent) }
        lock.unlock()
        if nearer { becameNearer?() }
        return ID(node: node, generation: generation)
    }

    /// - Returns: false when it has fired or was disarmed already.
    @discardableResult
    func disarm(_ id: ID) -> Bool {
        lock.with {
            guard id != .none, Int(id.node) < nodes.count,
                nodes[Int(id.node)].generation == id.generation,
                nodes[Int(id.node)].position >= 0
            else { return false }
            removeLocked(at: nodes[Int(id.node)].position)
            return true
        }
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
            let node = nodes[Int(first.node)]
            removeLocked(at: 0)
            lock.unlock()
            node.fire(node.context, node.argument)
            fired += 1
        }
        return fired
    }

    private func removeLocked(at position: Int) {
        let node = heap[position].node
        nodes[Int(node)].position = -1
        nodes[Int(node)].generation &+= 1
        freeNodes.append(node)
        let last = heap.removeLast()
        if position < heap.count {
            heap[position] = last
            nodes[Int(last.node)].position = position
            siftDown(position)
            siftUp(position)
        }
        nearest.store(heap.first?.deadline ?? .max, ordering: .sequentiallyConsistent)
        if heap.isEmpty && nodes.count > 4096 {
            // A burst is over. Generations must outlive their nodes, so only spare
            // capacity is given back.
            heap = []
        }
    }

    private func siftUp(_ start: Int) {
        var i = start
        let item = heap[i]
        while i > 0 {
            let parent = (i - 1) / 4
            if heap[parent].deadline <= item.deadline { break }
            heap[i] = heap[parent]
            nodes[Int(heap[i].node)].position = i
            i = parent
        }
        heap[i] = item
        nodes[Int(item.node)].position = i
    }

    private func siftDown(_ start: Int) {
        var i = start
        let item = heap[i]
        while true {
            let first = 4 * i + 1
            if first >= heap.count { break }
            var least = first
            for child in first..<min(first + 4, heap.count)
            where heap[child].deadline < heap[least].deadline { least = child }
            if heap[least].deadline >= item.deadline { break }
            heap[i] = heap[least]
            nodes[Int(heap[i].node)].position = i
            i = least
        }
        heap[i] = item
        nodes[Int(item.node)].position = i
    }
}
