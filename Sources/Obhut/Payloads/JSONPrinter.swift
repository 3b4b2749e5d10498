/// The JSON of a payload (the table is in JSONParser.swift); `pretty` puts each value on its own line,
/// two blanks a level.
///
/// Meant for validated payloads, yet safe with any bytes: at what is malformed, or nested deeper than
/// `payloadMaxDepth`, it writes null, closes what is open and stops, so the text is JSON in any case.
///
/// `pidText` gives a pid its text; only the runtime knows the host a pid belongs to.
func payloadToJSON(
    _ bytes: UnsafeRawBufferPointer, pretty: Bool = false,
    pidText: @escaping (UInt64) -> String = pidTextWithoutHost
) -> String {
    var printer = JSONPrinter(pretty: pretty, pidText: pidText)
    printer.out.reserveCapacity(bytes.count * 2)
    var reader = PayloadReader(bytes)
    printer.value(&reader, depth: 0)
    return String(decoding: printer.out, as: UTF8.self)
}

/// `{node|0x00004}`: what can be said about a pid where no runtime is at hand (ARCHITECTURE D10: the
/// upper 16 bits are the node).
func pidTextWithoutHost(_ pid: UInt64) -> String {
    let digits = String(pid & 0xffff_ffff_ffff, radix: 16)
    return "{\(pid >> 48)|0x\(String(repeating: "0", count: max(0, 5 - digits.count)))\(digits)}"
}

private struct JSONPrinter {
    let pretty: Bool
    let pidText: (UInt64) -> String
    var out: [UInt8] = []
    /// The input was malformed: nothing more is read, open brackets are closed.
    var broken = false
    /// We are writing what will become a key. See `key`.
    var insideKey = false

    init(pretty: Bool, pidText: @escaping (UInt64) -> String) {
        self.pretty = pretty
        self.pidText = pidText
    }

    mutating func value(_ reader: inout PayloadReader, depth: Int) {
        switch reader.next() {
        case .null: text("null")
        case .bool(let value): text(value ? "true" : "false")
        case .integer(let value): text(value.description)
        case .unsigned(let value): text(value.description)
        case .double(let value): text(value.isFinite ? value.description : "null")
        case .string(let bytes): string(bytes)
        case .binary(let bytes): base64(bytes)
        case .array(let count): array(count, &reader, depth: depth)
        case .map(let count): map(count, &reader, depth: depth)
        case .ext(let type, let body): ext(type, body, depth: depth)
        case .malformed: stop()
        }
    }

    private mutating func stop() {
        broken = true
        text("null")
    }

    // MARK: Containers

    private mutating func array(_ count: Int, _ reader: inout PayloadReader, depth: Int) {
        guard depth < payloadMaxDepth else { return stop() }
        byte("[")
        for index in 0..<count where !broken {
            separate(index, depth: depth)
            value(&reader, depth: depth + 1)
        }
        close("]", count, depth: depth)
    }

    private mutating func map(_ count: Int, _ reader: inout PayloadReader, depth: Int) {
        guard depth < payloadMaxDepth else { return stop() }
        byte("{")
        for index in 0..<count where !broken {
            separate(index, depth: depth)
            key(&reader, depth: depth + 1)
            colon()
            if broken { text("null") } else { value(&reader, depth: depth + 1) }
        }
        close("}", count, depth: depth)
    }

    /// A key that is no string becomes its compact JSON in quotes. Quoting quoted text doubles its
    /// backslashes, so keys within keys within keys would double at every level: a container or an
    /// extension that is a key inside a key is written as "…".
    private mutating func key(_ reader: inout PayloadReader, depth: Int) {
        var ahead = reader
        switch ahead.next() {
        case .string(let bytes):
            string(bytes)
            reader = ahead
            return
        case .array, .map, .ext:
            guard insideKey else { break }
            text("\"…\"")
            if !reader.skip() { broken = true }
            return
        default:
            break
        }
        var inner = JSONPrinter(pretty: false, pidText: pidText)
        inner.insideKey = true
        inner.value(&reader, depth: depth)
        broken = inner.broken
        if inner.out.first == UInt8(ascii: "\"") {
            out.append(contentsOf: inner.out)
        } else {
            inner.out.withUnsafeBytes { string($0) }
        }
    }

    // MARK: Extensions

    private mutating func ext(_ type: Int8, _ body: UnsafeRawBufferPointer, depth: Int) {
        if type == PayloadExtension.pid, body.count == 8 {
            let pid = UInt64(bigEndian: body.loadUnaligned(as: UInt64.self))
            string(pidText(pid))
        } else if type == PayloadExtension.error, let error = ErrorValue.Parts(body) {
            self.error(error, depth: depth)
        } else {
            byte("{")
            member("ext", 0, depth: depth)
            text(type.description)
            member("data", 1, depth: depth)
            base64(body)
            close("}", 2, depth: depth)
        }
    }

    /// What nobody said is left out.
    private mutating func error(_ error: ErrorValue.Parts, depth: Int) {
        guard depth < payloadMaxDepth else { return stop() }
        byte("{")
        member("kind", 0, depth: depth)
        string(error.kind)
        member("message", 1, depth: depth)
        string(error.message)
        if let retryable = error.retryable {
            member("retryable", 2, depth: depth)
            text(retryable ? "true" : "false")
        }
        if let details = error.details {
            member("details", 3, depth: depth)
            var reader = PayloadReader(details)
            value(&reader, depth: depth + 1)
        }
        if let stack = error.stack {
            member("stack", 4, depth: depth)
            string(stack)
        }
        close("}", 5, depth: depth)
    }

    // MARK: Layout

    private mutating func separate(_ index: Int, depth: Int) {
        if index > 0 { byte(",") }
        newLine(depth: depth + 1)
    }

    private mutating func member(_ name: String, _ index: Int, depth: Int) {
        separate(index, depth: depth)
        string(name)
        colon()
    }

    private mutating func colon() {
        byte(":")
        if pretty { byte(" ") }
    }

    private mutating func close(_ bracket: Unicode.Scalar, _ count: Int, depth: Int) {
        if count > 0 { newLine(depth: depth) }
        byte(bracket)
    }

    private mutating func newLine(depth: Int) {
        guard pretty else { return }
        byte("\n")
        for _ in 0..<depth { text("  ") }
    }

    // MARK: Text

    private mutating func byte(_ character: Unicode.Scalar) { out.append(UInt8(ascii: character)) }

    private mutating func text(_ text: String) { out.append(contentsOf: text.utf8) }

    private mutating func string(_ text: String) {
        var text = text
        text.withUTF8 { string(UnsafeRawBufferPointer($0)) }
    }

    private mutating func string(_ bytes: UnsafeRawBufferPointer) { appendJSONString(bytes, to: &out) }

    /// Base 64 with padding (RFC 4648, section 4), in quotes.
    private mutating func base64(_ bytes: UnsafeRawBufferPointer) {
        let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        byte("\"")
        var index = 0
        while index < bytes.count {
            let available = min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if available > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if available > 2 { group |= UInt32(bytes[index + 2]) }
            for digit in 0..<4 {
                let sextet = Int(group >> UInt32(18 - 6 * digit)) & 0x3f
                out.append(digit <= available ? alphabet.utf8Start[sextet] : UInt8(ascii: "="))
            }
            index += 3
        }
        byte("\"")
    }
}

/// In quotes, with the escapes RFC 8259 demands and no others.
func appendJSONString(_ bytes: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    var run = 0  // what needs no escape is copied in one piece
    for (index, value) in bytes.enumerated() where value < 0x20 || value == 0x22 || value == 0x5c {
        out.append(contentsOf: bytes[run..<index])
        run = index + 1
        out.append(UInt8(ascii: "\\"))
        switch value {
        case 0x08: out.append(UInt8(ascii: "b"))
        case 0x09: out.append(UInt8(ascii: "t"))
        case 0x0a: out.append(UInt8(ascii: "n"))
        case 0x0c: out.append(UInt8(ascii: "f"))
        case 0x0d: out.append(UInt8(ascii: "r"))
        case 0x22, 0x5c: out.append(value)
        default:
            out.append(contentsOf: "u00".utf8)
            out.append(value < 0x10 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
            out.append(contentsOf: String(value & 0x0f, radix: 16).utf8)
        }
    }
    out.append(contentsOf: bytes[run...])
    out.append(UInt8(ascii: "\""))
}
