import Glibc

/// The one result with which a process ended (P4), shared by all who are told.
final class ExitReason: @unchecked Sendable {  // immutable, but for what `settle` writes before it is shared
    /// What ended the process, for the crash report.
    enum Kind: UInt8 {
        /// It raised or returned an error, or could not be started.
        case error
        case linkFailure, terminated, deadline, stepLimit, memoryLimit
        /// A supervisor's child ended, and the supervisor gave up.
        case childFailure
    }

    /// Abnormal ends carry an error, normal ones a value.
    let isAbnormal: Bool
    let kind: Kind
    /// The value or the error as MessagePack; an error is a str or an error object.
    let payload: [UInt8]
    /// The error where it began, before links reported it (L9); as `payload`.
    let cause: [UInt8]
    /// The process where it began; `none` until the process that ends has filled it in.
    let origin: Pid
    /// Links between origin and the process that ended with this.
    let hops: Int
    /// For log and crash report.
    let traceback: String?
    /// How the failure came from where it began; nil: it began here.
    let route: FailureRoute?
    /// Who terminated it, if somebody did.
    let actor: Pid
    /// Who ended with it, and as what; `none` and nil until then, and at normal ends.
    private(set) var process = Pid.none
    /// Unretained: definitions outlive the processes that run them (see `ProcessSystem.resolveDefinition`).
    private(set) unowned(unsafe) var definition: ProcessDefinition?

    private init(
        isAbnormal: Bool, kind: Kind = .error, payload: [UInt8], cause: [UInt8]? = nil, origin: Pid, hops: Int = 0,
        traceback: String? = nil, route: FailureRoute? = nil, actor: Pid = .none
    ) {
        self.isAbnormal = isAbnormal
        self.kind = kind
        self.route = route
        self.actor = actor
        self.payload = payload
        self.cause = cause ?? payload
        self.origin = origin
        self.hops = hops
        self.traceback = traceback
    }

    static func value(_ payload: UnsafeRawBufferPointer, of pid: Pid) -> ExitReason {
        ExitReason(isAbnormal: false, payload: Array(payload), origin: pid)
    }

    /// A normal end without a value.
    static func nothing(of pid: Pid) -> ExitReason {
        ExitReason(isAbnormal: false, payload: [0xc0], origin: pid)
    }

    static func error(
        _ payload: UnsafeRawBufferPointer, of pid: Pid, traceback: String? = nil
    ) -> ExitReason {
        ExitReason(isAbnormal: true, payload: Array(payload), origin: pid, traceback: traceback)
    }

    /// - Parameter actor: who brought it about, if another process did.
    static func error(
        _ text: String, of pid: Pid, traceback: String? = nil, kind: Kind = .error, by actor: Pid = .none
    ) -> ExitReason {
        ExitReason(
            isAbnormal: true, kind: kind, payload: encode(text), origin: pid, traceback: traceback, actor: actor)
    }

    /// The process that ends with this writes itself in, before anybody is told.
    func settle(on process: Pid, _ definition: ProcessDefinition?) {
        self.process = process
        self.definition = definition
    }

    /// The end of a process whose linked `neighbour` ended with `reason`.
    static func linkFailure(
        of neighbour: Pid, _ reason: ExitReason, in system: ProcessSystem
    ) -> ExitReason {
        let payload = reason.cause.withUnsafeBytes { bytes -> [UInt8] in
            var reader = PayloadReader(bytes)
            // A cascade makes one for each process that falls: the common case is bytes and no texts.
            if case .string(let text) = reader.next() {
                return linkFailure(of: neighbour, text, in: system)
            }
            return put("linked process \(system.text(of: neighbour)) failed: ", before: bytes)
        }
        return ExitReason(
            isAbnormal: true, kind: .linkFailure, payload: payload, cause: reason.cause, origin: reason.origin,
            hops: reason.hops + 1, route: FailureRoute(through: reason))
    }

    /// The end of `pid` because another has ended with `cause`; an error object keeps its kind, and
    /// whether it is to be tried again.
    static func error(_ cause: ExitReason, after prefix: String, of pid: Pid) -> ExitReason {
        let payload = cause.payload.withUnsafeBytes { put(prefix, before: $0) }
        return ExitReason(
            isAbnormal: true, kind: .childFailure, payload: payload, origin: pid, route: FailureRoute(through: cause))
    }

    private static func put(_ prefix: String, before error: UnsafeRawBufferPointer) -> [UInt8] {
        var reader = PayloadReader(error)
        var writer = PayloadWriter()
        if case .ext(PayloadExtension.error, let body) = reader.next(), var error = ErrorValue.read(from: body) {
            error.message = prefix + error.message
            error.write(into: &writer)
        } else {
            writer.writeString(prefix + describeError(error))
        }
        return Array(writer.bytes)
    }

    /// What an error object can say of itself (V5).
    var isRetryable: Bool {
        payload.withUnsafeBytes { bytes in
            var reader = PayloadReader(bytes)
            guard isAbnormal, case .ext(PayloadExtension.error, let body) = reader.next() else { return true }
            return ErrorValue.Parts(body)?.retryable != false
        }
    }

    private static func linkFailure(
        of neighbour: Pid, _ cause: UnsafeRawBufferPointer, in system: ProcessSystem
    ) -> [UInt8] {
        let room = 15 + ProcessSystem.maximumPidText + 9 + cause.count
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 2 * room + 8) { memory in
            let text = memory.baseAddress!
            var count = 15
            memcpy(text, "linked process ", count)
            count += system.writeText(of: neighbour, to: text + count)
            memcpy(text + count, " failed: ", 9)
            count += 9
            if cause.count > 0 { memcpy(text + count, cause.baseAddress!, cause.count) }
            count += cause.count
            var writer = PayloadWriter(
                limit: .max, borrowing: UnsafeMutableRawBufferPointer(start: text + room, count: room + 8))
            writer.writeUTF8(UnsafeRawBufferPointer(start: text, count: count))
            return Array(writer.bytes)
        }
    }

    /// The same with an error that is only the beginning of its text; so also where it began.
    func shortened(to limit: Int) -> ExitReason {
        let short = ExitReason(
            isAbnormal: isAbnormal, kind: kind, payload: ExitReason.encode(shortText(limit)), origin: origin, hops: hops,
            traceback: traceback, route: route?.shortened(to: limit), actor: actor)
        short.settle(on: process, definition)
        return short
    }

    /// The beginning of `text`, at most `limit` bytes, however long that is.
    func shortText(_ limit: Int) -> String {
        payload.withUnsafeBytes { bytes in
            var reader = PayloadReader(bytes)
            var text: UnsafeRawBufferPointer?
            switch reader.next() {
            case .string(let string), .binary(let string): text = string
            case .ext(PayloadExtension.error, let body): text = ErrorValue.Parts(body)?.message
            default: break
            }
            guard let text else { return bytes.count <= limit ? payloadToJSON(bytes) : "a value of \(bytes.count) bytes" }
            if text.count <= limit { return String(decoding: text, as: UTF8.self) }
            // Not in the middle of a character.
            var end = limit
            while end > 0 && text[end] & 0xc0 == 0x80 { end -= 1 }
            return String(decoding: text[..<end], as: UTF8.self) + "…"
        }
    }

    /// The error as text for people.
    var text: String { payload.withUnsafeBytes { describeError($0) } }

    private static func encode(_ text: String) -> [UInt8] {
        var writer = PayloadWriter()
        writer.writeString(text)
        return Array(writer.bytes)
    }
}
