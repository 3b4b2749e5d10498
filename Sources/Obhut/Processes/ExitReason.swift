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
    static func linkFailure(of neighbour: Pid, named text: String, _ reason: ExitReason) -> ExitReason {
        let prefix = "linked process \(text) failed: "
        let payload = reason.cause.withUnsafeBytes { bytes -> [UInt8] in
            var reader = PayloadReader(bytes)
            var writer = PayloadWriter()
            if case .ext(PayloadExtension.error, let body) = reader.next(),
                var error = ErrorValue.read(from: body)
            {
                error.message = prefix + error.message
                error.write(into: &writer)
            } else {
                writer.writeString(prefix + describeError(bytes))
            }
            return Array(writer.bytes)
        }
        return ExitReason(
            isAbnormal: true, payload: payload, cause: reason.cause, origin: reason.origin,
            hops: reason.hops + 1)
    }

    /// The error as text for people.
    var text: String { payload.withUnsafeBytes { describeError($0) } }

    private static func encode(_ text: String) -> [UInt8] {
        var writer = PayloadWriter()
        writer.writeString(text)
        return Array(writer.bytes)
    }
}
