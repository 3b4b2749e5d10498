import ObhutHeader

/// What an `obhut_port *` stands for.
final class PortObject: @unchecked Sendable {  // immutable; Port guards itself
    let runtime: Runtime
    let port: Port
    let pid: Pid

    init(runtime: Runtime, port: Port, pid: Pid) {
        self.runtime = runtime
        self.port = port
        self.pid = pid
    }

    deinit { port.letGo(pid) }

    /// Acts as the port's process.
    func act<Result>(_ body: (ProcessPointer) -> Result) throws(Failure) -> Result {
        do throws(Port.Failure) { return try port.act(as: pid, body) } catch { throw error.failure }
    }
}

extension Port.Failure {
    var failure: Failure {
        switch self {
        case .timeout: Failure(OBHUT_TIMEOUT, "nothing was received in time")
        case .interrupted: Failure(OBHUT_INTERRUPTED, "the wait was ended by obhut_port_wake")
        case .closed: Failure(OBHUT_CLOSED, "the port has ended")
        }
    }
}

func find(port: OpaquePointer?) throws(Failure) -> PortObject {
    guard let object = HandleTable.shared.object(port, .port, as: PortObject.self) else {
        throw .handle("port", port)
    }
    return object
}

@_cdecl("obhut_port_create") @implementation
public func obhut_port_create(
    _ runtime: OpaquePointer!, _ port: UnsafeMutablePointer<OpaquePointer?>!, _ error: ErrorOut
) -> obhut_status {
    port?.pointee = nil
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let port else { throw .argument("port must not be NULL") }
        let opened: (port: Port, pid: Pid)
        do throws(Runtime.Problem) { opened = try runtime.openPort() } catch { throw error.failure }
        port.pointee = HandleTable.shared.insert(
            PortObject(runtime: runtime, port: opened.port, pid: opened.pid), .port,
            wakeable: opened.port)
    }
}

@_cdecl("obhut_port_pid") @implementation
public func obhut_port_pid(_ port: OpaquePointer!) -> obhut_pid {
    HandleTable.shared.object(port, .port, as: PortObject.self)?.pid.raw ?? 0
}

@_cdecl("obhut_port_spawn") @implementation
public func obhut_port_spawn(
    _ port: OpaquePointer!, _ entry: UnsafePointer<CChar>!, _ host: UnsafePointer<CChar>!,
    _ arguments: UnsafeRawPointer!, _ length: Int, _ flags: UInt32,
    _ pid: UnsafeMutablePointer<obhut_pid>!, _ error: ErrorOut
) -> obhut_status {
    pid?.pointee = 0
    return report(error) { () throws(Failure) in
        let port = try find(port: port)
        guard flags <= 3 else {
            throw .argument("flags: \(flags) is not made of OBHUT_SPAWN_LINKED and OBHUT_SPAWN_MONITORED")
        }
        let arguments = try Obhut.arguments(arguments, length)
        let result = try port.act { process in
            Result { () throws(Failure) in
                try spawn(
                    port.runtime, entry, host, arguments, parent: process,
                    .init(rawValue: Int(flags)))
            }
        }
        let spawned = try result.get()
        pid?.pointee = spawned.raw
    }
}

@_cdecl("obhut_port_send") @implementation
public func obhut_port_send(
    _ port: OpaquePointer!, _ pid: obhut_pid, _ topic: UnsafePointer<CChar>!,
    _ payload: UnsafeRawPointer!, _ length: Int, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let port = try find(port: port)
        guard port.port.isOpen(as: port.pid) else { throw Port.Failure.closed.failure }
        try send(port.runtime, from: port.pid, to: pid, topic, payload, length)
    }
}

@_cdecl("obhut_port_monitor") @implementation
public func obhut_port_monitor(
    _ port: OpaquePointer!, _ pid: obhut_pid, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let port = try find(port: port)
        switch try port.act({ $0.monitor(Pid(raw: pid)) }) {
        case .done: return
        case .notFound: throw notFound(port.runtime, Pid(raw: pid))
        case .already: throw Failure(OBHUT_WRONG_STATE, "already monitoring")
        }
    }
}

@_cdecl("obhut_port_unmonitor") @implementation
public func obhut_port_unmonitor(
    _ port: OpaquePointer!, _ pid: obhut_pid, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let port = try find(port: port)
        guard try port.act({ $0.unmonitor(Pid(raw: pid)) }) else {
            throw Failure(
                OBHUT_NOT_FOUND, "not monitoring: \(port.runtime.system.text(of: Pid(raw: pid)))")
        }
    }
}

@_cdecl("obhut_port_link") @implementation
public func obhut_port_link(
    _ port: OpaquePointer!, _ pid: obhut_pid, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let port = try find(port: port)
        switch try port.act({ $0.link(Pid(raw: pid)) }) {
        case .done: return
        case .notFound: throw notFound(port.runtime, Pid(raw: pid))
        case .toItself: throw .argument("a port cannot be linked to itself")
        }
    }
}

@_cdecl("obhut_port_unlink") @implementation
public func obhut_port_unlink(
    _ port: OpaquePointer!, _ pid: obhut_pid, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        try find(port: port).act { $0.unlink(Pid(raw: pid)) }
    }
}

@_cdecl("obhut_port_receive") @implementation
public func obhut_port_receive(
    _ port: OpaquePointer!, _ timeout: Int64,
    _ message: UnsafeMutablePointer<OpaquePointer?>!, _ error: ErrorOut
) -> obhut_status {
    message?.pointee = nil
    return report(error) { () throws(Failure) in
        let port = try find(port: port)
        guard let message else { throw .argument("message must not be NULL") }
        do throws(Port.Failure) {
            let signal = try port.port.receive(as: port.pid, timeout: timeout)
            message.pointee = HandleTable.shared.insert(MessageObject(signal, port.runtime, port.pid), .message)
        } catch { throw error.failure }
    }
}

@_cdecl("obhut_port_fd") @implementation
public func obhut_port_fd(_ port: OpaquePointer!) -> Int32 {
    guard let object = HandleTable.shared.object(port, .port, as: PortObject.self) else { return -1 }
    return object.port.showDescriptor(as: object.pid)
}

@_cdecl("obhut_port_wake") @implementation
public func obhut_port_wake(_ port: OpaquePointer!) -> obhut_status {
    HandleTable.wake(port)
}

@_cdecl("obhut_port_free") @implementation
public func obhut_port_free(_ port: OpaquePointer!) {
    guard let object = HandleTable.shared.remove(port, .port, as: PortObject.self) else { return }
    object.runtime.endPort(object.port, object.pid)
}
