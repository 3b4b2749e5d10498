import ObhutHeader

// Requests (M7): asked as a port, asked and waited for, and answered.

/// A MessagePack value that can be an error: a str, or an error object.
func errorPayload(
    _ bytes: UnsafeRawPointer?, _ length: Int
) throws(Failure) -> UnsafeRawBufferPointer {
    let checked = try payload(bytes, length)
    var reader = PayloadReader(checked)
    switch reader.next() {
    case .string: return checked
    case .ext(PayloadExtension.error, let body) where ErrorValue.hasShape(body): return checked
    default: throw .argument("an error is a str or an error object (extension type 2)")
    }
}

/// A text as the MessagePack str that an error is.
func errorPayload(_ pointer: UnsafePointer<CChar>?, _ name: String) throws(Failure) -> [UInt8] {
    let text = try text(pointer, name)
    var writer = PayloadWriter()
    writer.writeString(text)
    return Array(writer.bytes)
}

private func request(
    _ runtime: Runtime, _ port: Port, as own: Pid, _ pid: obhut_pid, _ topic: UnsafePointer<CChar>?,
    _ bytes: UnsafeRawPointer?, _ length: Int, timeout: Int64
) throws(Failure) -> UInt64 {
    var topic = try checkedTopic(topic)
    let checked = try payload(bytes, length)
    let target = Pid(raw: pid)
    try checkSize(checked.count, for: target, in: runtime)
    let outcome = topic.withUTF8 { utf8 in
        Result { () throws(Port.Failure) in
            try port.request(
                as: own, target, topic: UnsafeRawBufferPointer(utf8), payload: checked, timeout: timeout)
        }
    }
    switch outcome {
    case .failure(let fault): throw fault.failure
    case .success(.sent(let number)): return number
    case .success(.notFound): throw notFound(runtime, target)
    case .success(.full): throw Failure(OBHUT_LIMIT, "mailbox full: \(runtime.system.text(of: target))")
    }
}

@_cdecl("obhut_port_request") @implementation
public func obhut_port_request(
    _ port: OpaquePointer!, _ pid: obhut_pid, _ topic: UnsafePointer<CChar>!, _ payload: UnsafeRawPointer!,
    _ length: Int, _ timeout: Int64, _ number: UnsafeMutablePointer<UInt64>!, _ error: ErrorOut
) -> obhut_status {
    number?.pointee = 0
    return report(error) { () throws(Failure) in
        let port = try find(port: port)
        guard timeout != 0 else { throw .argument("timeout must not be 0: nobody can answer at once") }
        let made = try request(
            port.runtime, port.port, as: port.pid, pid, topic, payload, length, timeout: timeout)
        number?.pointee = made
    }
}

@_cdecl("obhut_request") @implementation
public func obhut_request(
    _ runtime: OpaquePointer!, _ pid: obhut_pid, _ topic: UnsafePointer<CChar>!, _ payload: UnsafeRawPointer!,
    _ length: Int, _ timeout: Int64, _ reply: UnsafeMutablePointer<OpaquePointer?>!, _ error: ErrorOut
) -> obhut_status {
    reply?.pointee = nil
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let reply else { throw .argument("reply must not be NULL") }
        guard timeout != 0 else { throw .argument("timeout must not be 0: nobody can answer at once") }
        // A mailbox of its own, for the time of the call.
        let opened: (port: Port, pid: Pid)
        do throws(Runtime.Problem) { opened = try runtime.openPort() } catch { throw error.failure }
        defer { runtime.endPort(opened.port, opened.pid) }
        _ = try request(runtime, opened.port, as: opened.pid, pid, topic, payload, length, timeout: timeout)
        while true {
            let signal: SignalPointer
            do throws(Port.Failure) {
                // The request has the time; without threads, before the start, only this wait has it.
                signal = try opened.port.receive(as: opened.pid, timeout: timeout)
            } catch { throw error.failure }
            let (kind, answer) = (signal.pointee.kind, signal.pointee.b)
            let error = kind == .reply && answer > RequestAnswer.error ? describeError(signal.payload) : ""
            // Frees the signal, unless it is what was waited for.
            let message = MessageObject(signal, runtime, opened.pid)
            guard kind == .reply else { continue }
            switch answer {
            case RequestAnswer.timeout: throw Failure(OBHUT_TIMEOUT, error)
            case RequestAnswer.ended: throw Failure(OBHUT_NOT_FOUND, error)
            default:
                reply.pointee = HandleTable.shared.insert(message, .message)
                return
            }
        }
    }
}

@_cdecl("obhut_message_reply") @implementation
public func obhut_message_reply(
    _ message: OpaquePointer!, _ payload: UnsafeRawPointer!, _ length: Int, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let message = try find(message: message)
        try message.reply(try Obhut.payload(payload, length), isError: false)
    }
}

@_cdecl("obhut_message_reply_error") @implementation
public func obhut_message_reply_error(
    _ message: OpaquePointer!, _ text: UnsafePointer<CChar>!, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let message = try find(message: message)
        let payload = try errorPayload(text, "text")
        try replyWithError(message, payload)
    }
}

private func replyWithError(_ message: MessageObject, _ payload: [UInt8]) throws(Failure) {
    try payload.withUnsafeBytes { bytes in Result { () throws(Failure) in try message.reply(bytes, isError: true) } }.get()
}

@_cdecl("obhut_message_reply_error_object") @implementation
public func obhut_message_reply_error_object(
    _ message: OpaquePointer!, _ payload: UnsafeRawPointer!, _ length: Int, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let message = try find(message: message)
        try message.reply(try errorPayload(payload, length), isError: true)
    }
}
