import Glibc
import ObhutHeader

// Processes that the host program runs: which port takes those of an entry, and how one goes on and ends.

private func entryID(_ pointer: UnsafePointer<CChar>?) throws(Failure) -> String {
    let id = try text(pointer, "entry")
    guard EntryID(reference: id, in: "")?.description == id else {
        throw .argument("entry must be an id, \"namespace:name\", not \"\(id)\"")
    }
    return id
}

@_cdecl("obhut_runtime_define") @implementation
public func obhut_runtime_define(
    _ runtime: OpaquePointer!, _ entry: UnsafePointer<CChar>!, _ acceptor: OpaquePointer!, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        let id = try entryID(entry)
        let port = try find(port: acceptor)
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

// MARK: A function on a thread of its own

/// What `obhut_runtime_define_function` was given; whoever lets go of it last runs the finalizer.
private final class ProcessFunction: @unchecked Sendable {  // immutable; the program says that `user` may be shared
    private let function: obhut_process_function?
    private let callback: Callback

    init(_ function: obhut_process_function?, _ callback: Callback) {
        self.function = function
        self.callback = callback
    }

    /// Takes processes until the acceptor ends.
    func accept(_ acceptor: PortObject) {
        while let signal = try? acceptor.port.receive(as: acceptor.pid, timeout: -1) {
            let message = MessageObject(signal, acceptor.runtime, acceptor.pid)
            guard let taken = try? message.takePort() else { continue }
            let thread = startThread(named: "obhut-process") { self.run(taken, message) }
            if let thread {
                pthread_detach(thread)
            } else {
                acceptor.runtime.endPort(taken.port, taken.pid, .error("no thread is left for it", of: taken.pid))
            }
        }
    }

    private func run(_ process: PortObject, _ start: MessageObject) {
        let handle = HandleTable.shared.insert(process, .port, wakeable: process.port)
        let arguments = start.payload
        withExtendedLifetime(start) { function?(callback.user, handle, arguments.baseAddress, arguments.count) }
        obhut_port_free(handle)
    }
}

@_cdecl("obhut_runtime_define_function") @implementation
public func obhut_runtime_define_function(
    _ runtime: OpaquePointer!, _ entry: UnsafePointer<CChar>!, _ function: obhut_process_function!,
    _ user: UnsafeMutableRawPointer!, _ finalizer: obhut_finalizer!, _ error: ErrorOut
) -> obhut_status {
    let body = ProcessFunction(function, Callback(user: user, finalizer: finalizer))
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        let id = try entryID(entry)
        guard function != nil else { throw .argument("function must not be NULL") }
        do throws(Runtime.SpawnProblem) { try runtime.checkDefinable(id) } catch { throw error.failure }
        let opened: (port: Port, pid: Pid)
        do throws(Runtime.Problem) { opened = try runtime.openPort() } catch { throw error.failure }
        let acceptor = PortObject(runtime: runtime, port: opened.port, pid: opened.pid)
        guard let thread = startThread(named: "obhut-accept", { body.accept(acceptor) }) else {
            runtime.endPort(opened.port, opened.pid)
            throw Failure(OBHUT_SYSTEM, "the system gives no thread for the processes of \(id)")
        }
        pthread_detach(thread)
        do throws(Runtime.SpawnProblem) {
            try runtime.define(id, acceptor: opened.pid, ownedBy: opened.port)
        } catch {
            runtime.endPort(opened.port, opened.pid)
            throw error.failure
        }
    }
}
