// Values that stand in entries: free data, durations, sizes.

/// Data of a user's own (`meta:`, `data:`, `input:`), kept as it was written.
enum EntryValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case float(Double)
    case string(String)
    case list([EntryValue])
    /// In the order of the file; no key comes twice.
    case map([Pair])

    struct Pair: Hashable, Sendable {
        let key: EntryValue
        let value: EntryValue
    }

    /// The value under a string key of a map.
    subscript(key: String) -> EntryValue? {
        guard case .map(let pairs) = self else { return nil }
        return pairs.first { $0.key == .string(key) }?.value
    }
}

/// The texts in which entries give quantities.
enum EntryValues {
    /// Nanoseconds of a duration: numbers with units, each number whole or with a fraction
    /// (`1m30s`, `100ms`, `1.5h`), as Go's `time.ParseDuration` but without signs. Nil if
    /// it is anything else, or more than 64 bits hold.
    static func parseDuration(_ text: String) -> Int64? {
        var rest = Array(text.utf8)[...]
        guard !rest.isEmpty else { return nil }
        var total: Int64 = 0
        while !rest.isEmpty {
            guard let number = takeNumber(&rest) else { return nil }
            let unitBytes = rest.prefix { $0 != UInt8(ascii: ".") && !isDigit($0) }
            rest = rest.dropFirst(unitBytes.count)
            guard let unit = nanoseconds(of: String(decoding: unitBytes, as: UTF8.self)) else { return nil }
            let (whole, overflow) = number.whole.multipliedReportingOverflow(by: unit)
            let part = Int64((number.fraction * Double(unit)).rounded())
            let (sum, overflow2) = whole.addingReportingOverflow(part)
            let (next, overflow3) = total.addingReportingOverflow(sum)
            if overflow || overflow2 || overflow3 { return nil }
            total = next
        }
        return total
    }

    /// Bytes of a size: a whole number and a unit (`256MiB` = 1024², `64KB` = 1000), or a
    /// whole number of bytes. Nil if it is anything else, or more than 64 bits hold.
    static func parseByteSize(_ text: String) -> Int? {
        let digits = text.utf8.prefix(while: isDigit)
        guard let number = Int(String(decoding: digits, as: UTF8.self)) else { return nil }
        let unit: Int
        switch String(decoding: text.utf8.dropFirst(digits.count), as: UTF8.self) {
        case "", "B": unit = 1
        case "KB", "kB": unit = 1_000
        case "MB": unit = 1_000_000
        case "GB": unit = 1_000_000_000
        case "TB": unit = 1_000_000_000_000
        case "KiB": unit = 1 << 10
        case "MiB": unit = 1 << 20
        case "GiB": unit = 1 << 30
        case "TiB": unit = 1 << 40
        default: return nil
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nil : bytes
    }

    private static func nanoseconds(of unit: String) -> Int64? {
        switch unit {
        case "ns": 1
        // Both micro signs: U+00B5 is on keyboards, U+03BC is the Greek letter.
        case "us", "\u{B5}s", "\u{3BC}s": 1_000
        case "ms": 1_000_000
        case "s": 1_000_000_000
        case "m": 60_000_000_000
        case "h": 3_600_000_000_000
        default: nil
        }
    }

    private static func takeNumber(_ rest: inout ArraySlice<UInt8>) -> (whole: Int64, fraction: Double)? {
        let digits = rest.prefix(while: isDigit)
        rest = rest.dropFirst(digits.count)
        var decimals = ArraySlice<UInt8>()
        if rest.first == UInt8(ascii: ".") {
            decimals = rest.dropFirst().prefix(while: isDigit)
            rest = rest.dropFirst(1 + decimals.count)
        }
        if digits.isEmpty && decimals.isEmpty { return nil }
        guard let whole = digits.isEmpty ? 0 : Int64(String(decoding: digits, as: UTF8.self)),
            let fraction = decimals.isEmpty ? 0 : Double("0." + String(decoding: decimals, as: UTF8.self))
        else { return nil }
        return (whole, fraction)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
