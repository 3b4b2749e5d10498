// What a scalar of a YAML file means: the core schema of YAML 1.2 (section 10.3.2).

struct YAMLScalar: Sendable {
    enum Style: Sendable { case plain, quoted, literal, folded }

    /// The text with quotes, escapes and folding resolved.
    let text: String
    /// Never a list or a map.
    let value: EntryValue
    let style: Style
}

extension EntryValue {
    /// Resolves a plain scalar without a tag. Nil for an integer that 64 bits do not hold:
    /// a rounded one would be another number than the one written.
    init?(plainYAML text: String) {
        // Most are names. Whatever is something else begins with one of these, or is empty.
        if let first = text.utf8.first, !"~nNtTfF.+-0123456789".utf8.contains(first) {
            self = .string(text)
            return
        }
        switch text {
        case "", "~", "null", "Null", "NULL": self = .null
        case "true", "True", "TRUE": self = .bool(true)
        case "false", "False", "FALSE": self = .bool(false)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": self = .float(.infinity)
        case "-.inf", "-.Inf", "-.INF": self = .float(-.infinity)
        case ".nan", ".NaN", ".NAN": self = .float(.nan)
        default:
            switch YAMLNumberForm(text) {
            case .decimal:
                guard let number = Int64(text) else { return nil }
                self = .int(number)
            case .octal, .hexadecimal:
                let radix = text.utf8.dropFirst().first == UInt8(ascii: "x") ? 16 : 8
                guard let number = Int64(text.dropFirst(2), radix: radix) else { return nil }
                self = .int(number)
            case .float:
                // The form was checked, so this cannot be "infinity", "nan" or a hex float.
                self = Double(text).map(EntryValue.float) ?? .string(text)
            case .none:
                self = .string(text)
            }
        }
    }
}

/// Which of the core schema's numbers a text looks like.
private enum YAMLNumberForm {
    case decimal, octal, hexadecimal, float

    init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        func take(_ bytes: String) -> Bool {
            guard let first = rest.first, bytes.utf8.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        func takeDigits() -> Int {
            let digits = rest.prefix(while: isDigit).count
            rest = rest.dropFirst(digits)
            return digits
        }

        if text.hasPrefix("0x"), rest.count > 2 {
            let isHex = rest.dropFirst(2).allSatisfy {
                isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0 | 0x20)
            }
            guard isHex else { return nil }
            self = .hexadecimal
            return
        }
        if text.hasPrefix("0o"), rest.count > 2 {
            guard rest.dropFirst(2).allSatisfy({ isDigit($0) && $0 < UInt8(ascii: "8") }) else { return nil }
            self = .octal
            return
        }

        _ = take("+-")
        let whole = takeDigits()
        if whole > 0, rest.isEmpty {
            self = .decimal
            return
        }
        var decimals = 0
        if take(".") { decimals = takeDigits() }
        guard whole + decimals > 0 else { return nil }
        if take("eE") {
            _ = take("+-")
            guard takeDigits() > 0 else { return nil }
        }
        guard rest.isEmpty else { return nil }
        self = .float
    }
}
