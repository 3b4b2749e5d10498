import Testing

@testable import Obhut

@Suite struct EntryValuesTests {
    @Test(arguments: [
        ("5s", 5_000_000_000), ("1m30s", 90_000_000_000), ("100ms", 100_000_000), ("1h", 3_600_000_000_000),
        ("7ns", 7), ("7us", 7_000), ("7µs", 7_000), ("7μs", 7_000), ("1.5h", 5_400_000_000_000), ("0s", 0),
        (".5s", 500_000_000), ("0.3s", 300_000_000), ("2562047h", 9_223_369_200_000_000_000),
    ] as [(String, Int64)])
    func durations(text: String, expected: Int64) { #expect(EntryValues.parseDuration(text) == expected) }

    @Test(arguments: ["", "5", "s", "5 s", "-5s", "+5s", "5S", "5d", "1m30", ".s", "1..5s", "2562048h", "99999999999999999999s", "5s "])
    func noDurations(text: String) { #expect(EntryValues.parseDuration(text) == nil) }

    @Test(arguments: [
        ("0", 0), ("65536", 65_536), ("10B", 10), ("64KB", 64_000), ("64kB", 64_000), ("64KiB", 65_536),
        ("256MiB", 268_435_456), ("1GiB", 1_073_741_824), ("2GB", 2_000_000_000), ("1TiB", 1_099_511_627_776),
    ])
    func sizes(text: String, expected: Int) { #expect(EntryValues.parseByteSize(text) == expected) }

    @Test(arguments: ["", "MiB", "64M", "64 MiB", "-1", "1.5GiB", "64mib", "9999999999GiB", "99999999999999999999"])
    func noSizes(text: String) { #expect(EntryValues.parseByteSize(text) == nil) }

    @Test func idsAreReadAndChecked() {
        #expect(EntryID("app.workers:task-worker_1") == EntryID(namespace: "app.workers", name: "task-worker_1"))
        #expect(EntryID(reference: "x", in: "app") == EntryID(namespace: "app", name: "x"))
        #expect(EntryID(reference: "b:x", in: "app") == EntryID(namespace: "b", name: "x"))
        for bad in ["", ":", "a:", ":b", "a:b:c", "a b:c", "a:ü", "ab", "a:\(String(repeating: "x", count: 256))"] {
            #expect(EntryID(bad) == nil, "\(bad)")
        }
    }

    @Test func theNearestWordIsSuggested() {
        let words = ["workers", "spare_workers", "step_limit"]
        #expect(suggestion(for: "worker", among: words) == "workers")
        #expect(suggestion(for: "wrokers", among: words) == "workers")
        #expect(suggestion(for: "step_limits", among: words) == "step_limit")
        #expect(suggestion(for: "colour", among: words) == nil)
        #expect(suggestion(for: "", among: words) == nil)
        #expect(suggestion(for: String(repeating: "x", count: 1_000_000), among: words) == nil)
        #expect(editDistance(Array("kitten".unicodeScalars), Array("sitting".unicodeScalars)) == 3)
        #expect(editDistance([], Array("ab".unicodeScalars)) == 2)
    }

    @Test func quotedTextStaysOnOneReadableLine() {
        #expect(quoted("a\nb\u{1B}\u{202E}") == "'a\\nb\\u{1b}\\u{202e}'")
        #expect(quoted(String(repeating: "x", count: 1000)).count == 83)
    }
}
