import Glibc
import ObhutHeader

/// What an `obhut_runtime *` stands for. Ports keep the runtime, stopped, beyond it.
final class RuntimeObject: @unchecked Sendable {  // immutable; Runtime guards itself
    let runtime: Runtime

    init(_ runtime: Runtime) { self.runtime = runtime }
}

func find(_ runtime: OpaquePointer?) throws(Failure) -> Runtime {
    guard let object = HandleTable.shared.object(runtime, .runtime, as: RuntimeObject.self) else {
        throw .handle("runtime", runtime)
    }
    return object.runtime
}

/// A C string that must be there.
func text(_ pointer: UnsafePointer<CChar>?, _ name: String) throws(Failure) -> String {
    guard let pointer else { throw .argument("\(name) must not be NULL") }
    guard let text = String(validatingCString: pointer) else {
        throw .argument("\(name) is not UTF-8")
    }
    return text
}

extension Runtime.Problem {
    var failure: Failure {
        switch self {
        case .wrongState(let text): return Failure(OBHUT_WRONG_STATE, text)
        case .system(let text): return Failure(OBHUT_SYSTEM, text)
        case .invalidApplication(let faults):
            let first = faults.faults.first
            return Failure(
                OBHUT_INVALID_APPLICATION, faults.description, file: first?.path,
                line: first?.line ?? 0, column: first?.column ?? 0)
        }
    }
}

extension Runtime.SpawnProblem {
    var failure: Failure {
        switch self {
        case .notFound(let text): Failure(OBHUT_NOT_FOUND, text)
        case .wrongKind(let text), .invalidArgument(let text): Failure(OBHUT_INVALID_ARGUMENT, text)
        case .wrongState(let text): Failure(OBHUT_WRONG_STATE, text)
        case .limit(let text): Failure(OBHUT_LIMIT, text)
        case .system(let text): Failure(OBHUT_SYSTEM, text)
        }
    }
}

/// Calls the runtime, with its problems as failures.
private func asking<Result>(
    _ body: () throws(Runtime.Problem) -> Result
) throws(Failure) -> Result {
    do throws(Runtime.Problem) { return try body() } catch { throw error.failure }
}

@_cdecl("obhut_runtime_create") @implementation
public func obhut_runtime_create(
    _ config: OpaquePointer!, _ runtime: UnsafeMutablePointer<OpaquePointer?>!, _ error: ErrorOut
) -> obhut_status {
    runtime?.pointee = nil
    return report(error) { () throws(Failure) in
        guard let runtime else { throw .argument("runtime must not be NULL") }
        var configuration = RuntimeConfiguration()
        if let config {
            guard let object = HandleTable.shared.object(config, .config, as: ConfigurationObject.self)
            else { throw .handle("config", config) }
            configuration = object.configuration
        }
        let made = try asking { () throws(Runtime.Problem) in try Runtime(configuration) }
        runtime.pointee = HandleTable.shared.insert(RuntimeObject(made), .runtime)
    }
}

@_cdecl("obhut_runtime_load_folder") @implementation
public func obhut_runtime_load_folder(
    _ runtime: OpaquePointer!, _ path: UnsafePointer<CChar>!, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        let path = try text(path, "path")
        try asking { () throws(Runtime.Problem) in try runtime.load([.folder(path)]) }
    }
}

@_cdecl("obhut_runtime_load_text") @implementation
public func obhut_runtime_load_text(
    _ runtime: OpaquePointer!, _ yaml: UnsafePointer<CChar>!, _ length: Int, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        let given = try bytes(yaml, length, "yaml")
        if let offset = offsetOfInvalidUTF8(given) {
            throw Failure(OBHUT_INVALID_APPLICATION, "<text>: is not UTF-8 at byte \(offset)", file: "<text>", offset: Int64(offset))
        }
        let text = String(decoding: given, as: UTF8.self)
        try asking { () throws(Runtime.Problem) in try runtime.load([.yaml(text, name: "<text>")]) }
    }
}

@_cdecl("obhut_runtime_start") @implementation
public func obhut_runtime_start(
    _ runtime: OpaquePointer!, _ flags: UInt32, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard flags <= 1 else { throw .argument("flags: \(flags) is neither OBHUT_START_ALL nor OBHUT_START_HOSTS") }
        try asking { () throws(Runtime.Problem) in try runtime.start(hostsOnly: flags == 1) }
    }
}

@_cdecl("obhut_runtime_supervisor") @implementation
public func obhut_runtime_supervisor(
    _ runtime: OpaquePointer!, _ pid: UnsafeMutablePointer<obhut_pid>!, _ error: ErrorOut
) -> obhut_status {
    pid?.pointee = 0
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let pid else { throw .argument("pid must not be NULL") }
        guard let supervisor = runtime.servicesPid else {
            throw Failure(OBHUT_NOT_FOUND, "nothing has started by itself: there is no supervisor")
        }
        pid.pointee = supervisor.raw
    }
}

@_cdecl("obhut_runtime_failure") @implementation
public func obhut_runtime_failure(
    _ runtime: OpaquePointer!, _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>!,
    _ length: UnsafeMutablePointer<Int>!, _ error: ErrorOut
) -> obhut_status {
    text?.pointee = nil
    length?.pointee = 0
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let text else { throw .argument("text must not be NULL") }
        guard let failure = runtime.failure else {
            throw Failure(OBHUT_NOT_FOUND, "the application has not failed")
        }
        let copy = try ownedCopy(failure.text)
        text.pointee = copy.start
        length?.pointee = copy.count
    }
}

@_cdecl("obhut_runtime_stop") @implementation
public func obhut_runtime_stop(
    _ runtime: OpaquePointer!, _ timeout: Int64, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        try find(runtime).stop(timeout: timeout < 0 ? nil : timeout)
    }
}

@_cdecl("obhut_runtime_free") @implementation
public func obhut_runtime_free(_ runtime: OpaquePointer!) {
    guard let object = HandleTable.shared.remove(runtime, .runtime, as: RuntimeObject.self) else {
        return
    }
    let runtime = object.runtime
    if runtime.stopsAtOnce() { return }
    if let thread = startThread(named: "obhut-free", { runtime.stop(timeout: 0) }) {
        pthread_detach(thread)
    } else {
        runtime.stop(timeout: 0)
    }
}

@_cdecl("obhut_runtime_read_output") @implementation
public func obhut_runtime_read_output(
    _ runtime: OpaquePointer!, _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>!,
    _ length: UnsafeMutablePointer<Int>!, _ error: ErrorOut
) -> obhut_status {
    readQueue(text, length, error) { () throws(Failure) in try find(runtime).output }
}

@_cdecl("obhut_runtime_read_log") @implementation
public func obhut_runtime_read_log(
    _ runtime: OpaquePointer!, _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>!,
    _ length: UnsafeMutablePointer<Int>!, _ error: ErrorOut
) -> obhut_status {
    readQueue(text, length, error) { () throws(Failure) in try find(runtime).log.queue }
}

private func readQueue(
    _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?,
    _ length: UnsafeMutablePointer<Int>?, _ error: ErrorOut,
    _ queue: () throws(Failure) -> OutputQueue
) -> obhut_status {
    text?.pointee = nil
    length?.pointee = 0
    return report(error) { () throws(Failure) in
        let queue = try queue()
        guard let text, let length else { throw .argument("text and length must not be NULL") }
        let kept = queue.takeKept()
        if kept.isEmpty { return }
        let copy = kept.withUnsafeBytes { bytes in Result { () throws(Failure) in try ownedCopy(bytes) } }
        text.pointee = try copy.get().assumingMemoryBound(to: CChar.self)
        length.pointee = kept.count
    }
}

extension Runtime {
    fileprivate var counters: obhut_counters {
        obhut_counters(
            struct_size: 0, processes: UInt64(system.aliveCount),
            spawned: system.spawned.load(ordering: .relaxed),
            ended: system.ended.load(ordering: .relaxed),
            dead_letters: system.deadLetters.load(ordering: .relaxed),
            timers: UInt64(scheduler.timers.count),
            dropped_lines: UInt64(output.dropped + log.queue.dropped),
            zombies: UInt64(native.zombies.load(ordering: .relaxed) + scheduler.strandedThreads))
    }
}

@_cdecl("obhut_runtime_counters") @implementation
public func obhut_runtime_counters(
    _ runtime: OpaquePointer!, _ counters: UnsafeMutablePointer<obhut_counters>!, _ error: ErrorOut
) -> obhut_status {
    let size = counters?.pointee.struct_size ?? 0
    // No version will ever have as many: what is larger was not initialised.
    let isSane = size >= MemoryLayout<Int>.size && size <= 4096 && size % 8 == 0
    if let counters, isSane {
        var zeros = obhut_counters()
        zeros.struct_size = size
        memcpy(counters, &zeros, min(size, MemoryLayout<obhut_counters>.size))
    }
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let counters else { throw .argument("counters must not be NULL") }
        guard isSane else {
            throw .argument("counters.struct_size is \(size): set it to sizeof(obhut_counters)")
        }
        let known = MemoryLayout<obhut_counters>.size
        // A newer program's fields that this library does not know must be untouched zeros.
        let raw = UnsafeRawPointer(counters)
        for offset in stride(from: known, to: size, by: 8)
        where raw.load(fromByteOffset: offset, as: UInt64.self) != 0 {
            throw .argument("counters has fields that this version does not know")
        }
        var filled = runtime.counters
        filled.struct_size = size
        memcpy(counters, &filled, min(size, known))
    }
}

@_cdecl("obhut_pid_text") @implementation
public func obhut_pid_text(
    _ runtime: OpaquePointer!, _ pid: obhut_pid, _ text: UnsafeMutablePointer<CChar>!, _ size: Int,
    _ length: UnsafeMutablePointer<Int>!
) -> obhut_status {
    length?.pointee = 0
    if let text, size > 0 { text.pointee = 0 }
    return report(nil) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let text, size > 0 else { throw .argument("text must have room") }
        let full = Array(runtime.system.text(of: Pid(raw: pid)).utf8)
        let count = min(full.count, size - 1)
        for i in 0..<count { text[i] = CChar(bitPattern: full[i]) }
        text[count] = 0
        length?.pointee = full.count
        if count < full.count { throw Failure(OBHUT_LIMIT, "the text needs \(full.count + 1) bytes") }
    }
}

@_cdecl("obhut_pid_resolve") @implementation
public func obhut_pid_resolve(
    _ runtime: OpaquePointer!, _ text: UnsafePointer<CChar>!,
    _ pid: UnsafeMutablePointer<obhut_pid>!, _ error: ErrorOut
) -> obhut_status {
    pid?.pointee = 0
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let pid else { throw .argument("pid must not be NULL") }
        let name = Array(try Obhut.text(text, "text").utf8)
        guard let found = name.withUnsafeBufferPointer({ runtime.system.resolve($0) }),
            runtime.system.table.living(found) != nil
        else {
            throw Failure(OBHUT_NOT_FOUND, "process not found: \(String(decoding: name, as: UTF8.self))")
        }
        pid.pointee = found.raw
    }
}
