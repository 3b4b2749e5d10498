import Foundation
@testable import Obhut

/// The bytes a closure writes.
func encoded(limit: Int = .max, _ write: (inout PayloadWriter) -> Void) -> [UInt8] {
    var writer = PayloadWriter(limit: limit)
    write(&writer)
    return [UInt8](writer.bytes)
}

/// A decoded value, for comparing.
indirect enum Value: Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case unsigned(UInt64)
    case double(UInt64)  // bit pattern: NaN equals itself
    case string([UInt8])
    case binary([UInt8])
    case array([Value])
    case map([Value])  // key, value, key, value …
    case ext(Int8, [UInt8])

    func write(into writer: inout PayloadWriter) {
        switch self {
        case .null: writer.writeNil()
        case .bool(let value): writer.writeBool(value)
        case .integer(let value): writer.writeInteger(value)
        case .unsigned(let value): writer.writeUnsigned(value)
        case .double(let bits): writer.writeDouble(Double(bitPattern: bits))
        case .string(let bytes): bytes.withUnsafeBytes { writer.writeString($0) }
        case .binary(let bytes): bytes.withUnsafeBytes { writer.writeBinary($0) }
        case .array(let items):
            writer.writeArrayHeader(items.count)
            for item in items { item.write(into: &writer) }
        case .map(let items):
            writer.writeMapHeader(items.count / 2)
            for item in items { item.write(into: &writer) }
        case .ext(let type, let body): body.withUnsafeBytes { writer.writeExtension(type: type, $0) }
        }
    }

    var payload: [UInt8] { encoded { write(into: &$0) } }

    /// Nil if malformed. Recursive: for validated input only.
    static func read(from reader: inout PayloadReader) -> Value? {
        func many(_ n: Int) -> [Value]? {
            var items: [Value] = []
            for _ in 0..<n {
                guard let item = read(from: &reader) else { return nil }
                items.append(item)
            }
            return items
        }
        switch reader.next() {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(value)
        case .unsigned(let value): return .unsigned(value)
        case .double(let value): return .double(value.bitPattern)
        case .string(let bytes): return .string([UInt8](bytes))
        case .binary(let bytes): return .binary([UInt8](bytes))
        case .array(let n): return many(n).map { .array($0) }
        case .map(let n): return many(2 * n).map { .map($0) }
        case .ext(let type, let body): return .ext(type, [UInt8](body))
        case .malformed: return nil
        }
    }

    static func read(_ payload: [UInt8]) -> Value? {
        payload.withUnsafeBytes { bytes in
            var reader = PayloadReader(bytes)
            guard let value = read(from: &reader), reader.isAtEnd else { return nil }
            return value
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Memory that ends at a page no one may read: one byte too far is a crash, not luck.
final class GuardedMemory {
    private let pages: UnsafeMutableRawPointer
    private let size: Int
    private let page = Int(sysconf(Int32(_SC_PAGESIZE)))

    init(atLeast bytes: Int) {
        size = (bytes + page - 1) / page * page
        pages = mmap(nil, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        precondition(pages != MAP_FAILED)
        mprotect(pages + size, page, PROT_NONE)
    }

    deinit { munmap(pages, size + page) }

    /// `bytes`, put directly before the guard page.
    func with<Result>(_ bytes: ArraySlice<UInt8>, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let place = UnsafeMutableRawBufferPointer(start: pages + size - bytes.count, count: bytes.count)
        place.copyBytes(from: bytes)
        return body(UnsafeRawBufferPointer(place))
    }
}

enum PayloadSamples {
    /// One value with every form in it. Computed: the leak checker cannot see what a global enum holds.
    static var everything: Value {
        func text(_ n: Int) -> Value { .string([UInt8](repeating: 0x78, count: n)) }
        let scalars: [Value] = [
            .null, .bool(false), .bool(true), .integer(0), .integer(127), .integer(128), .integer(256),
            .integer(65536), .integer(1 << 40), .integer(-1), .integer(-33), .integer(-200), .integer(-40000),
            .integer(.min), .unsigned(.max), .double((0.5).bitPattern), text(0), text(31), text(40), text(300),
            .binary([0xff]), .binary([UInt8](repeating: 0xfe, count: 300)),
            .ext(1, [0, 0, 0, 0, 0, 0, 0, 4]), .ext(5, [1]), .ext(5, [1, 2]), .ext(5, [1, 2, 3, 4]),
            .ext(5, [UInt8](repeating: 9, count: 16)), .ext(5, []), .ext(5, [UInt8](repeating: 9, count: 300)),
        ]
        let error = ErrorValue(kind: "TIMEOUT", message: "late", retryable: true, details: [0x91, 0x01], stack: "at x:1")
        let errorBody = encoded { error.write(into: &$0) }
        return .array(scalars + [
            .array([]), .map([]), .map([text(1), .array([.map([.integer(1), text(2)])])]),
            .array(Array(repeating: .null, count: 20)), .map(Array(repeating: .integer(3), count: 40)),
            .ext(2, [UInt8](errorBody.dropFirst(6))),
        ])
    }
}
