import Glibc

/// What is kept of messages for the report of an abnormal end, as the host program has configured it.
struct CrashMessages {
    /// Of so many that were taken last. More than 0 costs a copy of each one's header and a look at the clock;
    /// only then the age of a message is known.
    var received = 0
    /// Of so many that wait, the oldest.
    var waiting = 8
    /// Of payloads up to so many bytes also the contents.
    var contents = 0

    static let mostMessages = 16
    static let mostContents = 4096  // bytes
}

/// The last messages that a process has taken; its owner's alone.
struct MessageHistory {
    struct Entry {
        var from = Pid.none
        /// Nanoseconds since 1970.
        var sentAt: Int64 = 0
        var payloadLength: UInt32 = 0
        var topicLength: UInt16 = 0
        var topic = InlineArray<40, UInt8>(repeating: 0)
        /// A copy of the payload, malloc'ed, if contents are kept and it is not too long.
        var payload: UnsafeMutableRawPointer? = nil
    }

    /// Ever; the entry of the last one is the one before `count` modulo the capacity.
    private var count = 0
    private let capacity: Int
    private let entries: UnsafeMutablePointer<Entry>

    static func make(_ capacity: Int) -> UnsafeMutablePointer<MessageHistory> {
        let history = UnsafeMutablePointer<MessageHistory>.allocate(capacity: 1)
        let entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
        entries.initialize(repeating: Entry(), count: capacity)
        history.initialize(to: MessageHistory(capacity: capacity, entries: entries))
        return history
    }

    private init(capacity: Int, entries: UnsafeMutablePointer<Entry>) {
        self.capacity = capacity
        self.entries = entries
    }

    static func free(_ history: UnsafeMutablePointer<MessageHistory>) {
        for index in 0..<history.pointee.capacity { Glibc.free(history.pointee.entries[index].payload) }
        history.pointee.entries.deallocate()
        history.deallocate()
    }

    /// - Parameter contents: bytes up to which a payload is copied.
    mutating func append(_ signal: SignalPointer, contents: Int) {
        let entry = entries + count % capacity
        count += 1
        Glibc.free(entry.pointee.payload)
        entry.pointee.payload = nil
        entry.pointee.from = signal.pointee.from
        entry.pointee.sentAt = signal.pointee.sentAt
        entry.pointee.payloadLength = signal.pointee.payloadLength
        entry.pointee.topicLength = signal.pointee.topicLength
        let topic = signal.topic
        for index in 0..<min(topic.count, 40) { entry.pointee.topic[index] = topic[index] }
        let payload = signal.payload
        guard contents > 0, !payload.isEmpty, payload.count <= contents, let copy = malloc(payload.count) else { return }
        memcpy(copy, payload.baseAddress!, payload.count)
        entry.pointee.payload = copy
    }

    /// Calls `body` with each, the oldest first.
    func forEach(_ body: (borrowing Entry) -> Void) {
        for number in max(0, count - capacity)..<count { body(entries[number % capacity]) }
    }
}

extension UnsafeMutablePointer where Pointee == ProcessSlot {
    /// Keeps the header of a message that the process takes, unless it is the runtime's own (M1). Ports end in no way
    /// that is reported.
    @inline(never)
    func remember(_ signal: SignalPointer) {
        guard pointee.port == nil, signal.topic.first != UInt8(ascii: "@") else { return }
        let configuration = system.crashMessages
        let history = pointee.mailbox.history ?? MessageHistory.make(configuration.received)
        pointee.mailbox.history = history
        history.pointee.append(signal, contents: configuration.contents)
    }
}
