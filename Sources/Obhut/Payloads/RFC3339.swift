/// A point of time as text, in UTC: "2026-03-01T12:00:00Z". The fraction is Go's RFC3339Nano: up to nine
/// digits without trailing zeros, and none at a whole second ("…:00.25Z").
///
/// Calendar arithmetic of our own: libc's `gmtime` reads the time zone's files and takes a lock, and we
/// need neither. Int64 nanoseconds reach from 1677 to 2262, so a year always has four digits.
func formatRFC3339(unixNanoseconds: Int64) -> String {
    // Rounded down, not towards zero: before 1970 the fraction still counts forwards.
    let (seconds, fraction) = floorDivide(unixNanoseconds, nanosecondsPerSecond)
    let (days, second) = floorDivide(seconds, 86_400)
    let date = CivilDate(daysSince1970: days)
    return "\(date)T\(twoDigits(second / 3600)):\(twoDigits(second / 60 % 60)):\(twoDigits(second % 60))"
        + "\(fractionText(UInt64(fraction), unit: UInt64(nanosecondsPerSecond)))Z"
}

/// A day of the Gregorian calendar, extended to the time before it.
struct CivilDate: Equatable, CustomStringConvertible {
    let year: Int64
    /// 1...12
    let month: Int64
    /// 1...31
    let day: Int64

    init(year: Int64, month: Int64, day: Int64) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// Howard Hinnant's `civil_from_days` (howardhinnant.github.io/date_algorithms.html). Its year begins
    /// in March, so that the leap day is the last of a year; 400 of them, an era, have 146,097 days.
    init(daysSince1970 days: Int64) {
        let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)  // 0000-03-01
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
    }

    /// The way back, `days_from_civil`.
    var daysSince1970: Int64 {
        let (era, yearOfEra) = floorDivide(month <= 2 ? year - 1 : year, 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    var description: String {
        let digits = String(year)
        return "\(String(repeating: "0", count: max(0, 4 - digits.count)))\(digits)-\(twoDigits(month))-\(twoDigits(day))"
    }
}

/// Quotient rounded down, and the remainder, 0 ≤ remainder < divisor.
func floorDivide(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
}

func twoDigits(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
