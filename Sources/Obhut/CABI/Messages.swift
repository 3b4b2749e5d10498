import Glibc
import ObhutHeader
import Synchronization

/// What an `obhut_message *` stands for: a received signal, kept until the message is freed.
final class MessageObject: @unchecked Sendable {  // one thread at a time, by its contract
    fileprivate let signal: SignalPointer
    /// Which received it, and where.
    let runtime: Runtime
    let receiver: Pid
    /// What `signal` means to a program.
    fileprivate let kind: Int32
    private let wasAnswered = Atomic<Bool>(false)

    // Copies with a NUL behind them, made when asked for.
    private var topicCopy: UnsafeMutablePointer<CChar>?
    private var resultCopy: UnsafeMutablePointer<CChar>?
    private var errorTextCopy: UnsafeMutablePointer<CChar>?

    fileprivate var topicBytes: ArraySlice<UInt8> {
        switch kind {
        case OBHUT_MESSAGE_DATA: Array(signal.topic)[...]
        case OBHUT_MESSAGE_START: Array(signal.topic).dropFirst(ExternalProgram.startPrefix.utf8.count)
        default: []
        }
    }
    fileprivate var topic: UnsafePointer<CChar> { MessageObject.kept(&topicCopy, topicBytes) }
    fileprivate var errorText: UnsafePointer<CChar> {
        MessageObject.kept(&errorTextCopy, Array((reason?.text ?? replyError ?? "").utf8))
    }
    /// The value or error of an end: a copy, because an array's bytes have no address of
    /// their own that would outlive a call.
    fileprivate var result: UnsafePointer<CChar> { MessageObject.kept(&resultCopy, reason?.payload ?? []) }

    private static func kept(
        _ copy: inout UnsafeMutablePointer<CChar>?, _ bytes: some Collection<UInt8>
    ) -> UnsafePointer<CChar> {
        if let copy { return UnsafePointer(copy) }
        let made = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
        for (i, byte) in bytes.enumerated() { made[i] = CChar(bitPattern: byte) }
        made[bytes.count] = 0
        copy = made
        return UnsafePointer(made)
    }

    init(_ signal: SignalPointer, _ runtime: Runtime, _ receiver: Pid) {
        self.signal = signal
        self.runtime = runtime
        self.receiver = receiver
        kind =
            switch signal.pointee.kind {
            case .message: MessageObject.isStart(signal.topic) ? OBHUT_MESSAGE_START : OBHUT_MESSAGE_DATA
            case .exit: OBHUT_MESSAGE_EXIT
            case .linkDown: OBHUT_MESSAGE_LINK_DOWN
            case .cancel: OBHUT_MESSAGE_CANCEL
            case .reply: OBHUT_MESSAGE_REPLY
            default: -1
            }
    }

    /// No program can send such a topic (M1).
    private static func isStart(_ topic: UnsafeRawBufferPointer) -> Bool {
        topic.first == UInt8(ascii: "@") && topic.starts(with: ExternalProgram.startPrefix.utf8)
    }

    /// Of a message or START; as long as this lives.
    var payload: UnsafeRawBufferPointer { signal.payload }

    fileprivate var hasPayload: Bool { kind == OBHUT_MESSAGE_DATA || kind == OBHUT_MESSAGE_START }

    /// The text of a reply that is an error.
    fileprivate var replyError: String? {
        kind == OBHUT_MESSAGE_REPLY && signal.pointee.b != RequestAnswer.value ? describeError(signal.payload) : nil
    }

    /// Answers the request that it is, once.
    func reply(_ payload: UnsafeRawBufferPointer, isError: Bool) throws(Failure) {
        guard kind == OBHUT_MESSAGE_DATA, signal.pointee.a != 0 else {
            throw Failure(OBHUT_WRONG_STATE, "the message is no request: nobody waits for a reply to it")
        }
        let asker = signal.pointee.from
        try checkSize(payload.count, for: asker, in: runtime)
        guard !wasAnswered.exchange(true, ordering: .relaxed) else {
            throw Failure(OBHUT_WRONG_STATE, "the request was answered already")
        }
        let sent = runtime.system.reply(
            from: receiver, to: asker, request: signal.pointee.a, payload: payload, isError: isError)
        if !sent { throw notFound(runtime, asker) }
    }

    /// The port of the process that START brings, for who takes it first.
    func takePort() throws(Failure) -> PortObject {
        guard kind == OBHUT_MESSAGE_START else {
            throw Failure(OBHUT_WRONG_STATE, "the message is no OBHUT_MESSAGE_START: it brings no port")
        }
        guard !wasAnswered.exchange(true, ordering: .relaxed) else {
            throw Failure(OBHUT_WRONG_STATE, "the port was taken already")
        }
        let pid = signal.pointee.from
        guard let port = runtime.system.offers.take(pid) else {
            throw Failure(OBHUT_CLOSED, "the process has ended before it was taken")
        }
        let object = PortObject(runtime: runtime, port: port, pid: pid)
        try object.act { $0.tellSupervisor(.running) }
        return object
    }

    fileprivate var reason: ExitReason? {
        signal.pointee.kind == .exit || signal.pointee.kind == .linkDown ? signal.reason : nil
    }

    deinit {
        topicCopy?.deallocate()
        resultCopy?.deallocate()
        errorTextCopy?.deallocate()
        if kind == OBHUT_MESSAGE_START { runtime.system.offers.drop(signal.pointee.from) }
        signal.release()
    }
}

func find(message: OpaquePointer?) throws(Failure) -> MessageObject {
    guard let object = find(message) else { throw .handle("message", message) }
    return object
}

private func find(_ message: OpaquePointer?) -> MessageObject? {
    HandleTable.shared.object(message, .message, as: MessageObject.self)
}

@_cdecl("obhut_message_kind") @implementation
public func obhut_message_kind(_ message: OpaquePointer!) -> Int32 {
    find(message)?.kind ?? -1
}

@_cdecl("obhut_message_from") @implementation
public func obhut_message_from(_ message: OpaquePointer!) -> obhut_pid {
    find(message)?.signal.pointee.from.raw ?? 0
}

@_cdecl("obhut_message_topic") @implementation
public func obhut_message_topic(
    _ message: OpaquePointer!, _ length: UnsafeMutablePointer<Int>!
) -> UnsafePointer<CChar>! {
    guard let object = find(message), object.hasPayload else {
        length?.pointee = 0
        return obhut_error_text(nil)
    }
    length?.pointee = object.topicBytes.count
    return object.topic
}

@_cdecl("obhut_message_payload") @implementation
public func obhut_message_payload(
    _ message: OpaquePointer!, _ length: UnsafeMutablePointer<Int>!
) -> UnsafeRawPointer! {
    length?.pointee = 0
    guard let object = find(message), object.hasPayload else { return nil }
    length?.pointee = object.signal.payload.count
    return object.signal.payload.baseAddress
}

@_cdecl("obhut_message_result") @implementation
public func obhut_message_result(
    _ message: OpaquePointer!, _ value: UnsafeMutablePointer<UnsafeRawPointer?>!,
    _ length: UnsafeMutablePointer<Int>!, _ text: UnsafeMutablePointer<UnsafePointer<CChar>?>!
) -> Bool {
    value?.pointee = nil
    length?.pointee = 0
    text?.pointee = nil
    guard let object = find(message) else { return false }
    if object.kind == OBHUT_MESSAGE_REPLY {
        let isError = object.signal.pointee.b != RequestAnswer.value
        value?.pointee = object.signal.payload.baseAddress.map { UnsafeRawPointer($0) }
        length?.pointee = object.signal.payload.count
        if let text, isError { text.pointee = object.errorText }
        return !isError
    }
    guard let reason = object.reason else { return false }
    if let value { value.pointee = UnsafeRawPointer(object.result) }
    length?.pointee = reason.payload.count
    if let text, reason.isAbnormal { text.pointee = object.errorText }
    return !reason.isAbnormal
}

@_cdecl("obhut_message_origin") @implementation
public func obhut_message_origin(_ message: OpaquePointer!) -> obhut_pid {
    find(message)?.reason?.origin.raw ?? 0
}

@_cdecl("obhut_message_hops") @implementation
public func obhut_message_hops(_ message: OpaquePointer!) -> UInt32 {
    UInt32(clamping: find(message)?.reason?.hops ?? 0)
}

@_cdecl("obhut_message_request") @implementation
public func obhut_message_request(_ message: OpaquePointer!) -> UInt64 {
    guard let object = find(message), object.kind == OBHUT_MESSAGE_DATA || object.kind == OBHUT_MESSAGE_REPLY
    else { return 0 }
    return object.signal.pointee.a
}

@_cdecl("obhut_message_status") @implementation
public func obhut_message_status(_ message: OpaquePointer!) -> obhut_status {
    guard let object = find(message) else { return Failure.handle("message", message).status }
    guard object.kind == OBHUT_MESSAGE_REPLY else { return OBHUT_OK }
    switch object.signal.pointee.b {
    case RequestAnswer.timeout: return OBHUT_TIMEOUT
    case RequestAnswer.ended: return OBHUT_NOT_FOUND
    default: return OBHUT_OK
    }
}

@_cdecl("obhut_message_deadline") @implementation
public func obhut_message_deadline(_ message: OpaquePointer!) -> Int64 {
    guard let object = find(message), object.kind == OBHUT_MESSAGE_CANCEL else { return 0 }
    return Int64(bitPattern: object.signal.pointee.a)
}

@_cdecl("obhut_message_free") @implementation
public func obhut_message_free(_ message: OpaquePointer!) {
    _ = HandleTable.shared.remove(message, .message, as: MessageObject.self)
}
