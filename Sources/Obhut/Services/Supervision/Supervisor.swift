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
/// - What is asked of it (`SupervisorRequests.swift`) is answered when it is done; meanwhile it serves others.
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
                stop: { Supervisor.stop(.from($0!)) }, where: nil, memory: nil))
        return UnsafePointer(table)
    }()

    private static func start(_ process: ProcessPointer) -> Int32 {
        let definition = process.pointee.definition.unsafelyUnwrapped
        let program = unsafeDowncast(definition.program, to: SupervisorProgram.self)
        let state = SupervisorState(program, process)
        process.pointee.bodyState = Unmanaged.passRetained(state).toOpaque()
        // Who is linked to a supervisor does not take it along; its parent does, in order (`SupervisorState.take`).
        process.pointee.trapLinks = .failures
        program.instances.begin(process.pid)
        state.supervision.start(now: process.system.clock.now)
        return 0
    }

    private static func step(_ process: ProcessPointer) -> Int32 {
        let state = Supervisor.state(process)
        process.pointee.mailbox.route()
        // What follows from one is done before the next: the number of a child that is gone may be another's then.
        while let signal = process.takeOldest() {
            state.take(signal)
            signal.release()
            if let outcome = state.act() { return end(process, state.reason(outcome)) }
        }
        state.supervision.tick(now: process.system.clock.now)
        if let outcome = state.act() { return end(process, state.reason(outcome)) }
        process.pointee.wakeAt = state.supervision.nextDue
        return Int32(OBH_STEP_WAITING)
    }

    private static func end(_ process: ProcessPointer, _ reason: ExitReason) -> Int32 {
        if reason.isAbnormal { state(process).program.verdict.reason = reason }
        process.end(reason)
        return Int32(OBH_STEP_ENDED)
    }

    private static func stop(_ process: ProcessPointer) {
        guard let raw = process.pointee.bodyState else { return }
        let state = Unmanaged<SupervisorState>.fromOpaque(raw).takeRetainedValue()
        state.end()
        state.program.instances.end(process.pid)
        process.pointee.bodyState = nil
    }

    private static func state(_ process: ProcessPointer) -> SupervisorState {
        Unmanaged<SupervisorState>.fromOpaque(process.pointee.bodyState.unsafelyUnwrapped).takeUnretainedValue()
    }
}

/// A supervisor's own memory; only its owner's.
final class SupervisorState {
    var supervision: Supervision
    let program: SupervisorProgram
    let process: ProcessPointer
    /// Of each child the process that it is, or `none`.
    var pids: [Pid]
    private var children: [Pid: Int] = [:]
    /// How the last process of a child ended, where that matters: it failed.
    private var failures: [Int: ExitReason] = [:]
    /// With what it ends when its children have: it was started with a link, and its parent has failed.
    private var parentFailure: ExitReason?
    /// How often a child was started again after it had ended.
    var restarts: [Int: Int] = [:]
    var requests = SupervisorRequests()

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
            let ended = signal.pointee.from
            // What was not settled with what follows from it is settled without.
            defer { if signal.reason.isAbnormal { program.log.crashes.settle(ended) } }
            guard let child = children.removeValue(forKey: signal.pointee.from) else { return }
            let reason = signal.reason
            failures[child] = nil
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
        case .linkDown:
            // Nobody is left who could decide about it.
            guard signal.pointee.from == process.pointee.parent, parentFailure == nil, signal.reason.isAbnormal else { return }
            parentFailure = .linkFailure(of: signal.pointee.from, signal.reason, in: process.system)
            supervision.stop(deadline: now + program.plan.stopTime, now: now)
        case .cancel: supervision.stop(deadline: Int64(bitPattern: signal.pointee.a), now: now)
        case .message:
            guard let topic = SupervisionTopic(signal.topic) else { return }
            switch topic {
            case .running: if let child = children[signal.pointee.from] { supervision.running(child, now: now) }
            case .ready: if let child = children[signal.pointee.from] { supervision.ready(child, now: now) }
            default: serve(topic, signal, now)
            }
        default: break
        }
    }

    func policy(of child: Int) -> SupervisionPlan.Policy {
        supervision.policy(of: child)
    }

    /// What a child runs, and its number in its group from 0.
    func group(of child: Int) -> (group: SupervisorProgram.Group, number: Int) {
        if let added = requests.added[child] { return (added, 0) }
        let (index, number) = supervision.place(of: child)
        return (program.groups[index], number)
    }

    // MARK: Actions

    /// Actions that wait, in order.
    private var pending: [Supervision.Action] = []

    /// Writes what is to be said of an end while its pid is known; the rest waits for `act`.
    private func report() {
        for action in supervision.takeActions() {
            switch action {
            case .restarting(let child, let attempt, let delay): noteRestart(child, attempt, delay)
            case .abandoned(let child): note(child, "and is not restarted", settle(child, .abandoned))
            case .givenUp(let child, let reason):
                note(child, "(given up: \(explain(reason)))", settle(child, .givenUp, why: reason.isOfAttempts ? nil : explain(reason)))
            case .refused(let child):
                note(child, "and was not started", settle(child, .abandoned))
                answerRefused(child, failures[child])
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
                case .up(let child): answerUp(child)
                case .stopped(let child): answerStopped(child)
                case .removed(let child):
                    forget(child)
                    failures[child] = nil
                    restarts[child] = nil
                case .restarting, .abandoned, .givenUp, .refused: break
                }
            }
        }
    }

    private func start(_ child: Int) {
        let (group, number) = group(of: child)
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
            if let arguments = group.arguments {
                arguments.withUnsafeBytes { writer.appendRaw($0) }
            } else {
                writer.write(.list(group.isNumbered ? input + [.int(Int64(number + 1))] : input))
            }
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
        if case .host = group(of: child).group.work {
            supervision.ended(child, .normal, now: now)
        } else {
            _ = process.system.cancel(pids[child], from: process.pid, timeout: max(1, deadline - now))
        }
    }

    /// Its owner ends, and there is no time left to ask them.
    func end() {
        for pid in pids where pid != .none { _ = process.system.terminate(pid, from: process.pid) }
        program.log.crashes.settleAll(of: process.pid)
    }

    /// Completes the report of a child's end with what follows from it.
    private func settle(
        _ child: Int, _ outcome: CrashRecord.Decision.Outcome, delay: Int64 = 0, why: String? = nil
    ) -> CrashRecord? {
        program.log.crashes.settle(
            pids[child],
            CrashRecord.Decision(
                outcome: outcome, supervisor: process.pointee.definition?.id ?? "", child: shortName(of: child),
                restarts: supervision.attempts(of: child), delay: delay, why: why))
    }

    // MARK: What is said of it

    /// `app:pool child 'worker#2' (app:worker)`, or of what starts with the runtime `app:worker`.
    private func name(of child: Int) -> String {
        let group = group(of: child).group
        guard case .process(let entry, _, _) = group.work, entry != group.name else { return group.name }
        if process.pointee.definition?.id == SupervisorProgram.rootID { return "\(group.name) (\(entry))" }
        return "child '\(shortName(of: child))' (\(entry))"
    }

    /// By which it can be asked for.
    func shortName(of child: Int) -> String {
        let (group, number) = group(of: child)
        return group.isNumbered ? "\(group.name)#\(number + 1)" : group.name
    }

    private func whole(_ child: Int) -> String {
        let id = process.pointee.definition?.id ?? ""
        let pid = pids[child] == .none ? "" : " \(process.system.text(of: pids[child]))"
        return (id == SupervisorProgram.rootID ? "" : "\(id) ") + name(of: child) + pid
    }

    /// Each failure is in the log (F5), with what follows from it.
    private func note(
        _ child: Int, _ consequence: String, _ crash: CrashRecord?, restart: (number: Int, delay: Int64)? = nil
    ) {
        guard let reason = failures[child] else { return }
        var record = LogRecord(level: .error, message: "\(whole(child)) failed \(consequence): \(reason.text)")
        record.traceback = reason.traceback
        record.said = said(child, reason, restart)
        record.essentials = program.log.essentials(of: crash)
        program.log.write(record)
    }

    private func noteRestart(_ child: Int, _ attempt: Int, _ delay: Int64) {
        restarts[child, default: 0] += 1
        let text = "restart \(attempt) in \(formatDuration(delay / 1_000_000 * 1_000_000))"
        if let reason = failures[child] {
            // It was ended because it was not ready: the reason is not what it died of.
            let why = reason.origin == pids[child] && reason.process == .none ? reason.text : nil
            note(child, "(\(text))", settle(child, .restart, delay: delay, why: why), restart: (attempt, delay))
        } else {
            var record = LogRecord(level: .info, message: "\(whole(child)) ended (\(text))")
            record.said = said(child, nil, (attempt, delay))
            program.log.write(record)
        }
        failures[child] = nil
    }

    /// One that was told to end and failed instead.
    private func noteStopped(_ child: Int, _ reason: ExitReason) {
        guard supervision.state(of: child) == .stopping, reason.isAbnormal else { return }
        var record = LogRecord(level: .warning, message: "\(whole(child)) was to end and failed: \(reason.text)")
        record.said = said(child, reason, nil)
        record.essentials = program.log.essentials(of: settle(child, .stopped))
        program.log.write(record)
        failures[child] = nil
    }

    /// The same for machines: which child of whom, and of a restart which one in a row and after how many milliseconds.
    private func said(_ child: Int, _ reason: ExitReason?, _ restart: (number: Int, delay: Int64)?) -> LogRecord.Said {
        var entry: String?
        if case .process(let id, _, _) = group(of: child).group.work { entry = id }
        var writer = PayloadWriter()
        writer.writeMapHeader(2 + (reason == nil ? 0 : 1) + (restart == nil ? 0 : 2))
        writer.writeString("child")
        writer.writeString(shortName(of: child))
        if let restart {
            writer.writeString("delay_ns")
            writer.writeInteger(restart.delay)
        }
        if let reason {
            writer.writeString("reason")
            writer.writeString(reason.text)
        }
        if let restart {
            writer.writeString("restart")
            writer.writeInteger(Int64(restart.number))
        }
        writer.writeString("supervisor")
        writer.writeString(process.pointee.definition?.id ?? "")
        return LogRecord.Said(
            entry: entry, pid: pids[child] == .none ? nil : process.system.text(of: pids[child]),
            fields: Array(writer.bytes))
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
            if let parentFailure { return parentFailure }
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

extension Supervision.Reason {
    /// The number of restarts says it.
    fileprivate var isOfAttempts: Bool { if case .attempts = self { true } else { false } }
}

extension SupervisorProgram {
    /// What the supervisor of all services is called as an entry.
    static let rootID = "obhut:services"
    /// The host on which supervisors of an application run: they do not wait for what they supervise.
    static let hostID = "obhut:supervisors"
}
