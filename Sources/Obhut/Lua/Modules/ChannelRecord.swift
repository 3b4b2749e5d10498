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
// - The first node of a wait lies behind its fiber's record (`ownNode`), and goes with that. Records and all other nodes are
//   memory of the VM, and go with it: there is no list of them. Only the worker that runs the step touches them.

typealias ChannelPointer = UnsafeMutablePointer<ChannelRecord>
typealias WaitNodePointer = UnsafeMutablePointer<WaitNode>

/// 48 bytes: a process may have a hundred thousand timers. What only one kind has shares its place with what only
/// another has; each is to be used with its own kind alone, but for `heapPosition` and `senders`, which any may be asked for.
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

    private var number: Int32
    var receivers = WaitList()
    private var words: (UInt64, UInt64, UInt64) = (0, 0, 0)

    init(_ kind: Kind) {
        self.kind = kind
        number = kind == .program ? 0 : -1
    }

    /// Whether its values come from the mailbox (M4).
    @inline(__always)
    var isOwn: Bool { kind == .inbox || kind == .events || kind == .topic }

    @inline(__always)
    private var isTimed: Bool { kind == .timer || kind == .ticker || kind == .pause }

    @inline(__always)
    var isIdle: Bool { receivers.head == nil && senders.head == nil }

    /// Topics: the mailbox's queue.
    var queueIndex: Int32 {
        get { number }
        set { number = newValue }
    }

    // MARK: Program channels

    /// Room of the buffer.
    var capacity: Int32 {
        get { number }
        set { number = newValue }
    }

    /// Values in the buffer.
    var count: Int32 {
        get { Int32(truncatingIfNeeded: words.2) }
        set { words.2 = (words.2 & ~0xFFFF_FFFF) | UInt64(UInt32(bitPattern: newValue)) }
    }

    /// Place of the oldest value in the buffer, from 0.
    var head: Int32 {
        get { Int32(truncatingIfNeeded: words.2 >> 32) }
        set { words.2 = UInt64(UInt32(bitPattern: newValue)) << 32 | (words.2 & 0xFFFF_FFFF) }
    }

    /// Nobody waits to send into a channel of another kind.
    @inline(__always)
    var senders: WaitList {
        get {
            guard kind == .program else { return WaitList() }
            return WaitList(
                head: WaitNodePointer(bitPattern: UInt(words.0)), tail: WaitNodePointer(bitPattern: UInt(words.1)))
        }
        set {
            assert(kind == .program)
            words.0 = UInt64(UInt(bitPattern: newValue.head))
            words.1 = UInt64(UInt(bitPattern: newValue.tail))
        }
    }

    // MARK: What the clock moves

    /// Timers, tickers and pauses: place in the heap; -1: not armed.
    @inline(__always)
    var heapPosition: Int32 {
        get { isTimed ? number : -1 }
        set {
            assert(isTimed)
            number = newValue
        }
    }

    /// Tickers, nanoseconds.
    var period: Int64 {
        get { Int64(bitPattern: words.0) }
        set { words.0 = UInt64(bitPattern: newValue) }
    }

    /// Timers and tickers: wall clock when it fired and was not read yet; 0: it did not.
    var firedAt: Int64 {
        get { Int64(bitPattern: words.1) }
        set { words.1 = UInt64(bitPattern: newValue) }
    }

    /// The monotonic clock at that moment.
    var firedAtMonotonic: Int64 {
        get { Int64(bitPattern: words.2) }
        set { words.2 = UInt64(bitPattern: newValue) }
    }

    /// Pauses: whom to make ready.
    var ticket: FiberTicket {
        get {
            FiberTicket(
                fiber: FiberPointer(bitPattern: UInt(words.0)).unsafelyUnwrapped,
                number: UInt32(truncatingIfNeeded: words.1))
        }
        set { words = (UInt64(UInt(bitPattern: newValue.fiber)), UInt64(newValue.number), 0) }
    }
}

/// One fiber waiting at one channel; 56 bytes.
struct WaitNode {
    let channel: ChannelPointer
    let ticket: FiberTicket
    /// `caseIndex` and `isSender` in one, beside the ticket's number.
    private let role: Int32
    /// The Lua state that waits: the fiber's, or that of a coroutine inside it.
    let L: LuaState
    /// In this channel's list.
    var previous: WaitNodePointer? = nil
    var next: WaitNodePointer? = nil
    /// The next node of the same wait.
    var sibling: WaitNodePointer?

    @inline(__always)
    init(
        channel: ChannelPointer, isSender: Bool, ticket: FiberTicket, L: LuaState, caseIndex: Int32,
        sibling: WaitNodePointer?
    ) {
        self.channel = channel
        self.ticket = ticket
        self.role = caseIndex << 1 | (isSender ? 1 : 0)
        self.L = L
        self.sibling = sibling
    }

    @inline(__always)
    var isSender: Bool { role & 1 != 0 }
    /// Which case of a `select`, from 1; 0: not in a select.
    @inline(__always)
    var caseIndex: Int32 { role >> 1 }
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
        return record
    }

    func freeRecord(_ record: ChannelPointer) {
        assert(record.pointee.isIdle && record.pointee.heapPosition < 0)
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
        let fiber = ticket.fiber
        let node = fiber.pointee.wait.nodes == nil ? fiber.ownNode : pointee.vm.allocate(WaitNode.self)
        node.initialize(
            to: WaitNode(
                channel: channel, isSender: isSender, ticket: ticket, L: L, caseIndex: caseIndex,
                sibling: fiber.pointee.wait.nodes))
        fiber.pointee.wait.nodes = node
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
            if node != fiber.ownNode { pointee.vm.free(node) }
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
