import CObhut
import Glibc
import Synchronization

typealias WorkerPointer = UnsafeMutablePointer<WorkerCore>

/// What a worker thread needs at each step, without a class in the way.
///
/// Owner's alone, except the atomics: `queue` is robbed by siblings, and the watch
/// reads `running`, `steps` and `spinning` to tell who holds a worker for how long.
struct WorkerCore: ~Copyable {
    let index: Int
    /// Nil in simulation, where one thread serves every host.
    let host: Unmanaged<Host>?

    /// The woken that this worker will run next.
    let queue = LocalQueue()
    /// How many of them in a row were woken just before (`LocalQueue.take`).
    var queueStreak = 0
    /// Set by the watch at each tick when somebody waits, cleared by the owner: such a row has lasted long enough.
    let isTurnOfOthers = Atomic<Bool>(false)
    /// Turns that its own queue has had since that was last cleared.
    var ownTurns = 0
    /// So many are the injector's now.
    var injectorTurns = 0

    /// What runs now; 0 between steps. Written by the owner, read by the watch.
    let running = Atomic<UInt>(0)
    /// Counts steps; written by the owner only. An unchanged count is an unfinished step.
    let steps = Atomic<UInt64>(0)
    /// Set by the watch when a step holds the worker too long, cleared by whoever swaps it.
    let stuck = Atomic<Bool>(false)

    /// Woken runnables run since an interrupted one was given its turn (H2).
    var streak = 0
    /// Whose turn it was last among those that were not woken.
    var isTurnOfNew = false
    /// Steps since the injector was looked at first.
    var sinceInjector = 0
    var random: RandomSource
    /// Whether it looks out before it sleeps.
    var patience = Patience()
    /// It does so.
    var isLookingOut = false

    /// Free blocks for the layer above (signals); see `Blocks`.
    var blocks = BlockCache()
    /// Memory that the layer above uses while it is inside one call; freed with the worker.
    var scratch: UnsafeMutableRawPointer? = nil

    init(index: Int, host: Host?, seed: UInt64) {
        self.index = index
        self.host = host.map { Unmanaged.passUnretained($0) }
        random = RandomSource(seed: seed)
    }

    /// The worker that this thread is, nil on any other thread.
    @inline(__always)
    static var current: WorkerPointer? {
        obh_current_worker()?.assumingMemoryBound(to: WorkerCore.self)
    }
}

/// A worker thread of a host: takes runnables and runs them, one step at a time.
final class Worker: @unchecked Sendable {  // `core` is the thread's own but for its atomics
    let core: WorkerPointer
    /// The core's, for other threads: to the thread sanitizer each change of the core by its owner is one of its first field, too.
    let index: Int
    unowned let host: Host  // which owns it, and joins its thread before it goes
    /// Spare workers run only while others are stuck (H3).
    let isSpare: Bool
    private(set) var thread = pthread_t()  // written before `started`
    /// The system's number of the thread; 0 until it runs.
    let threadID = Atomic<Int32>(0)
    /// The step that the watch last saw here; the watch's own.
    var watched = Watched()
    /// The step that a stop by force last saw here, and at how many looks since; the own of who stops.
    var heldStep = (number: UInt64.max, looks: 0)
    /// It has come to the end of what it does here.
    var hasLeft = false  // guarded by the host's lock
    /// Its thread is not waited for.
    var isStranded = false  // guarded by the host's lock

    struct Watched {
        var steps: UInt64 = 0
        /// Looks at this same step.
        var ticks = 0
        /// CPU time of the thread when the step was first seen, and at the last look.
        var cpuAtStart: Int64 = 0
        var cpuAtLook: Int64 = 0
        /// Since then; nanoseconds.
        var computed: Int64 { cpuAtLook - cpuAtStart }
        /// CPU time when it was first asked to give way; nil: it was not.
        var cpuWhenAsked: Int64?
        /// It has computed since: Lua would have noticed, and given way.
        var hadItsChance: Bool { cpuWhenAsked.map { cpuAtLook - $0 >= Watch.notable } == true }
        /// Looks at which it waited in a system call.
        var blockedTicks = 0
        var since: Int64 = 0
        /// Of the runnable, when the step was first seen.
        var serial: UInt64 = 0
        /// Its runnable was told that the step is over the limit.
        var isOverrun = false
    }

    init(index: Int, host: Host, isSpare: Bool, seed: UInt64) {
        self.index = index
        self.host = host
        self.isSpare = isSpare
        core = .allocate(capacity: 1)
        core.initialize(to: WorkerCore(index: index, host: host, seed: seed))
    }

    deinit {
        core.deinitialize(count: 1)
        core.deallocate()
    }

    /// - Returns: false when the system gives no thread.
    func start() -> Bool {
        let started = startThread(
            named: "obhut-\(isSpare ? "s" : "w")\(core.pointee.index)",
            interruptedBy: host.scheduler.preemptionSignal
        ) { [unowned self] in self.main() }
        guard let started else { return false }
        thread = started
        return true
    }

    func join() { pthread_join(thread, nil) }
    func detach() { pthread_detach(thread) }

    private func main() {
        obh_set_current_worker(core)
        threadID.store(obh_thread_id(), ordering: .relaxed)
        let host = host  // once, and not at each step
        while let runnable = next(of: host) { Worker.step(core, runnable) }
        Blocks.handIn(core)
        if let scratch = core.pointee.scratch { Glibc.free(scratch) }
        core.pointee.scratch = nil
        obh_set_current_worker(nil)
        host.workerLeaves(self)
    }

    /// Runs one step of what this thread has taken.
    @inline(__always)
    static func step(_ core: WorkerPointer, _ runnable: RunnablePointer) {
        let steps = core.pointee.steps.load(ordering: .relaxed)
        core.pointee.steps.store(steps &+ 1, ordering: .relaxed)
        // release: the watch that reads `running` also sees the new step count.
        core.pointee.running.store(UInt(bitPattern: runnable), ordering: .releasing)
        runnable.pointee.run(UnsafeMutableRawPointer(runnable))
        core.pointee.running.store(0, ordering: .releasing)
        if core.pointee.stuck.load(ordering: .relaxed) {
            core.pointee.host?._withUnsafeGuaranteedRef { $0.workerCameBack(core) }
        }
    }

    /// Waits for something to run; nil when the host stops.
    private func next(of host: Host) -> RunnablePointer? {
        while true {
            if !host.mayRun(core.pointee.index) {
                guard host.parkSpare(self) else { return nil }
                continue
            }
            if let runnable = host.choose(for: core) { return runnable }
            if host.lookOut(core) { continue }
            guard host.park(core) else { return nil }
        }
    }
}
