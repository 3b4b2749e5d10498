import CObhut
import Glibc

/// A runtime on one thread, in virtual time, in an order given by a seed (T2).
///
/// The caller's thread is the only worker. What may run next stands in two bags, the
/// woken and the interrupted, and one is drawn by chance; when both are empty, time
/// jumps to the next timer. The same seed gives the same run.
final class Simulation: @unchecked Sendable {  // one thread uses it, by its contract
    private let clock: Clock
    private let timers: Timers
    private var random: RandomSource
    private var woken: [RunnablePointer] = []
    private var interrupted: [RunnablePointer] = []
    private let core: WorkerPointer
    /// Steps run so far.
    private(set) var steps = 0

    init(clock: Clock, timers: Timers, seed: UInt64) {
        self.clock = clock
        self.timers = timers
        random = RandomSource(seed: seed)
        core = .allocate(capacity: 1)
        core.initialize(to: WorkerCore(index: 0, host: nil, seed: seed &+ 1))
    }

    deinit {
        Blocks.handIn(core)
        if let scratch = core.pointee.scratch { free(scratch) }
        core.deinitialize(count: 1)
        core.deallocate()
    }

    func add(_ runnable: RunnablePointer) { woken.append(runnable) }
    func addInterrupted(_ runnable: RunnablePointer) { interrupted.append(runnable) }

    /// Runs one step, after jumping in time where nothing else can run.
    /// - Parameter horizon: virtual time (nanoseconds) that is not passed.
    /// - Returns: false when nothing is left to do before the horizon.
    func step(until horizon: Int64 = .max) -> Bool {
        while true {
            if let runnable = draw() {
                guard runnable.pointee.takeWord() else { continue }
                let outer = obh_current_worker()
                obh_set_current_worker(core)
                Worker.step(core, runnable)
                obh_set_current_worker(outer)
                steps += 1
                return true
            }
            let nearest = timers.nearest.load(ordering: .relaxed)
            guard nearest != .max, nearest <= horizon else { return false }
            clock.advance(to: nearest)
            timers.fireDue(now: clock.now)
        }
    }

    /// Runs until nothing can run and no timer is left before `horizon`.
    func run(until horizon: Int64 = .max) {
        while step(until: horizon) {}
        if horizon != .max { clock.advance(to: horizon) }
    }

    private func draw() -> RunnablePointer? {
        if !interrupted.isEmpty, woken.isEmpty || random.below(9) == 0 {
            return remove(from: &interrupted)
        }
        return woken.isEmpty ? nil : remove(from: &woken)
    }

    private func remove(from bag: inout [RunnablePointer]) -> RunnablePointer {
        bag.swapAt(random.below(bag.count), bag.count - 1)
        return bag.removeLast()
    }
}
