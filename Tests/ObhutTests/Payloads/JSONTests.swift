import Foundation
import Testing

@testable import Obhut

/// The payload of a JSON text, or the fault.
private func payload(of json: String) -> (bytes: [UInt8], fault: JSONFault?) {
    var writer = PayloadWriter()
    let fault = jsonToPayload(json, into: &writer)
    return ([UInt8](writer.bytes), fault)
}

private func json(_ bytes: [UInt8], pretty: Bool = false) -> String {
    bytes.withUnsafeBytes { payloadToJSON($0, pretty: pretty) }
}

@Suite struct JSONParserTests {
    @Test(arguments: [
        ("null", .null), (" \t\r\n true ", .bool(true)), ("false", .bool(false)), ("0", .integer(0)), ("-0", .integer(0)),
        ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("9223372036854775808", .double((9223372036854775808.0).bitPattern)),
        ("-9223372036854775809", .double((-9223372036854775808.0).bitPattern)),
        ("1.0", .double((1.0).bitPattern)), ("-0.0", .double((-0.0).bitPattern)), ("1e2", .double((100.0).bitPattern)),
        ("1E+2", .double((100.0).bitPattern)), ("12.5e-1", .double((1.25).bitPattern)),
        ("5e-324", .double(Double.leastNonzeroMagnitude.bitPattern)), ("1e-400", .double((0.0).bitPattern)),
        ("0.1", .double((0.1).bitPattern)),
        ("[]", .array([])), ("{}", .map([])), ("[ ]", .array([])), ("{ }", .map([])),
        ("[1,[2],{}]", .array([.integer(1), .array([.integer(2)]), .map([])])),
        ("{\"a\" : 1 , \"a\":null}", .map([.string([0x61]), .integer(1), .string([0x61]), .null])),
        ("\"\"", .string([])), ("\"é🙂\"", .string([UInt8]("é🙂".utf8))),
        (#""\"\\\/\b\f\n\r\t""#, .string([0x22, 0x5c, 0x2f, 8, 12, 10, 13, 9])),
        (#""\u0041\u00e9\u20AC\uD83D\uDE42""#, .string([UInt8]("Aé€🙂".utf8))),
        (#""a\u0000b""#, .string([0x61, 0, 0x62])), ("\"\u{7f}\"", .string([0x7f])),
    ] as [(String, Value)])
    func accepts(text: String, value: Value) {
        let (bytes, fault) = payload(of: text)
        #expect(fault == nil)
        #expect(Value.read(bytes) == value)
        #expect(bytes.withUnsafeBytes { validatePayload($0) } == nil)
    }

    @Test(arguments: [
        "", " ", "nul", "nulL", "True", "undefined", "NaN", "Infinity", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+",
        "0x10", "1e400", "-1e400", "1 2", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]", "{", "{\"a\"", "{\"a\":",
        "{\"a\":1", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "[1}", "{\"a\":1]", "\"", "\"abc",
        "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\uD800\"", "\"\\uDC00\"", "\"\\uD800\\u0041\"", "\"\\uD800x\"",
        "\"\\uD83D\\uD83D\"", "\"a\nb\"", "\"a\u{0}b\"", "\"\u{1f}\"", "'a'", "// c\n1", "/* c */1", "\u{feff}1", "[1]\u{0}", "\u{a0}1",
    ])
    func refuses(text: String) {
        let (bytes, fault) = payload(of: text)
        #expect(fault != nil)
        #expect(bytes.isEmpty)
    }

    @Test(arguments: [[0x22, 0xff, 0x22], [0x22, 0x61, 0xc3, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0xff]] as [[UInt8]])
    func refusesBytesThatAreNoUTF8(bytes: [UInt8]) {
        var writer = PayloadWriter()
        #expect(bytes.withUnsafeBytes { jsonToPayload($0, into: &writer) } != nil)
    }

    @Test(arguments: [
        ("{\n  \"é\": tru\n}", 10, 2, 8, "expected a value; did you mean true?"),
        ("[1,\n2 3]", 6, 2, 3, "expected ',' or ']'"),
        ("", 0, 1, 1, "expected a value, found the end"),
        ("{\"a\":1,}", 7, 1, 8, "expected a key in double quotes"),
        ("[\"abc", 1, 1, 2, "string without a closing quote"),
        ("1 x", 2, 1, 3, "text after the value"),
    ])
    func F2_theFaultSaysWhereAndWhat(text: String, offset: Int, line: Int, column: Int, message: String) {
        let fault = payload(of: text).fault
        #expect(fault?.offset == offset)
        #expect(fault?.line == line)
        #expect(fault?.column == column)
        #expect(fault?.message == message)
    }

    @Test func longWorkAsksWhetherItIsStillWanted_C4() {
        for text in ["[" + String(repeating: "1,", count: 1 << 20) + "1]", "\"" + String(repeating: "x", count: 1 << 21) + "\""] {
            var writer = PayloadWriter(), looks = 0, text = text
            let fault = text.withUTF8 { bytes in
                jsonToPayload(UnsafeRawBufferPointer(bytes), into: &writer) {
                    looks += 1
                    return looks == 3
                }
            }
            #expect(fault?.message == "given up" && looks == 3 && writer.count == 0)
        }
    }

    @Test func depthIsBounded() {
        func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        #expect(payload(of: nested(128)).fault == nil)
        #expect(payload(of: nested(129)).fault?.message == "nested deeper than 128")
        #expect(payload(of: String(repeating: "[", count: 1_000_000)).fault?.offset == 128)
        #expect(payload(of: String(repeating: "{\"\":", count: 1_000_000)).fault != nil)
    }

    @Test func aValueLargerThanTheLimitIsAFault() {
        var writer = PayloadWriter(limit: 20)
        writer.writeNil()
        let fault = jsonToPayload("[1,2,3,\"and a longer text\"]", into: &writer)
        #expect(fault?.message == "the value is larger than 20 bytes encoded")
        #expect(writer.count == 1)
    }

    @Test func randomTextsNeverTrap() {
        var random = SeededGenerator(seed: 3)
        let alphabet = Array("{}[]\":,\\u0123456789aDdeE+-. tfnrlsx\n".utf8) + [0x00, 0xc3, 0xa9, 0xff, 0xed]
        let memory = GuardedMemory(atLeast: 64)
        var writer = PayloadWriter()
        for _ in 0..<30_000 {
            let text = (0..<Int.random(in: 0...24, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
            memory.with(text[...]) { raw in
                writer.removeAll()
                let fault = jsonToPayload(raw, into: &writer)
                let invalid = validatePayload(writer.bytes)
                #expect((fault == nil) == (invalid == nil))
            }
        }
    }
}

@Suite struct JSONPrinterTests {
    @Test(arguments: [
        (.null, "null"), (.bool(true), "true"), (.integer(.min), "-9223372036854775808"),
        (.unsigned(.max), "18446744073709551615"), (.double((1.0).bitPattern), "1.0"), (.double((-0.0).bitPattern), "-0.0"),
        (.double((0.1).bitPattern), "0.1"), (.double((1e300).bitPattern), "1e+300"),
        (.double(Double.nan.bitPattern), "null"), (.double((-Double.infinity).bitPattern), "null"),
        (.string([UInt8]("a\"b\\c/é\u{1}\u{1f}\n\u{7f}".utf8)), "\"a\\\"b\\\\c/é\\u0001\\u001f\\n\u{7f}\""),
        (.string([8, 9, 12, 13]), #""\b\t\f\r""#),
        (.binary([]), "\"\""), (.binary([0xff]), "\"/w==\""), (.binary([0xff, 0xfe]), "\"//4=\""),
        (.binary([0xff, 0xfe, 0xfd]), "\"//79\""),
        (.array([]), "[]"), (.map([]), "{}"), (.array([.integer(1), .null]), "[1,null]"),
        (.map([.string([0x61]), .integer(1), .string([0x62]), .array([])]), "{\"a\":1,\"b\":[]}"),
        (.map([.integer(1), .null, .bool(true), .null, .double((1.5).bitPattern), .null, .null, .null]),
            "{\"1\":null,\"true\":null,\"1.5\":null,\"null\":null}"),
        (.map([.array([.string([0x61])]), .integer(1)]), #"{"[\"a\"]":1}"#),
        (.map([.map([.map([]), .integer(1)]), .integer(2)]), #"{"{\"…\":1}":2}"#),
        (.map([.binary([0xff]), .null]), "{\"/w==\":null}"),
        (.ext(1, [0, 3, 0, 0, 0, 0, 0x1a, 0x2b]), "\"{3|0x01a2b}\""), (.ext(7, [1]), "{\"ext\":7,\"data\":\"AQ==\"}"),
    ] as [(Value, String)])
    func prints(value: Value, text: String) {
        #expect(json(value.payload) == text)
    }

    @Test func aPidTakesTheTextItIsGiven() {
        let bytes = encoded { $0.writePid(4) }
        #expect(bytes.withUnsafeBytes { payloadToJSON($0, pidText: { "{app:processes|0x0000\($0)}" }) } == "\"{app:processes|0x00004}\"")
        #expect(json(bytes) == "\"{0|0x00004}\"")
    }

    @Test func anErrorObjectShowsItsParts() {
        let full = ErrorValue(kind: "TIMEOUT", message: "late", retryable: true, details: [0x91, 1], stack: "at x")
        #expect(json(encoded { full.write(into: &$0) })
            == #"{"kind":"TIMEOUT","message":"late","retryable":true,"details":[1],"stack":"at x"}"#)
        #expect(json(encoded { ErrorValue(kind: "K", message: "m").write(into: &$0) }) == #"{"kind":"K","message":"m"}"#)
    }

    @Test func prettyPutsEachValueOnItsOwnLine() {
        let value = Value.map([.string([0x61]), .array([.integer(1), .map([])]), .string([0x62]), .array([])])
        #expect(json(value.payload, pretty: true) == """
            {
              "a": [
                1,
                {}
              ],
              "b": []
            }
            """)
    }

    @Test func malformedPayloadsStillPrintJSON() throws {
        let whole = PayloadSamples.everything.payload
        for length in 0..<whole.count {
            let text = json([UInt8](whole[..<length]), pretty: length % 2 == 0)
            _ = try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
        }
        #expect(json([UInt8](repeating: 0x91, count: 1_000_000)).utf8.count < 1000)
        #expect(json([UInt8](repeating: 0x81, count: 1_000_000)).utf8.count < 10_000)
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededGenerator(seed: 4)
        let memory = GuardedMemory(atLeast: 64)
        let starts: [UInt8] = [0x81, 0x82, 0x91, 0x92, 0xc7, 0xd7, 0x01, 0xa1, 0xc0, 0xc4, 0xcb]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...30, using: &random)).map { _ in
                Int.random(in: 0...3, using: &random) == 0 ? UInt8.random(in: 0...255, using: &random) : starts.randomElement(using: &random)!
            }
            memory.with(bytes[...]) { raw in
                let text = payloadToJSON(raw)
                var writer = PayloadWriter()
                let fault = jsonToPayload(text, into: &writer)
                // A str that is not UTF-8 is repaired; everything else must read back.
                #expect(fault == nil, "\(bytes) → \(text)")
                _ = describeError(raw)
            }
        }
    }

    @Test func aJSONValueRoundTrips() {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<2_000 {
            let value = randomValue(depth: 4, &random)
            let text = json(value.payload, pretty: Bool.random(using: &random))
            let (bytes, fault) = payload(of: text)
            #expect(fault == nil)
            #expect(Value.read(bytes) == value)
        }
    }

    /// Values that JSON can hold: finite numbers, UTF-8, str keys.
    private func randomValue(depth: Int, _ random: inout SeededGenerator) -> Value {
        func text() -> Value {
            let scalars = (0..<Int.random(in: 0...12, using: &random)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0...(Bool.random(using: &random) ? 0x80 : 0x10ffff), using: &random))
            }
            var string = String.UnicodeScalarView()
            string.append(contentsOf: scalars)
            return .string([UInt8](String(string).utf8))
        }
        switch Int.random(in: 0...(depth > 0 ? 7 : 5), using: &random) {
        case 0: return .null
        case 1: return .bool(.random(using: &random))
        case 2: return .integer(Int64(truncatingIfNeeded: random.next()) >> Int64.random(in: 0...63, using: &random))
        case 3:
            let value = Double(bitPattern: random.next())
            return .double((value.isFinite ? value : 2).bitPattern)
        case 4, 5: return text()
        case 6: return .array((0..<Int.random(in: 0...4, using: &random)).map { _ in randomValue(depth: depth - 1, &random) })
        default:
            return .map((0..<Int.random(in: 0...4, using: &random)).flatMap { _ in [text(), randomValue(depth: depth - 1, &random)] })
        }
    }
}

@Suite struct ErrorValueTests {
    @Test(arguments: [
        ErrorValue(kind: "NOT_FOUND", message: "no such file"),
        ErrorValue(kind: "", message: "", retryable: false, details: nil, stack: ""),
        ErrorValue(kind: "TIMEOUT", message: "späte Antwort", retryable: true, details: [0x81, 0x01, 0xc3], stack: "at a\nat b"),
    ])
    func roundTrips(error: ErrorValue) {
        let bytes = encoded { error.write(into: &$0) }
        guard case .ext(2, let body)? = Value.read(bytes) else { Issue.record("not an error extension"); return }
        #expect(body.withUnsafeBytes { ErrorValue.read(from: $0) } == error)
        #expect(bytes.withUnsafeBytes { validatePayload($0) } == nil)
        for length in 0..<body.count {
            #expect(body[..<length].withUnsafeBytes { ErrorValue.read(from: $0) } == nil)
        }
    }

    @Test func anotherShapeIsRefused() {
        for value: Value in [
            .null, .array([]), .array([.null, .null, .null, .null, .null]),
            .array([.string([]), .string([]), .integer(1), .null, .null]),
            .array([.string([]), .string([]), .null, .null, .integer(1)]),
            .array([.string([]), .string([]), .null, .null, .null, .null]),
        ] {
            #expect(value.payload.withUnsafeBytes { ErrorValue.read(from: $0) } == nil)
        }
    }

    @Test func textsThatAreNoUTF8AreRead() {
        let body = Value.array([.string([0xff]), .string([0x61, 0xff]), .null, .null, .null]).payload
        #expect(body.withUnsafeBytes { ErrorValue.read(from: $0) }?.message == "a\u{fffd}")
    }

    @Test func theHumanTextOfAnError() {
        func text(_ value: Value) -> String { value.payload.withUnsafeBytes { describeError($0) } }
        #expect(text(.string([UInt8]("terminated".utf8))) == "terminated")
        #expect(text(.binary([0x61, 0xff])) == "a\u{fffd}")
        #expect(text(.map([.string([0x61]), .integer(1)])) == "{\"a\":1}")
        #expect(text(.null) == "null")
        let error = encoded { ErrorValue(kind: "K", message: "it broke").write(into: &$0) }
        #expect(error.withUnsafeBytes { describeError($0) } == "it broke")
    }
}
