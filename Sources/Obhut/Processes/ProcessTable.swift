import Glibc
import Synchronization

/// All slots of a runtime, by number.
///
/// Slots are made in chunks that never move and are never given back. A slot belongs to
/// one host for ever (or to the ports), so that the text of a pid, which names the host,
/// can be written after its process has ended. Free slots are taken first in, first out,
/// so that a number comes back as late as it can, and a slot whose serials are spent is
/// retired (P3).
final class ProcessTable: @unchecked Sendable {  // chunks are published by release stores
    private static let chunkBits = 8
    private static let chunkSize = 1 << chunkBits

    /// Set once, before the first slot is made; it owns the table.
    unowned(unsafe) var system: ProcessSystem! = nil
    /// Address of each chunk, 0: not made yet. Stored under `lock`, read anywhere.
    private let chunks: UnsafeMutablePointer<Atomic<UInt>>
    private static let chunkCount = (Pid.maxSlot + 1) / chunkSize
    private let lock = Lock()
    /// Free slots of the ports and of each host, by `Host.index`; guarded by lock.
    private var free: [SlotRing] = []
    private var made = 1  // guarded by lock; slot 0 is never used, so that pid 0 is no process
    private let madeCount = Atomic<Int>(1)  // copy of `made` for readers

    init() {
        // Zeroed by the system page by page, when touched: half a megabyte, of which most runtimes use a word.
        chunks = calloc(ProcessTable.chunkCount, MemoryLayout<Atomic<UInt>>.stride)!
            .bindMemory(to: Atomic<UInt>.self, capacity: ProcessTable.chunkCount)
    }

    deinit {
        for i in 0..<ProcessTable.chunkCount {
            let raw = chunks[i].load(ordering: .relaxed)
            guard let chunk = ProcessPointer(bitPattern: raw) else { break }
            for slot in 0..<ProcessTable.chunkSize {
                if let port = chunk[slot].port { Unmanaged<Port>.fromOpaque(port).release() }
            }
            chunk.deinitialize(count: ProcessTable.chunkSize)
            chunk.deallocate()
        }
        Glibc.free(UnsafeMutableRawPointer(chunks))
    }

    /// The slot with this number, nil if there never was one.
    @inline(__always)
    func slot(_ number: Int) -> ProcessPointer? {
        // acquire: pairs with the release below, so that the slots are initialised.
        let raw = chunks[number >> ProcessTable.chunkBits].load(ordering: .acquiring)
        guard let chunk = ProcessPointer(bitPattern: raw) else { return nil }
        return chunk + (number & (ProcessTable.chunkSize - 1))
    }

    /// The slot in which `pid` lives now; nil if it has ended or never was. It may end at
    /// any moment: whatever is done next must fail by the serial.
    @inline(__always)
    func living(_ pid: Pid) -> ProcessPointer? {
        guard pid.node == 0, pid != .none, let slot = slot(pid.slot),
            slot.pointee.runnable.serial == pid.serial,
            slot.pointee.signals.isOpen(serial: pid.serial)
        else { return nil }
        return slot
    }

    /// A free slot with the serial of its next life; nil when all 16 million are in use.
    func acquire(for host: Host?) -> (slot: ProcessPointer, pid: Pid)? {
        let pool = host?.index ?? 0
        return lock.with {
            while free.count <= pool { free.append(SlotRing()) }
            let number: Int
            // A few are always kept back, so that a number is not used again at once.
            if free[pool].count > 64 || made > Pid.maxSlot, let first = free[pool].removeFirst() {
                number = Int(first)
            } else {
                guard made <= Pid.maxSlot else { return nil }
                number = made
                if slot(number) == nil { makeChunkLocked(of: number) }
                slot(number)!.pointee.runnable.host = host.map { Unmanaged.passUnretained($0) }
                made += 1
                madeCount.store(made, ordering: .releasing)
            }
            let slot = slot(number)!
            return (slot, Pid(slot: number, serial: slot.pointee.runnable.serial))
        }
    }

    /// Gives back a slot that no process has lived in.
    func release(_ slot: ProcessPointer, _ pid: Pid) {
        end(slot, pid)
        giveBack(slot, pid)
    }

    /// Ends the life in a slot: from now on it has the next serial.
    func end(_ slot: ProcessPointer, _ pid: Pid) { slot.pointee.runnable.set(serial: pid.serial + 1, .free) }

    /// Lets the slot in which `pid` has ended be used again, unless its serials are spent.
    func giveBack(_ slot: ProcessPointer, _ pid: Pid) {
        guard pid.serial < Pid.maxSerial else { return }
        let pool = slot.host?.index ?? 0
        lock.with { free[pool].append(UInt32(pid.slot)) }
    }

    private func makeChunkLocked(of number: Int) {
        let chunk = ProcessPointer.allocate(capacity: ProcessTable.chunkSize)
        for i in 0..<ProcessTable.chunkSize { (chunk + i).initialize(to: ProcessSlot(system: system)) }
        chunks[number >> ProcessTable.chunkBits].store(UInt(bitPattern: chunk), ordering: .releasing)
    }

    /// Calls `body` with each pid that lives at some moment meanwhile.
    func forEachLiving(_ body: (ProcessPointer, Pid) -> Void) {
        for number in 1..<madeCount.load(ordering: .acquiring) {
            guard let slot = slot(number) else { return }
            let serial = slot.pointee.runnable.serial
            if slot.pointee.signals.isOpen(serial: serial) {
                body(slot, Pid(slot: number, serial: serial))
            }
        }
    }
}
