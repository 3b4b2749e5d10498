import CNative
import CObhut
import Glibc
import Synchronization

/// Threads for native code of this address space, `obhut-n0`, …: as many as run something, and some idle ones for a while.
///
/// A thread runs one function at a time, which may block as long as it likes; no worker waits for it. They block
/// asynchronous signals, as the other threads of the library do. `close` joins those that are idle; one that is still in foreign
/// code cannot be stopped, and is left to itself (a zombie): it touches nothing of the runtime any more.
final class NativeThreads: @unchecked Sendable {  // guard notes stand on each mutable field
    /// How long a thread waits for the next function, in nanoseconds.
    private static let patience: Int64 = 5_000_000_000

    private let lock = Lock()
    private let changed = Condition()
    private var jobs: [Job] = []  // guarded by lock
    private var idle = 0  // guarded by lock
    private var number = 0  // guarded by lock
    private var running: [Int: pthread_t] = [:]  // guarded by lock
    private var busy: Set<Int> = []  // guarded by lock
    /// Those that have left, to be joined.
    private var left: [pthread_t] = []  // guarded by lock
    private var isClosing = false  // guarded by lock

    private struct Job {
        let run: () -> Void
        let abandoned: () -> Void
    }

    /// - Parameter abandoned: called, on the thread, when the foreign code of `job` ends the thread instead of returning (`pthread_exit`).
    /// - Returns: false when the system gives no thread.
    func run(_ job: @escaping () -> Void, abandoned: @escaping () -> Void = {}) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        if isClosing { return false }
        joinLeftLocked()
        jobs.append(Job(run: job, abandoned: abandoned))
        if idle >= jobs.count {
            changed.signal()
            return true
        }
        let number = number
        self.number += 1
        guard let thread = startThread(named: "obhut-n\(number)", { [self] in main(number) }) else {
            jobs.removeLast()
            return false
        }
        running[number] = thread
        return true
    }

    private func main(_ number: Int) {
        lock.lock()
        while let job = nextLocked() {
            busy.insert(number)
            lock.unlock()
            let turn = Unmanaged.passRetained(Turn(self, number, job.abandoned))
            pthread_setspecific(Turn.key, turn.toOpaque())
            job.run()
            pthread_setspecific(Turn.key, nil)
            turn.release()
            lock.lock()
            busy.remove(number)
        }
        // Whoever closes has taken it out, to join it or to leave it.
        if let thread = running.removeValue(forKey: number) { left.append(thread) }
        lock.unlock()
    }

    /// What a thread does at present, for its end without a return: the system calls the destructor of `key` then.
    private final class Turn {
        static let key: pthread_key_t = {
            var key = pthread_key_t()
            pthread_key_create(&key) { raw in
                guard let raw else { return }
                Unmanaged<Turn>.fromOpaque(raw).takeRetainedValue().abandon()
            }
            return key
        }()

        private let threads: NativeThreads
        private let number: Int
        private let abandoned: () -> Void

        init(_ threads: NativeThreads, _ number: Int, _ abandoned: @escaping () -> Void) {
            self.threads = threads
            self.number = number
            self.abandoned = abandoned
        }

        private func abandon() {
            abandoned()
            threads.lock.with {
                threads.busy.remove(number)
                if let thread = threads.running.removeValue(forKey: number) { threads.left.append(thread) }
            }
        }
    }

    private func nextLocked() -> Job? {
        let deadline = Clock.read(CLOCK_MONOTONIC) + NativeThreads.patience
        idle += 1
        defer { idle -= 1 }
        while jobs.isEmpty {
            if isClosing || !changed.wait(lock, until: deadline) && jobs.isEmpty { return nil }
        }
        return jobs.removeFirst()
    }

    /// They have given up the lock for the last time: it takes no time to speak of.
    private func joinLeftLocked() {
        for thread in left { pthread_join(thread, nil) }
        left = []
    }

    func close() {
        let (ending, unbegun) = lock.with { () -> ([pthread_t], [Job]) in
            isClosing = true
            changed.broadcast()
            // Nobody waits for these, and they may block for ever: a thread that begins one could not be joined.
            let unbegun = jobs
            jobs = []
            var ending = left
            left = []
            for (number, thread) in running {
                if busy.contains(number) { pthread_detach(thread) } else { ending.append(thread) }
            }
            running = [:]
            return (ending, unbegun)
        }
        for thread in ending { pthread_join(thread, nil) }
        // What they own is given back without the lock.
        _ = unbegun
    }
}

/// The code of a process on a thread of its own, in this address space.
final class ThreadRun: NativeRun, @unchecked Sendable {
    private let execution: NativeExecution
    private let answered = Condition()
    private var answerBytes = PayloadWriter(reserving: 256)  // by the shell under lock, then the code's until it asks again
    private var isAnswered = false  // guarded by lock
    /// It is over and its code has not noticed.
    private var isZombie = false  // guarded by lock
    /// Its code has not returned.
    private var isRunning = false  // guarded by lock
    private let control: UnsafeMutablePointer<obn_control>
    private let owner = getpid()
    /// In a child that its code has forked: that one has no runtime, only a copy of its memory, locked as it was.
    private var isForked: Bool { obh_fork_is_marked() == 0 && getpid() != owner }

    init(_ process: ProcessPointer, _ program: NativeProgram, _ execution: NativeExecution) {
        self.execution = execution
        control = .allocate(capacity: 1)
        control.initialize(to: obn_control())
        super.init(process, program)
    }

    deinit { control.deallocate() }

    /// - Returns: nil, or why not.
    func start() -> String? {
        lock.with { isRunning = true }
        if execution.threads.run({ self.main() }, abandoned: { self.abandoned() }) { return nil }
        lock.with { isRunning = false }
        return "the system gives no thread for it"
    }

    // MARK: On the thread

    private func main() {
        // It may be over before its turn has come.
        let end = lock.with({ isOver }) ? .failed("terminated", traceback: nil) : call()
        if isForked { _exit(0) }
        finish(end)
    }

    private func finish(_ end: NativeEnd) {
        lock.with {
            isRunning = false
            wakeUpLocked()
        }
        ended(end)
    }

    private func abandoned() {
        if isForked { _exit(0) }
        finish(.failed("\(program.symbol) has ended its thread without returning", traceback: nil))
    }

    private func call() -> NativeEnd {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 2048) { text in
            text[0] = 0
            return call(text.baseAddress!, text.count)
        }
    }

    /// - Parameter text: room for what is wrong, `size` bytes.
    private func call(_ text: UnsafeMutablePointer<CChar>, _ size: Int) -> NativeEnd {
        guard let library = obn_library_open(program.library, text, size),
            obn_library_init(library, text, size) == 0,
            let function = obn_library_symbol(library, program.symbol, text, size)
        else { return .failed(String(cString: text), traceback: nil) }
        var signature = program.signature.raw
        let context = UnsafeMutablePointer<obn_context>.allocate(capacity: 1)
        defer {
            obn_context_free(context)
            context.deallocate()
        }
        return entry.withCString { name in
            obn_context_init(
                context,
                { carrier, request, length, answer, answerLength in
                    let run = Unmanaged<ThreadRun>.fromOpaque(carrier!).takeUnretainedValue()
                    return run.exchange(UnsafeRawBufferPointer(start: request, count: length), answer!, answerLength!)
                }, Unmanaged.passUnretained(self).toOpaque(), control, pid.raw, name)
            var result: UnsafeMutableRawPointer?
            var length = 0
            let status = arguments.withUnsafeBytes {
                obn_call(
                    function, &signature, UnsafeMutableRawPointer(context).assumingMemoryBound(to: obhut_context.self),
                    $0.baseAddress, $0.count, &result, &length, text, size)
            }
            defer { free(result) }
            if status == OBN_FAILED, context.pointee.has_failed {
                return .failed(context.failure, traceback: nil)
            }
            if status != 0 { return .failed(String(cString: text), traceback: nil) }
            let own = context.pointee.result
            if Int(signature.result) == OBN_STATUS, own.length > 0 {
                return .returned(Array(UnsafeRawBufferPointer(start: own.bytes, count: own.length)))
            }
            return .returned(Array(UnsafeRawBufferPointer(start: result, count: length)))
        }
    }

    private func exchange(
        _ request: UnsafeRawBufferPointer, _ answer: UnsafeMutablePointer<UnsafeRawPointer?>,
        _ length: UnsafeMutablePointer<Int>
    ) -> Int32 {
        if isForked { return OBHUT_FORKED }
        answerBytes.removeAll()
        lock.with { isAnswered = false }
        switch take(request, { answerBytes.appendRaw($0.bytes) }) {
        case .answered: break
        case .over: return notice()
        case .passedOn:
            lock.lock()
            while !isAnswered && !isOver { answered.wait(lock) }
            let isOver = !isAnswered
            lock.unlock()
            if isOver { return notice() }
        }
        answer.pointee = answerBytes.bytes.baseAddress
        length.pointee = answerBytes.count
        return OBHUT_OK
    }

    /// The code learns that it is over.
    private func notice() -> Int32 {
        lock.with { wakeUpLocked() }
        return OBHUT_TERMINATED
    }

    /// A zombie is none any more.
    private func wakeUpLocked() {
        guard isZombie else { return }
        isZombie = false
        execution.zombies.subtract(1, ordering: .relaxed)
    }

    // MARK: From the shell

    override func answer(_ bytes: UnsafeRawBufferPointer) {
        lock.with {
            answerBytes.appendRaw(bytes)
            isAnswered = true
            answered.signal()
        }
    }

    override func requestStop() { obn_control_stop(control) }

    override func closeLocked() {
        if isRunning {
            isZombie = true
            execution.zombies.add(1, ordering: .relaxed)
        }
        obn_control_stop(control)
        answered.signal()
    }
}

extension UnsafeMutablePointer where Pointee == obn_context {
    /// What the plugin has said by `obhut_fail`.
    var failure: String {
        withUnsafeBytes(of: &pointee.failure) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
