import Glibc

/// Growable raw buffer that a MessagePack value is written into; it stops at `limit` bytes.
///
/// One owner, one thread at a time: the struct owns its memory and `deinit` frees it. It sits in the
/// path of every message, so it is raw memory and inlined stores: no `Array`, no reference counts.
///
/// It never traps on size. An append that would pass `limit` (or that finds no memory) writes nothing
/// and sets `overflowed`; from then on every append is ignored, so a caller may write a whole tree
/// and ask once at the end. Only `removeAll` clears the flag. Balance is the caller's: a header that
/// announces n elements must be followed by n.
struct PayloadWriter: ~Copyable {
    /// Nil until the first byte if nothing was reserved (or there was no memory for it).
    private var buffer: UnsafeMutableRawPointer?
    /// The buffer, or one that it has outgrown, is the caller's: never freed here.
    private let borrowed: UnsafeMutableRawPointer?
    private var capacity: Int
    /// Appends may go up to here without asking: `min(capacity, limit)`, and 0 once overflowed, so
    /// that the fast path has one comparison for room, limit and overflow together.
    private var end: Int
    /// Bytes written.
    private(set) var count: Int
    /// An append would have passed `limit`; nothing after it was written.
    private(set) var overflowed: Bool
    /// Most bytes this writer may hold. Lowering it below `count` keeps what is written.
    var limit: Int { didSet { end = overflowed ? 0 : min(capacity, limit) } }

    /// Buffers that grew past this are given back by `removeAll`: one huge message must not pin its
    /// memory to a worker for ever.
    private static let keptCapacity = 1 << 20

    init(limit: Int = .max, reserving: Int = 256) {
        let wanted = max(0, min(reserving, limit))
        buffer = wanted > 0 ? malloc(wanted) : nil
        borrowed = nil
        capacity = buffer == nil ? 0 : wanted
        end = capacity
        count = 0
        overflowed = false
        self.limit = limit
    }

    /// Begins in memory of the caller's, which outlives the writer; memory of its own comes when that is full.
    init(limit: Int, borrowing memory: UnsafeMutableRawBufferPointer) {
        buffer = memory.baseAddress
        borrowed = memory.baseAddress
        capacity = memory.count
        end = min(capacity, limit)
        count = 0
        overflowed = false
        self.limit = limit
    }

    deinit {
        if buffer != borrowed { free(buffer) }
    }

    /// Ends the writer and gives what it holds to the caller, who frees it: malloc's, and hardly larger than `count`. Nil if
    /// everything lies in the memory that was borrowed.
    consuming func give() -> UnsafeMutableRawPointer? {
        let (buffer, borrowed, count, unused) = (self.buffer, self.borrowed, self.count, capacity &- self.count)
        discard self
        guard buffer != borrowed else { return nil }
        return unused > 64 ? realloc(buffer, count) ?? buffer : buffer
    }

    /// What is written so far; borrowed, valid until the next mutation.
    var bytes: UnsafeRawBufferPointer {
        @inline(__always) get { UnsafeRawBufferPointer(start: buffer, count: buffer == nil ? 0 : count) }
    }

    /// Empties the writer and clears `overflowed`; keeps the buffer unless it grew past 1 MiB.
    mutating func removeAll() {
        if capacity > Self.keptCapacity && buffer != borrowed {
            free(buffer)
            buffer = nil
            capacity = 0
        }
        count = 0
        overflowed = false
        end = min(capacity, limit)
    }

    /// Drops what was written after `count` (a value given up half way). Leaves `overflowed` as it is.
    mutating func truncate(to count: Int) {
        self.count = max(0, min(count, self.count))
    }

    /// Drops what was written after `count` and clears `overflowed`: `room` more bytes may be written, whatever the limit was.
    mutating func rewind(to count: Int, room: Int) {
        truncate(to: count)
        overflowed = false
        limit = max(limit, self.count + room)
    }

    /// Already encoded bytes, as they are. They must not lie in this writer's own buffer.
    @inline(__always)
    mutating func appendRaw(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0, makeRoom(bytes.count) else { return }
        memcpy(target, bytes.baseAddress.unsafelyUnwrapped, bytes.count)
        count &+= bytes.count
    }

    // MARK: Room

    /// Where the next byte goes; only meaningful after `makeRoom` said yes.
    @inline(__always)
    private var target: UnsafeMutableRawPointer { buffer.unsafelyUnwrapped + count }

    /// True if `size` (> 0) more bytes may be stored at `target`.
    @inline(__always)
    private mutating func makeRoom(_ size: Int) -> Bool {
        size <= end &- count || grow(size)
    }

    @inline(never)
    private mutating func grow(_ size: Int) -> Bool {
        if overflowed { return false }
        let (needed, wrapped) = count.addingReportingOverflow(size)
        guard !wrapped, needed <= limit else { return overflow() }
        // Doubling keeps the copies linear in the final size; never reserve past the limit.
        let doubled = capacity > Int.max / 2 ? needed : capacity * 2
        let wanted = max(needed, min(max(doubled, 64), limit))
        let outgrown = buffer == borrowed ? borrowed : nil
        guard let larger = realloc(outgrown == nil ? buffer : nil, wanted) else { return overflow() }
        if let outgrown { memcpy(larger, outgrown, count) }
        buffer = larger
        capacity = wanted
        end = min(capacity, limit)
        return true
    }

    private mutating func overflow() -> Bool {
        overflowed = true
        end = 0
        return false
    }

    // MARK: Stores

    @inline(__always)
    private mutating func put(_ byte: UInt8) {
        guard makeRoom(1) else { return }
        target.storeBytes(of: byte, as: UInt8.self)
        count &+= 1
    }

    /// A first byte and a big-endian number behind it.
    @inline(__always)
    private mutating func put<Number: FixedWidthInteger>(_ tag: UInt8, _ number: Number) {
        let size = 1 &+ MemoryLayout<Number>.size
        guard makeRoom(size) else { return }
        target.storeBytes(of: tag, as: UInt8.self)
        target.storeBytes(of: number.bigEndian, toByteOffset: 1, as: Number.self)
        count &+= size
    }

    /// A form for lengths of 8, 16 and 32 bits. A length over 32 bits has no form: it overflows.
    @inline(__always)
    private mutating func putLength(_ length: Int, _ tag8: UInt8, _ tag16: UInt8, _ tag32: UInt8) {
        if length <= 0xff {
            put(tag8, UInt8(truncatingIfNeeded: length))
        } else {
            putLongLength(length, tag16, tag32)
        }
    }

    @inline(__always)
    private mutating func putLongLength(_ length: Int, _ tag16: UInt8, _ tag32: UInt8) {
        if length < 0 || length > 0xffff_ffff {
            _ = overflow()
        } else if length <= 0xffff {
            put(tag16, UInt16(truncatingIfNeeded: length))
        } else {
            put(tag32, UInt32(truncatingIfNeeded: length))
        }
    }
}

// MARK: - Scalars

extension PayloadWriter {
    @inline(__always)
    mutating func writeNil() { put(PayloadTag.null) }

    @inline(__always)
    mutating func writeBool(_ value: Bool) { put(value ? PayloadTag.yes : PayloadTag.no) }

    /// In the smallest form; what is not negative takes the unsigned ones, as the specification's
    /// own implementations do.
    @inline(__always)
    mutating func writeInteger(_ value: Int64) {
        if value >= 0 {
            writeUnsigned(UInt64(bitPattern: value))
        } else if value >= -32 {
            put(UInt8(truncatingIfNeeded: value))
        } else if value >= Int64(Int8.min) {
            put(PayloadTag.signed8, Int8(truncatingIfNeeded: value))
        } else if value >= Int64(Int16.min) {
            put(PayloadTag.signed16, Int16(truncatingIfNeeded: value))
        } else if value >= Int64(Int32.min) {
            put(PayloadTag.signed32, Int32(truncatingIfNeeded: value))
        } else {
            put(PayloadTag.signed64, value)
        }
    }

    @inline(__always)
    mutating func writeUnsigned(_ value: UInt64) {
        if value <= 0x7f {
            put(UInt8(truncatingIfNeeded: value))
        } else if value <= 0xff {
            put(PayloadTag.unsigned8, UInt8(truncatingIfNeeded: value))
        } else if value <= 0xffff {
            put(PayloadTag.unsigned16, UInt16(truncatingIfNeeded: value))
        } else if value <= 0xffff_ffff {
            put(PayloadTag.unsigned32, UInt32(truncatingIfNeeded: value))
        } else {
            put(PayloadTag.unsigned64, value)
        }
    }

    /// Always 64 bits: a float that is smaller on the wire would be another number in Lua.
    @inline(__always)
    mutating func writeDouble(_ value: Double) { put(PayloadTag.float64, value.bitPattern) }
}

// MARK: - Strings, binary, extensions

extension PayloadWriter {
    /// A Lua string: `str` if it is valid UTF-8, else `bin` (ARCHITECTURE D6).
    @inline(__always)
    mutating func writeString(_ bytes: UnsafeRawBufferPointer) {
        if isValidUTF8(bytes) { writeUTF8(bytes) } else { writeBinary(bytes) }
    }

    mutating func writeString(_ text: StaticString) {
        // A literal of one character may be stored as that character, without memory behind it.
        guard text.hasPointerRepresentation else { return writeString(text.description) }
        writeUTF8(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func writeString(_ text: String) {
        var text = text
        text.withUTF8 { writeUTF8(UnsafeRawBufferPointer($0)) }
    }

    /// A `str` whose bytes are already known to be valid UTF-8.
    @inline(__always)
    mutating func writeUTF8(_ bytes: UnsafeRawBufferPointer) {
        if bytes.count <= 31 {
            put(0xa0 | UInt8(truncatingIfNeeded: bytes.count))
        } else {
            putLength(bytes.count, PayloadTag.string8, PayloadTag.string16, PayloadTag.string32)
        }
        appendRaw(bytes)
    }

    @inline(__always)
    mutating func writeBinary(_ bytes: UnsafeRawBufferPointer) {
        putLength(bytes.count, PayloadTag.binary8, PayloadTag.binary16, PayloadTag.binary32)
        appendRaw(bytes)
    }

    mutating func writePid(_ pid: UInt64) {
        guard makeRoom(10) else { return }
        target.storeBytes(of: PayloadTag.fixedExtension8, as: UInt8.self)
        target.storeBytes(of: PayloadExtension.pid, toByteOffset: 1, as: Int8.self)
        target.storeBytes(of: pid.bigEndian, toByteOffset: 2, as: UInt64.self)
        count &+= 10
    }

    mutating func writeExtension(type: Int8, _ bytes: UnsafeRawBufferPointer) {
        switch bytes.count {
        case 1: put(PayloadTag.fixedExtension1)
        case 2: put(PayloadTag.fixedExtension2)
        case 4: put(PayloadTag.fixedExtension4)
        case 8: put(PayloadTag.fixedExtension8)
        case 16: put(PayloadTag.fixedExtension16)
        default: putLength(bytes.count, PayloadTag.extension8, PayloadTag.extension16, PayloadTag.extension32)
        }
        put(UInt8(bitPattern: type))
        appendRaw(bytes)
    }
}

// MARK: - Containers

extension PayloadWriter {
    @inline(__always)
    mutating func writeArrayHeader(_ n: Int) {
        if n >= 0 && n <= 15 {
            put(0x90 | UInt8(truncatingIfNeeded: n))
        } else {
            putLongLength(n, PayloadTag.array16, PayloadTag.array32)
        }
    }

    @inline(__always)
    mutating func writeMapHeader(_ n: Int) {
        if n >= 0 && n <= 15 {
            put(0x80 | UInt8(truncatingIfNeeded: n))
        } else {
            putLongLength(n, PayloadTag.map16, PayloadTag.map32)
        }
    }

    /// Leaves five bytes for the header of a container whose count is known only later; answers the
    /// place to patch. Until patched they are an empty `array32`.
    @inline(__always)
    mutating func reserveHeader() -> Int {
        let place = count
        put(PayloadTag.array32, UInt32(0))
        return place
    }

    @inline(__always)
    mutating func patchArrayHeader(at place: Int, count: Int) { patch(PayloadTag.array32, at: place, count) }

    @inline(__always)
    mutating func patchMapHeader(at place: Int, count: Int) { patch(PayloadTag.map32, at: place, count) }

    /// Leaves six bytes for the header of an extension whose body is written next, by other calls.
    mutating func reserveExtension(type: Int8) -> Int {
        let place = count
        put(PayloadTag.extension32, UInt32(0))
        put(UInt8(bitPattern: type))
        return place
    }

    /// Closes the extension begun at `place`: its body is everything written since.
    mutating func patchExtension(at place: Int) { patch(PayloadTag.extension32, at: place, count - place - 6) }

    /// An overflowed writer is not patched: the place may never have been written.
    @inline(__always)
    private mutating func patch(_ tag: UInt8, at place: Int, _ number: Int) {
        guard !overflowed else { return }
        guard number >= 0, number <= 0xffff_ffff else { return _ = overflow() }
        precondition(place >= 0 && place &+ 5 <= count, "patch outside of what was written")
        let header = buffer.unsafelyUnwrapped + place
        header.storeBytes(of: tag, as: UInt8.self)
        header.storeBytes(of: UInt32(truncatingIfNeeded: number).bigEndian, toByteOffset: 1, as: UInt32.self)
    }
}
