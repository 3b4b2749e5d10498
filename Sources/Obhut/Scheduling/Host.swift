import CObhut
import Glibc
import Synchronization

/// The limits of a process host, as its entry gives them (ENTRIES, `process.host`).
struct HostLimits: Sendable {
    var workers = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    var maxProcesses = 0  // 0: no limit
    var mailboxMessages = 1_000_000  // 0: no limit
    var mailboxBytes = 256 << 20  // bytes
    var maxMessage = 16 << 20  // bytes, one payload, encoded
    var processMemory = 256 << 20  // bytes; 0: no limit
    var spareWorkers = 4
    var stepLimit: Int64 = 5_000_000_000  // nanoseconds
}

/// A pool of worker threads and the queues they share (H1–H4).
///
/// Order of choice of a free worker: the urgent lane; its own queue of the woken, with a
/// preference for whom it has woken just now (`LocalQueue`), and its end, the `overflow`; the injector (what other
/// threads woke), which with each tick of the watch has as many turns before its own queue as that
/// has had (`takeInjected`); after every `turn` woken ones, and when none is left, in turns one that
/// is new and one that was interrupted; at last it robs its siblings. Then it sleeps.
///
/// Sleeping: a worker counts itself into `sleepers`, looks once more, and waits. Whoever
/// enqueues first pushes, then looks at `sleepers`. Both in sequential consistency, so
/// that one of the two sees the other. A spare worker that was woken and may not run any
/// more passes the wake-up on. One sleeper of all hosts may do so in an `IdlePoll`: of a host's own it
/// is woken last.
final class Host: @unchecked Sendable {  // guard notes stand on each field
    enum State: Int { case created, started, stopping, stopped }

    let name: String  // "namespace:name"
    /// 1, 2, … in the order in which the scheduler got to know its hosts.
    let index: Int
    /// `{name|0x`, what the text of a pid on this host begins with.
    let pidPrefix: UnsafeBufferPointer<UInt8>
    let limits: HostLimits
    /// The bounds of its mailboxes as a sender compares them: messages, units of 16 bytes.
    let mailboxBounds: (messages: UInt64, bytes: UInt64)
    unowned let scheduler: Scheduler

    /// Lifecycle state; written under `lock`, read anywhere.
    private let stateWord = Atomic<Int>(State.created.rawValue)
    /// Processes alive on this host.
    let processCount = Atomic<Int>(0)

    let injector = RunQueue()
    /// Those that workers of this host woke and that had no place in their own queues. As long as there are any, whoever is woken, or
    /// has had its turn, goes behind them: the own queues run dry, and each of thousands has as many turns.
    let overflow = RunQueue()
    let urgent = RunQueue()
    /// Those that have not run yet.
    let fresh = RunQueue()
    /// Those that were interrupted. One queue for all workers, so that each of them has as much of them: an entry is worth a whole
    /// turn, beside which the lock is nothing.
    private let interrupted = RunQueue()

    private let lock = Lock()
    private let wakeUp = Condition()
    private let wakeSpare = Condition()
    /// Workers asleep. Written under `lock`, read without it by `enqueue`.
    private let sleepers = Atomic<Int>(0)
    /// For one of those awake that have nothing to do.
    private let lookout = Lookout()
    /// A hint: who looked out last was called, and comes back to it soon.
    private let looksOutAgain = Atomic<Bool>(false)
    private var tickets = 0  // guarded by lock: wake-ups given and not yet taken
    private var resting = 0  // guarded by lock: those of them that wait for `wakeUp`
    private var polling: IdlePoll?  // guarded by lock: what one of them waits in
    /// Workers that neither sleep nor, as spare ones, wait to be needed. Written under
    /// `lock`, read without it by the watch.
    private let awake = Atomic<Int>(0)
    /// Held by the watch and by `interrupt` while they look at the workers, and taken once by `stop` before
    /// it joins them: a thread that was joined must not be asked for its time, nor signalled.
    let inspection = Lock()
    /// Workers whose step holds them too long; as many spare ones may run.
    private let stuckCount = Atomic<Int>(0)
    /// Threads that were left to themselves when the host stopped, and have not come back.
    let strandedCount = Atomic<Int>(0)

    /// Normal workers first, then the spare ones; slots are filled under `lock`, and the
    /// array is allocated whole at start, so that siblings may read it without the lock.
    private let workers: UnsafeMutablePointer<Unmanaged<Worker>?>
    private let workerCapacity: Int
    private let workerCount = Atomic<Int>(0)

    /// After so many woken ones an interrupted one has its turn (H2).
    private static let turn = 8
    /// As many as its own queue has places. Where turns are short there are thousands in a tick, and one from the injector, whose
    /// memory is in no cache, costs more than one of its own.
    private static let mostInjectorTurns = Int(LocalQueue.capacity)
    /// Looks: one or two microseconds, what it costs to wake a thread.
    private static let shortLook = 32
    /// So many spare workers more has a host that stops: whoever is there has to end, also if all others are held by what
    /// never returns, and if the first ends do not return either (V4).
    private static let helpers = 8
    /// A stop by force looks at the same step so often before it counts as stuck.
    private static let stuckLooks = 2

    init(name: String, index: Int, limits: HostLimits, scheduler: Scheduler) {
        self.index = index
        self.name = name
        self.limits = limits
        mailboxBounds = (
            limits.mailboxMessages == 0 ? (1 << 28) - 2 : UInt64(min(limits.mailboxMessages, (1 << 28) - 2)),
            limits.mailboxBytes == 0 ? (1 << 36) - (1 << 28) : UInt64(limits.mailboxBytes / 16)
        )
        self.scheduler = scheduler
        let prefix = Array("{\(name)|0x".utf8)
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: prefix.count)
        _ = copy.initialize(from: prefix)
        pidPrefix = UnsafeBufferPointer(copy)
        workerCapacity = limits.workers + limits.spareWorkers + Host.helpers
        workers = .allocate(capacity: max(1, workerCapacity))
        workers.initialize(repeating: nil, count: max(1, workerCapacity))
    }

    deinit {
        for i in 0..<workerCount.load(ordering: .relaxed) { workers[i]?.release() }
        workers.deallocate()
        pidPrefix.deallocate()
    }

    /// Sequentially consistent, see `spawn`.
    var state: State { State(rawValue: stateWord.load(ordering: .sequentiallyConsistent))! }

    // MARK: Life

    /// Starts its workers; with fewer threads than it wants it runs all the same, without one it is not started.
    /// - Returns: false when the system did not give all threads.
    @discardableResult
    func start() -> Bool {
        let hasAll = lock.with { () -> Bool in
            guard state == .created else { return true }
            var hasAll = true
            if scheduler.simulation == nil {
                for _ in 0..<limits.workers where hasAll { hasAll = addWorkerLocked(isSpare: false) }
                if workerCount.load(ordering: .relaxed) == 0 { return false }
            }
            stateWord.store(State.started.rawValue, ordering: .sequentiallyConsistent)
            return hasAll
        }
        scheduler.workersAwake()
        return hasAll
    }

    /// No new process from now on.
    func beginStop() {
        lock.with {
            if state == .started {
                stateWord.store(State.stopping.rawValue, ordering: .sequentiallyConsistent)
                // Those who were stuck when there was no spare one for them have one now.
                helpLocked()
            }
        }
    }

    /// Ends the worker threads and waits for them. Every process has ended before, but for those that are held.
    /// - Parameter leavingHeld: threads that were held at the last look, with as many looks, are left to themselves. This object, and all
    ///   that it knows, is there for ever then.
    func stop(leavingHeld looks: Int? = nil) {
        lock.with {
            stateWord.store(State.stopped.rawValue, ordering: .sequentiallyConsistent)
            wakeUp.broadcast()
            polling?.interrupt()
            wakeSpare.broadcast()
        }
        // From here on no worker is added, and the watch does not look at them any more.
        inspection.with {}
        withWorkers { worker in
            let isStranded = lock.with { () -> Bool in
                guard let looks, worker.heldStep.looks >= looks, !worker.hasLeft else { return false }
                worker.isStranded = true
                strandedCount.add(1, ordering: .relaxed)
                return true
            }
            if isStranded { worker.detach() } else { worker.join() }
        }
    }

    /// The last that a worker's thread does with the host, which may be gone as soon as it was joined.
    func workerLeaves(_ worker: Worker) {
        lock.with {
            worker.hasLeft = true
            if worker.isStranded { strandedCount.subtract(1, ordering: .relaxed) }
        }
    }

    @discardableResult
    private func addWorkerLocked(isSpare: Bool) -> Bool {
        let index = workerCount.load(ordering: .relaxed)
        let worker = Worker(
            index: index, host: self, isSpare: isSpare, seed: scheduler.nextSeed())
        _ = awake.add(1, ordering: .sequentiallyConsistent)
        guard worker.start() else {
            _ = awake.subtract(1, ordering: .sequentiallyConsistent)
            return false
        }
        workers[index] = Unmanaged.passRetained(worker)
        // release: whoever sees the count sees the worker and its thread.
        workerCount.store(index + 1, ordering: .releasing)
        return true
    }

    /// The workers, for the watch and for thieves.
    @inline(__always)
    func withWorkers(_ body: (Worker) -> Void) {
        for i in 0..<workerCount.load(ordering: .acquiring) {
            workers[i].unsafelyUnwrapped._withUnsafeGuaranteedRef(body)
        }
    }

    // MARK: Enqueue

    /// A runnable that was woken. Any thread.
    @inline(__always)
    func enqueue(_ runnable: RunnablePointer) {
        if let worker = WorkerCore.current,
            worker.pointee.host?.toOpaque() == Unmanaged.passUnretained(self).toOpaque()
        {
            worker.pointee.queue.push(runnable, overflow)
            // One entry will be run by this worker itself as soon as its present step is
            // over; waking a sibling for it would only move the process across cores. If
            // the present step is long, the watch wakes one.
            if worker.pointee.queue.count > 1 || !overflow.isEmpty {
                atomicMemoryFence(ordering: .sequentiallyConsistent)
                wakeSleeper()
            }
            return
        }
        enqueueSlowly(runnable)
    }

    private func enqueueSlowly(_ runnable: RunnablePointer) {
        if let simulation = scheduler.simulation { return simulation.add(runnable) }
        injector.push(runnable)
        if !isTakenAtOnce() { wakeSleeper() }
    }

    /// Who answers and is spoken to again at once has not yet come to look out: a sibling that is woken instead finds nothing to do,
    /// and takes its processor. So first a look, no longer than it takes to wake one, whether the injector's new entry is taken.
    private func isTakenAtOnce() -> Bool {
        guard looksOutAgain.load(ordering: .relaxed), sleepers.load(ordering: .relaxed) > 0, !isOwnWorker else { return false }
        for _ in 0..<Host.shortLook {
            if injector.isEmpty || lookout.call() { return true }
            obh_relax()
        }
        // Its step is longer than that.
        looksOutAgain.store(false, ordering: .relaxed)
        return false
    }

    /// A runnable at the beginning of its life. Any thread.
    ///
    /// It is not woken: nobody waits for its answer yet. Among the woken, a thousand new ones
    /// that compute would take a slice each before anybody else had a turn (H2).
    func enqueueNew(_ runnable: RunnablePointer) {
        if let simulation = scheduler.simulation { return simulation.add(runnable) }
        fresh.push(runnable)
        // As in `enqueue`.
        if !isOwnWorker || fresh.count > 1 { wakeSleeper() }
    }

    /// Whether this thread is a worker of this host.
    private var isOwnWorker: Bool {
        WorkerCore.current?.pointee.host?.toOpaque() == Unmanaged.passUnretained(self).toOpaque()
    }

    /// A runnable that was interrupted, and is `queued`; only from the worker that ran it. Who was taken from the urgent lane
    /// while it stood among the interrupted keeps its place there.
    func enqueueInterrupted(_ runnable: RunnablePointer) {
        if let simulation = scheduler.simulation { return simulation.addInterrupted(runnable) }
        // Whoever takes the entry that is there clears this first and then looks at the phase: it sees `queued`.
        if runnable.pointee.interruptedLife.exchange(runnable.pointee.serial &+ 1, ordering: .sequentiallyConsistent) == 0 {
            interrupted.push(runnable)
        }
    }

    /// For a worker whose process has more to do, though nobody has interrupted it.
    enum Wait {
        case nobody
        /// Somebody who was woken, or is wanted urgently: whose turn is short, or has been long in coming.
        case woken
        /// Somebody, for about as long as a turn lasts; or this is a spare worker that has to go.
        case long
    }

    /// Who waits for the worker that this is. Where nobody looks after that (in simulation): somebody.
    static var waiting: Wait {
        guard let worker = WorkerCore.current, let host = worker.pointee.host else { return .long }
        if worker.pointee.isTurnOfOthers.load(ordering: .relaxed) { return .long }
        return host._withUnsafeGuaranteedRef {
            if !$0.mayRun(worker.pointee.index) { return .long }
            return worker.pointee.queue.count > 0 || !$0.injector.isEmpty || !$0.overflow.isEmpty || !$0.urgent.isEmpty
                ? .woken : .nobody
        }
    }

    func enqueueUrgently(_ runnable: RunnablePointer) {
        if let simulation = scheduler.simulation { return simulation.add(runnable) }
        urgent.push(runnable)
        // As in `enqueue`: this worker looks there first as soon as its present step is over.
        if !isOwnWorker || urgent.count > 1 { wakeSleeper() }
    }

    /// Interrupts the step of one that runs, for a lethal signal. A look that may fail: while somebody else looks at the
    /// workers, or when the worker is just between two pieces of Lua, the watch's next tick does it.
    func interrupt(_ runnable: RunnablePointer) {
        // Tried, not waited for: the watch calls this itself, with its look under way (`Runnable.overrun`).
        guard case .signal(let number) = scheduler.preemption, inspection.try() else { return }
        defer { inspection.unlock() }
        guard state == .started || state == .stopping else { return }
        withWorkers { worker in
            if worker.core.pointee.running.load(ordering: .acquiring) == UInt(bitPattern: runnable),
                worker.core != WorkerCore.current
            {
                obh_preempt_thread(worker.thread, number)
            }
        }
    }

    @inline(__always)
    func wakeSleeper() {
        if lookout.call() && !isLookingOutHere { return }
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 { wakeSleeperSlowly() }
    }

    /// Whether it was this thread itself that has been called. It deals with what it has heard (`IdlePoll.look`), and runs only
    /// afterwards what it has made ready by that.
    private var isLookingOutHere: Bool {
        WorkerCore.current.map { $0.pointee.isLookingOut } == true && isOwnWorker
    }

    /// For a worker that deals with one thing after the other of what an `IdlePoll` has heard: what the first ones have made ready is
    /// not to wait for the next one. (`enqueue` wakes nobody for it: within a step there would be no need.)
    static func shareReady() {
        guard let worker = WorkerCore.current, worker.pointee.queue.count > 0 else { return }
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        worker.pointee.host?._withUnsafeGuaranteedRef { $0.wakeSleeper() }
    }

    /// Signals after the lock was given back: who is woken takes it at once.
    private func wakeSleeperSlowly() {
        switch lock.with({ giveTicketLocked() }) {
        case nil: break
        case .resting: wakeUp.signal()
        case .polling(let poll): poll.interrupt()
        }
    }

    private enum Sleeper {
        case resting
        case polling(IdlePoll)
    }

    /// - Returns: who is to be woken for it; nil: nobody.
    private func giveTicketLocked() -> Sleeper? {
        guard tickets < sleepers.load(ordering: .relaxed) else { return nil }
        tickets += 1
        if tickets > resting, let polling { return .polling(polling) }
        return .resting
    }

    /// One of them, whoever it is, comes by for what was pushed.
    private func wakeAnyLocked() {
        wakeUp.signal()
        polling?.interrupt()
    }

    // MARK: Choose

    /// What `worker` runs next, taken; nil when there is nothing.
    @inline(__always)
    func choose(for worker: WorkerPointer) -> RunnablePointer? {
        if !urgent.isEmpty, let runnable = take(from: urgent) { return runnable }
        worker.pointee.sinceInjector &+= 1
        if worker.pointee.streak >= Host.turn || worker.pointee.sinceInjector >= 61 {
            if let runnable = chooseFairly(for: worker) { return runnable }
        }
        if worker.pointee.isTurnOfOthers.load(ordering: .relaxed) {
            worker.pointee.isTurnOfOthers.store(false, ordering: .relaxed)
            worker.pointee.queueStreak = LocalQueue.turns
            worker.pointee.injectorTurns = min(worker.pointee.ownTurns, Host.mostInjectorTurns)
            worker.pointee.ownTurns = 0
        }
        if worker.pointee.injectorTurns > 0, let runnable = takeInjected(worker) { return runnable }
        while let runnable = worker.pointee.queue.take(&worker.pointee.queueStreak, overflow) {
            if runnable.pointee.takeWord() {
                worker.pointee.streak &+= 1
                worker.pointee.ownTurns &+= 1
                return runnable
            }
        }
        return chooseElsewhere(for: worker)
    }

    /// As many turns for the injector as its own queue has had in a tick: who waits there waits for turns, however long these are.
    /// One after the other, and not in between: what its own queue has is in this core's cache. After a tick without turns of its own
    /// its own queue has the next ones, so that it waits for hardly more than one.
    private func takeInjected(_ worker: WorkerPointer) -> RunnablePointer? {
        guard let runnable = take(from: injector) else {
            worker.pointee.injectorTurns = 0
            return nil
        }
        worker.pointee.injectorTurns &-= 1
        worker.pointee.streak &+= 1
        return runnable
    }

    /// The turn of those that would otherwise wait behind the woken for ever.
    private func chooseFairly(for worker: WorkerPointer) -> RunnablePointer? {
        if worker.pointee.streak >= Host.turn {
            worker.pointee.streak = 0
            if let runnable = takeUnwoken(worker) { return runnable }
        }
        if worker.pointee.sinceInjector >= 61 {
            worker.pointee.sinceInjector = 0
            if let runnable = take(from: injector) { return runnable }
        }
        return nil
    }

    private func chooseElsewhere(for worker: WorkerPointer) -> RunnablePointer? {
        if let runnable = take(from: overflow) {
            worker.pointee.streak &+= 1
            worker.pointee.ownTurns &+= 1
            return runnable
        }
        if let runnable = take(from: injector) {
            worker.pointee.streak &+= 1
            return runnable
        }
        worker.pointee.streak = 0
        if let runnable = takeUnwoken(worker) { return runnable }
        return rob(for: worker)
    }

    /// A new one and an interrupted one in turns.
    private func takeUnwoken(_ worker: WorkerPointer) -> RunnablePointer? {
        worker.pointee.isTurnOfNew.toggle()
        if worker.pointee.isTurnOfNew {
            return take(from: fresh) ?? takeInterrupted()
        }
        return takeInterrupted() ?? take(from: fresh)
    }

    private func takeInterrupted() -> RunnablePointer? {
        while let runnable = interrupted.pop() {
            // Before the phase is looked at: see `enqueueInterrupted`.
            runnable.pointee.interruptedLife.store(0, ordering: .sequentiallyConsistent)
            if runnable.pointee.takeWord() { return runnable }
        }
        return nil
    }

    private func rob(for worker: WorkerPointer) -> RunnablePointer? {
        let count = workerCount.load(ordering: .acquiring)
        guard count > 1 else { return nil }
        let first = worker.pointee.random.below(count)
        for offset in 0..<count {
            let victim = workers[(first + offset) % count].unsafelyUnwrapped
                .takeUnretainedValue().core
            if victim == worker { continue }
            while let runnable = victim.pointee.queue.pop() {
                if runnable.pointee.takeWord() { return runnable }
            }
        }
        return nil
    }

    private func take(from queue: RunQueue) -> RunnablePointer? {
        while let runnable = queue.pop() {
            if runnable.pointee.takeWord() { return runnable }
        }
        return nil
    }

    // MARK: Sleep

    /// Looks out for a while, if that is worthwhile. True: there may be something to run.
    func lookOut(_ worker: WorkerPointer) -> Bool {
        guard worker.pointee.patience.isWorthwhile, worker.pointee.index < limits.workers, lookout.take() else { return false }
        let poll = scheduler.idlePoll.flatMap { $0.tryTake() ? $0 : nil }
        worker.pointee.isLookingOut = true
        let look = hasWork() ? .came : Patience.lookOut(elsewhere: poll?.look) { lookout.wasCalled }
        worker.pointee.isLookingOut = false
        poll?.giveBack()
        // Who was not called by now looks once more in `park`.
        let end = lookout.giveBack(after: look)
        worker.pointee.patience.lookedOut(end)
        looksOutAgain.store(end == .came, ordering: .relaxed)
        return end == .came
    }

    /// Sleeps until there may be something to run. False when the host has stopped.
    func park(_ worker: WorkerPointer) -> Bool {
        Blocks.handIn(worker)
        let index = worker.pointee.index
        let start = scheduler.clock.now
        let running = lock.with {
            awake.subtract(1, ordering: .sequentiallyConsistent)
            _ = sleepers.add(1, ordering: .sequentiallyConsistent)
            defer {
                sleepers.subtract(1, ordering: .sequentiallyConsistent)
                awake.add(1, ordering: .sequentiallyConsistent)
            }
            // The last look: what was pushed before the push's look at `sleepers` is seen here.
            while state != .stopped {
                if !mayRun(index) {
                    // It may have been signalled in the place of one that may.
                    if tickets > 0 { wakeAnyLocked() }
                    return true
                }
                // A ticket is taken with the work it was given for: one left behind would
                // keep the next wake-up from a sibling that sleeps on (`giveTicketLocked`).
                // Whoever was signalled in its stead looks for work all the same.
                if tickets > 0 {
                    tickets -= 1
                    worker.pointee.patience.slept(scheduler.clock.now - start)
                    return true
                }
                if hasWork() { return true }
                if index < limits.workers, let poll = scheduler.idlePoll, poll.tryTake() {
                    waitLocked(in: poll)
                    worker.pointee.patience.slept(scheduler.clock.now - start)
                    // What has come is in the queues; so is what a ticket was given for.
                    if tickets > 0 { tickets -= 1 }
                    return state != .stopped
                }
                resting += 1
                wakeUp.wait(lock)
                resting -= 1
            }
            return false
        }
        scheduler.workersAwake()
        return running
    }

    private func waitLocked(in poll: IdlePoll) {
        polling = poll
        lock.unlock()
        poll.wait()
        lock.lock()
        polling = nil
        poll.giveBack()
    }

    /// Whether any queue of this host has an entry.
    func hasWork() -> Bool {
        if !urgent.isEmpty || !injector.isEmpty || !overflow.isEmpty || !fresh.isEmpty || !interrupted.isEmpty { return true }
        var found = false
        withWorkers { if $0.core.pointee.queue.count > 0 { found = true } }
        return found
    }

    /// How many stand in its run queues, about; any thread.
    var queuedCount: Int {
        inspection.with {
            // `stop` takes the lock once before the workers go.
            guard state == .started || state == .stopping else { return 0 }
            var count = injector.count + overflow.count + urgent.count + fresh.count + interrupted.count
            withWorkers { count += $0.core.pointee.queue.count }
            return count
        }
    }

    /// Whether no worker runs; the watch sleeps then. A worker counts itself awake before it
    /// tells the watch (`workersAwake`), so one sees the other.
    var isAsleep: Bool {
        awake.load(ordering: .sequentiallyConsistent) == 0
            && stuckCount.load(ordering: .sequentiallyConsistent) == 0
    }

    // MARK: Stuck workers (H3)

    /// Whether the worker is no spare one, or is needed. What runs on another is to give way, so that no more processes run at
    /// a time than there are workers (H1).
    @inline(__always)
    func mayRun(_ index: Int) -> Bool {
        index < limits.workers || index - limits.workers < stuckCount.load(ordering: .acquiring)
    }

    func parkSpare(_ worker: Worker) -> Bool {
        Blocks.handIn(worker.core)
        // Those who have something else to do would never look for them here.
        handOver(worker)
        return lock.with {
            // The work for which it was woken, or that it had begun to gather, is for others.
            if hasWork() && giveTicketLocked() != nil { wakeAnyLocked() }
            awake.subtract(1, ordering: .sequentiallyConsistent)
            defer { awake.add(1, ordering: .sequentiallyConsistent) }
            while state != .stopped {
                if mayRun(worker.index) { return true }
                wakeSpare.wait(lock)
            }
            return false
        }
    }

    /// The watch found that `worker`'s step holds it too long.
    /// - Returns: false when no spare worker is left to help out.
    func markStuck(_ worker: Worker) -> Bool {
        guard
            worker.core.pointee.stuck.compareExchange(
                expected: false, desired: true, ordering: .acquiringAndReleasing
            ).exchanged
        else { return true }
        let stuck = stuckCount.add(1, ordering: .acquiringAndReleasing).newValue
        guard stuck <= spareLimit else { return false }
        lock.with { _ = helpLocked() }
        return true
    }

    private var spareLimit: Int { limits.spareWorkers + (state == .stopping ? Host.helpers : 0) }

    /// Adds a spare worker if fewer are there than are needed. Without a thread for it the next step that is stuck tries again.
    /// - Returns: whether it has.
    @discardableResult
    private func helpLocked() -> Bool {
        let stuck = min(stuckCount.load(ordering: .acquiring), spareLimit)
        guard state != .stopped, stuck > 0 else { return false }
        defer { wakeSpare.broadcast() }
        return workerCount.load(ordering: .relaxed) < limits.workers + stuck && addWorkerLocked(isSpare: true)
    }

    /// One of the looks of a stop by force (V4), which come one after the other.
    /// - Parameters:
    ///   - looks: whoever is still in the same step after so many is held.
    ///   - isAnew: something has ended since the last one, so all have their time once more.
    /// - Returns: what they hold, and whether nobody is left, nor can come, for all others.
    func lookForHeld(longerThan looks: Int, isAnew: Bool) -> (held: [RunnablePointer], isForsaken: Bool) {
        var held: [RunnablePointer] = []
        var hasOther = false
        withWorkers { worker in
            // acquire: pairs with the release in `Worker.step`.
            let running = RunnablePointer(bitPattern: worker.core.pointee.running.load(ordering: .acquiring))
            let number = worker.core.pointee.steps.load(ordering: .relaxed)
            let isSame = running != nil && number == worker.heldStep.number && !isAnew
            worker.heldStep = (number, isSame ? worker.heldStep.looks + 1 : 0)
            // The watch may see it otherwise: it does not count what waits for a processor.
            if worker.heldStep.looks >= Host.stuckLooks { _ = markStuck(worker) }
            if let running, worker.heldStep.looks >= looks { held.append(running) } else { hasOther = true }
        }
        let isHelped = lock.with { helpLocked() }
        return (held, !held.isEmpty && !hasOther && !isHelped)
    }

    /// Hands what waits behind a stuck worker's step, or in a spare one's queue when it goes, to all others: left there it
    /// would be robbed only by one that has nothing else to do.
    func handOver(_ worker: Worker) {
        while let runnable = worker.core.pointee.queue.pop() { injector.push(runnable) }
    }

    /// All spare workers are in use, and more workers than that are stuck.
    var isExhausted: Bool { stuckCount.load(ordering: .acquiring) > spareLimit }

    /// Its step is over. The worker itself looks after each step whether it was marked; a
    /// mark that comes after that look is taken back by the watch at its next tick.
    func workerCameBack(_ worker: WorkerPointer) {
        if worker.pointee.stuck.compareExchange(
            expected: true, desired: false, ordering: .acquiringAndReleasing
        ).exchanged {
            stuckCount.subtract(1, ordering: .acquiringAndReleasing)
        }
    }
}
