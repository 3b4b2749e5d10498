import Glibc
import ObhutHeader

/// What an `obhut_message *` stands for: a received signal, kept until the message is freed.
final class MessageObject: @unchecked Sendable {  // one thread at a time, by its contract
    fileprivate let signal: SignalPointer
    // Copies with a NUL behind them, made when asked for.
    private var topicCopy: UnsafeMutablePointer<CChar>?
    private var resultCopy: UnsafeMutablePointer<CChar>?
    private var errorTextCopy: UnsafeMutablePointer<CChar>?

    fileprivate var topic: UnsafePointer<CChar> { MessageObject.kept(&topicCopy, signal.topic) }
    fileprivate var errorText: UnsafePointer<CChar> {
        MessageObject.kept(&errorTextCopy, Array((reason?.text ?? "").utf8))
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

    init(_ signal: SignalPointer) { self.signal = signal }

    fileprivate var reason: ExitReason? {
        signal.pointee.kind == .exit || signal.pointee.kind == .linkDown ? signal.reason : nil
    }

    deinit {
        topicCopy?.deallocate()
        resultCopy?.deallocate()
        errorTextCopy?.deallocate()
        signal.release()
    }
}

private func find(_ message: OpaquePointer?) -> MessageObject? {
    HandleTable.shared.object(message, .message, as: MessageObject.self)
}

@_cdecl("obhut_message_kind") @implementation
public func obhut_message_kind(_ message: OpaquePointer!) -> Int32 {
    switch find(message)?.signal.pointee.kind {
    case .message?: OBHUT_MESSAGE_DATA
    case .exit?: OBHUT_MESSAGE_EXIT
    case .linkDown?: OBHUT_MESSAGE_LINK_DOWN
    case .cancel?: OBHUT_MESSAGE_CANCEL
    default: -1
    }
}

@_cdecl("obhut_message_from") @implementation
public func obhut_message_from(_ message: OpaquePointer!) -> obhut_pid {
    find(message)?.signal.pointee.from.raw ?? 0
}

@_cdecl("obhut_message_topic") @implementation
public func obhut_message_topic(
    _ message: OpaquePointer!, _ length: UnsafeMutablePointer<Int>!
) -> UnsafePointer<CChar>! {
    guard let object = find(message), object.signal.pointee.kind == .message else {
        length?.pointee = 0
        return obhut_error_text(nil)
    }
    length?.pointee = object.signal.topic.count
    return object.topic
}

@_cdecl("obhut_message_payload") @implementation
public func obhut_message_payload(
    _ message: OpaquePointer!, _ length: UnsafeMutablePointer<Int>!
) -> UnsafeRawPointer! {
    length?.pointee = 0
    guard let object = find(message), object.signal.pointee.kind == .message else { return nil }
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
    guard let object = find(message), let reason = object.reason else { return false }
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

@_cdecl("obhut_message_free") @implementation
public func obhut_message_free(_ message: OpaquePointer!) {
    _ = HandleTable.shared.remove(message, .message, as: MessageObject.self)
}
