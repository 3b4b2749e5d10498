import CObhut
import Glibc
import Synchronization

/// The thread `obhut-watch`: fires timers, interrupts those that compute while others
/// wait, and sends for help when a step holds a worker (H2, H3, ARCHITECTURE D2).
///
/// It ticks only while some worker is awake, and sleeps until the nearest timer, or for
/// ever, when all are asleep: an idle runtime uses no CPU. `dozing` says that it sleeps
/// without a tick. A worker that wakes, and whoever arms a nearer timer, first publishes
/// that and then looks at `dozing` or `sleepsUntil`; the watch first publishes those and
/// then looks again: in sequential consistency one of the two sees the other.
final class Watch: @unchecked Sendable {  // guard notes stand on each field
    /// Nanoseconds between two looks at the workers.
    static let tick: Int64 = 5_000_000
    /// The how-manieth look at the same step interrupts it when somebody waits: with the second it has had 5 to 10 ms (H2).
    private static let slice = 2
    /// Nanoseconds on the processor between two looks, or since it was asked, that are more than none.
    static let notable: Int64 = tick / 4
    /// Nanoseconds on the processor, or in system calls that wait, in one step that count as stuck (H3).
    private static let stuckAfter: Int64 = 50_000_000
    /// Between two ends for the step limit: the first may have been enough.
    private static let overrunGrace: Int64 = 1_000_000_000

    /// So many ticks in a row that reach nobody are looked into; later, when one's word is to be the last.
    private static let suspicious = 10
    private static let certain = 100

    private unowned let scheduler: Scheduler
    private let lock = Lock()
    private let condition = Condition()
    private var stopping = false  // guarded by lock
    private var nudged = false  // guarded by lock
    private let dozing = Atomic<Bool>(false)
    private let sleepsUntil = Atomic<Int64>(.max)
    private var thread: pthread_t?  // start and stop only
    private var lastOverrun = Int64.min / 2  // the watch's own
    /// The ticks that had arrived when they were last compared, and how many were sent since to steps
    /// that were under way before; the watch's own.
    private var ticks = (arrived: UInt(0), sent: 0)
    /// How often they were found lost; the watch's own.
    private var losses = 0

    init(scheduler: Scheduler) { self.scheduler = scheduler }

    /// - Returns: false when the system gives no thread.
    func start() -> Bool {
        thread = startThread(named: "obhut-watch") { [unowned self] in self.main() }
        return thread != nil
    }

    func stop() {
        guard let thread else { return }
        lock.with {
            stopping = true
            condition.signal()
        }
        pthread_join(thread, nil)
        self.thread = nil
    }

    /// A timer nearer than all others was armed.
    func look() {
        if scheduler.timers.nearest.load(ordering: .sequentiallyConsistent)
            < sleepsUntil.load(ordering: .sequentiallyConsistent)
        {
            nudge()
        }
    }

    @inline(__always)
    func workersAwake() {
        if dozing.load(ordering: .sequentiallyConsistent) { nudge() }
    }

    private func nudge() {
        lock.with { nudged = true }
        // Who is woken takes the lock at once.
        condition.signal()
    }

    private func main() {
        var nextTick = scheduler.clock.now + Watch.tick
        while sleep(until: nextTick) {
            let now = scheduler.clock.now
            scheduler.timers.fireDue(now: now)
            if now >= nextTick {
                inspect(now: now)
                nextTick = now + Watch.tick
            }
            // The last thing before a sleep without ticks, and no wake-up of its own.
            if scheduler.hostsNow().allSatisfy(\.isAsleep) { BlockDepot.shared.trimIfWorthwhile() }
        }
    }

    /// False when the watch ends.
    private func sleep(until nextTick: Int64) -> Bool {
        lock.with {
            defer {
                dozing.store(false, ordering: .sequentiallyConsistent)
                sleepsUntil.store(.min, ordering: .sequentiallyConsistent)
            }
            if stopping { return false }
            dozing.store(true, ordering: .sequentiallyConsistent)
            let allAsleep = scheduler.hostsNow().allSatisfy(\.isAsleep)
            if !allAsleep { dozing.store(false, ordering: .sequentiallyConsistent) }
            // Published before the timers are read: whoever arms one after the read sees it.
            sleepsUntil.store(allAsleep ? .max : nextTick, ordering: .sequentiallyConsistent)
            let until = min(
                allAsleep ? .max : nextTick,
                scheduler.timers.nearest.load(ordering: .sequentiallyConsistent))
            if !nudged && until > scheduler.clock.now {
                condition.wait(lock, until: until == .max ? nil : until)
            }
            nudged = false
            return !stopping
        }
    }

    private func inspect(now: Int64) {
        for host in scheduler.hostsNow() {
            host.inspection.with {
                if host.state == .started || host.state == .stopping { inspect(host, now: now) }
            }
        }
        if ticks.sent >= (losses == 0 ? Watch.suspicious : Watch.certain) { compareTicks() }
    }

    /// Somebody may have installed a handler over ours that does not call it: then nobody who computes
    /// is interrupted or can be ended (D2). Ours is put back once; who replaces it again means to.
    private func compareTicks() {
        let arrived = obh_preempt_ticks()
        defer { ticks = (arrived, 0) }
        guard arrived == ticks.arrived, losses < 2, case .signal(let number) = scheduler.preemption,
            losses == 1 || obh_preempt_reinstall(number) != 0
        else { return }
        losses += 1
        scheduler.ticksWereLost?(losses > 1)
    }

    private func inspect(_ host: Host, now: Int64) {
        let hasWork = host.hasWork()
        var isHelpless = false
        host.withWorkers { worker in
            if look(at: worker, of: host, hasWork: hasWork, now: now) { isHelpless = true }
        }
        // Only now: who used up the last spare worker may come after others that are longer in their step.
        var longest: Worker?
        if isHelpless {
            host.withWorkers { worker in
                if worker.core.pointee.stuck.load(ordering: .relaxed), !worker.watched.isOverrun,
                    longest == nil || worker.watched.since < longest!.watched.since
                {
                    longest = worker
                }
            }
        }
        // One at a time: the end of the first may free a worker for all.
        if let longest, now - longest.watched.since > host.limits.stepLimit,
            now - lastOverrun > Watch.overrunGrace,
            let runnable = RunnablePointer(
                bitPattern: longest.core.pointee.running.load(ordering: .acquiring))
        {
            longest.watched.isOverrun = true
            lastOverrun = now
            runnable.pointee.overrun(UnsafeMutableRawPointer(runnable), longest.watched.serial)
        }
        if hasWork { host.wakeSleeper() }
    }

    /// - Returns: whether it is stuck and no spare worker is left for it.
    private func look(at worker: Worker, of host: Host, hasWork: Bool, now: Int64) -> Bool {
        let core = worker.core
        // acquire: pairs with the release in `Worker.step`.
        let running = core.pointee.running.load(ordering: .acquiring)
        let steps = core.pointee.steps.load(ordering: .relaxed)
        if hasWork { core.pointee.isTurnOfOthers.store(true, ordering: .relaxed) }
        let isSameStep = steps == worker.watched.steps && worker.watched.ticks > 0
        guard isSameStep, let runnable = RunnablePointer(bitPattern: running) else {
            // A mark set while the step was ending: see `Host.workerCameBack`.
            if core.pointee.stuck.load(ordering: .relaxed) { host.workerCameBack(core) }
            worker.watched.ticks = 0
            if let runnable = RunnablePointer(bitPattern: running) {
                let used = obh_thread_cpu_time(worker.thread)
                worker.watched = .init(
                    steps: steps, ticks: 1, cpuAtStart: used, cpuAtLook: used, since: now,
                    serial: runnable.pointee.serial)
                if runnable.pointee.attention.load(ordering: .relaxed) || !host.mayRun(worker.index) { interrupt(worker) }
            }
            return false
        }
        worker.watched.ticks += 1
        let isLong = hasWork && worker.watched.ticks >= Watch.slice
        let needsAttention = runnable.pointee.attention.load(ordering: .relaxed)
        let isToGiveWay = isLong || !host.mayRun(worker.index)
        let isBlocked = (isToGiveWay || needsAttention) && isBlocked(worker)
        // Who waits for a processor has had no turn yet. A signal would cut a system call short, and bring nobody nearer to a turn.
        let hasHadATurn = !isBlocked && worker.watched.computed >= Watch.notable
        if isToGiveWay && hasHadATurn || needsAttention {
            ticks.sent += 1
            if worker.watched.cpuWhenAsked == nil { worker.watched.cpuWhenAsked = worker.watched.cpuAtLook }
            interrupt(worker)
        }
        if core.pointee.stuck.load(ordering: .relaxed) {
            host.handOver(worker)
            return host.isExhausted && !worker.watched.isOverrun
        }
        guard isLong else { return false }
        if isBlocked { worker.watched.blockedTicks += 1 }
        let held = worker.watched.computed + Int64(worker.watched.blockedTicks) * Watch.tick
        // Who computed alone until now has held up nobody.
        let hadItsChance = isBlocked || worker.watched.hadItsChance
        return held >= Watch.stuckAfter && hadItsChance && !host.markStuck(worker)
    }

    /// Whether it has hardly computed since the last look, and waits in a system call now: one that waits for a processor
    /// holds nobody up by its own doing.
    private func isBlocked(_ worker: Worker) -> Bool {
        let used = obh_thread_cpu_time(worker.thread)
        defer { worker.watched.cpuAtLook = used }
        return used - worker.watched.cpuAtLook < Watch.notable
            && obh_thread_is_blocked(worker.threadID.load(ordering: .relaxed))
    }

    private func interrupt(_ worker: Worker) {
        if case .signal(let number) = scheduler.preemption {
            obh_preempt_thread(worker.thread, number)
        }
    }
}
