import CObhut

/// One step of a process: from taken to waiting, interrupted or ended.
extension UnsafeMutablePointer where Pointee == ProcessSlot {
    /// The `run` of every process with a body.
    static let runFunction: @convention(c) (UnsafeMutableRawPointer) -> Void = { raw in
        ProcessPointer.from(raw).run()
    }

    /// The `overrun` of every process: the watch tells it.
    static let overrunFunction: @convention(c) (UnsafeMutableRawPointer, UInt64) -> Void = {
        raw, serial in
        let process = ProcessPointer.from(raw)
        // The process may have ended meanwhile: then the push fails by its serial.
        let signal = SignalPointer.make(.overrun, from: .none)
        guard process.pointee.signals.push(signal, serial: serial) else { return signal.release() }
        process.runnable.wakeUrgently(serial: serial)
    }

    private func run() {
        assert(pointee.runnable.phase == .running)
        drain()
        // The urgent lane has taken it out of its turn, for something that is not its end.
        if pointee.doom == nil && pointee.runnable.standsInterrupted { return giveWay() }
        while true {
            if let doom = pointee.doom { return finish(doom) }
            if !pointee.hasStarted {
                pointee.hasStarted = true
                if pointee.definition.unsafelyUnwrapped.body.pointee.start(self) != 0 {
                    return finish(result())
                }
                if pointee.supervisor != .none { tellSupervisor(.running) }
            }
            let status = pointee.definition.unsafelyUnwrapped.body.pointee.step(self)
            if status == Int32(OBH_STEP_ENDED) { return finish(result()) }
            if let doom = pointee.doom { return finish(doom) }
            if status == Int32(OBH_STEP_WAITING) { return becomeIdle() }
            let isUnfinished = status == Int32(OBH_STEP_UNFINISHED)
            // What wants attention may be its end; if it is not, the turn is as long as without it.
            let wasCalled = isWantedUrgently
            let waiting = Host.waiting
            let goesOn = isUnfinished && waiting == .nobody || wasCalled && waiting != .long
            if wasCalled || goesOn { drain() }
            if goesOn || pointee.doom != nil { continue }
            return giveWay(asWoken: isUnfinished && waiting == .woken)
        }
    }

    /// To be run again, when others have had their turn.
    private func giveWay(asWoken: Bool = false) {
        pointee.runnable.become(.queued)
        enqueue(asWoken: asWoken)
    }

    /// It is `queued`. From here on another worker may have it: only atomics and constants are touched.
    private func enqueue(asWoken: Bool) {
        pointee.runnable.host.unsafelyUnwrapped._withUnsafeGuaranteedRef {
            if isWantedUrgently {
                $0.enqueueUrgently(runnable)
            } else if asWoken {
                $0.enqueue(runnable)
            } else {
                $0.enqueueInterrupted(runnable)
            }
        }
    }

    /// A step on a thread that is no worker and has claimed the process: only of bodies whose steps are short and may run anywhere.
    /// Whatever else there is to do than a step that ends in waiting is left to a worker.
    func runInPlace() {
        assert(pointee.runnable.phase == .running && pointee.runnable.host != nil)
        drain()
        if pointee.doom == nil {
            assert(pointee.hasStarted)
            let status = pointee.definition.unsafelyUnwrapped.body.pointee.step(self)
            if status == Int32(OBH_STEP_ENDED) { pointee.doom = result() }
            if status == Int32(OBH_STEP_WAITING) && pointee.doom == nil { return becomeIdle() }
        }
        pointee.runnable.become(.queued)
        // From here on a worker may have it.
        runnable.enqueue()
    }

    @inline(__always)
    private func becomeIdle() {
        registerWake()
        let serial = pid.serial
        pointee.runnable.become(.idle)
        // From here on another worker may have it: only atomics and constants are touched.
        if pointee.signals.isEmpty { return }
        if pointee.runnable.wakeWord(serial: serial) { enqueue(asWoken: true) }
    }

    /// Whoever sends a lethal signal to a process that runs leaves the urgent lane to it:
    /// the sender sets `attention` and then looks at the phase; this side stores the phase
    /// and then looks at `attention`. Sequentially consistent, so one sees the other, and
    /// the victim does not wait its turn behind a thousand others.
    @inline(__always)
    private var isWantedUrgently: Bool {
        pointee.runnable.attention.load(ordering: .sequentiallyConsistent)
    }

    /// What the body has left, unless a lethal signal came first.
    private func result() -> ExitReason {
        pointee.doom ?? pointee.outcome ?? .error("ended without a result", of: pid)
    }

    /// Sees to it that a timer wakes it not later than the body wants. A timer that is
    /// armed for an earlier moment stays: a wake-up without cause costs less than taking
    /// the timers' lock each time.
    @inline(__always)
    private func registerWake() {
        guard pointee.wakeAt != .max else { return }
        if pointee.wakeTimer != .none && pointee.wakeTimerAt <= pointee.wakeAt { return }
        armWake()
    }

    private func armWake() {
        if pointee.wakeTimer != .none, !system.scheduler.timers.disarm(pointee.wakeTimer) {
            pointee.staleTimers += 1
        }
        pointee.wakeTimerAt = pointee.wakeAt
        pointee.wakeTimer = system.scheduler.timers.arm(
            at: pointee.wakeAt, context: Unmanaged.passUnretained(system).toOpaque(),
            argument: pid.raw
        ) { context, raw in
            let system = Unmanaged<ProcessSystem>.fromOpaque(context).takeUnretainedValue()
            _ = system.deliver(.make(.timer, from: .none), to: Pid(raw: raw))
        }
    }

    /// A signal of the timer has come. Each timer that fires sends one, in the order in
    /// which they fire; those of timers that were replaced meanwhile are counted off first,
    /// so that the one which is armed now stays known and is disarmed at the end (P5).
    func forgetWakeTimer() {
        if pointee.staleTimers > 0 {
            pointee.staleTimers -= 1
        } else {
            pointee.wakeTimer = .none
        }
    }
}
