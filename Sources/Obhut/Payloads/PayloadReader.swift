/// Cursor over encoded bytes. It borrows them and never reads outside, whatever they hold.
///
/// A malformed value leaves the cursor where that value begins and answers `.malformed`, again at
/// every further call. What is announced must be there: a string's bytes, and for a container at
/// least one byte for each value it claims, so that no one allocates four billion elements on the
/// word of six bytes. Not checked here, on the path of every message: UTF-8 and depth, which
/// `validatePayload` has checked where bytes come in.
struct PayloadReader {
    enum Token {
        case null
        case bool(Bool)
        case integer(Int64)
        /// Only for what is greater than `Int64.max`.
        case unsigned(UInt64)
        case double(Double)
        case string(UnsafeRawBufferPointer)
        case binary(UnsafeRawBufferPointer)
        /// That many values follow.
        case array(Int)
        /// That many pairs, key then value, follow.
        case map(Int)
        case ext(Int8, UnsafeRawBufferPointer)
        case malformed
    }

    private let base: UnsafeRawPointer
    private let count: Int
    /// Of the next value, in bytes; `0...count`.
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        // An empty buffer may have no address; its stand-in is never read.
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        count = bytes.count
    }

    var isAtEnd: Bool { @inline(__always) get { offset == count } }

    /// Bytes not yet read.
    var remaining: Int { @inline(__always) get { count &- offset } }

    /// The next scalar, or the header of the next container; a container's values come from the
    /// following calls. At the end: `.malformed`.
    @inline(__always)
    mutating func next() -> Token {
        guard offset < count else { return .malformed }
        let tag = base.load(fromByteOffset: offset, as: UInt8.self)
        // The forms that make up most of all traffic, decided before the long switch.
        if tag <= 0x7f { return small(.integer(Int64(tag))) }
        if tag >= 0xe0 { return small(.integer(Int64(Int8(bitPattern: tag)))) }
        if tag >= 0xa0 && tag <= 0xbf {
            guard let bytes = body(header: 1, Int(tag & 0x1f)) else { return .malformed }
            return .string(bytes)
        }
        return nextLong(tag)
    }

    /// Passes over one whole value, however deep, without recursion. On malformed input answers false
    /// and leaves the cursor at the fault.
    mutating func skip() -> Bool {
        var pending = 1
        while pending > 0 {
            switch next() {
            case .malformed: return false
            case .array(let n): pending += n - 1
            case .map(let n): pending += 2 * n - 1
            default: pending -= 1
            }
            // Each value needs a byte. This also keeps the sum far from overflowing.
            if pending > remaining { return false }
        }
        return true
    }

    /// Goes back to the start of the body just returned in `.ext`, to read it as values in place.
    mutating func rewind(over body: UnsafeRawBufferPointer) {
        precondition(body.count <= offset)
        offset -= body.count
    }

    // MARK: Forms

    @inline(never)
    private mutating func nextLong(_ tag: UInt8) -> Token {
        switch tag {
        case 0x80...0x8f: return container(header: 1, Int(tag & 0x0f), valuesEach: 2)
        case 0x90...0x9f: return container(header: 1, Int(tag & 0x0f), valuesEach: 1)
        case PayloadTag.null: return small(.null)
        case PayloadTag.no: return small(.bool(false))
        case PayloadTag.yes: return small(.bool(true))
        case PayloadTag.float64: return number(UInt64.self) { .double(Double(bitPattern: $0)) }
        case PayloadTag.float32: return number(UInt32.self) { .double(Double(Float(bitPattern: $0))) }
        case PayloadTag.unsigned8: return number(UInt8.self) { .integer(Int64($0)) }
        case PayloadTag.unsigned16: return number(UInt16.self) { .integer(Int64($0)) }
        case PayloadTag.unsigned32: return number(UInt32.self) { .integer(Int64($0)) }
        case PayloadTag.unsigned64:
            return number(UInt64.self) { $0 > UInt64(Int64.max) ? .unsigned($0) : .integer(Int64(bitPattern: $0)) }
        case PayloadTag.signed8: return number(Int8.self) { .integer(Int64($0)) }
        case PayloadTag.signed16: return number(Int16.self) { .integer(Int64($0)) }
        case PayloadTag.signed32: return number(Int32.self) { .integer(Int64($0)) }
        case PayloadTag.signed64: return number(Int64.self) { .integer($0) }
        case PayloadTag.string8: return string(UInt8.self)
        case PayloadTag.string16: return string(UInt16.self)
        case PayloadTag.string32: return string(UInt32.self)
        case PayloadTag.binary8: return binary(UInt8.self)
        case PayloadTag.binary16: return binary(UInt16.self)
        case PayloadTag.binary32: return binary(UInt32.self)
        case PayloadTag.array16: return container(UInt16.self, valuesEach: 1)
        case PayloadTag.array32: return container(UInt32.self, valuesEach: 1)
        case PayloadTag.map16: return container(UInt16.self, valuesEach: 2)
        case PayloadTag.map32: return container(UInt32.self, valuesEach: 2)
        case PayloadTag.fixedExtension1: return ext(lengthSize: 0, 1)
        case PayloadTag.fixedExtension2: return ext(lengthSize: 0, 2)
        case PayloadTag.fixedExtension4: return ext(lengthSize: 0, 4)
        case PayloadTag.fixedExtension8: return ext(lengthSize: 0, 8)
        case PayloadTag.fixedExtension16: return ext(lengthSize: 0, 16)
        case PayloadTag.extension8: return ext(UInt8.self)
        case PayloadTag.extension16: return ext(UInt16.self)
        case PayloadTag.extension32: return ext(UInt32.self)
        default: return .malformed
        }
    }

    // MARK: Parts

    /// A value that is its first byte.
    @inline(__always)
    private mutating func small(_ token: Token) -> Token {
        offset &+= 1
        return token
    }

    /// The big-endian number behind the first byte, if it lies inside; does not advance.
    @inline(__always)
    private func peek<Number: FixedWidthInteger>(_: Number.Type) -> Number? {
        guard MemoryLayout<Number>.size < remaining else { return nil }
        return Number(bigEndian: base.loadUnaligned(fromByteOffset: offset &+ 1, as: Number.self))
    }

    @inline(__always)
    private mutating func number<Number: FixedWidthInteger>(
        _: Number.Type, _ token: (Number) -> Token
    ) -> Token {
        guard let value = peek(Number.self) else { return .malformed }
        offset &+= 1 &+ MemoryLayout<Number>.size
        return token(value)
    }

    /// `length` bytes behind a header of `header` bytes, if they lie inside; advances past them.
    @inline(__always)
    private mutating func body(header: Int, _ length: Int) -> UnsafeRawBufferPointer? {
        guard header <= remaining, length <= remaining &- header else { return nil }
        let bytes = UnsafeRawBufferPointer(start: base + offset + header, count: length)
        offset &+= header &+ length
        return bytes
    }

    @inline(__always)
    private mutating func string<Length: FixedWidthInteger>(_: Length.Type) -> Token {
        guard let length = peek(Length.self),
            let bytes = body(header: 1 &+ MemoryLayout<Length>.size, Int(length))
        else { return .malformed }
        return .string(bytes)
    }

    @inline(__always)
    private mutating func binary<Length: FixedWidthInteger>(_: Length.Type) -> Token {
        guard let length = peek(Length.self),
            let bytes = body(header: 1 &+ MemoryLayout<Length>.size, Int(length))
        else { return .malformed }
        return .binary(bytes)
    }

    @inline(__always)
    private mutating func container<Count: FixedWidthInteger>(_: Count.Type, valuesEach: Int) -> Token {
        guard let n = peek(Count.self) else { return .malformed }
        return container(header: 1 &+ MemoryLayout<Count>.size, Int(n), valuesEach: valuesEach)
    }

    @inline(__always)
    private mutating func container(header: Int, _ n: Int, valuesEach: Int) -> Token {
        guard header <= remaining, n &* valuesEach <= remaining &- header else { return .malformed }
        offset &+= header
        return valuesEach == 1 ? .array(n) : .map(n)
    }

    @inline(__always)
    private mutating func ext<Length: FixedWidthInteger>(_: Length.Type) -> Token {
        guard let length = peek(Length.self) else { return .malformed }
        return ext(lengthSize: MemoryLayout<Length>.size, Int(length))
    }

    /// First byte, length (if any), type byte, body.
    @inline(__always)
    private mutating func ext(lengthSize: Int, _ length: Int) -> Token {
        let start = offset
        guard let bytes = body(header: 2 &+ lengthSize, length) else { return .malformed }
        return .ext(base.load(fromByteOffset: start &+ 1 &+ lengthSize, as: Int8.self), bytes)
    }
}
