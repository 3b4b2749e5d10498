import Foundation
import Testing

@testable import Obhut

@Suite struct RFC3339Tests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00Z"), (1, "1970-01-01T00:00:00.000000001Z"), (-1, "1969-12-31T23:59:59.999999999Z"),
        (250_000_000, "1970-01-01T00:00:00.25Z"), (-1_500_000_000, "1969-12-31T23:59:58.5Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00Z"), (951_868_799_999_000_000, "2000-02-29T23:59:59.999Z"),
        (1_709_164_800_000_000_000, "2024-02-29T00:00:00Z"), (1_772_323_200_000_000_000, "2026-03-01T00:00:00Z"),
        (4_107_542_400_000_000_000, "2100-03-01T00:00:00Z"), (-2_203_891_200_000_000_000, "1900-03-01T00:00:00Z"),
        (.max, "2262-04-11T23:47:16.854775807Z"), (.min, "1677-09-21T00:12:43.145224192Z"),
    ] as [(Int64, String)])
    func formats(nanoseconds: Int64, text: String) {
        #expect(formatRFC3339(unixNanoseconds: nanoseconds) == text)
    }

    @Test func agreesWithTheSystemsCalendar() {
        var random = SeededGenerator(seed: 8)
        for _ in 0..<20_000 {
            let seconds = Int.random(in: -9_000_000_000...9_000_000_000, using: &random)
            var moment = time_t(seconds)
            var parts = tm()
            gmtime_r(&moment, &parts)
            let expected = String(
                format: "%04d-%02d-%02dT%02d:%02d:%02dZ", Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1,
                Int(parts.tm_mday), Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec))
            #expect(formatRFC3339(unixNanoseconds: Int64(seconds) * 1_000_000_000) == expected)
        }
    }

    @Test func everyDayOfEightCenturiesIsCountedOnce() {
        var previous = CivilDate(daysSince1970: -146_098)
        for day in Int64(-146_097)...146_097 {
            let date = CivilDate(daysSince1970: day)
            let follows = date.day == previous.day + 1 && date.month == previous.month && date.year == previous.year
                || date.day == 1 && previous.day >= 28
                    && (date.month == previous.month + 1 && date.year == previous.year
                        || date.month == 1 && previous.month == 12 && date.year == previous.year + 1)
            if !follows || date.daysSince1970 != day { Issue.record("day \(day): \(previous) then \(date)") }
            previous = date
        }
    }
}
