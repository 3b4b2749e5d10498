import ObhutHeader

// Spawn, send, cancel, terminate: what a host program does to processes, as nobody or as a port.

/// Spawn's arguments: nothing, or one MessagePack array.
func arguments(
    _ pointer: UnsafeRawPointer?, _ length: Int
) throws(Failure) -> UnsafeRawBufferPointer {
    let given = try bytes(pointer, length, "arguments")
    if given.isEmpty { return given }
    let checked = try payload(pointer, length, "arguments")
    var reader = PayloadReader(checked)
    guard case .array = reader.next() else { throw .argument("arguments must be a MessagePack array") }
    return checked
}

func spawn(
    _ runtime: Runtime, _ entry: UnsafePointer<CChar>?, _ host: UnsafePointer<CChar>?,
    _ arguments: UnsafeRawBufferPointer, parent: ProcessPointer?,
    _ options: ProcessSystem.SpawnOptions
) throws(Failure) -> Pid {
    let entry = try text(entry, "entry")
    let host = host == nil ? nil : try text(host, "host")
    do throws(Runtime.SpawnProblem) {
        return try runtime.spawn(entry, on: host, arguments: arguments, parent: parent, options: options)
    } catch { throw error.failure }
}

func send(
    _ runtime: Runtime, from sender: Pid, to pid: obhut_pid, _ topic: UnsafePointer<CChar>?,
    _ bytes: UnsafeRawPointer?, _ length: Int
) throws(Failure) {
    var topic = try checkedTopic(topic)
    let checked = try payload(bytes, length)
    let target = Pid(raw: pid)
    try checkSize(checked.count, for: target, in: runtime)
    let outcome = topic.withUTF8 {
        runtime.system.send(from: sender, to: target, topic: UnsafeRawBufferPointer($0), payload: checked)
    }
    switch outcome {
    case .sent: return
    case .notFound: throw notFound(runtime, target)
    case .full: throw Failure(OBHUT_LIMIT, "mailbox full: \(runtime.system.text(of: target))")
    }
}

func checkedTopic(_ topic: UnsafePointer<CChar>?) throws(Failure) -> String {
    let topic = try text(topic, "topic")
    guard !topic.isEmpty, topic.utf8.count <= 255, topic.utf8.first != UInt8(ascii: "@") else {
        throw .argument("topic must have 1 to 255 bytes and not begin with '@'")
    }
    return topic
}

/// Refuses a payload of `count` bytes that `target` does not take (M1).
func checkSize(_ count: Int, for target: Pid, in runtime: Runtime) throws(Failure) {
    guard let slot = runtime.system.table.living(target) else { return }
    // A port takes what its mailbox has room for beside topic and the signal itself.
    let limit = slot.host?.limits.maxMessage ?? ProcessSystem.portBytes - 1024
    if count > limit {
        throw Failure(
            OBHUT_LIMIT, "the payload has \(count) bytes; \(slot.host == nil ? "a port takes" : "max_message is") \(limit)")
    }
}

func notFound(_ runtime: Runtime, _ pid: Pid) -> Failure {
    Failure(OBHUT_NOT_FOUND, "process not found: \(runtime.system.text(of: pid))")
}

@_cdecl("obhut_spawn") @implementation
public func obhut_spawn(
    _ runtime: OpaquePointer!, _ entry: UnsafePointer<CChar>!, _ host: UnsafePointer<CChar>!,
    _ arguments: UnsafeRawPointer!, _ length: Int, _ pid: UnsafeMutablePointer<obhut_pid>!,
    _ error: ErrorOut
) -> obhut_status {
    pid?.pointee = 0
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        let arguments = try Obhut.arguments(arguments, length)
        let spawned = try spawn(runtime, entry, host, arguments, parent: nil, [])
        pid?.pointee = spawned.raw
    }
}

@_cdecl("obhut_send") @implementation
public func obhut_send(
    _ runtime: OpaquePointer!, _ pid: obhut_pid, _ topic: UnsafePointer<CChar>!,
    _ payload: UnsafeRawPointer!, _ length: Int, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        try send(try find(runtime), from: .none, to: pid, topic, payload, length)
    }
}

@_cdecl("obhut_cancel") @implementation
public func obhut_cancel(
    _ runtime: OpaquePointer!, _ pid: obhut_pid, _ timeout: Int64, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard timeout > 0 else { throw .argument("timeout must be more than 0 nanoseconds, not \(timeout)") }
        guard runtime.system.cancel(Pid(raw: pid), from: .none, timeout: timeout) else {
            throw notFound(runtime, Pid(raw: pid))
        }
    }
}

@_cdecl("obhut_terminate") @implementation
public func obhut_terminate(
    _ runtime: OpaquePointer!, _ pid: obhut_pid, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        let target = Pid(raw: pid)
        if let slot = runtime.system.table.living(target), slot.host == nil, slot.pointee.entryID == nil {
            throw .argument("\(runtime.system.text(of: target)) is a port: only obhut_port_free ends it")
        }
        guard runtime.system.terminate(target, from: .none) else { throw notFound(runtime, target) }
    }
}
