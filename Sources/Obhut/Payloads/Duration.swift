// Durations in text, in Go's syntax (SEMANTICS C1; LUA_API, time). The algorithms follow
// `time.ParseDuration` and `Duration.String` of Go's standard library (src/time/time.go, format.go),
// overflow checks and rounding included, so that what Go programs write means the same here.
//
//   duration = ["+" | "-"] ( "0" | 1*( number unit ) )
//   number   = digits ["." [digits]] | "." digits
//   unit     = "ns" | "us" | "µs" (U+00B5) | "μs" (U+03BC) | "ms" | "s" | "m" | "h"
//
// A duration is a signed count of nanoseconds in 64 bits: about ±292 years. What does not fit is no
// duration. A number without a unit is none either, except 0: it might have been meant in any unit.

let nanosecondsPerMicrosecond: Int64 = 1_000
let nanosecondsPerMillisecond: Int64 = 1_000_000
let nanosecondsPerSecond: Int64 = 1_000_000_000
let nanosecondsPerMinute: Int64 = 60 * nanosecondsPerSecond
let nanosecondsPerHour: Int64 = 60 * nanosecondsPerMinute

/// Nanoseconds, or nil if `bytes` are no duration or do not fit.
func parseDuration(_ bytes: UnsafeRawBufferPointer) -> Int64? {
    var rest = bytes[...]
    var negative = false
    if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
        negative = sign == UInt8(ascii: "-")
        rest.removeFirst()
    }
    if rest.count == 1, rest.first == UInt8(ascii: "0") { return 0 }
    guard !rest.isEmpty else { return nil }

    // The magnitude, up to 2^63: that much fits when it is negative.
    let bound = UInt64(1) << 63
    var total: UInt64 = 0
    while !rest.isEmpty {
        let before = rest.count
        guard let whole = takeWhole(&rest) else { return nil }
        var hasDigits = rest.count < before
        var fraction = (value: UInt64(0), scale: 1.0)
        if rest.first == UInt8(ascii: ".") {
            rest.removeFirst()
            let before = rest.count
            fraction = takeFraction(&rest)
            hasDigits = hasDigits || rest.count < before
        }
        guard hasDigits, let unit = takeUnit(&rest), whole <= bound / unit else { return nil }
        var part = whole * unit  // at most 2^63, so the fraction, less than an hour, still fits
        // In floating point, as Go does: "0.3333333333333333333h" is 20 minutes, not one nanosecond less.
        if fraction.value > 0 { part += UInt64(Double(fraction.value) * (Double(unit) / fraction.scale)) }
        // (Here Go's own check can be passed by: twice 2^63 wraps to 0.)
        guard part <= bound - total else { return nil }
        total += part
    }
    if negative { return Int64(truncatingIfNeeded: 0 &- total) }
    return total < bound ? Int64(total) : nil
}

func parseDuration(_ text: String) -> Int64? {
    var text = text
    return text.withUTF8 { parseDuration(UnsafeRawBufferPointer($0)) }
}

/// Digits before the point; nil if above 2^63.
private func takeWhole(_ rest: inout Slice<UnsafeRawBufferPointer>) -> UInt64? {
    let bound = UInt64(1) << 63
    var value: UInt64 = 0
    while let byte = rest.first, byte &- UInt8(ascii: "0") <= 9 {
        guard value <= bound / 10 else { return nil }
        value = value * 10 + UInt64(byte - UInt8(ascii: "0"))
        guard value <= bound else { return nil }
        rest.removeFirst()
    }
    return value
}

/// Digits behind the point: `value / scale`. Digits past the precision of 63 bits are dropped.
private func takeFraction(_ rest: inout Slice<UnsafeRawBufferPointer>) -> (value: UInt64, scale: Double) {
    let bound = UInt64(1) << 63
    var value: UInt64 = 0
    var scale = 1.0
    var full = false
    while let byte = rest.first, byte &- UInt8(ascii: "0") <= 9 {
        rest.removeFirst()
        if full { continue }
        guard value <= (bound - 1) / 10 else {
            full = true
            continue
        }
        let longer = value * 10 + UInt64(byte - UInt8(ascii: "0"))
        guard longer <= bound else {
            full = true
            continue
        }
        value = longer
        scale *= 10
    }
    return (value, scale)
}

/// The unit's nanoseconds. A unit reaches to the next digit or point, so "1sm" has the unknown unit "sm".
private func takeUnit(_ rest: inout Slice<UnsafeRawBufferPointer>) -> UInt64? {
    let unit = rest.prefix { $0 != UInt8(ascii: ".") && $0 &- UInt8(ascii: "0") > 9 }
    rest.removeFirst(unit.count)
    func matches(_ name: StaticString) -> Bool {
        unit.elementsEqual(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }
    if matches("ms") { return UInt64(nanosecondsPerMillisecond) }
    if matches("s") { return UInt64(nanosecondsPerSecond) }
    if matches("m") { return UInt64(nanosecondsPerMinute) }
    if matches("h") { return UInt64(nanosecondsPerHour) }
    if matches("us") || matches("\u{b5}s") || matches("\u{3bc}s") { return UInt64(nanosecondsPerMicrosecond) }
    if matches("ns") { return 1 }
    return nil
}

/// As Go prints it: "1h30m0s", "1m30s", "1.5s", "100ms", "1.5µs", "0s".
func formatDuration(_ nanoseconds: Int64) -> String {
    let magnitude = nanoseconds.magnitude
    let sign = nanoseconds < 0 ? "-" : ""
    switch magnitude {
    case 0: return "0s"
    case ..<1_000: return "\(sign)\(magnitude)ns"
    case ..<1_000_000: return "\(sign)\(decimal(magnitude, unit: 1_000))\u{b5}s"
    case ..<1_000_000_000: return "\(sign)\(decimal(magnitude, unit: 1_000_000))ms"
    default:
        let minute = UInt64(nanosecondsPerMinute)
        let seconds = decimal(magnitude % minute, unit: UInt64(nanosecondsPerSecond)) + "s"
        let minutes = magnitude / minute
        if minutes == 0 { return sign + seconds }
        if minutes < 60 { return "\(sign)\(minutes)m\(seconds)" }
        return "\(sign)\(minutes / 60)h\(minutes % 60)m\(seconds)"
    }
}

/// `value / unit` exactly, without trailing zeros; `unit` is a power of ten.
private func decimal(_ value: UInt64, unit: UInt64) -> String {
    "\(value / unit)\(fractionText(value % unit, unit: unit))"
}

/// ".5" for 500 of 1000, "" for 0: the digits behind the point without trailing zeros.
func fractionText(_ remainder: UInt64, unit: UInt64) -> String {
    guard remainder > 0 else { return "" }
    // A leading 1 keeps the zeros that follow the point.
    var digits = String(unit + remainder).dropFirst()
    while digits.last == "0" { digits.removeLast() }
    return "." + digits
}
