/// Numbers of free places, first in, first out: a place is used again as late as can be.
struct SlotRing {
    private var slots = [UInt32](repeating: 0, count: 256)
    private var head = 0
    private(set) var count = 0

    mutating func append(_ slot: UInt32) {
        if count == slots.count {
            var larger = [UInt32](repeating: 0, count: count * 2)
            for i in 0..<count { larger[i] = slots[(head + i) & (count - 1)] }
            slots = larger
            head = 0
        }
        slots[(head + count) & (slots.count - 1)] = slot
        count += 1
    }

    mutating func removeFirst() -> UInt32? {
        guard count > 0 else { return nil }
        let slot = slots[head]
        head = (head + 1) & (slots.count - 1)
        count -= 1
        return slot
    }
}
