import Foundation
import ObhutHeader
import Testing

@testable import Obhut

/// What is told of an application before it runs (V2–V6).
@Suite struct ExplanationTests {
    private static func explain(_ entries: String) throws -> Explanation {
        let runtime = try Runtime(RuntimeConfiguration())
        defer { runtime.stop() }
        let yaml = "namespace: app\nentries:\n  - { name: host, kind: process.host, lifecycle: { auto_start: true } }\n"
            + "  - { name: p, kind: process.lua, source: \"return {}\" }\n" + entries
        try runtime.load([.yaml(yaml, name: "a.yaml")])
        return try runtime.explain()
    }

    private static func warnings(_ entries: String) throws -> [String] { try explain(entries).warnings.map(\.description) }

    private static func place(_ name: String, _ explanation: Explanation) throws -> Explanation.Place {
        try #require(explanation.supervisors.flatMap(\.places).first { $0.name == name })
    }

    @Test func aGoodApplicationHasNoWarning() throws {
        let found = try Self.warnings(
            """
              - name: pool
                kind: supervisor
                children: [{ name: worker, process: p }]
                lifecycle: { auto_start: true }
            """)
        #expect(found == [])
    }

    @Test func figuresMultiplyThroughTheSupervisors_V6() throws {
        let explanation = try Self.explain(
            """
              - name: outer
                kind: supervisor
                intensity: { max_restarts: 1, max_seconds: 60 }
                children: [{ name: inner, process: inner, restart: { jitter: 0 } }]
                lifecycle: { auto_start: true, restart: { max_attempts: 2, jitter: 0 } }
              - name: inner
                kind: supervisor
                intensity: { max_restarts: 3, max_seconds: 60 }
                children: [{ name: worker, process: p, restart: { jitter: 0 } }]
            """)
        let worker = try Self.place("worker", explanation)
        // 0.1 + 0.2 + 0.4 s below, twice with 0.1 s between, three times with 1 and 2 s between.
        #expect(worker.ascent.map(\.result.ends) == [[.intensity], [.intensity], [.attempts]])
        #expect(worker.ascent.map(\.result.restarts) == [.exactly(3), .exactly(1), .exactly(2)])
        #expect(worker.ascent.map(\.result.life.time.most) == [700_000_000, 1_500_000_000, 7_500_000_000])
        #expect(worker.ascent.last?.result.life.starts == .exactly(24))
    }

    @Test func startGoesByLevels_V2() throws {
        let explanation = try Self.explain(
            """
              - { name: a, kind: process.service, process: p, lifecycle: { auto_start: true, ready: call, start_timeout: 3s } }
              - { name: b, kind: process.service, process: p, lifecycle: { auto_start: true, ready: call, start_timeout: 4s } }
              - { name: c, kind: process.service, process: p, lifecycle: { auto_start: true, ready: call, start_timeout: 2s, depends_on: [a, b] } }
            """)
        #expect(explanation.hosts == ["app:host"])
        #expect(explanation.supervisors[0].places.map { "\($0.level) \($0.name) \($0.needs)" } == [
            "1 app:a []", "1 app:b []", #"2 app:c ["app:a", "app:b"]"#,
        ])
        #expect(explanation.supervisors[0].startNeeds == 6_000_000_000)
        // Both levels with 10 s, and what the top keeps for itself.
        #expect(explanation.supervisors[0].stopTime == 20_000_000_000 + SupervisionPlan.reserve)
    }

    /// The examples are as they should be.
    @Test(arguments: ["worker-pool", "supervised-pool", "star/by-hand", "star/declared", "chain/by-hand", "chain/declared"])
    func theExamplesHaveNoWarning(folder: String) throws {
        let runtime = try Runtime(RuntimeConfiguration())
        defer { runtime.stop() }
        try runtime.load([.folder(SeedFiles.repository + "/examples/" + folder)])
        #expect(try runtime.explain().warnings.map(\.description) == [])
    }

    /// Each warning, where it stands, and that its advice removes it.
    @Test(arguments: [
        ("stop_timeout", "children: [{ name: w, process: p, shutdown: 5s }], lifecycle: { auto_start: true, stop_timeout: 2s }",
         "a.yaml:5:5: warning: app:s has 2s to stop", "children: [{ name: w, process: p, shutdown: 5s }], lifecycle: { auto_start: true, stop_timeout: 5.25s }"),
        ("short stop", "children: [{ name: w, process: p, shutdown: 1s }], lifecycle: { auto_start: true, stop_timeout: 1.142s }",
         "a.yaml:5:5: warning: app:s has 1.14s to stop", "children: [{ name: w, process: p, shutdown: 1s }], lifecycle: { auto_start: true, stop_timeout: 1.143s }"),
        ("start_timeout", "children: [{ name: w, process: p, ready: call }], lifecycle: { auto_start: true, start_timeout: 9s }",
         "a.yaml:5:5: warning: app:s has 9s to be ready", "children: [{ name: w, process: p, ready: call }], lifecycle: { auto_start: true, start_timeout: 10s }"),
        ("window", "children: [{ name: w, process: p, restart: { initial_delay: 1s, jitter: 0 } }], lifecycle: { auto_start: true }",
         "a.yaml:5:45: warning: app:s never fails however often w does: 4 failures take 7s, its window is 5s", "intensity: { max_seconds: 7 }, children: [{ name: w, process: p, restart: { initial_delay: 1s, jitter: 0 } }], lifecycle: { auto_start: true }"),
        ("chance", "children: [{ name: w, process: p, restart: { initial_delay: 700ms, jitter: 0.1 } }], lifecycle: { auto_start: true }",
         "a.yaml:5:45: warning: app:s fails only by chance", "children: [{ name: w, process: p, restart: { initial_delay: 600ms, jitter: 0.1 } }], lifecycle: { auto_start: true }"),
        ("stable", "intensity: { max_restarts: 4, max_seconds: 60 }, children: [{ name: w, process: p, restart: { initial_delay: 2s } }], lifecycle: { auto_start: true, restart: { max_attempts: 2 } }",
         "a.yaml:5:5: warning: 'max_attempts' of app:s is never reached", "intensity: { max_restarts: 4, max_seconds: 60 }, children: [{ name: w, process: p, restart: { initial_delay: 2s } }], lifecycle: { auto_start: true, stable_threshold: 40s, restart: { max_attempts: 2 } }"),
        ("stable at once", "children: [{ name: w, process: p, stable_threshold: 0s }], lifecycle: { auto_start: true }",
         "a.yaml:5:45: warning: w is stable at once", "children: [{ name: w, process: p }], lifecycle: { auto_start: true }"),
        ("never", "children: [{ name: w, process: p, restart: { type: temporary, max_attempts: 2 } }], lifecycle: { auto_start: true }",
         "a.yaml:5:45: warning: w is never restarted", "children: [{ name: w, process: p, restart: { type: transient, max_attempts: 2 } }], lifecycle: { auto_start: true }"),
        ("copies", "children: [{ name: w, process: p, count: 4 }], lifecycle: { auto_start: true }",
         "a.yaml:5:45: warning: app:s runs 4 of w and allows 3 restarts", "intensity: { max_restarts: 4 }, children: [{ name: w, process: p, count: 4 }], lifecycle: { auto_start: true }"),
        ("significant", "children: [{ name: w, process: p, restart: transient, significant: true }], lifecycle: { auto_start: true, restart: { policy: always } }",
         "a.yaml:5:5: warning: app:s ends normally when its significant child 'w' does", "children: [{ name: w, process: p, restart: transient, significant: true }], lifecycle: { auto_start: true }"),
    ]) func warns(name: String, fields: String, warning: String, better: String) throws {
        let found = try Self.warnings("  - { name: s, kind: supervisor, \(fields) }\n")
        #expect(found.contains { $0.hasPrefix(warning) }, "\(found)")
        let without = try Self.warnings("  - { name: s, kind: supervisor, \(better) }\n")
        #expect(without == [])
    }

    @Test func aNestedSupervisorsOwnRestartHasNoEffect_V6() throws {
        let found = try Self.warnings(
            """
              - { name: s, kind: supervisor, children: [{ name: n, process: n }], lifecycle: { auto_start: true, stop_timeout: 20s } }
              - { name: n, kind: supervisor, children: [{ name: w, process: p }], lifecycle: { restart: { max_attempts: 3 } } }
            """)
        #expect(found.count == 1 && found[0].hasPrefix("a.yaml:6:5: warning: 'lifecycle.restart' of app:n has no effect"), "\(found)")
    }

    /// Entries that name each other so that the tree has 2^60 places are told of in no time, and so is a deep chain.
    @Test func neitherWideNorDeepTreesHang_F1() throws {
        var wide = "", deep = ""
        for level in 0..<60 {
            let next = level == 59 ? "p" : "w\(level + 1)"
            wide += "  - { name: w\(level), kind: supervisor, children: [{ name: a, process: \(next) }, { name: b, process: \(next) }], lifecycle: { auto_start: \(level == 0) } }\n"
        }
        for level in 0..<1000 {
            let next = level == 999 ? "p" : "d\(level + 1)"
            deep += "  - { name: d\(level), kind: supervisor, children: [{ name: a, process: \(next) }, { name: w, process: p }], lifecycle: { auto_start: \(level == 0) } }\n"
        }
        for entries in [wide, deep] {
            let explanation = try Self.explain(entries)
            #expect(explanation.supervisors.count > 60)
            #expect(ExplanationText.write(explanation, isColored: false).utf8.count < 10_000_000)
            #expect(JSONValue(explanation.json))
        }
    }

    private func JSONValue(_ text: String) -> Bool { (try? JSONSerialization.jsonObject(with: Data(text.utf8))) != nil }

    // MARK: Through the C interface

    @Test func overTheCInterface() throws {
        let runtime = try CRuntime(start: false)
        var text: UnsafeMutablePointer<CChar>?, length = 0, warnings = 9
        let early = refusal { obhut_runtime_explain(runtime.handle, OBHUT_EXPLAIN_TEXT, &text, &length, &warnings, $0) }
        #expect(early?.status == OBHUT_WRONG_STATE)
        let yaml = """
            namespace: app
            entries:
              - { name: host, kind: process.host, lifecycle: { auto_start: true } }
              - { name: p, kind: process.lua, source: "return {}", lifecycle: { auto_start: true, stable_threshold: 0s } }
            """
        try c { obhut_runtime_load_text(runtime.handle, yaml, yaml.utf8.count, $0) }
        for format in OBHUT_EXPLAIN_TEXT...OBHUT_EXPLAIN_JSON {
            try c { obhut_runtime_explain(runtime.handle, format, &text, &length, &warnings, $0) }
            let told = String(cString: text!)
            obhut_bytes_free(text)
            #expect(told.utf8.count == length && told.hasSuffix("\n") && warnings == 1)
            #expect(told.contains("\u{1b}[") == (format == OBHUT_EXPLAIN_COLORED))
            #expect(told.hasPrefix("{") == (format == OBHUT_EXPLAIN_JSON))
        }
        try c { obhut_runtime_explain(runtime.handle, OBHUT_EXPLAIN_TEXT, &text, &length, nil, $0) }
        obhut_bytes_free(text)
        for (format, place) in [(Int32(-1), true), (3, true), (0, false)] {
            let refused = refusal {
                place ? obhut_runtime_explain(runtime.handle, format, &text, &length, &warnings, $0)
                    : obhut_runtime_explain(runtime.handle, format, nil, nil, nil, $0)
            }
            #expect(refused?.status == OBHUT_INVALID_ARGUMENT)
        }
    }
}
