/// The number of a process: 16 bits of node (0: here), 24 bits of serial, 24 bits of slot.
///
/// Never reused while the runtime lives (P3): each life of a slot has a serial of its own,
/// and a slot whose serials are spent is retired. 0 is no process.
///
/// Its text is `{host|0x…}` with at least five digits of serial and slot, for example
/// `{app:processes|0x00004}`; `{node@host|0x…}` is kept for other nodes.
struct Pid: Hashable, Comparable {
    let raw: UInt64

    static let slotBits: UInt64 = 24
    static let maxSlot = (1 << 24) - 1
    static let maxSerial: UInt64 = (1 << 24) - 1
    static let none = Pid(raw: 0)

    @inline(__always)
    init(raw: UInt64) { self.raw = raw }

    @inline(__always)
    init(slot: Int, serial: UInt64) { raw = serial << Pid.slotBits | UInt64(slot) }

    @inline(__always) var slot: Int { Int(raw & UInt64(Pid.maxSlot)) }
    @inline(__always) var serial: UInt64 { raw >> Pid.slotBits & Pid.maxSerial }
    @inline(__always) var node: UInt64 { raw >> 48 }

    static func < (a: Pid, b: Pid) -> Bool { a.raw < b.raw }

    /// A multiplication in place of SipHash, which took a fifth of a spawn or an end: pids are
    /// counted up by the runtime, nobody can choose them to collide. The seed, another for
    /// each dictionary, is kept: without it a dictionary copied in its own order clusters.
    func _rawHashValue(seed: Int) -> Int {
        let mixed = (raw ^ UInt64(bitPattern: Int64(seed))).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return Int(truncatingIfNeeded: mixed.high ^ mixed.low)
    }

    /// The longest text of a number: 12 digits and the closing brace.
    static let numberLength = 13

    /// Writes digits and closing brace, `00004}`.
    /// - Returns: the number of bytes written, at most `numberLength`.
    @inline(__always)
    func writeNumber(to buffer: UnsafeMutablePointer<UInt8>) -> Int {
        var digits = 5
        while digits < 12 && (raw & 0xffff_ffff_ffff) >> UInt64(4 * digits) != 0 { digits += 1 }
        for i in 0..<digits {
            let nibble = UInt8(truncatingIfNeeded: raw >> UInt64(4 * (digits - 1 - i)) & 0xf)
            buffer[i] = nibble < 10 ? 48 &+ nibble : 87 &+ nibble
        }
        buffer[digits] = UInt8(ascii: "}")
        return digits + 1
    }

    /// Reads what stands between `|0x` and `}`; nil when it is no number of a pid.
    @inline(__always)
    static func parseNumber(_ digits: UnsafeBufferPointer<UInt8>) -> Pid? {
        guard digits.count >= 5, digits.count <= 12 else { return nil }
        var raw: UInt64 = 0
        for c in digits {
            let nibble: UInt8
            switch c {
            case 48...57: nibble = c &- 48
            case 97...102: nibble = c &- 87
            default: return nil
            }
            raw = raw << 4 | UInt64(nibble)
        }
        return raw == 0 ? nil : Pid(raw: raw)
    }
}
