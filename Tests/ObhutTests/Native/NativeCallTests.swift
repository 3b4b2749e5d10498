import CNative
import Foundation
import Testing

@testable import Obhut

/// C functions called by their signature: every type, every bound, and what is said of what does not fit.
@Suite struct NativeCallTests {
    enum Outcome: Equatable, CustomStringConvertible {
        case value([UInt8])
        case refused(String)
        case failed(String, [UInt8])

        var description: String {
            switch self {
            case .value(let bytes): "value \(bytes)"
            case .refused(let text): "refused \(text)"
            case .failed(let text, let bytes): "failed \(text) \(bytes)"
            }
        }
    }

    nonisolated(unsafe) private static let library: UnsafeMutableRawPointer = {
        var text = [CChar](repeating: 0, count: 1024)
        return obn_library_open(CompiledLibrary.values, &text, text.count)!
    }()

    /// - Parameter arguments: an encoded array.
    static func call(
        _ symbol: String, _ signature: String, _ arguments: [UInt8], context: UnsafeMutablePointer<obhut_context>? = nil
    ) throws -> Outcome {
        var text = [CChar](repeating: 0, count: 1024)
        let function = try #require(obn_library_symbol(library, symbol, &text, text.count))
        var raw = try NativeSignature(parsing: signature).raw
        var result: UnsafeMutableRawPointer?
        var length = 0
        // In a block of exactly their size, where the address sanitizer sees who reads beyond.
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: arguments.count, alignment: 1)
        block.copyBytes(from: arguments)
        defer { block.deallocate() }
        let status = obn_call(function, &raw, context, block.baseAddress, block.count, &result, &length, &text, text.count)
        defer { free(result) }
        let bytes = Array(UnsafeRawBufferPointer(start: result, count: length))
        // What is called and what is only checked agree.
        let checked = obn_check(&raw, block.baseAddress, block.count, &text, text.count)
        #expect((checked == 0) == (status != OBN_REFUSED))
        switch status {
        case 0: return .value(bytes)
        case OBN_FAILED: return .failed("", bytes)
        default: return .refused(read(text))
        }
    }

    static func call(_ symbol: String, _ signature: String, _ values: EntryValue...) throws -> Outcome {
        try call(symbol, signature, encoded { $0.write(.list(values)) })
    }

    static func value(_ value: EntryValue) -> Outcome { .value(encoded { $0.write(value) }) }

    @Test(arguments: [
        ("i8", Int64(Int8.min), Int64(Int8.max), "from -128 to 127"),
        ("i16", Int64(Int16.min), Int64(Int16.max), "from -32768 to 32767"),
        ("i32", Int64(Int32.min), Int64(Int32.max), "from -2147483648 to 2147483647"),
        ("u8", 0, Int64(UInt8.max), "from 0 to 255"),
        ("u16", 0, Int64(UInt16.max), "from 0 to 65535"),
        ("u32", 0, Int64(UInt32.max), "from 0 to 4294967295"),
    ]) func anIntegerHasItsRange(type: String, least: Int64, most: Int64, range: String) throws {
        let signature = "\(type)(\(type))"
        for good in [least, least + 1, 0, 1, most - 1, most] {
            #expect(try Self.call("echo_\(type)", signature, .int(good)) == Self.value(.int(good)))
            #expect(try Self.call("echo_\(type)", signature, .float(Double(good))) == Self.value(.int(good)))
        }
        for bad in [least - 1, most + 1, Int64.min, Int64.max] {
            #expect(
                try Self.call("echo_\(type)", signature, .int(bad))
                    == .refused("argument 1 must be a whole number \(range) (\(type)), got \(bad)"))
        }
    }

    @Test func theWidestIntegers() throws {
        for good in [Int64.min, -1, 0, Int64.max] {
            #expect(try Self.call("echo_i64", "i64(i64)", .int(good)) == Self.value(.int(good)))
        }
        let greatest: [UInt8] = [0x91, 0xcf] + [UInt8](repeating: 0xff, count: 8)
        #expect(try Self.call("echo_u64", "u64(u64)", greatest) == .value(Array(greatest.dropFirst())))
        #expect(
            try Self.call("echo_i64", "i64(i64)", greatest)
                == .refused("argument 1 must be a whole number of 64 bits (i64), got 18446744073709551615"))
        #expect(
            try Self.call("echo_u64", "u64(u64)", .int(-1))
                == .refused("argument 1 must be a whole number from 0 to 18446744073709551615 (u64), got -1"))
        // Two to the 63rd as a float is no i64, and one of u64.
        #expect(try Self.call("echo_i64", "i64(i64)", .float(0x1p63)) == .refused("argument 1 must be a whole number of 64 bits (i64), got 9.2233720368548e+18"))
        #expect(try Self.call("echo_i64", "i64(i64)", .float(-0x1p63)) == Self.value(.int(.min)))
        #expect(try Self.call("echo_u64", "u64(u64)", .float(0x1p63)) == .value([0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0]))
        #expect(try Self.call("echo_u64", "u64(u64)", .float(-0.0)) == Self.value(.int(0)))
    }

    @Test(arguments: [
        (EntryValue.float(1.5), "1.5"), (.float(.nan), "nan"), (.float(.infinity), "inf"), (.float(0x1p64), "1.844674407371e+19"),
        (.null, "nil"), (.bool(true), "true"), (.string("7"), "a string"), (.list([]), "a list"), (.map([]), "a map"),
    ]) func whatIsNoWholeNumber(value: EntryValue, shown: String) throws {
        let outcome = try Self.call("echo_u64", "u64(u64)", value)
        guard case .refused(let text) = outcome else {
            Issue.record("\(value) was taken")
            return
        }
        #expect(text.hasPrefix("argument 1 must be a whole number from 0 to 18446744073709551615 (u64), got "))
        #expect(text.hasSuffix("nan") == (shown == "nan") && (shown.contains("e+") || shown == "nan" || text.hasSuffix(", got \(shown)")))
    }

    @Test func truthAndReals() throws {
        #expect(try Self.call("echo_bool", "bool(bool)", .bool(true)) == Self.value(.bool(true)))
        #expect(try Self.call("echo_bool", "bool(bool)", .bool(false)) == Self.value(.bool(false)))
        #expect(try Self.call("echo_bool", "bool(bool)", .int(1)) == .refused("argument 1 must be true or false (bool), got 1"))
        #expect(try Self.call("echo_f64", "f64(f64)", .float(0.1)) == Self.value(.float(0.1)))
        #expect(try Self.call("echo_f64", "f64(f64)", .int(3)) == Self.value(.float(3)))
        #expect(try Self.call("echo_f64", "f64(f64)", .float(-.infinity)) == Self.value(.float(-.infinity)))
        #expect(try Self.call("echo_f32", "f32(f32)", .float(0.1)) == Self.value(.float(Double(Float(0.1)))))
        #expect(try Self.call("echo_f32", "f32(f32)", .float(.infinity)) == Self.value(.float(.infinity)))
        #expect(try Self.call("echo_f32", "f32(f32)", .float(Double(Float.greatestFiniteMagnitude))) == Self.value(.float(Double(Float.greatestFiniteMagnitude))))
        #expect(try Self.call("echo_f32", "f32(f32)", .float(1e39)) == .refused("argument 1 must be a number that a float holds (f32), got 1e+39"))
        #expect(try Self.call("echo_f64", "f64(f64)", .string("1")) == .refused("argument 1 must be a number (f64), got a string"))
    }

    @Test func stringsAreUTF8WithoutANul() throws {
        for good in ["", "a", "näive €😀", String(repeating: "x", count: 100_000)] {
            #expect(try Self.call("echo_string", "string(string)", .string(good)) == Self.value(.string(good)))
        }
        #expect(
            try Self.call("echo_string", "string(string)", .string("a\0b"))
                == .refused("argument 1 must be a string without a NUL (string), got one at byte 2"))
        // As bin: what is UTF-8 all the same is a string, other bytes are none.
        #expect(try Self.call("echo_string", "string(string)", [0x91, 0xc4, 2, 0xc3, 0xa4]) == .value([0xa2, 0xc3, 0xa4]))
        for bad: [UInt8] in [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]] {
            #expect(
                try Self.call("echo_string", "string(string)", [0x91, 0xc4, UInt8(bad.count)] + bad)
                    == .refused("argument 1 must be a string in UTF-8 (string), got bytes that are no UTF-8"))
        }
        #expect(try Self.call("echo_string", "string(string)", .null) == .refused("argument 1 must be a string in UTF-8 (string), got nil"))
        #expect(try Self.call("no_text", "string()") == Self.value(.null))
        #expect(try Self.call("latin1", "string()") == .value([0xc4, 5, 0x6e, 0x61, 0xef, 0x76, 0x65]))
    }

    @Test func bytesAndPayloads() throws {
        #expect(try Self.call("see_bytes", "string(bytes)", .string("")) == Self.value(.string("0:")))
        #expect(try Self.call("see_bytes", "string(bytes)", .string("a\0b")) == Self.value(.string("3:610062")))
        #expect(try Self.call("see_bytes", "string(bytes)", [0x91, 0xc4, 2, 0xff, 0]) == Self.value(.string("2:ff00")))
        #expect(try Self.call("see_bytes", "string(bytes)", [0x91, 0xc4, 0]) == Self.value(.string("0:")))
        #expect(try Self.call("see_bytes", "string(bytes)", .int(3)) == .refused("argument 1 must be a string (bytes), got 3"))
        #expect(try Self.call("see_bytes", "string(payload)", .null) == Self.value(.string("1:c0")))
        #expect(
            try Self.call("see_bytes", "string(payload)", .map([.init(key: .string("a"), value: .list([.int(1), .bool(true)]))]))
                == Self.value(.string("6:81a1619201c3")))
    }

    @Test func allKindsTogether() throws {
        let signature = "f64(bool, i8, u16, i32, u64, f32, f64, string, bytes, payload, i64, u8, f32, f64, i16, u32)"
        let values: [EntryValue] = [
            .bool(true), .int(-100), .int(60000), .int(-70000), .int(1 << 40), .float(0.5), .float(0.25), .string("four"),
            .string("\u{1}x"), .null, .int(-(1 << 41)), .int(200), .float(1.5), .float(2.25), .int(-300), .int(4_000_000_000),
        ]
        let sum = 1.0 - 100 + 60000 - 70000 + Double(1 << 40) + 0.5 + 0.25 + 4 + 1 + 2 + 1 - Double(1 << 41) + 200 + 1.5 + 2.25 - 300 + 4e9
        #expect(try Self.call("sixteen", signature, encoded { $0.write(.list(values)) }) == Self.value(.float(sum)))
        #expect(
            try Self.call("sixteen", signature, encoded { $0.write(.list(Array(values.dropLast()) + [.int(-1)])) })
                == .refused("argument 16 must be a whole number from 0 to 4294967295 (u32), got -1"))
    }

    @Test func theCountMustFit() throws {
        #expect(try Self.call("nothing", "void()", .int(1)) == .refused("0 arguments must be given (none), got 1"))
        #expect(try Self.call("echo_i8", "i8(i8)") == .refused("1 argument must be given (i8), got 0"))
        #expect(try Self.call("has_context", "bool(context, i32)") == .refused("1 argument must be given (i32), got 0"))
        #expect(try Self.call("nothing", "void()", [UInt8]()) == .value([0xc0]))
    }

    @Test func theContextIsNoArgument() throws {
        let context = UnsafeMutablePointer<obhut_context>.allocate(capacity: 1)
        defer { context.deallocate() }
        context.initialize(to: obhut_context(functions: nil))
        let seven = encoded { $0.write(.list([.int(7)])) }
        let outcome = try Self.call("has_context", "bool(context, i32)", seven, context: context)
        #expect(outcome == Self.value(.bool(true)))
    }

    @Test func aStatusIsAFailureUnlessItIsOK() throws {
        // echo_i32: a status is an i32 in C.
        #expect(try Self.call("echo_i32", "status(i32)", .int(0)) == Self.value(.null))
        #expect(try Self.call("echo_i32", "status(i32)", .int(-5)) == .failed("", encoded { $0.write(.int(-5)) }))
    }

    @Test func nothingIsCalledWithWrongArguments() throws {
        let before = try Self.call("call_count", "i32()")
        _ = try Self.call("count_call", "void(i8)", .int(1000))
        #expect(try Self.call("call_count", "i32()") == before)
        _ = try Self.call("count_call", "void()")
        #expect(try Self.call("call_count", "i32()") != before)
    }

    /// Whatever bytes come: an answer, and nothing read outside of them (under the address sanitizer).
    @Test func malformedArguments() throws {
        let good = encoded { $0.write(.list([.string("text"), .string("bytes"), .map([.init(key: .int(1), value: .list([.null]))])])) }
        let signature = "void(string, bytes, payload)"
        for length in 1..<good.count {
            guard case .refused = try Self.call("nothing", signature, Array(good.prefix(length))) else {
                Issue.record("\(length) bytes were taken")
                continue
            }
        }
        #expect(try Self.call("nothing", "void()", [0x80]) == .refused("the arguments are no MessagePack array"))
        #expect(try Self.call("nothing", "void()", [0x90, 0x90]) == .refused("bytes follow the arguments"))
        var random = SystemRandomNumberGenerator()
        for _ in 0..<5_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try Self.call("nothing", signature, bytes)
        }
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>) func randomValuesComeBack(seed: UInt64) throws {
        var random = Chance(seed: seed)
        for _ in 0..<200 {
            let bits = random.next()
            func check<T: FixedWidthInteger>(_ type: T.Type, _ name: String) throws {
                let number = T(truncatingIfNeeded: bits)
                let one = number > Int64.max ? Self.unsigned(UInt64(number)) : encoded { $0.writeInteger(Int64(number)) }
                let argument = [0x91] + one
                #expect(try Self.call("echo_\(name)", "\(name)(\(name))", argument) == .value(Array(argument.dropFirst())))
            }
            try check(Int8.self, "i8")
            try check(Int16.self, "i16")
            try check(Int32.self, "i32")
            try check(Int64.self, "i64")
            try check(UInt8.self, "u8")
            try check(UInt16.self, "u16")
            try check(UInt32.self, "u32")
            try check(UInt64.self, "u64")
            let real = Double(bitPattern: bits)
            if !real.isNaN { #expect(try Self.call("echo_f64", "f64(f64)", .float(real)) == Self.value(.float(real))) }
            let single = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
            if !single.isNaN { #expect(try Self.call("echo_f32", "f32(f32)", .float(Double(single))) == Self.value(.float(Double(single)))) }
            let text = String(String.UnicodeScalarView((0..<Int(bits % 80)).map { _ in
                Unicode.Scalar(UInt32(random.next() % 0xd7ff) + 1)!
            }))
            #expect(try Self.call("echo_string", "string(string)", .string(text)) == Self.value(.string(text)))
        }
    }

    /// What C has left in `text`.
    private static func read(_ text: [CChar]) -> String { text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) } }

    /// In its longest form.
    private static func unsigned(_ number: UInt64) -> [UInt8] { [0xcf] + withUnsafeBytes(of: number.bigEndian) { Array($0) } }

    private struct Chance: RandomNumberGenerator {
        var state: UInt64
        init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 }
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state ^ (state >> 29)) &* 0xbf58_476d_1ce4_e5b9
        }
    }

    /// The words and numbers of Swift and C are the same.
    @Test func theTypesOfBothSidesAgree() {
        for type in NativeType.allCases { #expect(String(cString: obn_type_name(type.rawValue)) == type.name) }
        #expect(obn_type_name(UInt8(NativeType.allCases.count)) == nil)
        #expect(NativeSignature.maximumParameters == Int(OBN_MAX_PARAMETERS))
    }
}
