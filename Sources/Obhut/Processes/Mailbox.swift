import CObhut

/// What has arrived at a process and was not read yet (M3, M4); its owner's alone.
///
/// Draining appends messages and events to one list in order of arrival. They are routed
/// from it, to the inbox, the events or the topic that somebody listens to, only when the
/// program asks (`route`), or, for its own topic, when it begins to listen: so what comes
/// before the first `listen` waits for it. Answers to requests stand apart.
///
/// A sequence number keeps the order of arrival across the queues: of several own queues
/// with something in them the one whose head has the lowest number is the one that is
/// ready, and `unlisten` can put unread messages back into their places.
struct Mailbox {
    /// Names one of the queues.
    enum Queue: Equatable {
        case inbox, events
        case topic(Int)
    }

    private struct Listener {
        var topic: [UInt8]  // empty: the place is free
        var list = SignalList()
    }

    private var arrivals = SignalList()
    /// How many of them are events.
    private var arrivedEvents: Int32 = 0
    private var inbox = SignalList()
    private var events = SignalList()
    private var listeners: [Listener] = []
    private var nextSequence: UInt64 = 1
    /// Events in `arrivals` and `events` that are marked as taken back.
    private var revoked: Int32 = 0

    /// Replies and ends of those that were asked (M7), for the body to look through.
    var answers = SignalList()
    /// The last messages that were taken, where they are remembered; malloc'ed with the first of them.
    var history: UnsafeMutablePointer<MessageHistory>? = nil

    /// All but answers, read or not yet routed.
    var count: Int {
        arrivals.count + inbox.count + events.count + listeners.reduce(0) { $0 + $1.list.count }
    }

    /// Nothing waits to be read, and nobody listens to a topic. At once, without looking at any queue.
    @inline(__always)
    var isBare: Bool { arrivals.head == nil && inbox.head == nil && events.head == nil && listeners.isEmpty }

    @inline(__always)
    mutating func append(_ signal: SignalPointer) {
        signal.pointee.sequence = nextSequence
        nextSequence &+= 1
        if signal.pointee.kind != .message { arrivedEvents &+= 1 }
        arrivals.append(signal)
    }

    /// Moves all arrivals to the queues where the program reads them.
    @inline(__always)
    mutating func route() {
        if arrivals.head == nil { return }
        // Messages for the inbox alone: as many as they are, none is touched.
        if arrivedEvents == 0 && listeners.isEmpty { return inbox.append(&arrivals) }
        routeEach()
    }

    @inline(never)
    private mutating func routeEach() {
        arrivedEvents = 0
        while let signal = arrivals.removeFirst() {
            if signal.pointee.kind != .message {
                events.append(signal)
            } else if let index = index(of: signal.topic) {
                listeners[index].list.append(signal)
            } else {
                inbox.append(signal)
            }
        }
    }

    private func index(of topic: UnsafeRawBufferPointer) -> Int? {
        listeners.firstIndex { $0.topic.count == topic.count && $0.topic.elementsEqual(topic) }
    }

    /// Begins to listen, taking what waits unrouted; the same topic gives the same queue.
    mutating func listen(_ topic: UnsafeRawBufferPointer) -> Int {
        if let index = index(of: topic) { return index }
        let index: Int
        if let free = listeners.firstIndex(where: { $0.topic.isEmpty }) {
            index = free
            listeners[free].topic = Array(topic)
        } else {
            index = listeners.count
            listeners.append(Listener(topic: Array(topic)))
        }
        var rest = SignalList()
        while let signal = arrivals.removeFirst() {
            if signal.pointee.kind == .message, signal.topic.elementsEqual(topic) {
                listeners[index].list.append(signal)
            } else {
                rest.append(signal)
            }
        }
        arrivals = rest
        return index
    }

    /// Stops listening; unread messages go back to the inbox's places.
    mutating func unlisten(_ index: Int) {
        guard listeners.indices.contains(index), !listeners[index].topic.isEmpty else { return }
        listeners[index].topic = []
        var list = listeners[index].list
        listeners[index].list = SignalList()
        inbox.merge(&list)
    }

    /// The oldest of a queue, which stays there; nil when it is empty. Route before.
    @inline(__always)
    mutating func head(of queue: Queue) -> SignalPointer? {
        switch queue {
        case .inbox: return inbox.head
        case .topic(let index): return listeners[index].list.head
        case .events:
            while let signal = events.head, signal.pointee.isRevoked {
                events.removeFirst()!.release()
                revoked &-= 1
            }
            return events.head
        }
    }

    /// Takes back an event that is queued and unread (S4, L6): it is marked, not searched for.
    ///
    /// A program that watches and never reads its events would gather marked ones without
    /// end. So they are swept out when they are more than half of what is queued: each
    /// sweep is paid for by the marks since the last.
    mutating func revoke(_ event: SignalPointer) {
        event.pointee.isRevoked = true
        revoked += 1
        guard revoked > 64, Int(revoked) * 2 > arrivals.count + events.count else { return }
        let before = arrivals.count
        Mailbox.sweep(&arrivals)
        arrivedEvents -= Int32(truncatingIfNeeded: before - arrivals.count)
        Mailbox.sweep(&events)
        revoked = 0
    }

    private static func sweep(_ list: inout SignalList) {
        var kept = SignalList()
        while let signal = list.removeFirst() {
            if signal.pointee.isRevoked { signal.release() } else { kept.append(signal) }
        }
        list = kept
    }

    /// Whether events were routed that are not read, or taken back and still there.
    @inline(__always)
    var hasEvents: Bool { events.head != nil }

    /// Takes the oldest of a queue. `ProcessPointer.take` is the one to call: it keeps the
    /// books of bounds, monitors and links.
    @inline(__always)
    mutating func removeFirst(from queue: Queue) -> SignalPointer? {
        switch queue {
        case .inbox:
            let signal = inbox.removeFirst()
            // The next message will be wanted when the program is done with this one. In a long queue it has left
            // the caches since it was drained.
            obh_prefetch(inbox.head)
            return signal
        case .topic(let index): return listeners[index].list.removeFirst()
        case .events:
            guard head(of: .events) != nil else { return nil }
            return events.removeFirst()
        }
    }

    /// Whether something could be read from `queue` after routing.
    mutating func hasSomething(in queue: Queue) -> Bool {
        route()
        return head(of: queue) != nil
    }

    /// The oldest that wait, at most `limit`, in the order in which they came. However many wait, it looks at
    /// `limit` of them and at the first of each queue, of no more than `mostListeners` listeners.
    /// - Returns: also how many it looked at.
    func oldest(_ limit: Int) -> (signals: [SignalPointer], looked: Int) {
        if isBare { return ([], 0) }
        var heads = [arrivals.head, inbox.head, events.head].compactMap { $0 }
        heads += listeners.prefix(Mailbox.mostListeners).compactMap(\.list.head)
        var found: [SignalPointer] = []
        var looked = heads.count
        while found.count < limit,
            let index = heads.indices.min(by: { heads[$0].pointee.sequence < heads[$1].pointee.sequence })
        {
            let signal = heads[index]
            found.append(signal)
            if let next = signal.pointee.next {
                heads[index] = next
                looked += 1
            } else {
                heads.remove(at: index)
            }
        }
        return (found, looked)
    }

    private static let mostListeners = 64

    /// Takes everything, for the end of the process.
    mutating func removeAll(_ body: (SignalPointer) -> Void) {
        while let signal = arrivals.removeFirst() { body(signal) }
        while let signal = inbox.removeFirst() { body(signal) }
        while let signal = events.removeFirst() { body(signal) }
        while let signal = answers.removeFirst() { body(signal) }
        for index in listeners.indices {
            while let signal = listeners[index].list.removeFirst() { body(signal) }
        }
        if let history { MessageHistory.free(history) }
        self = Mailbox()
    }
}
