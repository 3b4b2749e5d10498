// Points of time as text, after an example: Go's reference layouts. A layout is how the moment
//
//   Mon Jan 2 15:04:05.999999999 -0700 MST 2006
//
// would be written; what in it is no part of that moment stands for itself. The elements are those that the
// documentation of Go's package time lists.

/// A day and a time of day, in whatever zone.
struct CivilTime: Equatable {
    var year: Int64 = 1970
    var month: Int64 = 1
    var day: Int64 = 1
    var hour: Int64 = 0
    var minute: Int64 = 0
    var second: Int64 = 0
    var nanosecond: Int64 = 0

    init() {}

    /// - Parameter offset: seconds east of UTC.
    init(unixNanoseconds: Int64, offset: Int) {
        let (seconds, fraction) = floorDivide(unixNanoseconds, nanosecondsPerSecond)
        let (days, rest) = floorDivide(seconds + Int64(offset), 86_400)
        let date = CivilDate(daysSince1970: days)
        (year, month, day) = (date.year, date.month, date.day)
        (hour, minute, second, nanosecond) = (rest / 3600, rest / 60 % 60, rest % 60, fraction)
    }

    private var days: Int64 { CivilDate(year: year, month: month, day: day).daysSince1970 }

    /// 0 is Sunday; 1970 began on a Thursday.
    var weekday: Int { Int(floorDivide(days + 4, 7).remainder) }

    /// 1 to 366.
    var dayOfYear: Int64 { days - CivilDate(year: year, month: 1, day: 1).daysSince1970 + 1 }

    /// Seconds since 1970, if this is UTC.
    var seconds: Int64 { days * 86_400 + hour * 3600 + minute * 60 + second }
}

let monthNames = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
]
let weekdayNames = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

private enum Element: Equatable {
    case literal([UInt8])
    case year, shortYear
    case monthName, shortMonthName, month(padded: Bool)
    case weekdayName, shortWeekdayName
    case day(pad: UInt8?), dayOfYear(pad: UInt8)
    case hour, hour12(padded: Bool), minute(padded: Bool), second(padded: Bool)
    case halfDay(upper: Bool)
    case zoneName
    /// -07, -0700, -07:00, …; with `zulu`, Z for UTC.
    case offset(zulu: Bool, minutes: Bool, seconds: Bool, colon: Bool)
    /// So many digits behind a point or comma; `trimmed`: without zeros at the end.
    case fraction(digits: Int, trimmed: Bool, separator: UInt8)
}

/// In the order in which they are tried: of two with the same beginning, the longer first.
private let elements: [(text: String, element: Element)] = [
    ("January", .monthName), ("Jan", .shortMonthName), ("Monday", .weekdayName), ("Mon", .shortWeekdayName),
    ("MST", .zoneName), ("2006", .year), ("002", .dayOfYear(pad: UInt8(ascii: "0"))),
    ("__2", .dayOfYear(pad: UInt8(ascii: " "))), ("01", .month(padded: true)), ("02", .day(pad: UInt8(ascii: "0"))),
    ("03", .hour12(padded: true)), ("04", .minute(padded: true)), ("05", .second(padded: true)), ("06", .shortYear),
    ("15", .hour), ("_2", .day(pad: UInt8(ascii: " "))), ("1", .month(padded: false)), ("2", .day(pad: nil)),
    ("3", .hour12(padded: false)), ("4", .minute(padded: false)), ("5", .second(padded: false)),
    ("PM", .halfDay(upper: true)), ("pm", .halfDay(upper: false)),
    ("-07:00:00", .offset(zulu: false, minutes: true, seconds: true, colon: true)),
    ("-070000", .offset(zulu: false, minutes: true, seconds: true, colon: false)),
    ("-07:00", .offset(zulu: false, minutes: true, seconds: false, colon: true)),
    ("-0700", .offset(zulu: false, minutes: true, seconds: false, colon: false)),
    ("-07", .offset(zulu: false, minutes: false, seconds: false, colon: false)),
    ("Z07:00:00", .offset(zulu: true, minutes: true, seconds: true, colon: true)),
    ("Z070000", .offset(zulu: true, minutes: true, seconds: true, colon: false)),
    ("Z07:00", .offset(zulu: true, minutes: true, seconds: false, colon: true)),
    ("Z0700", .offset(zulu: true, minutes: true, seconds: false, colon: false)),
    ("Z07", .offset(zulu: true, minutes: false, seconds: false, colon: false)),
]

struct TimeLayout {
    private var parts: [Element] = []

    init(_ layout: UnsafeRawBufferPointer) {
        var literal: [UInt8] = []
        var position = 0
        while position < layout.count {
            let rest = layout[position...]
            guard let (element, length) = TimeLayout.element(rest) else {
                literal.append(rest.first!)
                position += 1
                continue
            }
            if !literal.isEmpty { parts.append(.literal(literal)) }
            literal = []
            parts.append(element)
            position += length
        }
        if !literal.isEmpty { parts.append(.literal(literal)) }
    }

    init(_ layout: String) {
        var layout = layout
        self = layout.withUTF8 { TimeLayout(UnsafeRawBufferPointer($0)) }
    }

    private static func element(_ rest: Slice<UnsafeRawBufferPointer>) -> (Element, Int)? {
        if let fraction = fraction(rest) { return fraction }
        // "_2006" is a line and a year, not a day.
        if rest.starts(with: "_2006".utf8) { return nil }
        for (text, element) in elements where rest.starts(with: text.utf8) {
            // "Janus" and "Monster" are words of their own.
            let isName = element == .shortMonthName || element == .shortWeekdayName
            if isName, let next = rest.dropFirst(text.utf8.count).first, next &- UInt8(ascii: "a") < 26 { return nil }
            return (element, text.utf8.count)
        }
        return nil
    }

    /// ".000" or ",999", with no other digit behind.
    private static func fraction(_ rest: Slice<UnsafeRawBufferPointer>) -> (Element, Int)? {
        guard let separator = rest.first, separator == UInt8(ascii: ".") || separator == UInt8(ascii: ","),
            let digit = rest.dropFirst().first, digit == UInt8(ascii: "0") || digit == UInt8(ascii: "9")
        else { return nil }
        let digits = rest.dropFirst().prefix { $0 == digit }
        if let next = rest.dropFirst(1 + digits.count).first, next &- UInt8(ascii: "0") < 10 { return nil }
        guard digits.count <= 9 else { return nil }
        return (
            .fraction(digits: digits.count, trimmed: digit == UInt8(ascii: "9"), separator: separator), 1 + digits.count
        )
    }

    // MARK: Writing

    /// - Parameter zone: its offset at that time, in seconds east of UTC, and its name; empty: it has none.
    func format(_ time: CivilTime, offset: Int, zone: String) -> [UInt8] {
        var out: [UInt8] = []
        func put(_ text: String) { out.append(contentsOf: text.utf8) }
        func put(_ value: Int64, width: Int, pad: UInt8 = UInt8(ascii: "0")) {
            let digits = String(value)
            for _ in 0..<max(0, width - digits.utf8.count) { out.append(pad) }
            put(digits)
        }
        for part in parts {
            switch part {
            case .literal(let bytes): out.append(contentsOf: bytes)
            case .year: put(time.year, width: 4)
            case .shortYear: put(time.year % 100, width: 2)
            case .monthName: put(monthNames[Int(time.month - 1)])
            case .shortMonthName: put(String(monthNames[Int(time.month - 1)].prefix(3)))
            case .month(let padded): put(time.month, width: padded ? 2 : 1)
            case .weekdayName: put(weekdayNames[time.weekday])
            case .shortWeekdayName: put(String(weekdayNames[time.weekday].prefix(3)))
            case .day(let pad): put(time.day, width: pad == nil ? 1 : 2, pad: pad ?? 0)
            case .dayOfYear(let pad): put(time.dayOfYear, width: 3, pad: pad)
            case .hour: put(time.hour, width: 2)
            case .hour12(let padded): put((time.hour + 11) % 12 + 1, width: padded ? 2 : 1)
            case .minute(let padded): put(time.minute, width: padded ? 2 : 1)
            case .second(let padded): put(time.second, width: padded ? 2 : 1)
            case .halfDay(let upper): put(time.hour < 12 ? (upper ? "AM" : "am") : (upper ? "PM" : "pm"))
            case .zoneName: put(zone.isEmpty ? TimeLayout.offsetText(offset) : zone)
            case .offset(let zulu, let minutes, let seconds, let colon):
                if zulu && offset == 0 {
                    put("Z")
                } else {
                    put(TimeLayout.offsetText(offset, minutes: minutes, seconds: seconds, colon: colon))
                }
            case .fraction(let digits, let trimmed, let separator):
                var text = String(nanosecondsPerSecond + time.nanosecond).dropFirst().prefix(digits)
                if trimmed { while text.last == "0" { text.removeLast() } }
                if !text.isEmpty {
                    out.append(separator)
                    put(String(text))
                }
            }
        }
        return out
    }

    /// "+02", "+0200", "+02:00", "+02:00:00"; where a name is wanted, minutes only if there are any.
    private static func offsetText(
        _ offset: Int, minutes: Bool? = nil, seconds: Bool = false, colon: Bool = false
    ) -> String {
        let size = Int64(abs(offset))
        var text = (offset < 0 ? "-" : "+") + twoDigits(size / 3600)
        let between = colon ? ":" : ""
        if minutes ?? (size % 3600 != 0) { text += between + twoDigits(size / 60 % 60) }
        if seconds { text += between + twoDigits(size % 60) }
        return text
    }

    // MARK: Reading

    struct Fault: Error {
        let message: String
    }

    struct Parsed: Equatable {
        var time = CivilTime()
        /// Seconds east of UTC, if the text says it.
        var offset: Int?
        /// The name of its zone, if the text says it.
        var zone: String?
    }

    /// What a text says that was written by this layout. What the layout has not is that of 1970-01-01T00:00:00.
    func parse(_ text: UnsafeRawBufferPointer) throws(Fault) -> Parsed {
        var parser = TimeParser(text)
        for (index, part) in parts.enumerated() {
            var hasFraction = false
            if index + 1 < parts.count, case .fraction = parts[index + 1] { hasFraction = true }
            try parser.read(part, beforeFraction: hasFraction)
        }
        return try parser.finish()
    }
}

private struct TimeParser {
    private var rest: Slice<UnsafeRawBufferPointer>
    private var parsed = TimeLayout.Parsed()
    private var dayOfYear: Int64?
    private var isAfternoon: Bool?
    private var saysDay = false

    init(_ text: UnsafeRawBufferPointer) { rest = text[...] }

    mutating func read(_ part: Element, beforeFraction: Bool) throws(TimeLayout.Fault) {
        switch part {
        case .literal(let bytes):
            guard rest.starts(with: bytes) else { throw expected("\"\(String(decoding: bytes, as: UTF8.self))\"") }
            rest = rest.dropFirst(bytes.count)
        case .year: parsed.time.year = try number(4...4, "a year of four digits")
        case .shortYear:
            let year = try number(2...2, "a year of two digits")
            parsed.time.year = year >= 69 ? 1900 + year : 2000 + year
        case .monthName: parsed.time.month = Int64(try name(monthNames, nil, "the name of a month")) + 1
        case .shortMonthName: parsed.time.month = Int64(try name(monthNames, 3, "the name of a month")) + 1
        case .month(let padded): parsed.time.month = try number(padded ? 2...2 : 1...2, "a month")
        case .weekdayName: _ = try name(weekdayNames, nil, "the name of a day")
        case .shortWeekdayName: _ = try name(weekdayNames, 3, "the name of a day")
        case .day(let pad):
            if pad != UInt8(ascii: "0") { skipBlanks(1) }
            parsed.time.day = try number(pad == UInt8(ascii: "0") ? 2...2 : 1...2, "a day")
            saysDay = true
        case .dayOfYear(let pad):
            if pad == UInt8(ascii: " ") { skipBlanks(2) }
            dayOfYear = try number(pad == UInt8(ascii: "0") ? 3...3 : 1...3, "a day of the year")
        case .hour: parsed.time.hour = try number(2...2, "an hour", 0...23)
        case .hour12(let padded): parsed.time.hour = try number(padded ? 2...2 : 1...2, "an hour", 0...12)
        case .minute(let padded): parsed.time.minute = try number(padded ? 2...2 : 1...2, "a minute", 0...59)
        case .second(let padded):
            parsed.time.second = try number(padded ? 2...2 : 1...2, "a second", 0...59)
            // A fraction may follow although the layout has none.
            if !beforeFraction, let point = rest.first, point == UInt8(ascii: ".") || point == UInt8(ascii: ","),
                let digit = rest.dropFirst().first, isDigit(digit)
            {
                try fraction(nil)
            }
        case .halfDay(let upper):
            let text = String(decoding: rest.prefix(2), as: UTF8.self)
            guard text == (upper ? "AM" : "am") || text == (upper ? "PM" : "pm") else {
                throw expected(upper ? "AM or PM" : "am or pm")
            }
            isAfternoon = text.lowercased() == "pm"
            rest = rest.dropFirst(2)
        case .zoneName: try zoneName()
        case .offset(let zulu, let minutes, let seconds, let colon):
            if zulu && rest.first == UInt8(ascii: "Z") {
                rest = rest.dropFirst()
                parsed.offset = 0
            } else {
                parsed.offset = try offset(minutes, seconds, colon)
            }
        case .fraction(let digits, let trimmed, let separator):
            if trimmed {
                guard rest.first == UInt8(ascii: ".") || rest.first == UInt8(ascii: ",") else { return }
                try fraction(nil)
            } else {
                guard rest.first == separator else { throw expected("a fraction of \(digits) digits") }
                try fraction(digits)
            }
        }
    }

    mutating func finish() throws(TimeLayout.Fault) -> TimeLayout.Parsed {
        guard rest.isEmpty else { throw .init(message: "text is left: \"\(shown)\"") }
        if let isAfternoon {
            guard parsed.time.hour <= 12 else { throw .init(message: "the hour is out of range") }
            parsed.time.hour = parsed.time.hour % 12 + (isAfternoon ? 12 : 0)
        }
        let year = parsed.time.year
        guard (1...12).contains(parsed.time.month) else { throw .init(message: "the month is out of range") }
        let first = CivilDate(year: year, month: 1, day: 1).daysSince1970
        if let dayOfYear {
            let length = CivilDate(year: year + 1, month: 1, day: 1).daysSince1970 - first
            guard (1...length).contains(dayOfYear) else { throw .init(message: "the day of the year is out of range") }
            let date = CivilDate(daysSince1970: first + dayOfYear - 1)
            guard !saysDay || (date.month, date.day) == (parsed.time.month, parsed.time.day) else {
                throw .init(message: "the day of the year is another one than the day")
            }
            (parsed.time.month, parsed.time.day) = (date.month, date.day)
        }
        let date = CivilDate(year: year, month: parsed.time.month, day: parsed.time.day)
        guard parsed.time.day >= 1, CivilDate(daysSince1970: date.daysSince1970) == date else {
            throw .init(message: "the day is out of range")
        }
        return parsed
    }

    // MARK: Parts

    private var shown: String { String(decoding: rest.prefix(40), as: UTF8.self) }

    private func expected(_ what: String) -> TimeLayout.Fault {
        .init(message: rest.isEmpty ? "expected \(what), found the end" : "expected \(what) at \"\(shown)\"")
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    private mutating func skipBlanks(_ most: Int) {
        for _ in 0..<most where rest.first == UInt8(ascii: " ") { rest = rest.dropFirst() }
    }

    private mutating func number(
        _ width: ClosedRange<Int>, _ what: String, _ range: ClosedRange<Int64> = 0...9999
    ) throws(TimeLayout.Fault) -> Int64 {
        let digits = rest.prefix(width.upperBound).prefix { isDigit($0) }
        guard digits.count >= width.lowerBound else { throw expected(what) }
        let value = digits.reduce(Int64(0)) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
        guard range.contains(value) else { throw expected("\(what) up to \(range.upperBound)") }
        rest = rest.dropFirst(digits.count)
        return value
    }

    /// The number of the name that stands here, upper and lower case alike.
    private mutating func name(_ names: [String], _ length: Int?, _ what: String) throws(TimeLayout.Fault) -> Int {
        for (number, name) in names.enumerated() {
            let wanted = name.utf8.prefix(length ?? name.utf8.count)
            if rest.count >= wanted.count, zip(rest, wanted).allSatisfy({ $0 | 32 == $1 | 32 }) {
                rest = rest.dropFirst(wanted.count)
                return number
            }
        }
        throw expected(what)
    }

    /// - Parameter width: nil: as many digits as there are.
    private mutating func fraction(_ width: Int?) throws(TimeLayout.Fault) {
        rest = rest.dropFirst()
        let digits = width.map { rest.prefix($0).prefix { isDigit($0) } } ?? rest.prefix { isDigit($0) }
        guard !digits.isEmpty, digits.count == width ?? digits.count else {
            throw expected(width.map { "a fraction of \($0) digits" } ?? "a fraction")
        }
        var value: Int64 = 0
        for place in 0..<9 {
            let byte = place < digits.count ? digits[digits.startIndex + place] : UInt8(ascii: "0")
            value = value * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        parsed.time.nanosecond = value
        rest = rest.dropFirst(digits.count)
    }

    private mutating func offset(_ minutes: Bool, _ seconds: Bool, _ colon: Bool) throws(TimeLayout.Fault) -> Int {
        guard let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else {
            throw expected("an offset from UTC such as \(colon ? "+02:00" : minutes ? "+0200" : "+02")")
        }
        rest = rest.dropFirst()
        var value = try number(2...2, "the hours of an offset", 0...24) * 3600
        for (isThere, unit) in [(minutes, Int64(60)), (seconds, 1)] where isThere {
            if colon {
                guard rest.first == UInt8(ascii: ":") else { throw expected("\":\" in an offset") }
                rest = rest.dropFirst()
            }
            value += try number(2...2, "two digits of an offset", 0...59) * unit
        }
        return Int(sign == UInt8(ascii: "-") ? -value : value)
    }

    /// "CEST", or where a zone has no name its offset: "+03", "-0330".
    private mutating func zoneName() throws(TimeLayout.Fault) {
        if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") {
            let digits = rest.dropFirst().prefix { isDigit($0) }
            parsed.offset = try offset(digits.count >= 4, false, false)
            return
        }
        let letters = rest.prefix { $0 &- UInt8(ascii: "A") < 26 }
        guard (3...5).contains(letters.count) else { throw expected("the name of a time zone") }
        parsed.zone = String(decoding: letters, as: UTF8.self)
        rest = rest.dropFirst(letters.count)
    }
}
