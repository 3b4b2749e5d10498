import ObhutHeader

// Names of processes and ports (P3). To look one up is obhut_pid_resolve.

private func name(_ pointer: UnsafePointer<CChar>?) throws(Failure) -> String {
    let given = Array(try text(pointer, "name").utf8)
    let (name, fault) = given.withUnsafeBytes { bytes in
        // A name of no bytes has no address.
        bytes.isEmpty ? (nil, "a name has 1 to \(NameRegistry.maximumLength) bytes, this one has 0") : registeredName(bytes)
    }
    guard let name else { throw .argument(fault) }
    return name
}

@_cdecl("obhut_name_register") @implementation
public func obhut_name_register(
    _ runtime: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ pid: obhut_pid, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        let name = try Obhut.name(name)
        switch runtime.system.names.register(name, for: Pid(raw: pid)) {
        case .done: return
        case .taken: throw Failure(OBHUT_WRONG_STATE, "name already registered: \(name)")
        case .notFound: throw notFound(runtime, Pid(raw: pid))
        }
    }
}

@_cdecl("obhut_name_unregister") @implementation
public func obhut_name_unregister(
    _ runtime: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        let name = try Obhut.name(name)
        guard runtime.system.names.unregister(name) else {
            throw Failure(OBHUT_NOT_FOUND, "name not registered: \(name)")
        }
    }
}
