import CObhut
import Glibc
import ObhutHeader
import Synchronization

/// What a handle of the C interface stands for.
enum HandleKind: UInt64 {
    case error = 1, config, runtime, port, message, crash, info
}

/// All handles of this copy of the library.
///
/// The law of this folder: *a handle is a number, never an address.* It is looked up, and
/// whatever 64 bits come in, the answer is an object of the right kind or nil.
///
///     bits 63…48  cookie of this copy of the library, never 0
///     bits 47…28  generation of the place, so that a freed handle is not the next one
///     bits 27…4   place in the table
///     bits  3…0   kind, so that a message is no port
///
/// This table is global, because a handle carries no runtime. It holds nothing but objects
/// whose owners are the callers; a library nobody calls has an empty one.
///
/// `wake` is the one call that a signal handler may make: it reads only atomics, in memory
/// that is never given back, and counts itself in so that `remove` waits for it.
///
/// In the child of a fork there is a new table: the locks of the old one may be held by threads that
/// are not there. Handles of the parent are known by their cookie, and nothing of them is touched.
final class HandleTable: @unchecked Sendable {  // guard notes stand on each mutable field
    /// The address of this process's table, retained for ever; 0: none yet.
    private static let current = Atomic<UInt>(0)

    static var shared: HandleTable {
        if obh_fork_is_marked() != 0, let table = made { return table }
        return make()
    }

    private static var made: HandleTable? {
        UnsafeRawPointer(bitPattern: current.load(ordering: .acquiring)).map {
            Unmanaged<HandleTable>.fromOpaque($0).takeUnretainedValue()
        }
    }

    /// At the first call of a process: of a program, or of the child of a fork.
    private static func make() -> HandleTable {
        let old = made
        // Another thread has made it and not marked it yet.
        if let old, old.process == getpid() { return old }
        let table = HandleTable(after: old)
        let (exchanged, other) = current.compareExchange(
            expected: old.map { UInt(bitPattern: Unmanaged.passUnretained($0).toOpaque()) } ?? 0,
            desired: UInt(bitPattern: Unmanaged.passRetained(table).toOpaque()), ordering: .sequentiallyConsistent)
        guard exchanged else {
            Unmanaged.passUnretained(table).release()
            return Unmanaged<HandleTable>.fromOpaque(UnsafeRawPointer(bitPattern: other)!).takeUnretainedValue()
        }
        if old != nil { obh_preempt_forget() }
        obh_fork_mark()
        return table
    }

    private struct Place: ~Copyable {
        /// generation << 1 | in use. Written under `lock`.
        let word = Atomic<UInt64>(0)
        /// The port behind it, unretained, for `wake`; 0 otherwise.
        let wakeable = Atomic<UInt>(0)
        /// Calls of `wake` that are looking at it.
        let wakers = Atomic<Int>(0)
        /// Retained; guarded by lock.
        var object: Unmanaged<AnyObject>? = nil
    }

    private static let chunkSize = 256
    private static let chunkCount = (1 << 24) / chunkSize
    private static let generationMask: UInt64 = (1 << 20) - 1

    private let cookie: UInt64
    private let process: pid_t
    /// Of the processes from which this one was forked.
    private let formerCookies: [UInt64]
    private let lock = Lock()
    // Addresses of chunks, stored once under `lock`, read anywhere.
    private let chunks: UnsafeMutablePointer<Atomic<UInt>>
    private var free = SlotRing()  // guarded by lock
    private var made = 0  // guarded by lock

    private init(after old: HandleTable?) {
        process = getpid()
        let former = old.map { $0.formerCookies + [$0.cookie] } ?? []
        formerCookies = former
        var random: UInt16 = 0
        repeat { getentropy(&random, 2) } while former.contains(UInt64(random | 1)) && former.count < 1 << 14
        cookie = UInt64(random | 1)
        chunks = .allocate(capacity: HandleTable.chunkCount)
        for i in 0..<HandleTable.chunkCount { (chunks + i).initialize(to: Atomic<UInt>(0)) }
    }

    // Only of one that came second (`make`), and has no chunks yet.
    deinit { chunks.deallocate() }

    private func place(_ number: Int) -> UnsafeMutablePointer<Place>? {
        let raw = chunks[number / HandleTable.chunkSize].load(ordering: .acquiring)
        guard let chunk = UnsafeMutablePointer<Place>(bitPattern: raw) else { return nil }
        return chunk + number % HandleTable.chunkSize
    }

    /// A new handle that keeps `object` until it is removed.
    func insert(_ object: AnyObject, _ kind: HandleKind, wakeable: Port? = nil) -> OpaquePointer {
        let bits: UInt64 = lock.with {
            let number: Int
            // A few are kept back, so that a freed handle is not the next one.
            if free.count > 32, let first = free.removeFirst() {
                number = Int(first)
            } else {
                number = made
                made += 1
                precondition(made < 1 << 24, "too many handles")
                if place(number) == nil {
                    let chunk = UnsafeMutablePointer<Place>.allocate(capacity: HandleTable.chunkSize)
                    for i in 0..<HandleTable.chunkSize { (chunk + i).initialize(to: Place()) }
                    chunks[number / HandleTable.chunkSize].store(
                        UInt(bitPattern: chunk), ordering: .releasing)
                }
            }
            let place = place(number)!
            let generation = (place.pointee.word.load(ordering: .relaxed) >> 1) + 1
            place.pointee.object = .passRetained(object)
            place.pointee.wakeable.store(
                wakeable.map { UInt(bitPattern: Unmanaged.passUnretained($0).toOpaque()) } ?? 0,
                ordering: .sequentiallyConsistent)
            place.pointee.word.store(generation << 1 | 1, ordering: .sequentiallyConsistent)
            return cookie << 48 | (generation & HandleTable.generationMask) << 28
                | UInt64(number) << 4 | kind.rawValue
        }
        return OpaquePointer(bitPattern: UInt(bits))!
    }

    /// The place that a handle names, if it is in use by it.
    private func find(_ handle: OpaquePointer?, _ kind: HandleKind) -> UnsafeMutablePointer<Place>? {
        let bits = UInt64(UInt(bitPattern: handle))
        guard bits >> 48 == cookie, bits & 0xf == kind.rawValue,
            let place = place(Int(bits >> 4 & 0xff_ffff))
        else { return nil }
        let word = place.pointee.word.load(ordering: .sequentiallyConsistent)
        guard word & 1 == 1,
            word >> 1 & HandleTable.generationMask == bits >> 28 & HandleTable.generationMask
        else { return nil }
        return place
    }

    /// The object of a handle, nil if it is none of this kind.
    func object<T: AnyObject>(_ handle: OpaquePointer?, _ kind: HandleKind, as: T.Type) -> T? {
        lock.with {
            find(handle, kind)?.pointee.object.map { unsafeDowncast($0.takeUnretainedValue(), to: T.self) }
        }
    }

    /// Takes a handle out; nil if it is none of this kind.
    func remove<T: AnyObject>(_ handle: OpaquePointer?, _ kind: HandleKind, as: T.Type) -> T? {
        lock.with {
            guard let place = find(handle, kind) else { return nil }
            let word = place.pointee.word.load(ordering: .relaxed)
            place.pointee.word.store(word & ~1, ordering: .sequentiallyConsistent)
            place.pointee.wakeable.store(0, ordering: .sequentiallyConsistent)
            // A `wake` that found the port a moment ago is about to leave.
            while place.pointee.wakers.load(ordering: .sequentiallyConsistent) > 0 { sched_yield() }
            let object = place.pointee.object!.takeRetainedValue()
            place.pointee.object = nil
            free.append(UInt32(UInt64(UInt(bitPattern: handle)) >> 4 & 0xff_ffff))
            return unsafeDowncast(object, to: T.self)
        }
    }

    /// Whether it is a handle of the process from which this one was forked.
    func isForked(_ handle: OpaquePointer?) -> Bool {
        formerCookies.contains(UInt64(UInt(bitPattern: handle)) >> 48)
    }

    /// Async-signal-safe.
    static func wake(_ handle: OpaquePointer?) -> obhut_status {
        guard let table = made else { return OBHUT_INVALID_HANDLE }
        // In the child of a fork, before it has called anything else, the table is the parent's.
        guard obh_fork_is_marked() != 0 || table.process == getpid() else { return OBHUT_FORKED }
        if table.wake(handle) { return OBHUT_OK }
        return table.isForked(handle) ? OBHUT_FORKED : OBHUT_INVALID_HANDLE
    }

    private func wake(_ handle: OpaquePointer?) -> Bool {
        let bits = UInt64(UInt(bitPattern: handle))
        guard bits >> 48 == cookie, let place = place(Int(bits >> 4 & 0xff_ffff)) else { return false }
        _ = place.pointee.wakers.add(1, ordering: .sequentiallyConsistent)
        defer { _ = place.pointee.wakers.subtract(1, ordering: .sequentiallyConsistent) }
        guard find(handle, .port) == place,
            let raw = UnsafeRawPointer(
                bitPattern: place.pointee.wakeable.load(ordering: .sequentiallyConsistent))
        else { return false }
        Unmanaged<Port>.fromOpaque(raw)._withUnsafeGuaranteedRef { $0.wake() }
        return true
    }

    /// Handles in use.
    var count: Int { lock.with { made - free.count } }
}
