import CObhut

/// The body of a supervisor (ARCHITECTURE D11): a process like any other, with a pid, that can be
/// linked, watched and cancelled. What it does is decided by `Supervision`; here signals become its
/// events, and its actions become signals.
///
/// The law here:
///
/// - It never waits: starting or stopping a slow child keeps it from nothing (V6).
/// - Its children are its monitors. An EXIT names the pid, the pid the child; what comes from a pid
///   that is no child's any more is of the past.
/// - What it is sent beside that is dropped: a supervisor does not gather a mailbox.
/// - Whatever ends it ends its children: who is ended by force, with no time for a stop in order,
///   terminates them.
enum Supervisor {
    /// The table of every supervisor; lives for ever.
    nonisolated(unsafe) static let table: UnsafePointer<obh_body> = {  // written once, here
        let table = UnsafeMutablePointer<obh_body>.allocate(capacity: 1)
        table.initialize(
            to: obh_body(
                start: { Supervisor.start(.from($0!)) }, step: { Supervisor.step(.from($0!)) },
                stop: { Supervisor.stop(.from($0!)) }, where: nil))
        return UnsafePointer(table)
    }()

    private static func start(_ process: ProcessPointer) -> Int32 {
        let definition = process.pointee.definition.unsafelyUnwrapped
        let program = unsafeDowncast(definition.program, to: SupervisorProgram.self)
        let state = SupervisorState(program, process)
        process.pointee.bodyState = Unmanaged.passRetained(state).toOpaque()
        // Who is linked to a supervisor does not take it along.
        process.pointee.trapLinks = .failures
        state.supervision.start(now: process.system.clock.now)
        return 0
    }

    private static func step(_ process: ProcessPointer) -> Int32 {
        let state = Supervisor.state(process)
        process.pointee.mailbox.route()
        while let signal = process.takeOldest() {
            state.take(signal)
            signal.release()
        }
        state.supervision.tick(now: process.system.clock.now)
        if let outcome = state.act() {
            process.end(state.reason(outcome))
            return Int32(OBH_STEP_ENDED)
        }
        process.pointee.wakeAt = state.supervision.nextDue
        return Int32(OBH_STEP_WAITING)
    }

    private static func stop(_ process: ProcessPointer) {
        guard let raw = process.pointee.bodyState else { return }
        Unmanaged<SupervisorState>.fromOpaque(raw).takeRetainedValue().endChildren()
        process.pointee.bodyState = nil
    }

    private static func state(_ process: ProcessPointer) -> SupervisorState {
        Unmanaged<SupervisorState>.fromOpaque(process.pointee.bodyState.unsafelyUnwrapped).takeUnretainedValue()
    }
}

/// A supervisor's own memory; only its owner's.
private final class SupervisorState {
    var supervision: Supervision
    private let program: SupervisorProgram
    private let process: ProcessPointer
    /// Of each child the process that it is, or `none`.
    private var pids: [Pid]
    private var children: [Pid: Int] = [:]
    /// How the last process of a child ended, where that matters: it failed.
    private var failures: [Int: ExitReason] = [:]

    init(_ program: SupervisorProgram, _ process: ProcessPointer) {
        self.program = program
        self.process = process
        supervision = Supervision(program.plan, seed: process.system.scheduler.nextSeed())
        pids = Array(repeating: .none, count: supervision.childCount)
    }

    // MARK: Events

    func take(_ signal: SignalPointer) {
        let now = process.system.clock.now
        switch signal.pointee.kind {
        case .exit:
            guard let child = children.removeValue(forKey: signal.pointee.from) else { return }
            let reason = signal.reason
            var end = Supervision.End.normal
            if supervision.state(of: child) == .overdue {
                failures[child] = .error("not ready within \(formatDuration(policy(of: child).startTimeout))", of: pids[child])
            } else if reason.isAbnormal {
                failures[child] = reason
                end = .failure(isRetryable: reason.isRetryable)
            }
            noteStopped(child, reason)
            supervision.ended(child, end, now: now)
            // Until it is started again, for the log, its pid is the last that it had.
            report()
            pids[child] = .none
        case .cancel: supervision.stop(deadline: Int64(bitPattern: signal.pointee.a), now: now)
        case .message:
            guard let child = children[signal.pointee.from] else { return }
            if signal.topic.elementsEqual(SupervisionTopic.running.bytes) { supervision.running(child, now: now) }
            if signal.topic.elementsEqual(SupervisionTopic.ready.bytes) { supervision.ready(child, now: now) }
        default: break
        }
    }

    private func policy(of child: Int) -> SupervisionPlan.Policy {
        program.plan.groups[supervision.place(of: child).group].policy
    }

    // MARK: Actions

    /// Actions that wait, in order.
    private var pending: [Supervision.Action] = []

    /// Writes what is to be said of an end while its pid is known; the rest waits for `act`.
    private func report() {
        for action in supervision.takeActions() {
            switch action {
            case .restarting(let child, let attempt, let delay): noteRestart(child, attempt, delay)
            case .abandoned(let child): note(child, "and is not restarted")
            case .givenUp(let child, let reason): note(child, "(given up: \(explain(reason)))")
            default: pending.append(action)
            }
        }
    }

    /// Carries out what is to be done.
    /// - Returns: how it ends, when nothing is left.
    func act() -> Supervision.Outcome? {
        while true {
            report()
            if pending.isEmpty { return nil }
            let actions = pending
            pending = []
            for action in actions {
                switch action {
                case .start(let child): start(child)
                case .cancel(let child, let deadline): cancel(child, deadline)
                case .endOverdue(let child): _ = process.system.terminate(pids[child], from: process.pid)
                case .ready: process.tellSupervisor(.ready)
                case .finish(let outcome): return outcome
                case .restarting, .abandoned, .givenUp: break
                }
            }
        }
    }

    private func start(_ child: Int) {
        let (index, number) = supervision.place(of: child)
        let group = program.groups[index]
        switch group.work {
        case .host(let host):
            if host.start() || host.state == .started {
                supervision.ready(child, now: process.system.clock.now)
            } else {
                failures[child] = .error("the system gives no thread for it", of: process.pid)
                supervision.ended(child, .failure(isRetryable: true), now: process.system.clock.now)
            }
        case .process(let entry, let host, let input):
            var writer = PayloadWriter()
            writer.write(.list(group.isNumbered ? input + [.int(Int64(number + 1))] : input))
            do throws(ProcessSystem.SpawnFault) {
                guard case .found(let definition) = process.system.resolveDefinition(entry) else {
                    preconditionFailure("an application was loaded without \(entry)")
                }
                let pid = try process.system.spawn(
                    definition, on: host, arguments: writer.bytes, parent: process,
                    options: [.monitored, .supervised]
                ).pid
                pids[child] = pid
                children[pid] = child
            } catch {
                failures[child] = .error(error.text, of: process.pid)
                supervision.ended(child, .failure(isRetryable: true), now: process.system.clock.now)
            }
        }
    }

    private func cancel(_ child: Int, _ deadline: Int64) {
        let now = process.system.clock.now
        // A host is closed when the runtime stops. Of a process that has ended the EXIT is on its way.
        if case .host = program.groups[supervision.place(of: child).group].work {
            supervision.ended(child, .normal, now: now)
        } else {
            _ = process.system.cancel(pids[child], from: process.pid, timeout: max(1, deadline - now))
        }
    }

    /// Its owner ends, and there is no time left to ask them.
    func endChildren() {
        for pid in pids where pid != .none { _ = process.system.terminate(pid, from: process.pid) }
    }

    // MARK: What is said of it

    /// `app:pool child 'worker#2' (app:worker)`, or of what starts with the runtime `app:worker`.
    private func name(of child: Int) -> String {
        let (index, number) = supervision.place(of: child)
        let group = program.groups[index]
        guard case .process(let entry, _, _) = group.work, entry != group.name else { return group.name }
        if process.pointee.definition?.id == SupervisorProgram.rootID { return "\(group.name) (\(entry))" }
        return "child '\(group.name)\(group.isNumbered ? "#\(number + 1)" : "")' (\(entry))"
    }

    private func whole(_ child: Int) -> String {
        let id = process.pointee.definition?.id ?? ""
        let pid = pids[child] == .none ? "" : " \(process.system.text(of: pids[child]))"
        return (id == SupervisorProgram.rootID ? "" : "\(id) ") + name(of: child) + pid
    }

    /// Each failure is in the log (F5), with what follows from it.
    private func note(_ child: Int, _ consequence: String) {
        guard let reason = failures[child] else { return }
        var record = LogRecord(level: .error, message: "\(whole(child)) failed \(consequence): \(reason.text)")
        record.traceback = reason.traceback
        program.log.write(record)
    }

    private func noteRestart(_ child: Int, _ attempt: Int, _ delay: Int64) {
        let restart = "restart \(attempt) in \(formatDuration(delay / 1_000_000 * 1_000_000))"
        if failures[child] != nil {
            note(child, "(\(restart))")
        } else {
            program.log.write(.info, "\(whole(child)) ended (\(restart))")
        }
        failures[child] = nil
    }

    /// One that was told to end and failed instead.
    private func noteStopped(_ child: Int, _ reason: ExitReason) {
        guard supervision.state(of: child) == .stopping, reason.isAbnormal else { return }
        program.log.write(.warning, "\(whole(child)) was to end and failed: \(reason.text)")
        failures[child] = nil
    }

    private func explain(_ reason: Supervision.Reason) -> String {
        switch reason {
        case .intensity:
            let intensity = program.plan.intensity ?? .init()
            return "more than \(intensity.maxRestarts) restarts within \(formatDuration(intensity.window))"
        case .attempts(let count): return "after \(count) \(count == 1 ? "restart" : "restarts")"
        case .notRetryable: return "not to be tried again"
        case .significant: return "significant"
        }
    }

    func reason(_ outcome: Supervision.Outcome) -> ExitReason {
        switch outcome {
        case .stopped, .done:
            var writer = PayloadWriter()
            writer.writeNil()
            return .value(writer.bytes, of: process.pid)
        case .failed(let child, let reason):
            let who = name(of: child)
            let prefix =
                switch reason {
                case .intensity: "\(explain(reason)), the last of \(who)"
                case .attempts: "\(who) failed \(explain(reason))"
                case .notRetryable: "\(who) failed and is \(explain(reason))"
                case .significant: "significant \(who) failed"
                }
            guard let cause = failures[child] else { return .error("\(prefix): it ended", of: process.pid) }
            return .error(cause, after: prefix + ": ", of: process.pid)
        }
    }
}

extension SupervisorProgram {
    /// What the supervisor of all services is called as an entry.
    static let rootID = "obhut:services"
    /// The host on which supervisors of an application run: they do not wait for what they supervise.
    static let hostID = "obhut:supervisors"
}
