import Glibc
import Synchronization

typealias SignalPointer = UnsafeMutablePointer<Signal>

/// One act of a process on another, on its way (ARCHITECTURE D4).
///
/// A block of 128 bytes: 64 of fields and 64 that hold topic and payload of a small
/// message. A larger message carries both in `external`, plain `malloc` memory; an end
/// carries its `ExitReason` there, retained. The sender makes a signal, a successful push
/// gives it to the receiver, and the receiver gives it back with `release`.
struct Signal {
    enum Kind: UInt8 {
        /// A message: topic and payload; `a` is the request it makes or 0.
        case message
        /// The answer to request `a`; `b` is not 0 if the payload is an error (`ReplyError`).
        case reply
        /// `a`: the sender's serial of the link.
        case link
        /// `a`: the sender's own serial of the link or 0, `b`: the receiver's or 0.
        case unlink
        /// The sender failed or ended: `a`, `b` as in unlink, `external`: the reason.
        case linkDown
        /// `a`: the sender's reference.
        case monitor
        /// `a`: the sender's reference.
        case demonitor
        /// The sender ended: `a` is the receiver's reference, `external` the reason.
        case exit
        /// `a`: deadline on the monotonic clock, `b`: the armed timer that enforces it.
        case cancel
        case terminate
        /// The deadline of a cancel has passed.
        case deadline
        /// Held a worker beyond the step limit; every spare worker is in use.
        case overrun
        /// A timer of its own is due.
        case timer
        /// From code of the process that runs elsewhere, on another thread or in another OS process: what it asks is the
        /// payload; `a` is the body's own.
        case call
    }

    var next: SignalPointer?
    var kind: Kind
    /// Set on a queued event that `unmonitor` or `unlink` took back (S4): skipped when read.
    var isRevoked: Bool
    var topicLength: UInt16
    var payloadLength: UInt32
    var from: Pid
    var a: UInt64
    var b: UInt64
    /// Order of arrival at the receiver, set when it is drained.
    var sequence: UInt64
    var external: UnsafeMutableRawPointer?
    /// Nanoseconds since 1970 when it was sent; events, and messages if they are remembered (`CrashMessages`).
    var sentAt: Int64

    /// Bytes of topic and payload that fit into the block itself.
    static let inlineCapacity = Blocks.size - 64
}

extension UnsafeMutablePointer where Pointee == Signal {
    @inline(__always)
    static func make(_ kind: Signal.Kind, from: Pid, a: UInt64 = 0, b: UInt64 = 0) -> SignalPointer {
        let signal = Blocks.allocate().assumingMemoryBound(to: Signal.self)
        signal.initialize(
            to: Signal(
                next: nil, kind: kind, isRevoked: false, topicLength: 0, payloadLength: 0,
                from: from, a: a, b: b, sequence: 0, external: nil, sentAt: 0))
        return signal
    }

    /// A message or reply with its own copy of topic (at most 255 bytes) and payload.
    @inline(__always)
    static func makeMessage(
        _ kind: Signal.Kind, from: Pid, topic: UnsafeRawBufferPointer,
        payload: UnsafeRawBufferPointer, a: UInt64 = 0, b: UInt64 = 0
    ) -> SignalPointer {
        let signal = make(kind, from: from, a: a, b: b)
        let total = topic.count &+ payload.count
        signal.pointee.topicLength = UInt16(truncatingIfNeeded: topic.count)
        signal.pointee.payloadLength = UInt32(truncatingIfNeeded: payload.count)
        let destination: UnsafeMutableRawPointer
        if total <= Signal.inlineCapacity {
            destination = UnsafeMutableRawPointer(signal) + 64
        } else {
            destination = malloc(total)!
            signal.pointee.external = destination
        }
        if topic.count > 0 { memcpy(destination, topic.baseAddress!, topic.count) }
        if payload.count > 0 {
            memcpy(destination + topic.count, payload.baseAddress!, payload.count)
        }
        return signal
    }

    /// Begins the text of a message or reply that was just made. What is appended to the writer is the payload, and lies where the
    /// receiver reads it: nothing is copied any more. `endText` takes the writer back; before that, the signal may be released.
    /// - Parameter limit: bytes that the payload may have.
    @inline(__always)
    func beginText(topic: UnsafeRawBufferPointer, limit: Int) -> PayloadWriter {
        let place = UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(self) + 64, count: Signal.inlineCapacity)
        var writer = PayloadWriter(limit: Swift.min(limit, .max - topic.count) &+ topic.count, borrowing: place)
        writer.appendRaw(topic)
        pointee.topicLength = UInt16(truncatingIfNeeded: topic.count)
        return writer
    }

    /// The writer has not overflowed.
    @inline(__always)
    func endText(_ writer: consuming PayloadWriter) {
        pointee.payloadLength = UInt32(truncatingIfNeeded: writer.count &- Int(pointee.topicLength))
        pointee.external = writer.give()
    }

    static func makeEnd(
        _ kind: Signal.Kind, from: Pid, a: UInt64, b: UInt64 = 0, reason: ExitReason, at: Int64
    ) -> SignalPointer {
        let signal = make(kind, from: from, a: a, b: b)
        signal.pointee.external = Unmanaged.passRetained(reason).toOpaque()
        signal.pointee.sentAt = at
        return signal
    }

    @inline(__always)
    private var text: UnsafeMutableRawPointer {
        pointee.external ?? UnsafeMutableRawPointer(self) + 64
    }

    /// Messages and replies; valid until `release`.
    @inline(__always)
    var topic: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text, count: Int(pointee.topicLength))
    }

    /// Messages and replies; valid until `release`.
    @inline(__always)
    var payload: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: text + Int(pointee.topicLength), count: Int(pointee.payloadLength))
    }

    /// Ends only.
    var reason: ExitReason {
        Unmanaged<ExitReason>.fromOpaque(pointee.external!).takeUnretainedValue()
    }

    /// What it takes of a mailbox's bounds, see `MailboxLoad`.
    @inline(__always)
    var charge: UInt64 {
        let text = pointee.external == nil ? 0 : Int(pointee.topicLength) &+ Int(pointee.payloadLength)
        return MailboxLoad.charge(bytes: Blocks.size &+ text)
    }

    @inline(__always)
    func release() {
        if let external = pointee.external {
            switch pointee.kind {
            case .exit, .linkDown: Unmanaged<ExitReason>.fromOpaque(external).release()
            default: free(external)
            }
        }
        Blocks.free(UnsafeMutableRawPointer(self))
    }
}

/// A list of signals, first in, first out; its owner's alone.
struct SignalList {
    private(set) var head: SignalPointer? = nil
    private var tail: SignalPointer? = nil
    private(set) var count = 0

    @inline(__always)
    mutating func append(_ signal: SignalPointer) {
        signal.pointee.next = nil
        if let tail { tail.pointee.next = signal } else { head = signal }
        tail = signal
        count &+= 1
    }

    @inline(__always)
    mutating func removeFirst() -> SignalPointer? {
        guard let signal = head else { return nil }
        head = signal.pointee.next
        if head == nil { tail = nil }
        count &-= 1
        return signal
    }

    /// Moves all of `other` behind these.
    @inline(__always)
    mutating func append(_ other: inout SignalList) {
        guard let first = other.head else { return }
        if let tail { tail.pointee.next = first } else { head = first }
        tail = other.tail
        count &+= other.count
        other = SignalList()
    }

    /// Puts `other` in among these by order of arrival; both are in that order.
    mutating func merge(_ other: inout SignalList) {
        var merged = SignalList()
        while let a = head, let b = other.head {
            merged.append(
                a.pointee.sequence < b.pointee.sequence ? removeFirst()! : other.removeFirst()!)
        }
        while let a = removeFirst() { merged.append(a) }
        while let b = other.removeFirst() { merged.append(b) }
        self = merged
    }
}

/// What a mailbox holds: messages (28 bits) and bytes in units of 16 (36 bits) in one word, so that a sender
/// tests both bounds at once (M5).
///
/// Two sums that only grow: what senders have put in, and what the owner has taken out (`MailboxTaken`), which it can
/// store without a locked instruction. Both wrap; their difference does not.
///
/// The owner's sum stands apart, in a cache line that senders hardly ever look at: they compare with what they have
/// last `seen` of it, and look again only when that makes the mailbox appear too full. So a message that is read
/// does not take the line of `put` from who sends the next.
struct MailboxLoad: ~Copyable {
    private let put = Atomic<UInt64>(0)
    /// Some earlier value of the owner's sum; senders write it. That of an earlier moment than another sender's only
    /// makes somebody look again.
    private let seen = Atomic<UInt64>(0)

    static let oneMessage: UInt64 = 1 << 36
    @inline(__always)
    static func charge(bytes: Int) -> UInt64 { oneMessage | UInt64((bytes &+ 15) / 16) }
    @inline(__always)
    static func messages(_ load: UInt64) -> Int { Int(load >> 36) }
    @inline(__always)
    static func bytes(_ load: UInt64) -> Int { Int(load & (oneMessage - 1)) &* 16 }

    /// Any thread.
    func now(_ taken: borrowing MailboxTaken) -> UInt64 {
        let taken = taken.sum
        return put.load(ordering: .relaxed) &- taken
    }

    /// Any thread; answers the sum of what was put in by then, and at most how much of it is held still.
    @inline(__always)
    func add(_ charge: UInt64) -> (sum: UInt64, atMost: UInt64) {
        // First what was taken, with all that was put in before that: so the difference is never below zero.
        let seen = seen.load(ordering: .acquiring)
        let sum = put.wrappingAdd(charge, ordering: .relaxed).newValue
        return (sum, sum &- seen)
    }

    /// What is held of `sum`, which `add` answered, for whom that is too much at most.
    @inline(never)
    func look(_ sum: UInt64, _ taken: borrowing MailboxTaken) -> UInt64 {
        let taken = taken.sum
        // release: who acquires it has seen what was put in before that was taken.
        seen.store(taken, ordering: .releasing)
        // What others have put in since counts against them. But if more than `sum` was taken meanwhile, the first
        // difference is below zero, and looks very large; the second cannot be.
        return min(sum &- taken, put.load(ordering: .relaxed) &- taken)
    }

    /// Who has added it was refused.
    @inline(__always)
    func takeBack(_ charge: UInt64) { put.wrappingSubtract(charge, ordering: .relaxed) }
}

/// What the owner of a mailbox has taken out of it, ever; see `MailboxLoad`.
struct MailboxTaken: ~Copyable {
    private let word = Atomic<UInt64>(0)

    /// Any thread. acquire: with all that was put in before.
    @inline(__always)
    var sum: UInt64 { word.load(ordering: .acquiring) }

    /// Owner only.
    @inline(__always)
    func add(_ charge: UInt64) {
        word.store(word.load(ordering: .relaxed) &+ charge, ordering: .releasing)
    }
}

/// Why a topic cannot be sent to; nil if it can.
@inline(__always)
func topicFault(_ topic: UnsafeRawBufferPointer) -> String? {
    if topic.isEmpty { return "the topic is empty" }
    if topic.count > 255 { return "the topic is longer than 255 bytes" }
    if topic[0] != UInt8(ascii: "@") { return nil }
    return "topics that begin with @ are the runtime's: \(String(decoding: topic, as: UTF8.self))"
}
