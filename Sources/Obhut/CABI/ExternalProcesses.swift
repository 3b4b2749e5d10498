import ObhutHeader

// Processes that the host program runs: which port takes those of an entry, and how one goes on and ends.

@_cdecl("obhut_runtime_define") @implementation
public func obhut_runtime_define(
    _ runtime: OpaquePointer!, _ entry: UnsafePointer<CChar>!, _ acceptor: OpaquePointer!, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        let id = try text(entry, "entry")
        let port = try find(port: acceptor)
        guard EntryID(reference: id, in: "")?.description == id else {
            throw .argument("entry must be an id, \"namespace:name\", not \"\(id)\"")
        }
        guard port.runtime === runtime else { throw .argument("acceptor is a port of another runtime") }
        guard port.port.isOpen(as: port.pid) else { throw Port.Failure.closed.failure }
        do throws(Runtime.SpawnProblem) { try runtime.define(id, acceptor: port.pid) } catch { throw error.failure }
    }
}

@_cdecl("obhut_message_take_port") @implementation
public func obhut_message_take_port(
    _ message: OpaquePointer!, _ port: UnsafeMutablePointer<OpaquePointer?>!, _ error: ErrorOut
) -> obhut_status {
    port?.pointee = nil
    return report(error) { () throws(Failure) in
        let message = try find(message: message)
        guard let port else { throw .argument("port must not be NULL") }
        let taken = try message.takePort()
        port.pointee = HandleTable.shared.insert(taken, .port, wakeable: taken.port)
    }
}

@_cdecl("obhut_port_ready") @implementation
public func obhut_port_ready(_ port: OpaquePointer!, _ error: ErrorOut) -> obhut_status {
    report(error) { () throws(Failure) in
        try find(port: port).act { $0.tellSupervisor(.ready) }
    }
}

@_cdecl("obhut_port_trap_links") @implementation
public func obhut_port_trap_links(_ port: OpaquePointer!, _ choice: Int32, _ error: ErrorOut) -> obhut_status {
    report(error) { () throws(Failure) in
        let port = try find(port: port)
        let choices: [Int32: TrapLinks] = [
            OBHUT_TRAP_LINKS_NO: .no, OBHUT_TRAP_LINKS_FAILURES: .failures, OBHUT_TRAP_LINKS_ALL: .all,
        ]
        guard let trap = choices[choice] else { throw .argument("choice: \(choice) is no OBHUT_TRAP_LINKS_…") }
        let isRefused = try port.act { process in
            if trap == .no && process.pointee.definition == nil { return true }
            process.setTrapLinks(trap)
            return false
        }
        if isRefused { throw .argument("a port that is no process of an entry always traps links") }
    }
}

private func end(_ port: PortObject, _ reason: ExitReason) throws(Failure) {
    guard port.runtime.endPort(port.port, port.pid, reason) else { throw Port.Failure.closed.failure }
}

@_cdecl("obhut_port_end") @implementation
public func obhut_port_end(
    _ port: OpaquePointer!, _ value: UnsafeRawPointer!, _ length: Int, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let port = try find(port: port)
        let given = try bytes(value, length, "value")
        if given.isEmpty { return try end(port, .nothing(of: port.pid)) }
        try end(port, .value(try payload(value, length, "value"), of: port.pid))
    }
}

@_cdecl("obhut_port_fail") @implementation
public func obhut_port_fail(
    _ port: OpaquePointer!, _ text: UnsafePointer<CChar>!, _ traceback: UnsafePointer<CChar>!, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let port = try find(port: port)
        let text = try Obhut.text(text, "text")
        let traceback = traceback == nil ? nil : try Obhut.text(traceback, "traceback")
        try end(port, .error(text, of: port.pid, traceback: traceback))
    }
}

@_cdecl("obhut_port_fail_object") @implementation
public func obhut_port_fail_object(
    _ port: OpaquePointer!, _ payload: UnsafeRawPointer!, _ length: Int, _ traceback: UnsafePointer<CChar>!,
    _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let port = try find(port: port)
        let payload = try errorPayload(payload, length)
        let traceback = traceback == nil ? nil : try Obhut.text(traceback, "traceback")
        try end(port, .error(payload, of: port.pid, traceback: traceback))
    }
}
