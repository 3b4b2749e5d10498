import ObhutHeader

// What a host program asks of a supervisor. It asks as a process does, from a port of its own that lives as long as
// the call.

private func ask(
    _ runtime: Runtime, _ supervisor: obhut_pid, _ topic: SupervisionTopic, _ payload: UnsafeRawBufferPointer,
    _ timeout: Int64, _ take: (UnsafeRawBufferPointer) throws(Failure) -> Void
) throws(Failure) {
    let target = Pid(raw: supervisor)
    let system = runtime.system
    guard system.table.living(target) != nil else { throw notFound(runtime, target) }
    guard Supervisor.isSupervisor(target, system) else {
        // It may have ended just now.
        guard system.table.living(target) != nil else { throw notFound(runtime, target) }
        throw .argument("\(system.text(of: target)) is no supervisor")
    }
    let (port, pid): (Port, Pid)
    do throws(Runtime.Problem) { (port, pid) = try runtime.openPort() } catch { throw error.failure }
    defer { runtime.closePort(pid) }
    let answer: SignalPointer?
    do throws(Port.Failure) {
        answer = try port.ask(as: pid, target, topic, payload, timeout: timeout)
    } catch {
        throw error == .timeout ? Failure(OBHUT_TIMEOUT, "the supervisor has not answered in time") : error.failure
    }
    guard let answer else { throw notFound(runtime, target) }
    defer { answer.release() }
    if answer.pointee.b == RequestAnswer.ended { throw Failure(OBHUT_NOT_FOUND, describeError(answer.payload)) }
    if answer.pointee.b != 0 { throw refusal(answer) }
    try take(answer.payload)
}

private func refusal(_ answer: SignalPointer) -> Failure {
    let text = describeError(answer.payload)
    if answer.pointee.b == ReplyError.failed { return Failure(OBHUT_FAILED, text) }
    var reader = PayloadReader(answer.payload)
    var kind = ""
    if case .ext(PayloadExtension.error, let body) = reader.next() { kind = ErrorValue.read(from: body)?.kind ?? "" }
    switch kind {
    case "NOT_FOUND": return Failure(OBHUT_NOT_FOUND, text)
    case "INVALID": return Failure(OBHUT_INVALID_ARGUMENT, text)
    default: return Failure(OBHUT_WRONG_STATE, text)
    }
}

private func pid(in payload: UnsafeRawBufferPointer) -> obhut_pid {
    var reader = PayloadReader(payload)
    guard case .ext(PayloadExtension.pid, let body) = reader.next() else { return 0 }
    return body.reduce(0) { $0 << 8 | UInt64($1) }
}

/// - Parameter body: with the name, encoded.
private func withName(
    _ name: UnsafePointer<CChar>?, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
) throws(Failure) {
    var writer = PayloadWriter()
    writer.writeString(try text(name, "name"))
    try body(writer.bytes)
}

@_cdecl("obhut_supervisor_start_child") @implementation
public func obhut_supervisor_start_child(
    _ runtime: OpaquePointer!, _ supervisor: obhut_pid, _ specification: UnsafeRawPointer!, _ length: Int,
    _ timeout: Int64, _ pid: UnsafeMutablePointer<obhut_pid>!, _ error: ErrorOut
) -> obhut_status {
    pid?.pointee = 0
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        let given = try payload(specification, length, "specification")
        try ask(runtime, supervisor, .startChild, given, timeout) { pid?.pointee = Obhut.pid(in: $0) }
    }
}

@_cdecl("obhut_supervisor_stop_child") @implementation
public func obhut_supervisor_stop_child(
    _ runtime: OpaquePointer!, _ supervisor: obhut_pid, _ name: UnsafePointer<CChar>!, _ timeout: Int64,
    _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        try withName(name) { (name) throws(Failure) in
            try ask(runtime, supervisor, .stopChild, name, timeout) { _ in }
        }
    }
}

@_cdecl("obhut_supervisor_restart_child") @implementation
public func obhut_supervisor_restart_child(
    _ runtime: OpaquePointer!, _ supervisor: obhut_pid, _ name: UnsafePointer<CChar>!, _ timeout: Int64,
    _ pid: UnsafeMutablePointer<obhut_pid>!, _ error: ErrorOut
) -> obhut_status {
    pid?.pointee = 0
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        try withName(name) { (name) throws(Failure) in
            try ask(runtime, supervisor, .restartChild, name, timeout) { pid?.pointee = Obhut.pid(in: $0) }
        }
    }
}

private func list(
    _ runtime: OpaquePointer?, _ supervisor: obhut_pid, _ topic: SupervisionTopic, _ timeout: Int64,
    _ payload: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ length: UnsafeMutablePointer<Int>?,
    _ error: ErrorOut
) -> obhut_status {
    payload?.pointee = nil
    length?.pointee = 0
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let payload, let length else { throw .argument("payload and length must not be NULL") }
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        try ask(runtime, supervisor, topic, nothing, timeout) { (bytes) throws(Failure) in
            payload.pointee = try ownedCopy(bytes)
            length.pointee = bytes.count
        }
    }
}

@_cdecl("obhut_supervisor_children") @implementation
public func obhut_supervisor_children(
    _ runtime: OpaquePointer!, _ supervisor: obhut_pid, _ timeout: Int64,
    _ payload: UnsafeMutablePointer<UnsafeMutableRawPointer?>!, _ length: UnsafeMutablePointer<Int>!, _ error: ErrorOut
) -> obhut_status {
    list(runtime, supervisor, .children, timeout, payload, length, error)
}

@_cdecl("obhut_supervisor_count") @implementation
public func obhut_supervisor_count(
    _ runtime: OpaquePointer!, _ supervisor: obhut_pid, _ timeout: Int64,
    _ payload: UnsafeMutablePointer<UnsafeMutableRawPointer?>!, _ length: UnsafeMutablePointer<Int>!, _ error: ErrorOut
) -> obhut_status {
    list(runtime, supervisor, .count, timeout, payload, length, error)
}
