import Glibc

/// The one result with which a process ended (P4), shared by all who are told.
final class ExitReason: @unchecked Sendable {  // immutable
    /// Abnormal ends carry an error, normal ones a value.
    let isAbnormal: Bool
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

    private init(
        isAbnormal: Bool, payload: [UInt8], cause: [UInt8]? = nil, origin: Pid, hops: Int = 0,
        traceback: String? = nil
    ) {
        self.isAbnormal = isAbnormal
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

    static func error(_ text: String, of pid: Pid, traceback: String? = nil) -> ExitReason {
        ExitReason(
            isAbnormal: true, payload: encode(text), origin: pid, traceback: traceback)
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
            isAbnormal: true, payload: payload, cause: reason.cause, origin: reason.origin,
            hops: reason.hops + 1)
    }

    /// The end of `pid` because another has ended with `cause`; an error object keeps its kind, and
    /// whether it is to be tried again.
    static func error(_ cause: ExitReason, after prefix: String, of pid: Pid) -> ExitReason {
        let payload = cause.payload.withUnsafeBytes { put(prefix, before: $0) }
        return ExitReason(isAbnormal: true, payload: payload, origin: pid)
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

    /// The error as text for people.
    var text: String { payload.withUnsafeBytes { describeError($0) } }

    private static func encode(_ text: String) -> [UInt8] {
        var writer = PayloadWriter()
        writer.writeString(text)
        return Array(writer.bytes)
    }
}
