import CObhut

/// What the modules keep for one process: channels, timers, requests. Used only by the worker that runs the
/// process's step.
///
/// What wakes a fiber. Another fiber of the same process does so at once (`wake`). What comes from outside,
/// messages, events, answers and the hands of the clock, is looked at between the fibers' turns
/// (`wakeFibers`): for each queue that has something one fiber is made ready that waits for it, and looks
/// again when it runs. `runStep` is one step of the whole process.
struct LuaModules {
    /// The process's own channels, once they were asked for.
    var inbox: ChannelPointer? = nil
    var events: ChannelPointer? = nil
    var topics: [ChannelPointer] = []
    /// Nodes that wait at the process's own channels.
    var ownWaiters = 0
    var timers = ProcessTimers()
    /// Requests and calls under way, by the number that the core knows them by (M7).
    var inquiries: [UInt64: Inquiry] = [:]
    /// Libraries whose chunk is running, and who waits for them (`require`).
    var loading: [LibraryLoad] = []

    struct Inquiry {
        let ticket: FiberTicket
        /// The reply or the end, owned, from its arrival until the fiber has read it.
        var answer: SignalPointer? = nil
    }

    /// The process is over; nothing of Lua may be touched.
    mutating func destroy() {
        for inquiry in inquiries.values { inquiry.answer?.release() }
        timers.destroy()
        self = LuaModules()
    }
}

extension UnsafeMutablePointer where Pointee == LuaProcess {
    @inline(__always)
    private var process: ProcessPointer { pointee.vm.process }

    /// One step of the process: wakes fibers and runs them until all wait, one is interrupted or the
    /// process is over. Leaves `wakeAt` with the core.
    func runStep() -> LuaStep {
        while true {
            wakeFibers()
            if !pointee.hasReady { break }
            let step = LuaProcess.step(self)
            if step != .waiting { return step }
        }
        process.pointee.wakeAt = pointee.modules.timers.nearest
        return .waiting
    }

    /// Makes ready who waits for something that has come.
    @inline(__always)
    private func wakeFibers() {
        releaseCollected()
        if process.pointee.mailbox.answers.head != nil { wakeForAnswers() }
        // As long as the core's timer for us is armed and has not fired, nothing that is later is due.
        let nearest = pointee.modules.timers.nearest
        if nearest != .max && (process.pointee.wakeTimer == .none || nearest < process.pointee.wakeTimerAt) {
            fireDueTimers()
        }
        if pointee.modules.ownWaiters > 0 { wakeForMailbox() }
    }

    private func wakeForAnswers() {
        while let signal = process.pointee.mailbox.answers.removeFirst() {
            let number = signal.pointee.a
            guard let inquiry = pointee.modules.inquiries[number], inquiry.answer == nil else {
                signal.release()
                continue
            }
            guard pointee.isWaiting(inquiry.ticket) else {
                // Who asked was made to unwind.
                pointee.modules.inquiries[number] = nil
                signal.release()
                continue
            }
            pointee.modules.inquiries[number]!.answer = signal
            inquiry.ticket.fiber.pointee.wait.outcome = .answered
            pointee.ready(inquiry.ticket)
        }
    }

    /// For each own queue with something in it one fiber, the oldest arrival first (M4).
    @inline(__always)
    private func wakeForMailbox() {
        process.pointee.mailbox.route()
        if pointee.modules.topics.isEmpty && pointee.modules.events == nil {
            // The usual case of a process that only reads its inbox.
            guard let inbox = pointee.modules.inbox, process.pointee.mailbox.head(of: .inbox) != nil,
                let node = firstWaiting(inbox.pointee.receivers)
            else { return }
            return wake(node, .again)
        }
        wakeForSeveralQueues()
    }

    private func wakeForSeveralQueues() {
        var served = UInt64(0)  // sequence numbers only grow from one choice to the next
        while pointee.modules.ownWaiters > 0 {
            var best: (sequence: UInt64, node: WaitNodePointer)? = nil
            func consider(_ channel: ChannelPointer?) {
                guard let channel, channel.pointee.receivers.head != nil,
                    let head = process.pointee.mailbox.head(of: channel.pointee.queue),
                    head.pointee.sequence > served, best == nil || head.pointee.sequence < best!.sequence,
                    let node = firstWaiting(channel.pointee.receivers)
                else { return }
                best = (head.pointee.sequence, node)
            }
            consider(pointee.modules.inbox)
            consider(pointee.modules.events)
            for topic in pointee.modules.topics { consider(topic) }
            guard let best else { return }
            served = best.sequence
            wake(best.node, .again)
        }
    }

    // MARK: Timers

    func fireDueTimers() {
        let now = process.system.clock.now
        while let (record, deadline) = pointee.modules.timers.removeDue(now) {
            fire(record, deadline, now)
        }
    }

    private func fire(_ record: ChannelPointer, _ deadline: Int64, _ now: Int64) {
        if record.pointee.kind == .pause {
            let ticket = record.pointee.ticket
            if pointee.isWaiting(ticket) {
                ticket.fiber.pointee.wait.outcome = .elapsed
                ticket.fiber.pointee.wait.pause = nil
                pointee.ready(ticket)
            } else if ticket.fiber.pointee.wait.pause == record {
                ticket.fiber.pointee.wait.pause = nil
            }
            return freeRecord(record)
        }
        // A tick that nobody has read stays the only one, as in Go.
        if record.pointee.firedAt == 0 {
            record.pointee.firedAt = process.system.clock.wall
            record.pointee.firedAtMonotonic = now
        }
        if record.pointee.kind == .ticker {
            let period = record.pointee.period
            let missed = (now &- deadline) / period
            pointee.modules.timers.add(record, at: later(deadline, (missed + 1).multipliedReportingOverflow(by: period)))
        }
        if let node = firstWaiting(record.pointee.receivers) { wake(node, .again) }
    }

    private func later(_ instant: Int64, _ by: (partialValue: Int64, overflow: Bool)) -> Int64 {
        let (sum, overflow) = instant.addingReportingOverflow(by.partialValue)
        return by.overflow || overflow ? .max - 1 : sum
    }

    /// `duration` nanoseconds from now, on the monotonic clock.
    func deadline(after duration: Int64) -> Int64 {
        later(pointee.vm.withSystem { $0.clock.now }, (duration, false))
    }
}

extension ChannelRecord {
    /// The mailbox's queue of an own channel.
    @inline(__always)
    var queue: Mailbox.Queue {
        switch kind {
        case .events: .events
        case .topic: .topic(Int(queueIndex))
        default: .inbox
        }
    }
}
