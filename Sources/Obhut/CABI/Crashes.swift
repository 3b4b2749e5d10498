import Glibc
import ObhutHeader

/// What an `obhut_crash *` stands for. Immutable; the texts live as long as it does.
final class CrashObject: @unchecked Sendable {
    typealias Text = (start: UnsafeMutablePointer<CChar>, count: Int)

    fileprivate let sequence: UInt64
    fileprivate let pid: Pid
    /// One block: the entry, the error, the text and the JSON, each with a NUL behind it.
    fileprivate let entry, error, text, json: Text

    init(_ document: CrashDocument) throws(Failure) {
        let summary = document.summary
        sequence = summary.sequence
        pid = summary.pid
        let texts = [summary.entry, summary.error, CrashText.of(document), document.json]
        let all = try ownedCopy(texts.joined(separator: "\0"))
        var start = all.start
        let places = texts.map { text -> Text in
            defer { start += text.utf8.count + 1 }
            return (start, text.utf8.count)
        }
        (entry, error, text, json) = (places[0], places[1], places[2], places[3])
    }

    deinit { free(entry.start) }
}

private func object(_ crash: OpaquePointer?) -> CrashObject? {
    HandleTable.shared.object(crash, .crash, as: CrashObject.self)
}

// MARK: - Configuration

@_cdecl("obhut_config_set_crash_reports") @implementation
public func obhut_config_set_crash_reports(_ config: OpaquePointer!, _ count: UInt32, _ bytes: Int) -> obhut_status {
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    guard count <= CrashConfiguration.mostKept, bytes >= 0 else { return OBHUT_INVALID_ARGUMENT }
    config.change {
        $0.crashes.count = bytes == 0 ? 0 : Int(count)
        $0.crashes.bytes = bytes
    }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_crash_messages") @implementation
public func obhut_config_set_crash_messages(
    _ config: OpaquePointer!, _ received: UInt32, _ waiting: UInt32, _ contents: Int
) -> obhut_status {
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    guard received <= CrashMessages.mostMessages, waiting <= CrashMessages.mostMessages,
        (0...CrashMessages.mostContents).contains(contents)
    else { return OBHUT_INVALID_ARGUMENT }
    config.change {
        $0.crashes.messages = CrashMessages(received: Int(received), waiting: Int(waiting), contents: contents)
    }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_crash_redaction") @implementation
public func obhut_config_set_crash_redaction(
    _ config: OpaquePointer!, _ function: obhut_crash_redaction_function!, _ user: UnsafeMutableRawPointer!,
    _ finalizer: obhut_finalizer!
) -> obhut_status {
    // Made first: the finalizer runs on a failed registration too.
    let callback = Callback(user: user, finalizer: finalizer)
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    let redaction: CrashRecord.Redaction? = function.map { function in
        { entry, topic, payload in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: CrashMessages.mostContents) { text in
                // One that says more than it wrote shows nothing of the stack.
                text.initialize(repeating: 0)
                let count = function(
                    callback.user, entry, topic.baseAddress?.assumingMemoryBound(to: CChar.self), topic.count,
                    payload.baseAddress, payload.count, text.baseAddress, text.count)
                guard count >= 0 else { return nil }
                let length = Int(min(count, Int64(text.count)))
                return String(decoding: UnsafeRawBufferPointer(start: text.baseAddress, count: length), as: UTF8.self)
            }
        }
    }
    config.change { $0.crashes.redaction = redaction }
    return OBHUT_OK
}

@_cdecl("obhut_config_set_crash_sink") @implementation
public func obhut_config_set_crash_sink(
    _ config: OpaquePointer!, _ function: obhut_output_function!, _ user: UnsafeMutableRawPointer!,
    _ finalizer: obhut_finalizer!
) -> obhut_status {
    let callback = Callback(user: user, finalizer: finalizer)
    guard let config = find(configuration: config) else { return Failure.handle("config", config).status }
    config.change { $0.crashes.sink = sink(function, callback) }
    return OBHUT_OK
}

// MARK: - Reports

@_cdecl("obhut_runtime_next_crash") @implementation
public func obhut_runtime_next_crash(
    _ runtime: OpaquePointer!, _ after: UInt64, _ crash: UnsafeMutablePointer<OpaquePointer?>!, _ error: ErrorOut
) -> obhut_status {
    crash?.pointee = nil
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let crash else { throw .argument("crash must not be NULL") }
        guard let document = runtime.crashes.next(after: after) else {
            throw Failure(OBHUT_NOT_FOUND, "no crash report after number \(after)")
        }
        crash.pointee = HandleTable.shared.insert(try CrashObject(document), .crash)
    }
}

@_cdecl("obhut_crash_from_json") @implementation
public func obhut_crash_from_json(
    _ json: UnsafePointer<CChar>!, _ length: Int, _ crash: UnsafeMutablePointer<OpaquePointer?>!, _ error: ErrorOut
) -> obhut_status {
    crash?.pointee = nil
    return report(error) { () throws(Failure) in
        guard let crash else { throw .argument("crash must not be NULL") }
        switch CrashDocument.read(json: try bytes(json, length, "json")) {
        case .report(let document): crash.pointee = HandleTable.shared.insert(try CrashObject(document), .crash)
        case .missing(let count):
            throw Failure(
                OBHUT_MALFORMED,
                "\(count) \(count == 1 ? "report is" : "reports are") missing here: the sink did not take them in time")
        case .noReport(let why): throw Failure(OBHUT_MALFORMED, "not a crash report: \(why)")
        case .noJSON(let fault):
            throw Failure(
                OBHUT_MALFORMED, "not JSON: \(fault)", line: fault.line, column: fault.column, offset: Int64(fault.offset))
        }
    }
}

@_cdecl("obhut_crash_sequence") @implementation
public func obhut_crash_sequence(_ crash: OpaquePointer!) -> UInt64 { object(crash)?.sequence ?? 0 }

@_cdecl("obhut_crash_pid") @implementation
public func obhut_crash_pid(_ crash: OpaquePointer!) -> obhut_pid { object(crash)?.pid.raw ?? 0 }

@_cdecl("obhut_crash_entry") @implementation
public func obhut_crash_entry(_ crash: OpaquePointer!) -> UnsafePointer<CChar>! {
    view(object(crash)?.entry, nil)
}

@_cdecl("obhut_crash_error") @implementation
public func obhut_crash_error(_ crash: OpaquePointer!) -> UnsafePointer<CChar>! {
    view(object(crash)?.error, nil)
}

@_cdecl("obhut_crash_text") @implementation
public func obhut_crash_text(_ crash: OpaquePointer!, _ length: UnsafeMutablePointer<Int>!) -> UnsafePointer<CChar>! {
    view(object(crash)?.text, length)
}

@_cdecl("obhut_crash_json") @implementation
public func obhut_crash_json(_ crash: OpaquePointer!, _ length: UnsafeMutablePointer<Int>!) -> UnsafePointer<CChar>! {
    view(object(crash)?.json, length)
}

private func view(_ text: CrashObject.Text?, _ length: UnsafeMutablePointer<Int>?) -> UnsafePointer<CChar>? {
    length?.pointee = text?.count ?? 0
    return text.map { UnsafePointer($0.start) } ?? obhut_error_text(nil)
}

@_cdecl("obhut_crash_free") @implementation
public func obhut_crash_free(_ crash: OpaquePointer!) {
    _ = HandleTable.shared.remove(crash, .crash, as: CrashObject.self)
}
