/// The offsets of one place from UTC in the course of time, as a file of the time zone database has them (TZif, RFC
/// 9636): transitions up to some year, then a rule in POSIX's notation for all that follow.
///
/// Read from bytes that may hold anything; what is malformed is no zone. Leap seconds are not counted.
final class TimeZoneRules: Sendable {
    struct Offset: Equatable, Sendable {
        /// Seconds east of UTC.
        let seconds: Int
        /// "CET"
        let name: String
    }

    private let starts: [Int64]
    private let kinds: [Int]
    private let offsets: [Offset]
    private let rule: PosixZone?

    init?(_ bytes: [UInt8]) {
        var reader = Reader(bytes)
        guard var header = Header(&reader) else { return nil }
        var timeSize = 4
        if header.version >= UInt8(ascii: "2") {
            // The first part is for old readers; the second has times of 64 bits.
            guard reader.skip(header.size(timeSize: 4)), let second = Header(&reader) else { return nil }
            header = second
            timeSize = 8
        }
        guard header.types > 0, header.size(timeSize: timeSize) <= reader.left else { return nil }
        starts = (0..<header.times).map { _ in reader.number(timeSize) }
        kinds = (0..<header.times).map { _ in Int(reader.number(1) & 0xff) }
        let types = (0..<header.types).map { _ -> (seconds: Int, name: Int) in
            let seconds = Int(reader.number(4))
            _ = reader.number(1)
            return (seconds, Int(reader.number(1) & 0xff))
        }
        let names = reader.take(header.characters)
        offsets = types.map { type in
            let name = names.dropFirst(type.name).prefix { $0 != 0 }
            return Offset(seconds: type.seconds, name: String(decoding: name, as: UTF8.self))
        }
        guard kinds.allSatisfy({ $0 < header.types }), zip(starts, starts.dropFirst()).allSatisfy({ $0 < $1 }),
            offsets.allSatisfy({ abs($0.seconds) <= 26 * 3600 })
        else { return nil }
        _ = reader.skip(header.leaps * (timeSize + 4) + header.standards + header.universals)
        var footer: PosixZone?
        if timeSize == 8, reader.number(1) == Int64(UInt8(ascii: "\n")) {
            footer = PosixZone(reader.takeLine())
        }
        rule = footer
    }

    /// What holds at a time, in seconds since 1970.
    func offset(at time: Int64) -> Offset {
        guard let last = starts.last else { return rule?.offset(at: time) ?? offsets[0] }
        if time >= last { return rule?.offset(at: time) ?? offsets[kinds[kinds.count - 1]] }
        // The last transition that is not after `time`; before the first one, the first kind.
        var low = 0
        var high = starts.count
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= time { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? offsets[0] : offsets[kinds[low - 1]]
    }

    /// The offset that goes by this name, if there is one.
    func offset(named name: String) -> Int? {
        rule?.offset(named: name) ?? offsets.last { $0.name == name }?.seconds
    }

    // MARK: The file

    private struct Header {
        let version: UInt8
        let universals, standards, leaps, times, types, characters: Int

        init?(_ reader: inout Reader) {
            guard reader.left >= 44, Array(reader.take(4)) == Array("TZif".utf8) else { return nil }
            version = reader.take(16).first ?? 0
            let counts = (0..<6).map { _ in Int(reader.number(4)) }
            guard counts.allSatisfy({ (0...100_000).contains($0) }) else { return nil }
            universals = counts[0]
            standards = counts[1]
            leaps = counts[2]
            times = counts[3]
            types = counts[4]
            characters = counts[5]
        }

        /// Bytes that follow it.
        func size(timeSize: Int) -> Int {
            times * (timeSize + 1) + types * 6 + characters + leaps * (timeSize + 4) + standards + universals
        }
    }

    private struct Reader {
        private let bytes: [UInt8]
        private var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        var left: Int { bytes.count - position }

        mutating func take(_ count: Int) -> ArraySlice<UInt8> {
            let end = position + min(count, left)
            defer { position = end }
            return bytes[position..<end]
        }

        mutating func skip(_ count: Int) -> Bool { take(count).count == count }

        /// Big-endian, signed if it has 4 bytes or more.
        mutating func number(_ size: Int) -> Int64 {
            let value = take(size).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return size == 4 ? Int64(Int32(truncatingIfNeeded: value)) : Int64(bitPattern: value)
        }

        mutating func takeLine() -> String {
            let line = bytes[position...].prefix { $0 != UInt8(ascii: "\n") }
            position = line.endIndex
            return String(decoding: line, as: UTF8.self)
        }
    }
}

/// A zone in POSIX's notation, with what RFC 9636 allows besides: "CET-1CEST,M3.5.0,M10.5.0/3".
struct PosixZone: Sendable {
    private let standard: TimeZoneRules.Offset
    private let summer: (offset: TimeZoneRules.Offset, begin: Day, end: Day)?

    private struct Day: Sendable {
        enum Kind: Sendable {
            /// 1 to 365, the leap day not counted.
            case withoutLeapDay(Int64)
            /// 0 to 365.
            case ofYear(Int64)
            /// Month, week (5: the last), weekday (0: Sunday).
            case ofWeek(Int64, Int64, Int64)
        }

        let kind: Kind
        /// Seconds since midnight, may be negative.
        let time: Int64

        /// Seconds since 1970 by the clock on the wall.
        func inYear(_ year: Int64) -> Int64 {
            let first = CivilDate(year: year, month: 1, day: 1).daysSince1970
            let day: Int64
            switch kind {
            case .withoutLeapDay(let n):
                let march = CivilDate(year: year, month: 3, day: 1).daysSince1970 - first
                day = first + n - 1 + (n >= 60 && march == 60 ? 1 : 0)
            case .ofYear(let n): day = first + n
            case .ofWeek(let month, let week, let weekday):
                let begin = CivilDate(year: year, month: month, day: 1).daysSince1970
                let next =
                    month == 12
                    ? CivilDate(year: year + 1, month: 1, day: 1).daysSince1970
                    : CivilDate(year: year, month: month + 1, day: 1).daysSince1970
                // 1970 began on a Thursday.
                var found = begin + floorDivide(weekday - (begin + 4), 7).remainder + (week - 1) * 7
                if found >= next { found -= 7 }
                day = found
            }
            return day * 86_400 + time
        }
    }

    init?(_ text: String) {
        var rest = Substring(text)
        guard let name = PosixZone.name(&rest), let west = PosixZone.time(&rest) else { return nil }
        standard = .init(seconds: -west, name: name)
        guard !rest.isEmpty else {
            summer = nil
            return
        }
        guard let summerName = PosixZone.name(&rest) else { return nil }
        var seconds = standard.seconds + 3600
        if rest.first != "," {
            guard let west = PosixZone.time(&rest) else { return nil }
            seconds = -west
        }
        guard let begin = PosixZone.day(&rest), let end = PosixZone.day(&rest), rest.isEmpty else { return nil }
        summer = (.init(seconds: seconds, name: summerName), begin, end)
    }

    func offset(at time: Int64) -> TimeZoneRules.Offset {
        guard let summer else { return standard }
        let days = floorDivide(time + Int64(standard.seconds), 86_400).quotient
        let year = CivilDate(daysSince1970: days).year
        let begin = summer.begin.inYear(year) - Int64(standard.seconds)
        let end = summer.end.inYear(year) - Int64(summer.offset.seconds)
        let isSummer = begin < end ? time >= begin && time < end : time >= begin || time < end
        return isSummer ? summer.offset : standard
    }

    func offset(named name: String) -> Int? {
        if standard.name == name { return standard.seconds }
        return summer?.offset.name == name ? summer?.offset.seconds : nil
    }

    // MARK: Notation

    private static func name(_ rest: inout Substring) -> String? {
        let name: Substring
        if rest.first == "<" {
            name = rest.dropFirst().prefix { $0 != ">" }
            rest = rest.dropFirst(name.count + 2)
        } else {
            name = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(name.count)
        }
        return (3...16).contains(name.count) ? String(name) : nil
    }

    /// Seconds of "[+-]h[h[h]][:mm[:ss]]".
    private static func time(_ rest: inout Substring) -> Int? {
        var sign = 1
        if let first = rest.first, first == "-" || first == "+" {
            sign = first == "-" ? -1 : 1
            rest.removeFirst()
        }
        guard var seconds = number(&rest, in: 0...167).map({ $0 * 3600 }) else { return nil }
        for unit in [60, 1] where rest.first == ":" {
            rest.removeFirst()
            guard let part = number(&rest, in: 0...59) else { return nil }
            seconds += part * unit
        }
        return sign * seconds
    }

    private static func day(_ rest: inout Substring) -> Day? {
        guard rest.first == "," else { return nil }
        rest.removeFirst()
        let kind: Day.Kind
        switch rest.first {
        case "M":
            rest.removeFirst()
            guard let month = number(&rest, in: 1...12), take(".", &rest), let week = number(&rest, in: 1...5),
                take(".", &rest), let weekday = number(&rest, in: 0...6)
            else { return nil }
            kind = .ofWeek(Int64(month), Int64(week), Int64(weekday))
        case "J":
            rest.removeFirst()
            guard let day = number(&rest, in: 1...365) else { return nil }
            kind = .withoutLeapDay(Int64(day))
        default:
            guard let day = number(&rest, in: 0...365) else { return nil }
            kind = .ofYear(Int64(day))
        }
        var seconds = 7200
        if take("/", &rest) {
            guard let given = time(&rest) else { return nil }
            seconds = given
        }
        return Day(kind: kind, time: Int64(seconds))
    }

    private static func take(_ character: Character, _ rest: inout Substring) -> Bool {
        guard rest.first == character else { return false }
        rest.removeFirst()
        return true
    }

    private static func number(_ rest: inout Substring, in range: ClosedRange<Int>) -> Int? {
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        guard let value = Int(digits), range.contains(value) else { return nil }
        rest = rest.dropFirst(digits.count)
        return value
    }
}
