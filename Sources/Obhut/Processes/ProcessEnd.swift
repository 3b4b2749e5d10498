import Glibc
import Synchronization

/// The end of a process (P4–P7): exactly once, with exactly one reason.
///
/// The order matters, and others rely on it:
/// 1. The queue of signals is closed: from now on `send` says "not found". What is found
///    in it takes effect in its order, so that a monitor that was accepted is answered.
/// 2. Names, then timers, then the body with its memory are released (P5).
/// 3. Those who watch are told, then those who are linked (L8); whoever is told can rely
///    on 1 and 2.
/// 4. The slot is given back, or, if it is the caller's to do that (`ProcessTable.giveBack`), kept. Nobody may touch it afterwards.
extension UnsafeMutablePointer where Pointee == ProcessSlot {
    func finish(_ reason: ExitReason, keepingSlot: Bool = false) {
        // Both outlive the process. What they are passed to takes no reference of its own: those
        // of one process would be counted on all workers at once.
        Unmanaged.passUnretained(pointee.system)._withUnsafeGuaranteedRef { finish(reason, in: $0, keepingSlot) }
    }

    private func finish(_ reason: ExitReason, in system: ProcessSystem, _ keepingSlot: Bool) {
        var next = pointee.signals.close()
        while let signal = next {
            next = signal.pointee.next
            handleClosing(signal, reason, in: system)
        }

        let pid = pid
        // seq_cst: the other side of `NameRegistry.register`.
        var names: [String] = []
        if pointee.hasNames.load(ordering: .sequentiallyConsistent) {
            pointee.hasNames.store(false, ordering: .relaxed)
            names = system.names.removeAll(of: pid)
        }
        releaseTimers(in: system.scheduler.timers)
        if reason.isAbnormal { reportEnd(reason, names, in: system) }
        releaseBody()
        releaseMailbox(in: system)
        var relations = Relations()
        swap(&relations, &pointee.relations)
        publishCounts()

        tell(reason, relations, in: system)
        pointee.definition = nil
        pointee.context = nil
        pointee.outcome = nil
        pointee.doom = nil
        pointee.hasStarted = false
        pointee.trapLinks = .no
        pointee.memoryUsed.store(0, ordering: .relaxed)
        let host = pointee.runnable.host
        system.table.end(self, pid)
        if !keepingSlot { system.table.giveBack(self, pid) }
        // Ports are not counted: the host program has them, and may keep them for ever.
        guard let host else { return }
        _ = host._withUnsafeGuaranteedRef { $0.processCount.subtract(1, ordering: .relaxed) }
        system.ended.wrappingAdd(1, ordering: .relaxed)
        system.countDown()
    }

    @inline(never)
    private func reportEnd(_ reason: ExitReason, _ names: [String], in system: ProcessSystem) {
        reason.settle(on: pid, pointee.definition)
        guard let abnormalEnd = system.abnormalEnd else { return }
        // A link whose LINK_DOWN is still unread has nobody at its other end (F5).
        let isSeen =
            !pointee.relations.watchers.isEmpty
            || pointee.relations.links.contains { $0.value.down == nil }
        abnormalEnd(self, reason, AbnormalEnd(isSeen: isSeen, names: names))
    }

    private func handleClosing(_ signal: SignalPointer, _ reason: ExitReason, in system: ProcessSystem) {
        switch signal.pointee.kind {
        case .link, .unlink, .monitor, .demonitor: return handleRelation(signal)
        case .linkDown:
            // Both ends of the link are over: it need not be told.
            if let link = pointee.relations.links[signal.pointee.from],
                (signal.pointee.a != 0 && link.theirs == signal.pointee.a)
                    || (signal.pointee.b != 0 && link.mine == signal.pointee.b)
            {
                pointee.relations.links[signal.pointee.from] = nil
            }
        case .cancel: keepDeadline(of: signal)
        case .timer: forgetWakeTimer()
        case .message:
            // The report of a failure tells what waited; they are buried with the others.
            return reason.isAbnormal ? pointee.mailbox.append(signal) : bury(signal, in: system)
        default: break
        }
        signal.release()
    }

    private func releaseTimers(in timers: Timers) {
        if pointee.wakeTimer != .none { timers.disarm(pointee.wakeTimer) }
        pointee.wakeTimer = .none
        pointee.wakeTimerAt = .max
        pointee.wakeAt = .max
        pointee.staleTimers = 0
        if pointee.relations.deadline.timer != .none { timers.disarm(pointee.relations.deadline.timer) }
    }

    /// A message that nobody has read (M6). Its charge is taken from `load` and `load` is
    /// not set to 0: senders who are refused at this moment have added theirs and will
    /// take it back, perhaps in the slot's next life.
    private func bury(_ signal: SignalPointer, in system: ProcessSystem) {
        pointee.taken.add(signal.charge)
        system.deadLetters.wrappingAdd(1, ordering: .relaxed)
        signal.release()
    }

    private func releaseBody() {
        if pointee.hasStarted, let raw = UnsafeRawPointer(bitPattern: pointee.definitionWord.load(ordering: .relaxed)) {
            Unmanaged<ProcessDefinition>.fromOpaque(raw)._withUnsafeGuaranteedRef { _ = $0.body.pointee.stop(self) }
        }
        pointee.bodyState = nil
        if let arguments = pointee.arguments { free(arguments.baseAddress) }
        pointee.arguments = nil
    }

    private func releaseMailbox(in system: ProcessSystem) {
        pointee.mailbox.removeAll { signal in
            if signal.pointee.kind == .message { bury(signal, in: system) } else { signal.release() }
        }
    }

    private func tell(_ reason: ExitReason, _ relations: borrowing Relations, in system: ProcessSystem) {
        let pid = pid
        let isTold = !relations.watchers.isEmpty || !relations.links.isEmpty
        let now = isTold ? system.clock.wall : 0
        // In the order in which they came, so that a simulation repeats itself.
        relations.watchers.forEach(by: \.value) { watcher, _ in
            _ = system.deliver(
                .makeEnd(.exit, from: pid, a: watcher.reference, reason: reason, at: now),
                to: watcher.pid)
        }
        relations.links.forEach(by: \.key) { peer, link in
            guard link.down == nil else { return }
            let signal = SignalPointer.makeEnd(
                .linkDown, from: pid, a: link.mine, b: link.theirs, reason: reason, at: now)
            if reason.isAbnormal {
                _ = system.deliverUrgently(signal, to: peer)
            } else {
                _ = system.deliver(signal, to: peer)
            }
        }
        if !relations.monitors.isEmpty {
            for (target, monitor) in relations.monitors.sorted(by: { $0.key < $1.key })
            where monitor.exit == nil {
                _ = system.deliver(.make(.demonitor, from: pid, a: monitor.reference), to: target)
            }
        }
        if !relations.inquiries.isEmpty {
            for (reference, target) in relations.inquiries.sorted(by: { $0.key < $1.key }) {
                _ = system.deliver(.make(.demonitor, from: pid, a: reference), to: target)
            }
        }
        if !relations.callees.isEmpty {
            for callee in relations.callees.sorted() {
                _ = system.cancel(callee, from: pid, timeout: ProcessSystem.defaultCancelTimeout)
            }
        }
    }
}

/// What is known of an abnormal end beside its reason.
struct AbnormalEnd {
    /// Somebody watches it or is linked to it (F5).
    let isSeen: Bool
    /// The names that it had until now.
    let names: [String]
}

extension ProcessSystem {
    /// What `cancel` waits when nothing is said (C1): 5 s.
    static let defaultCancelTimeout: Int64 = 5_000_000_000
}
