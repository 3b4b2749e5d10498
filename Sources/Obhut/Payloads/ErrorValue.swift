/// An error object of the `errors` module outside of Lua: it crosses process boundaries as an error
/// object, not as a text (LUA_API, errors).
///
/// On the wire it is extension type 2, whose body is one MessagePack array of five:
///
///   0  kind       str      "NOT_FOUND", "TIMEOUT", … or a kind of the program's own
///   1  message    str
///   2  retryable  nil or bool; nil = nobody said
///   3  details    any value; nil = none
///   4  stack      nil or str
///
/// Texts are read from `bin` too: Lua strings need not be UTF-8 (ARCHITECTURE D6). As Swift strings
/// they are repaired, so what is read and written again may differ in broken bytes, never in shape.
struct ErrorValue: Equatable {
    var kind: String
    var message: String
    var retryable: Bool?
    /// One encoded value.
    var details: [UInt8]?
    var stack: String?

    init(kind: String, message: String, retryable: Bool? = nil, details: [UInt8]? = nil, stack: String? = nil) {
        self.kind = kind
        self.message = message
        self.retryable = retryable
        self.details = details
        self.stack = stack
    }

    func write(into writer: inout PayloadWriter) {
        let place = writer.reserveExtension(type: PayloadExtension.error)
        writer.writeArrayHeader(5)
        writer.writeString(kind)
        writer.writeString(message)
        if let retryable { writer.writeBool(retryable) } else { writer.writeNil() }
        if let details { details.withUnsafeBytes { writer.appendRaw($0) } } else { writer.writeNil() }
        if let stack { writer.writeString(stack) } else { writer.writeNil() }
        writer.patchExtension(at: place)
    }

    /// From the body of an extension of type 2; nil if it has another shape.
    static func read(from body: UnsafeRawBufferPointer) -> ErrorValue? {
        guard let parts = Parts(body) else { return nil }
        return ErrorValue(
            kind: String(decoding: parts.kind, as: UTF8.self),
            message: String(decoding: parts.message, as: UTF8.self),
            retryable: parts.retryable,
            details: parts.details.map { [UInt8]($0) },
            stack: parts.stack.map { String(decoding: $0, as: UTF8.self) })
    }

    static func hasShape(_ body: UnsafeRawBufferPointer) -> Bool { Parts(body) != nil }

    /// An error body taken apart where it lies.
    struct Parts {
        let kind, message: UnsafeRawBufferPointer
        let retryable: Bool?
        /// Nil if the value is nil.
        let details: UnsafeRawBufferPointer?
        let stack: UnsafeRawBufferPointer?

        init?(_ body: UnsafeRawBufferPointer) {
            var reader = PayloadReader(body)
            guard case .array(5) = reader.next(),
                case .text(let kind)? = Text(reader.next()),
                case .text(let message)? = Text(reader.next())
            else { return nil }
            self.kind = kind
            self.message = message
            switch reader.next() {
            case .null: retryable = nil
            case .bool(let value): retryable = value
            default: return nil
            }
            let start = reader.offset
            guard reader.skip() else { return nil }
            let isNil = body[start] == PayloadTag.null
            details = isNil ? nil : UnsafeRawBufferPointer(rebasing: body[start..<reader.offset])
            switch Text(reader.next()) {
            case .null?: stack = nil
            case .text(let bytes)?: stack = bytes
            case nil: return nil
            }
            guard reader.isAtEnd else { return nil }
        }

        private enum Text {
            case null
            case text(UnsafeRawBufferPointer)

            init?(_ token: PayloadReader.Token) {
                switch token {
                case .null: self = .null
                case .string(let bytes), .binary(let bytes): self = .text(bytes)
                default: return nil
                }
            }
        }
    }
}

/// The human text of an encoded error: a string as it is, an error object's message, else its JSON.
func describeError(_ payload: UnsafeRawBufferPointer) -> String {
    var reader = PayloadReader(payload)
    switch reader.next() {
    case .string(let bytes), .binary(let bytes):
        return String(decoding: bytes, as: UTF8.self)
    case .ext(PayloadExtension.error, let body):
        if let error = ErrorValue.Parts(body) { return String(decoding: error.message, as: UTF8.self) }
    default:
        break
    }
    return payloadToJSON(payload)
}
