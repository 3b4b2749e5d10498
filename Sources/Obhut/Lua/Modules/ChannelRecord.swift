import CObhut

// Channels, and what waits at them.
//
// The law of this file:
// - The Lua side of a channel is a userdata that holds the address of its `ChannelRecord`. Values of a
//   program's own channels stay in the Lua heap: those that are buffered in a table that is the userdata's
//   user value, that of a waiting sender on the sender's own stack. A record holds none.
// - A record is freed when its userdata has been collected and nothing waits at it, or with its process.
//   A collected userdata forgets its record: there are ways to see such an object once more (keys of
//   weak tables), and it must then be a dead channel, not a stale address.
// - A fiber that waits has one `WaitNode` at each channel it waits at. Whoever makes it ready takes all of
//   them away. Where a fiber is made to unwind without that, nodes with spent tickets stay until the
//   fiber waits again or the process ends; they are passed over.
// - Records and nodes are memory of the VM, and go with it; only the worker that runs the step touches them.

typealias ChannelPointer = UnsafeMutablePointer<ChannelRecord>
typealias WaitNodePointer = UnsafeMutablePointer<WaitNode>

struct ChannelRecord {
    enum Kind: UInt8 {
        /// `channel.new`.
        case program
        /// The process's own.
        case inbox, events, topic
        case timer, ticker
        /// No channel: the deadline of a sleep or a request.
        case pause
    }

    let kind: Kind
    var isClosed = false
    /// No userdata refers to it any more.
    var isCollected = false
    /// Topics: whether Messages are received, or their values.
    var givesMessages = false

    /// Topics: the mailbox's queue.
    var queueIndex: Int32 = -1
    /// Timers: place in the heap; -1: not armed.
    var heapPosition: Int32 = -1

    /// Program channels: room of the buffer, values in it, and place of the oldest (from 0).
    var capacity: Int32 = 0
    var count: Int32 = 0
    var head: Int32 = 0

    /// Tickers, nanoseconds.
    var period: Int64 = 0
    /// Timers and tickers: wall clock when it fired and was not read yet; 0: it did not.
    var firedAt: Int64 = 0
    /// The monotonic clock at that moment.
    var firedAtMonotonic: Int64 = 0

    var receivers = WaitList()
    var senders = WaitList()

    /// Pauses: whom to make ready.
    var ticket: FiberTicket? = nil

    /// All records of the process.
    var previous: ChannelPointer? = nil
    var next: ChannelPointer? = nil

    init(_ kind: Kind) { self.kind = kind }

    /// Whether its values come from the mailbox (M4).
    @inline(__always)
    var isOwn: Bool { kind == .inbox || kind == .events || kind == .topic }

    @inline(__always)
    var isIdle: Bool { receivers.head == nil && senders.head == nil }
}

/// One fiber waiting at one channel.
struct WaitNode {
    let channel: ChannelPointer
    let isSender: Bool
    let ticket: FiberTicket
    /// The Lua state that waits: the fiber's, or that of a coroutine inside it.
    let L: LuaState
    /// Which case of a `select`, from 1; 0: not in a select.
    let caseIndex: Int32
    /// In this channel's list.
    var previous: WaitNodePointer? = nil
    var next: WaitNodePointer? = nil
    /// The next node of the same wait.
    var sibling: WaitNodePointer? = nil
}

/// Nodes in the order in which they came.
struct WaitList {
    var head: WaitNodePointer? = nil
    var tail: WaitNodePointer? = nil

    @inline(__always)
    mutating func append(_ node: WaitNodePointer) {
        node.pointee.previous = tail
        if let tail { tail.pointee.next = node } else { head = node }
        tail = node
    }

    @inline(__always)
    mutating func remove(_ node: WaitNodePointer) {
        if let previous = node.pointee.previous {
            previous.pointee.next = node.pointee.next
        } else {
            head = node.pointee.next
        }
        if let next = node.pointee.next {
            next.pointee.previous = node.pointee.previous
        } else {
            tail = node.pointee.previous
        }
    }
}

/// What the modules keep for the wait of one fiber.
struct FiberWait {
    enum Outcome: UInt8 {
        /// What it waits for may be there: it looks again.
        case again
        /// The value lies on top of the stack that waits.
        case received
        /// Its value was taken.
        case sent
        /// The channel of `caseIndex` was closed.
        case closed
        /// The pause is over.
        case elapsed
        /// The answer to its request, or the end of the one asked, has come.
        case answered
    }

    var outcome = Outcome.again
    var caseIndex: Int32 = 0
    var nodes: WaitNodePointer? = nil
    /// The deadline of the wait under way.
    var pause: ChannelPointer? = nil
    /// The inquiry of a `request` or `call` under way.
    var inquiry: UInt64 = 0
}

extension UnsafeMutablePointer where Pointee == LuaProcess {
    // MARK: Records

    func makeRecord(_ kind: ChannelRecord.Kind) -> ChannelPointer {
        let record = pointee.vm.allocate(ChannelRecord.self)
        record.initialize(to: ChannelRecord(kind))
        record.pointee.next = pointee.modules.records
        pointee.modules.records?.pointee.previous = record
        pointee.modules.records = record
        return record
    }

    func freeRecord(_ record: ChannelPointer) {
        assert(record.pointee.isIdle && record.pointee.heapPosition < 0)
        if let previous = record.pointee.previous {
            previous.pointee.next = record.pointee.next
        } else {
            pointee.modules.records = record.pointee.next
        }
        record.pointee.next?.pointee.previous = record.pointee.previous
        pointee.vm.free(record)
    }

    /// Gives back the records whose userdata the collector has found unreachable, with their timers.
    @inline(__always)
    func releaseCollected() {
        if pointee.vm.pointee.collected_count > 0 { releaseCollectedNow() }
    }

    @inline(never)
    private func releaseCollectedNow() {
        while true {
            let handle = obh_vm_take_collected(pointee.vm)
            guard let record = ChannelPointer(bitPattern: UInt(handle)) else { return }
            record.pointee.isCollected = true
            pointee.modules.timers.remove(record)
            if record.pointee.isIdle { freeRecord(record) }
        }
    }

    // MARK: Waiting

    /// The running fiber parks; the caller then adds nodes and answers OBH_BLOCK. `obh_can_block` was asked.
    @inline(__always)
    func beginWait() -> FiberTicket {
        let ticket = pointee.park()
        if ticket.fiber.pointee.wait.nodes != nil { removeNodes(of: ticket.fiber) }
        ticket.fiber.pointee.wait.outcome = .again
        ticket.fiber.pointee.wait.pause = nil
        ticket.fiber.pointee.wait.inquiry = 0
        return ticket
    }

    @inline(__always)
    func addNode(
        _ ticket: FiberTicket, at channel: ChannelPointer, isSender: Bool, _ L: LuaState, caseIndex: Int32
    ) {
        let node = pointee.vm.allocate(WaitNode.self)
        node.initialize(
            to: WaitNode(
                channel: channel, isSender: isSender, ticket: ticket, L: L, caseIndex: caseIndex,
                sibling: ticket.fiber.pointee.wait.nodes))
        ticket.fiber.pointee.wait.nodes = node
        if isSender {
            channel.pointee.senders.append(node)
        } else {
            channel.pointee.receivers.append(node)
            if channel.pointee.isOwn { pointee.modules.ownWaiters += 1 }
        }
    }

    @inline(__always)
    func removeNodes(of fiber: FiberPointer) {
        var next = fiber.pointee.wait.nodes
        fiber.pointee.wait.nodes = nil
        while let node = next {
            next = node.pointee.sibling
            let channel = node.pointee.channel
            if node.pointee.isSender {
                channel.pointee.senders.remove(node)
            } else {
                channel.pointee.receivers.remove(node)
                if channel.pointee.isOwn { pointee.modules.ownWaiters -= 1 }
            }
            pointee.vm.free(node)
            if channel.pointee.isCollected && channel.pointee.isIdle { freeRecord(channel) }
        }
    }

    /// The first of a list that still waits.
    @inline(__always)
    func firstWaiting(_ list: WaitList) -> WaitNodePointer? {
        var next = list.head
        while let node = next {
            if pointee.isWaiting(node.pointee.ticket) { return node }
            next = node.pointee.next
        }
        return nil
    }

    /// Ends the wait that `node` is part of. Its fiber runs on with `outcome`.
    @inline(__always)
    func wake(_ node: WaitNodePointer, _ outcome: FiberWait.Outcome) {
        let ticket = node.pointee.ticket
        ticket.fiber.pointee.wait.outcome = outcome
        ticket.fiber.pointee.wait.caseIndex = node.pointee.caseIndex
        removeNodes(of: ticket.fiber)
        pointee.ready(ticket)
    }

    // MARK: Pauses

    /// The fiber of `ticket` runs on at `deadline` with outcome `elapsed`, unless something is before.
    func pause(_ ticket: FiberTicket, until deadline: Int64) {
        let record = makeRecord(.pause)
        record.pointee.ticket = ticket
        ticket.fiber.pointee.wait.pause = record
        pointee.modules.timers.add(record, at: deadline)
    }

    /// Takes the deadline of a wait away that has ended by something else.
    func endPause(of fiber: FiberPointer) {
        guard let record = fiber.pointee.wait.pause else { return }
        fiber.pointee.wait.pause = nil
        pointee.modules.timers.remove(record)
        freeRecord(record)
    }
}

extension UnsafeMutablePointer where Pointee == obh_vm {
    /// Memory of the process besides Lua's (`obh_vm_allocate`), for a plain struct.
    @inline(__always)
    fileprivate func allocate<Value: BitwiseCopyable>(_: Value.Type) -> UnsafeMutablePointer<Value> {
        obh_vm_allocate(self, MemoryLayout<Value>.size).bindMemory(to: Value.self, capacity: 1)
    }

    @inline(__always)
    fileprivate func free<Value: BitwiseCopyable>(_ value: UnsafeMutablePointer<Value>) {
        obh_vm_free(self, value, MemoryLayout<Value>.size)
    }
}
