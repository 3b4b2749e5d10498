/// A size in bytes as entries write it (ENTRIES): "512", "64KB", "256MiB", "1.5GiB". Nil if it is none
/// or does not fit an `Int`.
///
///   size = number [unit];  number = digits ["." digits]
///   unit = "B" | "KB" | "kB" | "MB" | "GB" | "TB" (powers of 1000) | "KiB" | "MiB" | "GiB" | "TiB" (of 1024)
///
/// No sign, no blank, and no bare "K" or "M": which of the two they mean is guesswork. A fraction needs
/// a unit; a fraction of a byte is dropped.
func parseByteSize(_ text: String) -> Int? {
    var digits = UInt64(0)
    var divisor = UInt64(1)
    var sawPoint = false
    var digitsInRun = 0
    var rest = Substring(text).utf8
    while let byte = rest.first {
        if byte == UInt8(ascii: "."), !sawPoint, digitsInRun > 0 {
            sawPoint = true
            digitsInRun = 0
        } else if byte &- UInt8(ascii: "0") <= 9 {
            let (shifted, overflow) = digits.multipliedReportingOverflow(by: 10)
            let (sum, again) = shifted.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            guard !overflow, !again else { return nil }
            digits = sum
            // No overflow before `digits` has overflowed, except behind "0.000…": then it is no size.
            if sawPoint {
                let (larger, overflow) = divisor.multipliedReportingOverflow(by: 10)
                guard !overflow else { return nil }
                divisor = larger
            }
            digitsInRun += 1
        } else {
            break
        }
        rest.removeFirst()
    }
    guard digitsInRun > 0 else { return nil }
    if rest.isEmpty { return sawPoint ? nil : Int(exactly: digits) }
    guard let unit = byteUnit(String(Substring(rest))) else { return nil }
    let product = digits.multipliedFullWidth(by: unit)
    guard product.high < divisor else { return nil }
    return Int(exactly: divisor.dividingFullWidth(product).quotient)
}

private func byteUnit(_ name: String) -> UInt64? {
    switch name {
    case "B": 1
    case "KB", "kB": 1_000
    case "MB": 1_000_000
    case "GB": 1_000_000_000
    case "TB": 1_000_000_000_000
    case "KiB": 1 << 10
    case "MiB": 1 << 20
    case "GiB": 1 << 30
    case "TiB": 1 << 40
    default: nil
    }
}
