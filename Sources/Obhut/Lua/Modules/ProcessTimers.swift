import CObhut
import Glibc

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

    /// Not an array, whose header is as large as the entry that most processes have.
    private var heap: UnsafeMutablePointer<Entry>! = nil
    private var capacity: Int32 = 0
    private var size: Int32 = 0
    private var nextOrder: UInt64 = 0

    var count: Int { Int(size) }

    /// Nanoseconds on the monotonic clock; Int64.max when there is none.
    @inline(__always)
    var nearest: Int64 { size == 0 ? .max : heap[0].deadline }

    func deadline(of record: ChannelPointer) -> Int64? {
        let position = record.pointee.heapPosition
        return position < 0 ? nil : heap[Int(position)].deadline
    }

    mutating func add(_ record: ChannelPointer, at deadline: Int64) {
        assert(record.pointee.heapPosition < 0)
        if size == capacity { resize(to: capacity == 0 ? 1 : capacity * 2) }
        size += 1
        siftUp(Entry(deadline: deadline, order: nextOrder, record: record), from: count - 1)
        nextOrder += 1
    }

    /// - Returns: false when it was not armed.
    @discardableResult
    mutating func remove(_ record: ChannelPointer) -> Bool {
        let position = Int(record.pointee.heapPosition)
        guard position >= 0 else { return false }
        record.pointee.heapPosition = -1
        size -= 1
        if position < count {
            let last = heap[count]
            if position > 0 && last < heap[(position - 1) / 2] {
                siftUp(last, from: position)
            } else {
                siftDown(last, from: position)
            }
        } else if size == 0 && capacity > 64 {
            destroy()
        }
        return true
    }

    /// Takes the first that is due.
    mutating func removeDue(_ now: Int64) -> (record: ChannelPointer, deadline: Int64)? {
        guard nearest <= now, let first = heap?[0] else { return nil }
        remove(first.record)
        return (first.record, first.deadline)
    }

    /// Gives back its memory; there are no timers then. (The records are the VM's.)
    mutating func destroy() {
        free(heap)
        heap = nil
        capacity = 0
        size = 0
    }

    @inline(never)
    private mutating func resize(to wanted: Int32) {
        capacity = wanted
        heap = realloc(heap, Int(wanted) * MemoryLayout<Entry>.stride)!.bindMemory(to: Entry.self, capacity: Int(wanted))
    }

    @inline(__always)
    private func put(_ entry: Entry, at position: Int) {
        heap[position] = entry
        entry.record.pointee.heapPosition = Int32(truncatingIfNeeded: position)
    }

    private func siftUp(_ entry: Entry, from start: Int) {
        var i = start
        while i > 0 {
            let parent = (i - 1) / 2
            guard entry < heap[parent] else { break }
            put(heap[parent], at: i)
            i = parent
        }
        put(entry, at: i)
    }

    private func siftDown(_ entry: Entry, from start: Int) {
        var i = start
        while true {
            var child = 2 * i + 1
            guard child < count else { break }
            if child + 1 < count && heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < entry else { break }
            put(heap[child], at: i)
            i = child
        }
        put(entry, at: i)
    }
}
