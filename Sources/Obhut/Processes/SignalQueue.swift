import Synchronization

/// The queue of signals to one slot: many push, its owner takes all, without a lock.
///
/// A stack in one word, reversed when taken. The word holds the newest signal's address
/// (16-byte aligned, 48 bits, as many as 64-bit ARM uses: 44 bits are kept) and, in the
/// other 20 bits, CLOSED and the low 19 bits of the serial of the life that the queue
/// belongs to. So a push to a life that has ended fails by its own compare-and-swap: there
/// is no moment at which a signal is accepted and nobody will look at it. Senders never read
/// a signal that they did not make, so blocks may be freed and used again at once.
///
/// 19 bits of serial can be mistaken for another life's only if the slot is used again
/// 2^19 times between a sender's look at the full serial and its compare-and-swap; slots
/// are used first in, first out.
struct SignalQueue: ~Copyable {
    private let word = Atomic<UInt64>(SignalQueue.closedBit)

    private static let addressMask: UInt64 = (1 << 44) - 1
    private static let closedBit: UInt64 = 1 << 63
    private static let serialMask: UInt64 = ((1 << 19) - 1) << 44

    @inline(__always)
    private static func tag(_ serial: UInt64) -> UInt64 { serial << 44 & serialMask }

    @inline(__always)
    private static func address(_ word: UInt64) -> SignalPointer? {
        SignalPointer(bitPattern: UInt(word & addressMask) << 4)
    }

    /// Begins a life; the owner of the slot.
    func open(serial: UInt64) {
        word.store(SignalQueue.tag(serial), ordering: .sequentiallyConsistent)
    }

    /// Any thread. False when the life with this serial has ended: the signal is still the
    /// caller's.
    ///
    /// Sequentially consistent: with the owner's `isEmpty` and the runnable's word it is one
    /// side of the wake-up protocol (see `Runnable`). It also publishes the signal's content.
    @inline(__always)
    func push(_ signal: SignalPointer, serial: UInt64) -> Bool {
        let tag = SignalQueue.tag(serial)
        let address = UInt64(UInt(bitPattern: signal)) >> 4
        assert(address << 4 == UInt64(UInt(bitPattern: signal)) && address <= SignalQueue.addressMask)
        var current = word.load(ordering: .relaxed)
        while true {
            guard current & ~SignalQueue.addressMask == tag else { return false }
            signal.pointee.next = SignalQueue.address(current)
            let (exchanged, original) = word.weakCompareExchange(
                expected: current, desired: tag | address,
                successOrdering: .sequentiallyConsistent, failureOrdering: .relaxed)
            if exchanged { return true }
            current = original
        }
    }

    @inline(__always)
    var isEmpty: Bool {
        word.load(ordering: .sequentiallyConsistent) & SignalQueue.addressMask == 0
    }

    /// Whether the life with this serial has not closed its queue; any thread.
    @inline(__always)
    func isOpen(serial: UInt64) -> Bool {
        word.load(ordering: .sequentiallyConsistent) & ~SignalQueue.addressMask
            == SignalQueue.tag(serial)
    }

    /// Takes all, oldest first; owner only.
    @inline(__always)
    func takeAll(serial: UInt64) -> SignalPointer? {
        if isEmpty { return nil }
        return SignalQueue.reverse(
            word.exchange(SignalQueue.tag(serial), ordering: .sequentiallyConsistent))
    }

    /// Takes all and lets no more in; owner only.
    func close() -> SignalPointer? {
        SignalQueue.reverse(word.exchange(SignalQueue.closedBit, ordering: .sequentiallyConsistent))
    }

    @inline(__always)
    private static func reverse(_ word: UInt64) -> SignalPointer? {
        var newest = address(word)
        var oldest: SignalPointer? = nil
        while let signal = newest {
            newest = signal.pointee.next
            signal.pointee.next = oldest
            oldest = signal
        }
        return oldest
    }
}
