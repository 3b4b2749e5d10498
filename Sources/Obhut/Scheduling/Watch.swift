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
    /// Ticks after which a step is interrupted when somebody waits (H2: about 10 ms).
    private static let slice = 2
    /// CPU nanoseconds in one step that count as stuck (H3).
    private static let stuckAfter: Int64 = 50_000_000

    private unowned let scheduler: Scheduler
    private let lock = Lock()
    private let condition = Condition()
    private var stopping = false  // guarded by lock
    private var nudged = false  // guarded by lock
    private let dozing = Atomic<Bool>(false)
    private let sleepsUntil = Atomic<Int64>(.max)
    private var thread: pthread_t?  // start and stop only

    init(scheduler: Scheduler) { self.scheduler = scheduler }

    func start() {
        thread = startThread(named: "obhut-watch") { [unowned self] in self.main() }
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
        lock.with {
            nudged = true
            condition.signal()
        }
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
        for host in scheduler.hostsNow() where host.state == .started || host.state == .stopping {
            let hasWork = host.hasWork()
            var longest: (since: Int64, runnable: RunnablePointer)? = nil
            host.withWorkers { worker in
                // acquire: pairs with the release in `Worker.step`.
                let raw = worker.core.pointee.running.load(ordering: .acquiring)
                guard let runnable = RunnablePointer(bitPattern: raw) else { return }
                let steps = worker.core.pointee.steps.load(ordering: .relaxed)
                if steps != worker.watched.steps || worker.watched.ticks == 0 {
                    worker.watched = .init(steps: steps, ticks: 1, cpuAtStart: -1, since: now)
                } else {
                    worker.watched.ticks += 1
                }
                let wanted = runnable.pointee.attention.load(ordering: .relaxed)
                if wanted || (hasWork && worker.watched.ticks > Watch.slice) {
                    interrupt(worker)
                }
                guard hasWork, worker.watched.ticks > Watch.slice else { return }
                if worker.watched.cpuAtStart < 0 {
                    worker.watched.cpuAtStart = obh_thread_cpu_time(worker.thread)
                } else if obh_thread_cpu_time(worker.thread) - worker.watched.cpuAtStart
                    >= Watch.stuckAfter
                {
                    if !host.markStuck(worker) || host.isExhausted {
                        if longest == nil || worker.watched.since < longest!.since {
                            longest = (worker.watched.since, runnable)
                        }
                    }
                }
            }
            if let longest, now - longest.since > host.limits.stepLimit {
                longest.runnable.pointee.overrun(UnsafeMutableRawPointer(longest.runnable))
            }
            if hasWork { host.wakeSleeper() }
        }
    }

    private func interrupt(_ worker: Worker) {
        if case .signal(let number) = scheduler.preemption {
            obh_preempt_thread(worker.thread, number)
        }
    }
}
