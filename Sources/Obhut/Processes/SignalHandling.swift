import CObhut
import Glibc

/// What a process does with each signal it has been sent; run by its owner (D4, M3).
extension UnsafeMutablePointer where Pointee == ProcessSlot {
    /// Handles all signals that have come, in order. Lifecycle signals act at once; messages
    /// and events are appended to the mailbox. Afterwards `isDoomed` says whether it must end.
    @inline(__always)
    func drain() {
        // Looked at first: hardly ever set, and the store would cost as much as twenty instructions.
        if pointee.runnable.attention.load(ordering: .sequentiallyConsistent) {
            pointee.runnable.attention.store(false, ordering: .sequentiallyConsistent)
        }
        var next = pointee.signals.takeAll(serial: pid.serial)
        while let signal = next {
            next = signal.pointee.next
            if signal.pointee.kind == .message {
                pointee.mailbox.append(signal)
            } else {
                handle(signal)
            }
        }
    }

    /// Handles one signal that is no message.
    private func handle(_ signal: SignalPointer) {
        switch signal.pointee.kind {
        case .message: pointee.mailbox.append(signal)
        case .reply: handleReply(signal)
        case .exit: handleExit(signal)
        case .linkDown: handleLinkDown(signal)
        case .cancel:
            keepDeadline(of: signal)
            pointee.mailbox.append(signal)
        case .terminate: doom(signal, .error("terminated", of: pid, kind: .terminated, by: signal.pointee.from))
        case .deadline: doom(signal, .error("cancelled: deadline exceeded", of: pid, kind: .deadline))
        case .overrun: doom(signal, .error(overrunText, of: pid, kind: .stepLimit))
        case .timer:
            forgetWakeTimer()
            signal.release()
        case .call: pointee.mailbox.answers.append(signal)
        case .link, .unlink, .monitor, .demonitor: handleRelation(signal)
        }
    }

    /// Keeps the nearer deadline and disarms the other one's timer (C3). The event then
    /// names the deadline that holds.
    func keepDeadline(of cancel: SignalPointer) {
        let (held, timer) = (pointee.relations.deadline, Timers.ID(raw: cancel.pointee.b))
        let at = Int64(bitPattern: cancel.pointee.a)
        if at < held.at {
            system.scheduler.timers.disarm(held.timer)
            pointee.relations.deadline = (at, timer)
        } else {
            system.scheduler.timers.disarm(timer)
            cancel.pointee.a = UInt64(bitPattern: held.at)
        }
    }

    /// Whether a CANCEL has come, read or not.
    var isCancelled: Bool { pointee.relations.deadline.at != .max }

    /// What H3 says of it: for how long, and in which function.
    private var overrunText: String {
        let limit = host?.limits.stepLimit ?? 0
        let second: Int64 = 1_000_000_000
        let time = limit % second == 0 ? "\(limit / second) s" : formatDuration(limit)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { text in
            let count = pointee.definition?.body.pointee.where?(self, text.baseAddress!, text.count) ?? 0
            let place = count > 0 ? " in \(String(cString: text.baseAddress!))" : ""
            return "held a worker for \(time)\(place)"
        }
    }

    /// The first cause of death stands.
    private func doom(_ signal: SignalPointer, _ reason: @autoclosure () -> ExitReason) {
        // Nothing ends a plain port but its owner; a process that the host program runs has a definition.
        if pointee.doom == nil && (pointee.port == nil || pointee.definition != nil) { pointee.doom = reason() }
        signal.release()
    }

    /// Links and monitors as the peer asks for them; also in a closing queue, where they
    /// take effect in their order before the end is told (D4).
    func handleRelation(_ signal: SignalPointer) {
        let from = signal.pointee.from
        switch signal.pointee.kind {
        case .link:
            var link = pointee.relations.links[from] ?? .init()
            link.theirs = signal.pointee.a
            pointee.relations.links[from] = link
            publishCounts()
        case .unlink:
            if var link = pointee.relations.links[from] {
                if link.theirs == signal.pointee.a { link.theirs = 0 }
                if link.mine == signal.pointee.b { link.mine = 0 }
                pointee.relations.links[from] = link.mine == 0 && link.theirs == 0 ? nil : link
                publishCounts()
            }
        case .monitor:
            pointee.relations.watchers[.init(pid: from, reference: signal.pointee.a)] =
                pointee.relations.nextSerial()
            publishCounts()
        case .demonitor:
            pointee.relations.watchers[.init(pid: from, reference: signal.pointee.a)] = nil
            publishCounts()
        default: assertionFailure("not a relation: \(signal.pointee.kind)")
        }
        signal.release()
    }

    private func handleReply(_ signal: SignalPointer) {
        // A late reply vanishes (M7).
        guard let asked = pointee.relations.inquiries.removeValue(forKey: signal.pointee.a) else {
            return signal.release()
        }
        // The answer is there: whether the one that was asked ends is of no interest any more.
        // (It may have passed the request on: the reply can come from another.)
        _ = system.deliver(.make(.demonitor, from: pid, a: signal.pointee.a), to: asked)
        keepAnswer(signal)
    }

    private func handleExit(_ signal: SignalPointer) {
        let from = signal.pointee.from
        let reference = signal.pointee.a
        if let monitor = pointee.relations.monitors[from], monitor.reference == reference {
            pointee.relations.monitors[from]!.exit = signal
            pointee.mailbox.append(signal)
        } else if pointee.relations.inquiries.removeValue(forKey: reference) != nil {
            pointee.relations.callees.remove(from)
            keepAnswer(signal)
        } else {
            signal.release()
        }
    }

    /// What answers a request: a body looks for it, the owner of a port reads it in its order of arrival.
    private func keepAnswer(_ signal: SignalPointer) {
        if pointee.port == nil {
            pointee.mailbox.answers.append(signal)
        } else {
            keepPortAnswer(signal)
        }
    }

    private func handleLinkDown(_ signal: SignalPointer) {
        let from = signal.pointee.from
        guard let link = pointee.relations.links[from], link.down == nil,
            (signal.pointee.a != 0 && link.theirs == signal.pointee.a)
                || (signal.pointee.b != 0 && link.mine == signal.pointee.b)
        else { return signal.release() }
        let reason = signal.reason
        let isEvent =
            pointee.trapLinks == .all || (pointee.trapLinks == .failures && reason.isAbnormal)
        if isEvent {
            var unread = link
            unread.down = signal
            pointee.relations.links[from] = unread
            pointee.mailbox.append(signal)
            return
        }
        pointee.relations.links[from] = nil
        publishCounts()
        if reason.isAbnormal {
            doom(signal, .linkFailure(of: from, reason, in: system))
        } else {
            signal.release()
        }
    }

    func publishCounts() {
        pointee.linkCount.store(pointee.relations.links.count, ordering: .relaxed)
        pointee.watcherCount.store(pointee.relations.watchers.count, ordering: .relaxed)
    }

    // MARK: Reading

    /// Takes the oldest of a queue (route before), and keeps the books: bounds of the mailbox,
    /// the monitor whose EXIT was taken (S3), the link whose LINK_DOWN was.
    /// The caller releases it.
    @inline(__always)
    func take(from queue: Mailbox.Queue) -> SignalPointer? {
        guard let signal = pointee.mailbox.removeFirst(from: queue) else { return nil }
        switch signal.pointee.kind {
        case .message:
            pointee.taken.add(signal.charge)
            if system.crashMessages.received > 0 { remember(signal) }
        case .exit:
            if let monitor = pointee.relations.monitors[signal.pointee.from], monitor.exit == signal {
                pointee.relations.monitors[signal.pointee.from] = nil
            }
        case .linkDown:
            if let link = pointee.relations.links[signal.pointee.from], link.down == signal {
                pointee.relations.links[signal.pointee.from] = nil
                publishCounts()
            }
        default: break
        }
        return signal
    }
}
