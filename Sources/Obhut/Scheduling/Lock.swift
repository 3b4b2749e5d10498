import CObhut
import Glibc
import Synchronization

/// A mutual exclusion lock.
///
/// A `pthread_mutex_t` and not `Synchronization.Mutex`, because the thread
/// sanitizer sees through it, and because a condition can be waited for with it.
struct Lock: ~Copyable {
    // The mutex must not move, so it lives in memory of its own. @unchecked because
    // pthread mutexes are made to be used from many threads.
    fileprivate let mutex: UnsafeMutablePointer<pthread_mutex_t>

    init() {
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    @inline(__always)
    func with<Result: ~Copyable, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    func lock() { pthread_mutex_lock(mutex) }
    /// Takes it if nobody has it; never waits.
    func `try`() -> Bool { pthread_mutex_trylock(mutex) == 0 }
    func unlock() { pthread_mutex_unlock(mutex) }
}

/// A condition that threads wait for, together with a `Lock`.
struct Condition: ~Copyable {
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    init() {
        condition = .allocate(capacity: 1)
        _ = obh_condition_init(condition)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
    }

    /// Waits, with `lock` held by the caller, until woken or until `deadline`
    /// (nanoseconds on the monotonic clock; nil: for ever). May wake without cause.
    /// - Returns: false when the deadline has passed.
    @discardableResult
    func wait(_ lock: borrowing Lock, until deadline: Int64? = nil) -> Bool {
        obh_condition_wait(condition, lock.mutex, deadline ?? -1)
    }

    func signal() { pthread_cond_signal(condition) }
    func broadcast() { pthread_cond_broadcast(condition) }
}

/// A seam for tests: how many more threads the system would give.
enum ThreadAllowance {
    static let left = Atomic<Int>(.max)

    fileprivate static func take() -> Bool {
        // Hardly ever contended, and never in a program.
        left.load(ordering: .relaxed) == .max || left.subtract(1, ordering: .relaxed).newValue >= 0
    }
}

/// Starts a library thread (see `obh_thread_start` for its signal mask) that runs
/// `body` and is never detached: whoever starts one joins it.
/// - Returns: nil when the system gives none: too many, or no memory for its stack.
func startThread(
    named name: String, interruptedBy signal: Int32 = 0, _ body: @escaping () -> Void
) -> pthread_t? {
    final class Start {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
    guard ThreadAllowance.take() else { return nil }
    let start = Unmanaged.passRetained(Start(body))
    var thread = pthread_t()
    let status = obh_thread_start(
        &thread, name, signal,
        { raw in
            Unmanaged<Start>.fromOpaque(raw!).takeRetainedValue().body()
            return nil
        }, start.toOpaque())
    guard status == 0 else {
        start.release()
        return nil
    }
    return thread
}
