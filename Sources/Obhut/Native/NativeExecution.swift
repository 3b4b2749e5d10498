import CNative
import Synchronization

/// What the native processes of one runtime share: the child processes, the threads, and what is counted of them.
final class NativeExecution: @unchecked Sendable {  // immutable
    let workers: NativeWorkers
    let threads = NativeThreads()
    /// Calls of C functions that Lua waits for.
    let calls = NativeCalls()
    /// Threads whose process is over and whose code has neither returned nor asked anything since.
    let zombies = Atomic<Int>(0)

    /// - Parameter worker: the path of the worker program; nil: it is looked for beside the library.
    init(worker: String?, scheduler: Scheduler) {
        workers = NativeWorkers(program: worker, began: { [unowned scheduler] in scheduler.setIdlePoll($0) })
    }

    /// Every process has ended; waits until no child is left, and no thread but zombies.
    func close() {
        workers.close()
        calls.close()
        threads.close()
    }

    static func of(_ system: ProcessSystem) -> NativeExecution? {
        system.native.map { unsafeDowncast($0, to: NativeExecution.self) }
    }
}
