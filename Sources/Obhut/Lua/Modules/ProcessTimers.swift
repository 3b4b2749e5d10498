import CObhut

/// The timers of one process, in a heap of its own; the core is only told the nearest deadline
/// (`ProcessSlot.wakeAt`). Equal deadlines fire in the order in which they were armed.
struct ProcessTimers {
    private struct Entry {
        var deadline: Int64
        var order: UInt64
        var record: ChannelPointer

        static func < (a: Entry, b: Entry) -> Bool {
            a.deadline < b.deadline || (a.deadline == b.deadline && a.order < b.order)
        }
    }

    private var heap: [Entry] = []
    private var nextOrder: UInt64 = 0

    var count: Int { heap.count }

    /// Nanoseconds on the monotonic clock; Int64.max when there is none.
    @inline(__always)
    var nearest: Int64 { heap.isEmpty ? .max : heap[0].deadline }

    func deadline(of record: ChannelPointer) -> Int64? {
        let position = record.pointee.heapPosition
        return position < 0 ? nil : heap[Int(position)].deadline
    }

    mutating func add(_ record: ChannelPointer, at deadline: Int64) {
        assert(record.pointee.heapPosition < 0)
        heap.append(Entry(deadline: deadline, order: nextOrder, record: record))
        nextOrder += 1
        siftUp(heap.count - 1)
    }

    /// - Returns: false when it was not armed.
    @discardableResult
    mutating func remove(_ record: ChannelPointer) -> Bool {
        let position = Int(record.pointee.heapPosition)
        guard position >= 0 else { return false }
        record.pointee.heapPosition = -1
        let last = heap.removeLast()
        if position < heap.count {
            heap[position] = last
            siftDown(position)
            siftUp(position)
        } else if heap.isEmpty && heap.capacity > 64 {
            heap = []
        }
        return true
    }

    /// Takes the first that is due.
    mutating func removeDue(_ now: Int64) -> (record: ChannelPointer, deadline: Int64)? {
        guard let first = heap.first, first.deadline <= now else { return nil }
        remove(first.record)
        return (first.record, first.deadline)
    }

    private mutating func siftUp(_ start: Int) {
        var i = start
        let entry = heap[i]
        while i > 0 {
            let parent = (i - 1) / 2
            guard entry < heap[parent] else { break }
            heap[i] = heap[parent]
            heap[i].record.pointee.heapPosition = Int32(i)
            i = parent
        }
        heap[i] = entry
        entry.record.pointee.heapPosition = Int32(i)
    }

    private mutating func siftDown(_ start: Int) {
        var i = start
        let entry = heap[i]
        while true {
            var child = 2 * i + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count && heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < entry else { break }
            heap[i] = heap[child]
            heap[i].record.pointee.heapPosition = Int32(i)
            i = child
        }
        heap[i] = entry
        entry.record.pointee.heapPosition = Int32(i)
    }
}
