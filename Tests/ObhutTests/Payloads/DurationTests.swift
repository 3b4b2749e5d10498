import Testing

@testable import Obhut

private let second: Int64 = 1_000_000_000
private let minute = 60 * second
private let hour = 60 * minute

@Suite struct DurationTests {
    /// The table of Go's own test (src/time/time_test.go, parseDurationTests).
    @Test(arguments: [
        ("0", 0), ("5s", 5 * second), ("30s", 30 * second), ("1478s", 1478 * second), ("-5s", -5 * second),
        ("+5s", 5 * second), ("-0", 0), ("+0", 0), ("5.0s", 5 * second), ("5.6s", 5_600_000_000), ("5.s", 5 * second),
        (".5s", 500_000_000), ("1.0s", second), ("1.00s", second), ("1.004s", 1_004_000_000), ("1.0040s", 1_004_000_000),
        ("100.00100s", 100_001_000_000), ("10ns", 10), ("11us", 11_000), ("12\u{b5}s", 12_000), ("12\u{3bc}s", 12_000),
        ("13ms", 13_000_000), ("14s", 14 * second), ("15m", 15 * minute), ("16h", 16 * hour),
        ("3h30m", 3 * hour + 30 * minute), ("10.5s4m", 4 * minute + 10_500_000_000), ("-2m3.4s", -(2 * minute + 3_400_000_000)),
        ("1h2m3s4ms5us6ns", hour + 2 * minute + 3 * second + 4_005_006), ("39h9m14.425s", 39 * hour + 9 * minute + 14_425_000_000),
        ("52763797000ns", 52_763_797_000), ("0.3333333333333333333h", 20 * minute),
        ("9007199254740993ns", 9_007_199_254_740_993), ("9223372036854775807ns", .max), ("9223372036854775.807us", .max),
        ("9223372036s854ms775us807ns", .max), ("-9223372036854775808ns", .min), ("-9223372036854775.808us", .min),
        ("-9223372036s854ms775us808ns", .min), ("-2562047h47m16.854775808s", .min),
        ("0.100000000000000000000h", 6 * minute), ("0.830103483285477580700h", 49 * minute + 48 * second + 372_539_827),
        // LUA_API's and C1's own examples.
        ("1h30m", 90 * minute), ("1.5s", 1_500_000_000), ("-2ms", -2_000_000), ("100ms", 100_000_000), ("1m30s", 90 * second),
    ] as [(String, Int64)])
    func parses(text: String, nanoseconds: Int64) {
        #expect(parseDuration(text) == nanoseconds)
    }

    @Test(arguments: [
        "", "3", "-", "s", ".", "-.", ".s", "+.s", "1d", "\u{85}\u{85}", "\u{ffff}", "hello \u{ffff} world", "1sm", "1 s", " 1s", "1s ",
        "1S", "--1s", "1e3s", "1h-5m", "5m 3s", "00", "1.2.3s", "0x1s", "9223372036854775810ns", "9223372036854775808ns",
        "-9223372036854775809ns", "9223372036854776us", "3000000h", "9223372036854775.808us", "9223372036854ms775us808ns",
        "-9223372036854775808ns9223372036854775808ns", "99999999999999999999999s",
    ])
    func refuses(text: String) {
        #expect(parseDuration(text) == nil)
    }

    /// Go's durationTests, and the examples of its documentation.
    @Test(arguments: [
        ("0s", 0), ("1ns", 1), ("1.1\u{b5}s", 1_100), ("2.2ms", 2_200_000), ("3.3s", 3_300_000_000),
        ("4m5s", 4 * minute + 5 * second), ("4m5.001s", 4 * minute + 5_001_000_000),
        ("5h6m7.001s", 5 * hour + 6 * minute + 7_001_000_000), ("8m0.000000001s", 8 * minute + 1),
        ("2562047h47m16.854775807s", .max), ("-2562047h47m16.854775808s", .min), ("1m30s", 90 * second), ("1.5s", 1_500_000_000),
        ("100ms", 100_000_000), ("1h0m0s", hour), ("1h15m30.918s", 4_530_918_000_000), ("-2ms", -2_000_000),
    ] as [(String, Int64)])
    func prints(text: String, nanoseconds: Int64) {
        #expect(formatDuration(nanoseconds) == text)
        #expect(parseDuration(text) == nanoseconds)
    }

    @Test func whatIsPrintedParses() {
        var random = SeededGenerator(seed: 6)
        for _ in 0..<20_000 {
            let value = Int64(truncatingIfNeeded: random.next()) >> Int64.random(in: 0...63, using: &random)
            let parsed = parseDuration(formatDuration(value))
            #expect(parsed == value)
        }
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededGenerator(seed: 7)
        let alphabet = Array("0123456789.-+nusmh".utf8) + [0xc2, 0xb5, 0xce, 0xbc, 0x20]
        let memory = GuardedMemory(atLeast: 64)
        for _ in 0..<30_000 {
            let text = (0..<Int.random(in: 0...30, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
            memory.with(text[...]) { _ = parseDuration($0) }
        }
    }
}

@Suite struct ByteSizeTests {
    @Test(arguments: [
        ("0", 0), ("512", 512), ("512B", 512), ("64KB", 64_000), ("64kB", 64_000), ("64KiB", 65_536), ("256MiB", 268_435_456),
        ("1GiB", 1_073_741_824), ("1.5GiB", 1_610_612_736), ("2TB", 2_000_000_000_000), ("0.5KiB", 512), ("0.3KiB", 307),
        ("1.000MB", 1_000_000), ("9223372036854775807", .max),
    ])
    func parses(text: String, bytes: Int) { #expect(parseByteSize(text) == bytes) }

    @Test(arguments: [
        "", "MiB", "-1", "+1", "1.5", "1.", ".5KiB", "1.5.2KiB", "1 KiB", "1K", "1M", "1mib", "1MIB", "1KiBx", "9223372036854775808",
        "18446744073709551616", "99999999TiB", "0.00000000000000000000001GiB", "1é",
    ])
    func refuses(text: String) { #expect(parseByteSize(text) == nil) }
}
