import Testing

@testable import Obhut

@Suite struct EntryValuesTests {
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
