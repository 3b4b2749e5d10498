// JSON, the human side of payloads: arguments and results of `obhut exec`, and Lua's json module.
//
//   JSON → payload                             payload → JSON
//   null, true, false                          the same
//   a number without fraction or exponent      integer: its digits
//     that fits Int64: integer
//   any other number: float                    float: shortest text that reads back as the same
//                                                float, always with "." or "e"; NaN and ∞: null
//   string: str                                str: string; bin: its base64 as a string
//   array                                      array
//   object: map with str keys                  map; a key that is no string is put in quotes as its JSON
//                                              pid: its text; error object: an object of its parts;
//                                              other extensions: {"ext": type, "data": base64}
//
// Reading is RFC 8259 to the letter: no comments, no trailing commas, no byte order mark, strings in
// valid UTF-8 without lone surrogates; a number that no Double holds is refused, not made infinite.
// Of equal keys in one object all are written in their order. Both directions go no deeper than
// `payloadMaxDepth`; that bound is what makes recursion safe here.

/// Why a text is no JSON, and where. Lines and columns count from 1, columns in characters
/// (Unicode scalars).
struct JSONFault: Equatable, CustomStringConvertible {
    /// In bytes.
    let offset: Int
    let line: Int
    let column: Int
    let message: String

    var description: String { "line \(line), column \(column): \(message)" }

    fileprivate init(_ fault: JSONParser.Fault, in text: UnsafeRawBufferPointer) {
        offset = fault.offset
        message = fault.message
        var line = 1
        var column = 1
        for byte in text[..<fault.offset] {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0xc0 != 0x80 {
                column += 1
            }
        }
        self.line = line
        self.column = column
    }
}

/// Appends the one value in `text` to `writer`. On a fault the writer holds what it held before.
/// Containers take the 32-bit header: their count is known only at their end.
/// - Parameter isOver: asked now and then during long work; when it says so, the rest is left (C4).
func jsonToPayload(
    _ text: UnsafeRawBufferPointer, into writer: inout PayloadWriter, maxDepth: Int = payloadMaxDepth,
    isOver: @escaping () -> Bool = { false }
) -> JSONFault? {
    let start = writer.count
    var parser = JSONParser(text: text, maxDepth: maxDepth, isOver: isOver)
    do throws(JSONParser.Fault) {
        try parser.document(into: &writer)
        return nil
    } catch {
        writer.truncate(to: start)
        return JSONFault(error, in: text)
    }
}

func jsonToPayload(
    _ text: String, into writer: inout PayloadWriter, maxDepth: Int = payloadMaxDepth
) -> JSONFault? {
    var text = text
    return text.withUTF8 { jsonToPayload(UnsafeRawBufferPointer($0), into: &writer, maxDepth: maxDepth) }
}

private struct JSONParser {
    struct Fault: Error {
        let offset: Int
        let message: String
    }

    let text: UnsafeRawBufferPointer
    let maxDepth: Int
    let isOver: () -> Bool
    var position = 0
    /// Where `isOver` is asked next.
    var nextLook = JSONParser.stride
    /// Strings with escapes are put together here.
    var scratch: [UInt8] = []

    /// Bytes between two looks at `isOver`.
    static let stride = 1 << 18

    init(text: UnsafeRawBufferPointer, maxDepth: Int, isOver: @escaping () -> Bool) {
        self.text = text
        self.maxDepth = maxDepth
        self.isOver = isOver
    }

    mutating func document(into writer: inout PayloadWriter) throws(Fault) {
        try value(depth: 0, into: &writer)
        skipSpace()
        if position < text.count { throw fault("text after the value") }
        try lookUp(writer)
    }

    /// Work that is for nothing is left: a text may be much larger than what the writer takes.
    private mutating func lookUp(_ writer: borrowing PayloadWriter) throws(Fault) {
        if writer.overflowed {
            throw Fault(offset: 0, message: "the value is larger than \(writer.limit) bytes encoded")
        }
        guard position >= nextLook else { return }
        nextLook = position + JSONParser.stride
        if isOver() { throw fault("given up") }
    }

    private mutating func value(depth: Int, into writer: inout PayloadWriter) throws(Fault) {
        skipSpace()
        try lookUp(writer)
        guard let first = peek else { throw fault("expected a value, found the end") }
        switch first {
        case UInt8(ascii: "{"): try object(depth: depth, into: &writer)
        case UInt8(ascii: "["): try array(depth: depth, into: &writer)
        case UInt8(ascii: "\""): try string(into: &writer)
        case UInt8(ascii: "t"):
            try word("true")
            writer.writeBool(true)
        case UInt8(ascii: "f"):
            try word("false")
            writer.writeBool(false)
        case UInt8(ascii: "n"):
            try word("null")
            writer.writeNil()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number(into: &writer)
        default: throw fault("expected a value")
        }
    }

    // MARK: Containers

    private mutating func array(depth: Int, into writer: inout PayloadWriter) throws(Fault) {
        try enter(depth)
        let header = writer.reserveHeader()
        var count = 0
        skipSpace()
        if !take("]") {
            repeat {
                try value(depth: depth + 1, into: &writer)
                count += 1
                skipSpace()
            } while take(",")
            guard take("]") else { throw fault("expected ',' or ']'") }
        }
        writer.patchArrayHeader(at: header, count: count)
    }

    private mutating func object(depth: Int, into writer: inout PayloadWriter) throws(Fault) {
        try enter(depth)
        let header = writer.reserveHeader()
        var count = 0
        skipSpace()
        if !take("}") {
            repeat {
                skipSpace()
                guard peek == UInt8(ascii: "\"") else { throw fault("expected a key in double quotes") }
                try string(into: &writer)
                skipSpace()
                guard take(":") else { throw fault("expected ':' after the key") }
                try value(depth: depth + 1, into: &writer)
                count += 1
                skipSpace()
            } while take(",")
            guard take("}") else { throw fault("expected ',' or '}'") }
        }
        writer.patchMapHeader(at: header, count: count)
    }

    /// Passes the opening bracket.
    private mutating func enter(_ depth: Int) throws(Fault) {
        guard depth < maxDepth else { throw fault("nested deeper than \(maxDepth)") }
        position += 1
    }

    // MARK: Strings

    private mutating func string(into writer: inout PayloadWriter) throws(Fault) {
        let opening = position
        position += 1
        scratch.removeAll(keepingCapacity: true)
        var run = position  // what stands between escapes is copied in one piece
        var escaped = false
        while true {
            guard let byte = peek else {
                throw Fault(offset: opening, message: "string without a closing quote")
            }
            if byte == UInt8(ascii: "\"") { break }
            if position >= nextLook { try lookUp(writer) }
            guard byte >= 0x20 else { throw fault("control character in a string: write it as \\u00..") }
            if byte == UInt8(ascii: "\\") {
                escaped = true
                try scratch.append(contentsOf: checked(run..<position))
                try escape()
                run = position
            } else {
                position += 1
            }
        }
        let rest = try checked(run..<position)
        position += 1
        if escaped {
            scratch.append(contentsOf: rest)
            scratch.withUnsafeBytes { writer.writeUTF8($0) }
        } else {
            writer.writeUTF8(rest)
        }
    }

    /// That part of the text, if it is valid UTF-8. Escapes are ASCII, so each run stands for itself.
    private func checked(_ range: Range<Int>) throws(Fault) -> UnsafeRawBufferPointer {
        let bytes = UnsafeRawBufferPointer(rebasing: text[range])
        if let bad = offsetOfInvalidUTF8(bytes) {
            throw Fault(offset: range.lowerBound + bad, message: "not valid UTF-8")
        }
        return bytes
    }

    private mutating func escape() throws(Fault) {
        let start = position
        position += 1
        guard let letter = peek else { return }  // the caller reports the missing quote
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): scratch.append(letter)
        case UInt8(ascii: "b"): scratch.append(0x08)
        case UInt8(ascii: "f"): scratch.append(0x0c)
        case UInt8(ascii: "n"): scratch.append(0x0a)
        case UInt8(ascii: "r"): scratch.append(0x0d)
        case UInt8(ascii: "t"): scratch.append(0x09)
        case UInt8(ascii: "u"): try unicodeEscape(from: start)
        default: throw Fault(offset: start, message: "no such escape; allowed are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
        }
    }

    /// Behind `\u`. A character above U+FFFF is a pair of surrogates (RFC 8259, section 7).
    private mutating func unicodeEscape(from start: Int) throws(Fault) {
        var code = try fourHexDigits(from: start)
        if code & 0xfc00 == 0xd800, position + 1 < text.count,
            text[position] == UInt8(ascii: "\\"), text[position + 1] == UInt8(ascii: "u")
        {
            let second = position
            position += 2
            let low = try fourHexDigits(from: second)
            guard low & 0xfc00 == 0xdc00 else {
                throw Fault(offset: second, message: "expected the second half of a surrogate pair")
            }
            code = 0x10000 + (code & 0x3ff) << 10 + low & 0x3ff
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw Fault(offset: start, message: "half of a surrogate pair")
        }
        scratch.append(contentsOf: UTF8.encode(scalar).unsafelyUnwrapped)
    }

    private mutating func fourHexDigits(from start: Int) throws(Fault) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw Fault(offset: start, message: "\\u takes four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    // MARK: Numbers

    private mutating func number(into writer: inout PayloadWriter) throws(Fault) {
        let start = position
        let negative = take("-")
        // Counted downwards, because Int64.min has no positive counterpart. Nil: does not fit.
        var integer: Int64? = 0
        guard let first = peek, isDigit(first) else { throw fault("expected a digit") }
        let integerStart = position
        while let byte = peek, isDigit(byte) {
            integer = integer.flatMap { appendDigit(byte, to: $0) }
            position += 1
        }
        if first == UInt8(ascii: "0"), position > integerStart + 1 {
            throw Fault(offset: integerStart, message: "a number may not begin with 0")
        }
        var isInteger = true
        if take(".") {
            isInteger = false
            try digits()
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            try digits()
        }
        if isInteger, let integer {
            if negative { return writer.writeInteger(integer) }
            if integer != .min { return writer.writeInteger(-integer) }
        }
        // The standard library's conversion is exact and does not look at the locale.
        guard let value = Double(String(decoding: text[start..<position], as: UTF8.self)), value.isFinite else {
            throw Fault(offset: start, message: "number out of range")
        }
        writer.writeDouble(value)
    }

    private mutating func digits() throws(Fault) {
        guard let byte = peek, isDigit(byte) else { throw fault("expected a digit") }
        while let byte = peek, isDigit(byte) { position += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") <= 9 }

    private func appendDigit(_ byte: UInt8, to value: Int64) -> Int64? {
        let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, again) = shifted.subtractingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
        return overflow || again ? nil : sum
    }

    // MARK: Characters

    private var peek: UInt8? { position < text.count ? text[position] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    private mutating func word(_ expected: StaticString) throws(Fault) {
        let start = position
        for index in 0..<expected.utf8CodeUnitCount {
            guard peek == expected.utf8Start[index] else {
                throw Fault(offset: start, message: "expected a value; did you mean \(expected)?")
            }
            position += 1
        }
    }

    private func fault(_ message: String) -> Fault { Fault(offset: position, message: message) }
}
