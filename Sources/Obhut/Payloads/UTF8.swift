/// Whether `bytes` are well-formed UTF-8 (Unicode 15, table 3-7): no overlong form, no surrogate,
/// nothing above U+10FFFF. Decides between `str` and `bin` for every Lua string that is sent, and
/// most of those are ASCII: eight bytes a step until a byte says otherwise.
func isValidUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool { offsetOfInvalidUTF8(bytes) == nil }

/// Where the first byte stands that begins no well-formed sequence.
@inline(__always)
func offsetOfInvalidUTF8(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard let base = bytes.baseAddress else { return nil }
    let count = bytes.count
    var i = 0
    while true {
        while i &+ 8 <= count {
            let word = base.loadUnaligned(fromByteOffset: i, as: UInt64.self)
            if word & 0x8080_8080_8080_8080 != 0 { break }
            i &+= 8
        }
        // The end, or a short text: two halves that overlap.
        if count &- i >= 4 && count &- i < 8 {
            let first = base.loadUnaligned(fromByteOffset: i, as: UInt32.self)
            let last = base.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            if (first | last) & 0x8080_8080 == 0 { return nil }
        }
        // Byte by byte up to the end, or until a character outside of ASCII has been passed: then
        // words again, so that one accent in a long text does not cost the fast path.
        while true {
            if i == count { return nil }
            let byte = base.load(fromByteOffset: i, as: UInt8.self)
            if byte >= 0x80 {
                let length = lengthOfSequence(base + i, byte, count &- i)
                if length == 0 { return i }
                i &+= length
                break
            }
            i &+= 1
        }
    }
}

/// Length in bytes of the well-formed sequence that starts with `lead` (≥ 0x80) at `start`, or 0.
@inline(__always)
private func lengthOfSequence(_ start: UnsafeRawPointer, _ lead: UInt8, _ available: Int) -> Int {
    @inline(__always)
    func continues(_ k: Int) -> Bool { start.load(fromByteOffset: k, as: UInt8.self) & 0xc0 == 0x80 }

    switch lead {
    case 0xc2...0xdf:
        return available >= 2 && continues(1) ? 2 : 0
    case 0xe0...0xef:
        guard available >= 3, continues(1), continues(2) else { return 0 }
        let second = start.load(fromByteOffset: 1, as: UInt8.self)
        if lead == 0xe0 && second < 0xa0 { return 0 }  // overlong
        if lead == 0xed && second > 0x9f { return 0 }  // surrogate
        return 3
    case 0xf0...0xf4:
        guard available >= 4, continues(1), continues(2), continues(3) else { return 0 }
        let second = start.load(fromByteOffset: 1, as: UInt8.self)
        if lead == 0xf0 && second < 0x90 { return 0 }  // overlong
        if lead == 0xf4 && second > 0x8f { return 0 }  // above U+10FFFF
        return 4
    default:
        return 0  // a stray continuation, C0, C1, or F5 and above
    }
}
