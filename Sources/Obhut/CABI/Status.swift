import Glibc
import ObhutHeader

/// A call of the C interface that failed: status, text and, as far as known, the place.
struct Failure: Error {
    var status: obhut_status
    var text: String
    var file: String? = nil
    var line = 0
    var column = 0
    var offset: Int64 = -1

    init(
        _ status: Int32, _ text: String, file: String? = nil, line: Int = 0, column: Int = 0,
        offset: Int64 = -1
    ) {
        self.status = status
        self.text = text
        self.file = file
        self.line = line
        self.column = column
        self.offset = offset
    }

    static func argument(_ text: String) -> Failure { Failure(OBHUT_INVALID_ARGUMENT, text) }
    static func handle(_ what: String, _ handle: OpaquePointer?) -> Failure {
        if HandleTable.shared.isForked(handle) {
            return Failure(OBHUT_FORKED, "\(what): a handle of the process from which this one was forked")
        }
        return Failure(OBHUT_INVALID_HANDLE, "\(what): NULL, freed, or not a handle of this library")
    }
}

/// What an `obhut_error *` stands for. Immutable; the texts live as long as it does.
final class ErrorObject: @unchecked Sendable {
    let failure: Failure
    let text: UnsafeMutablePointer<CChar>
    let file: UnsafeMutablePointer<CChar>?

    init(_ failure: Failure) {
        self.failure = failure
        text = strdup(failure.text)
        file = failure.file.map { strdup($0) }
    }

    deinit {
        free(text)
        free(file)
    }
}

/// The last parameter of every function that reports; public because the exports are.
public typealias ErrorOut = UnsafeMutablePointer<OpaquePointer?>?

/// The frame of every function that reports: runs `body`, turns what it throws into the
/// status and the caller's error, and writes NULL there on success.
func report(_ error: ErrorOut, _ body: () throws(Failure) -> Void) -> obhut_status {
    do {
        try body()
        error?.pointee = nil
        return OBHUT_OK
    } catch let failure {
        error?.pointee = HandleTable.shared.insert(ErrorObject(failure), .error)
        return failure.status
    }
}

private struct StatusName {
    let status: Int32
    let name: StaticString
    let text: StaticString
}

/// As in include/obhut.h.
private let statusNames: [StatusName] = [
    .init(status: OBHUT_OK, name: "OBHUT_OK", text: "success"),
    .init(
        status: OBHUT_INVALID_HANDLE, name: "OBHUT_INVALID_HANDLE",
        text: "NULL, freed, or not a handle of this library"),
    .init(
        status: OBHUT_INVALID_ARGUMENT, name: "OBHUT_INVALID_ARGUMENT",
        text: "an argument is NULL, out of range or malformed"),
    .init(
        status: OBHUT_WRONG_STATE, name: "OBHUT_WRONG_STATE",
        text: "the call does not fit the present state"),
    .init(status: OBHUT_NOT_FOUND, name: "OBHUT_NOT_FOUND", text: "not found"),
    .init(status: OBHUT_TIMEOUT, name: "OBHUT_TIMEOUT", text: "the time has passed"),
    .init(status: OBHUT_INTERRUPTED, name: "OBHUT_INTERRUPTED", text: "the wait was interrupted"),
    .init(status: OBHUT_CLOSED, name: "OBHUT_CLOSED", text: "the port or runtime is closed"),
    .init(status: OBHUT_LIMIT, name: "OBHUT_LIMIT", text: "a bound was reached"),
    .init(
        status: OBHUT_INVALID_APPLICATION, name: "OBHUT_INVALID_APPLICATION",
        text: "the application has faults"),
    .init(status: OBHUT_MALFORMED, name: "OBHUT_MALFORMED", text: "a payload or text is malformed"),
    .init(status: OBHUT_FAILED, name: "OBHUT_FAILED", text: "what was asked for was tried, and failed"),
    .init(
        status: OBHUT_FORKED, name: "OBHUT_FORKED", text: "a handle of the process from which this one was forked"),
    .init(
        status: OBHUT_TERMINATED, name: "OBHUT_TERMINATED", text: "the process of this context has been ended"),
    .init(status: OBHUT_SYSTEM, name: "OBHUT_SYSTEM", text: "the system refused something"),
]

/// A static string as C sees it: it lives for ever and ends with NUL.
private func cString(_ text: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}

@_cdecl("obhut_status_name") @implementation
public func obhut_status_name(_ status: obhut_status) -> UnsafePointer<CChar>! {
    cString(statusNames.first { $0.status == status }?.name ?? "unknown status")
}

@_cdecl("obhut_status_text") @implementation
public func obhut_status_text(_ status: obhut_status) -> UnsafePointer<CChar>! {
    cString(statusNames.first { $0.status == status }?.text ?? "unknown status")
}

private func find(_ error: OpaquePointer?) -> ErrorObject? {
    HandleTable.shared.object(error, .error, as: ErrorObject.self)
}

@_cdecl("obhut_error_status") @implementation
public func obhut_error_status(_ error: OpaquePointer!) -> obhut_status {
    find(error)?.failure.status ?? Failure.handle("error", error).status
}

@_cdecl("obhut_error_text") @implementation
public func obhut_error_text(_ error: OpaquePointer!) -> UnsafePointer<CChar>! {
    find(error).map { UnsafePointer($0.text) } ?? cString("")
}

@_cdecl("obhut_error_file") @implementation
public func obhut_error_file(_ error: OpaquePointer!) -> UnsafePointer<CChar>! {
    find(error)?.file.map { UnsafePointer($0) }
}

@_cdecl("obhut_error_line") @implementation
public func obhut_error_line(_ error: OpaquePointer!) -> UInt32 {
    UInt32(clamping: find(error)?.failure.line ?? 0)
}

@_cdecl("obhut_error_column") @implementation
public func obhut_error_column(_ error: OpaquePointer!) -> UInt32 {
    UInt32(clamping: find(error)?.failure.column ?? 0)
}

@_cdecl("obhut_error_offset") @implementation
public func obhut_error_offset(_ error: OpaquePointer!) -> Int64 {
    find(error)?.failure.offset ?? -1
}

@_cdecl("obhut_error_free") @implementation
public func obhut_error_free(_ error: OpaquePointer!) {
    _ = HandleTable.shared.remove(error, .error, as: ErrorObject.self)
}
