import Glibc

/// What is known of one abnormal end, taken from the process at its last moment.
///
/// The law here: *taking it costs little, whatever the process holds.* It looks at a fixed number of messages, keeps
/// a fixed number of pids of each relation (and how many there are), refers to what is immutable instead of copying
/// it, and is turned into text only when somebody wants to read it (`CrashDocument`). A chain of ten thousand
/// processes dies with ten thousand of these.
final class CrashRecord: @unchecked Sendable {  // `sequence` and `decision` are set before it is published
    struct Message {
        let from: Pid
        let topic: [UInt8]
        /// Bytes of its payload.
        let size: Int
        /// Nanoseconds since 1970; 0: not known.
        let sentAt: Int64
        /// An event and no message.
        var isEvent = false
        /// What may be shown of its payload.
        var contents: String?

        fileprivate var heldBytes: Int { 64 + topic.count + (contents?.utf8.count ?? 0) }
    }

    /// What the supervisor of the process made of it.
    struct Decision {
        enum Outcome: String {
            case restart, abandoned = "not restarted", givenUp = "given up", stopped
        }

        var outcome: Outcome
        /// The entry of the supervisor.
        var supervisor: String
        /// The child's name there.
        var child: String
        /// Of how many restarts since it was last stable this is the last.
        var restarts = 0
        /// Nanoseconds until the restart.
        var delay: Int64 = 0
        /// Why it gave up, or ended the process.
        var why: String?
    }

    struct Memory {
        var used = 0, peak = 0
        /// 0: none.
        var limit = 0
    }

    /// From 1 in the order in which reports became complete; 0 until then. Written once, by who publishes it.
    var sequence: UInt64 = 0
    let pid: Pid
    /// Unretained: definitions outlive the processes that run them. Nil for a port.
    unowned(unsafe) let definition: ProcessDefinition?
    let supervisor: Pid
    /// Nanoseconds since 1970.
    let time: Int64
    /// Nanoseconds.
    let uptime: Int64
    let reason: ExitReason
    let names: [String]
    let load: UInt64
    let received: [Message]
    let waiting: [Message]
    let links: PidSample
    let monitors: PidSample
    let watchers: PidSample
    let memory: Memory?
    var decision: Decision?
    /// How many messages were looked at.
    let looked: Int
    /// Roughly what it holds, for the bound of the ring.
    let size: Int

    /// What a payload may show; nil: nothing.
    typealias Redaction = (_ entry: String, _ topic: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) -> String?

    /// Of the object itself, with its lists.
    private static let ownBytes = 600
    /// Bytes of an error, beyond which only the beginning of its text is kept.
    static let keptError = 8192

    init(_ process: ProcessPointer, _ reason: ExitReason, _ end: AbnormalEnd, _ redaction: Redaction?) {
        let system = process.system
        pid = process.pid
        definition = process.pointee.definition
        supervisor = process.pointee.supervisor
        time = system.clock.wall
        uptime = system.clock.now - process.pointee.startedAt
        var held = reason.heldBytes
        if held > CrashRecord.keptError {
            self.reason = reason.shortened(to: CrashRecord.keptError / 2)
            held = self.reason.heldBytes
        } else {
            self.reason = reason
        }
        names = end.names
        load = process.loadNow
        // Most processes that die in a cascade have no messages.
        if process.pointee.mailbox.isBare && process.pointee.mailbox.history == nil {
            (received, waiting, looked) = ([], [], 0)
        } else {
            (received, waiting, looked) = CrashRecord.messages(of: process, redaction)
        }
        var links = PidSample(), watchers = PidSample(), monitors = PidSample()
        process.pointee.relations.links.forEachKey { links.add($0) }
        process.pointee.relations.watchers.forEachKey { watchers.add($0.pid) }
        if !process.pointee.relations.monitors.isEmpty {
            for pid in process.pointee.relations.monitors.keys { monitors.add(pid) }
        }
        self.links = links
        self.watchers = watchers
        self.monitors = monitors
        var memory = Memory()
        if let figures = definition?.body.pointee.memory {
            figures(process, &memory.used, &memory.peak, &memory.limit)
            self.memory = memory
        } else {
            self.memory = nil
        }
        var size = CrashRecord.ownBytes + held
        for name in names { size += name.utf8.count }
        for message in received { size += message.heldBytes }
        for message in waiting { size += message.heldBytes }
        self.size = size
    }

    @inline(never)
    private static func messages(
        of process: ProcessPointer, _ redaction: Redaction?
    ) -> (received: [Message], waiting: [Message], looked: Int) {
        let limits = process.system.crashMessages
        let entry = process.pointee.definition?.id ?? ""
        func contents(_ topic: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) -> String? {
            guard limits.contents > 0, payload.count <= limits.contents else { return nil }
            let text = redaction.map { $0(entry, topic, payload) } ?? .some(payloadToJSON(payload))
            return text.map { cut($0, CrashMessages.mostContents) }
        }
        let (oldest, looked) =
            limits.waiting > 0 ? process.pointee.mailbox.oldest(limits.waiting) : (signals: [], looked: 0)
        let waiting = oldest.map { signal in
            guard signal.pointee.kind == .message else {
                let kind = signal.pointee.kind == .exit ? "pid.exit" : signal.pointee.kind == .cancel ? "pid.cancel" : "pid.link.down"
                return Message(
                    from: signal.pointee.from, topic: Array(kind.utf8), size: 0, sentAt: signal.pointee.sentAt, isEvent: true)
            }
            return Message(
                from: signal.pointee.from, topic: Array(signal.topic), size: Int(signal.pointee.payloadLength),
                sentAt: signal.pointee.sentAt, contents: contents(signal.topic, signal.payload))
        }
        var received: [Message] = []
        process.pointee.mailbox.history?.pointee.forEach { entry in
            var topic = (0..<min(Int(entry.topicLength), 40)).map { entry.topic[$0] }
            let text = entry.payload.flatMap { payload in
                topic.withUnsafeBytes {
                    contents($0, UnsafeRawBufferPointer(start: payload, count: Int(entry.payloadLength)))
                }
            }
            if entry.topicLength > 40 { topic += Array("…".utf8) }
            received.append(
                Message(from: entry.from, topic: topic, size: Int(entry.payloadLength), sentAt: entry.sentAt, contents: text))
        }
        return (received, waiting, looked)
    }
}

/// Some of the pids of a relation, the lowest ones, and how many there are.
struct PidSample {
    static let kept = 8

    private var lowest = InlineArray<8, Pid>(repeating: .none)
    private(set) var total = 0

    mutating func add(_ pid: Pid) {
        let used = min(total, PidSample.kept)
        total += 1
        if used == PidSample.kept && lowest[used - 1] < pid { return }
        var place = used < PidSample.kept ? used : used - 1
        while place > 0 && pid < lowest[place - 1] {
            lowest[place] = lowest[place - 1]
            place -= 1
        }
        lowest[place] = pid
    }

    var pids: [Pid] { (0..<min(total, PidSample.kept)).map { lowest[$0] } }
}

extension ExitReason {
    /// Bytes that are kept by whoever keeps this, where it began included.
    fileprivate var heldBytes: Int {
        let first = route?.first
        return payload.count + (traceback?.utf8.count ?? 0) + (first.map { $0.payload.count + ($0.traceback?.utf8.count ?? 0) } ?? 0)
    }
}
