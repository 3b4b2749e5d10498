/// Which child is due next: a binary heap with one entry for each time that was set.
///
/// Taking a time back costs nothing: who takes an entry out compares it with the child's own
/// `due` and drops it if that has changed. Entries that are stale are swept out when they are
/// more than half.
struct DueTimes {
    struct Entry {
        let time: Int64
        let child: Int
    }

    private var heap: [Entry] = []

    var next: Entry? { heap.first }
    var count: Int { heap.count }

    mutating func insert(_ entry: Entry) {
        heap.append(entry)
        var index = heap.count - 1
        while index > 0, DueTimes.isBefore(heap[index], heap[(index - 1) / 2]) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func removeNext() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && DueTimes.isBefore(heap[child], heap[least]) { least = child }
            if least == index { return }
            heap.swapAt(index, least)
            index = least
        }
    }

    mutating func keep(_ isWanted: (Entry) -> Bool) {
        let kept = heap.filter(isWanted)
        heap = []
        heap.reserveCapacity(kept.count)
        for entry in kept { insert(entry) }
    }

    /// Equal times by number, so that a simulation repeats itself.
    private static func isBefore(_ a: Entry, _ b: Entry) -> Bool { (a.time, a.child) < (b.time, b.child) }
}
