import Glibc
import ObhutHeader

/// A function of the host program with its `user` word; the finalizer runs exactly once,
/// when the last who holds this lets go.
final class Callback: @unchecked Sendable {  // immutable
    let user: UnsafeMutableRawPointer?
    private let finalizer: obhut_finalizer?

    init(user: UnsafeMutableRawPointer?, finalizer: obhut_finalizer?) {
        self.user = user
        self.finalizer = finalizer
    }

    deinit { finalizer?(user) }
}

/// What an `obhut_config *` stands for; one thread at a time by its contract, and locked
/// because a contract is not a proof.
final class ConfigurationObject: @unchecked Sendable {
    private let lock = Lock()
    private var value = RuntimeConfiguration()  // guarded by lock

    var configuration: RuntimeConfiguration { lock.with { value } }

    func change(_ body: (inout RuntimeConfiguration) -> Void) {
        // What is replaced is let go of after the lock: its finalizer may call this library.
        let old = lock.with {
            let old = value
            body(&value)
            return old
        }
        withExtendedLifetime(old) {}
    }
}

func find(configuration config: OpaquePointer?) -> ConfigurationObject? {
    HandleTable.shared.object(config, .config, as: ConfigurationObject.self)
}

/// Hands whole pieces of text to `function`; nil for none.
func sink(_ function: obhut_output_function?, _ callback: Callback) -> OutputQueue.Sink? {
    function.map { function in
        { text, _ in function(callback.user, text.baseAddress?.assumingMemoryBound(to: CChar.self), text.count) }
    }
}

@_cdecl("obhut_config_new") @implementation
public func obhut_config_new() -> OpaquePointer! {
    HandleTable.shared.insert(ConfigurationObject(), .config)
}

@_cdecl("obhut_config_set_output_sink") @implementation
public func obhut_config_set_output_sink(
    _ config: OpaquePointer!, _ function: obhut_output_function!,
    _ user: UnsafeMutableRawPointer!, _ finalizer: obhut_finalizer!
) -> obhut_status {
    // Made first: the finalizer runs on a failed registration too.
    let callback = Callback(user: user, finalizer: finalizer)
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    config.change { $0.output = sink(function, callback) }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_log_sink") @implementation
public func obhut_config_set_log_sink(
    _ config: OpaquePointer!, _ function: obhut_log_function!,
    _ user: UnsafeMutableRawPointer!, _ finalizer: obhut_finalizer!
) -> obhut_status {
    let callback = Callback(user: user, finalizer: finalizer)
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    let sink: ((UnsafeRawBufferPointer, Int32) -> Void)? = function.map { function in
        { text, level in
            function(
                callback.user, level, text.baseAddress?.assumingMemoryBound(to: CChar.self),
                text.count)
        }
    }
    config.change { $0.log = sink }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_log_format") @implementation
public func obhut_config_set_log_format(_ config: OpaquePointer!, _ format: Int32) -> obhut_status {
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    guard let format = LogFormat(rawValue: format) else { return OBHUT_INVALID_ARGUMENT }
    config.change { $0.logFormat = format }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_input_source") @implementation
public func obhut_config_set_input_source(
    _ config: OpaquePointer!, _ function: obhut_input_function!,
    _ user: UnsafeMutableRawPointer!, _ finalizer: obhut_finalizer!
) -> obhut_status {
    let callback = Callback(user: user, finalizer: finalizer)
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    let source: ((UnsafeMutableRawBufferPointer) -> Int)? = function.map { function in
        { buffer in
            Int(function(callback.user, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count))
        }
    }
    config.change { $0.input = source }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_arguments") @implementation
public func obhut_config_set_arguments(
    _ config: OpaquePointer!, _ arguments: UnsafePointer<UnsafePointer<CChar>?>!, _ count: Int
) -> obhut_status {
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    guard count >= 0, count == 0 || arguments != nil else { return OBHUT_INVALID_ARGUMENT }
    var texts: [String] = []
    for index in 0..<count {
        guard let argument = arguments[index], let text = String(validatingCString: argument) else {
            return OBHUT_INVALID_ARGUMENT
        }
        texts.append(text)
    }
    config.change { $0.arguments = texts }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_environment") @implementation
public func obhut_config_set_environment(
    _ config: OpaquePointer!, _ variables: UnsafePointer<UnsafePointer<CChar>?>!
) -> obhut_status {
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    var environment: [String: [UInt8]] = [:]
    var next = variables
    while let place = next, let text = place.pointee {
        next = place + 1
        let bytes = UnsafeRawBufferPointer(start: text, count: strlen(text))
        // What has no name, or none that an entry could say, is of no use.
        guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")), equals > 0,
            isValidUTF8(UnsafeRawBufferPointer(rebasing: bytes[..<equals]))
        else { continue }
        let name = String(decoding: bytes[..<equals], as: UTF8.self)
        if environment[name] == nil { environment[name] = [UInt8](bytes[(equals + 1)...]) }
    }
    config.change { $0.environment = environment }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_preemption_signal") @implementation
public func obhut_config_set_preemption_signal(
    _ config: OpaquePointer!, _ signal_number: Int32
) -> obhut_status {
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    guard RuntimeConfiguration.maySignal(signal_number) else { return OBHUT_INVALID_ARGUMENT }
    config.change {
        $0.preemption = signal_number == 0 ? .counted(instructions: 1000) : .signal(number: signal_number)
    }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_seed") @implementation
public func obhut_config_set_seed(_ config: OpaquePointer!, _ seed: UInt64) -> obhut_status {
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    config.change { $0.seed = seed }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_cloning") @implementation
public func obhut_config_set_cloning(_ config: OpaquePointer!, _ enabled: Int32) -> obhut_status {
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    config.change { $0.cloning = enabled == 0 ? .never : .fromSecond }
    return OBHUT_OK
}

@_cdecl("obhut_config_allow_native") @implementation
public func obhut_config_allow_native(
    _ config: OpaquePointer!, _ pattern: UnsafePointer<CChar>!, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in
        guard let object = find(configuration: config) else { throw .handle("config", config) }
        guard let pattern, let text = String(validatingCString: pattern) else {
            throw .argument("pattern must be a string in UTF-8, not NULL")
        }
        guard let parsed = LibraryPattern(text) else {
            throw .argument("pattern must be \(LibraryPattern.rule), got \(quoted(text, by: "\""))")
        }
        object.change { $0.libraries.append(parsed) }
    }
}

@_cdecl("obhut_config_free") @implementation
public func obhut_config_free(_ config: OpaquePointer!) {
    _ = HandleTable.shared.remove(config, .config, as: ConfigurationObject.self)
}

@_cdecl("obhut_config_set_worker") @implementation
public func obhut_config_set_worker(_ config: OpaquePointer!, _ path: UnsafePointer<CChar>!) -> obhut_status {
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    let worker = path.map { String(cString: $0) }
    if worker?.isEmpty == true { return OBHUT_INVALID_ARGUMENT }
    config.change { $0.worker = worker }
    return OBHUT_OK
}
