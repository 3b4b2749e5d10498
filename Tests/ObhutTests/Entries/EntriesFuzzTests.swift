import Testing

@testable import Obhut

/// F1: no YAML crashes or hangs the runtime.
@Suite struct EntriesFuzzTests {
    private static let valid = """
        version: "1.0"
        namespace: app
        entries:
          - name: processes
            kind: process.host
            host: { workers: 16, mailbox_bytes: 256MiB, step_limit: 5s }
            lifecycle: { auto_start: true }
          - name: worker
            kind: process.lua
            source: |
              return { main = function() end }
            method: main
            modules: [time, errors]
            imports: { util: helpers, more: app:other }
            memory_limit: 64MiB
            input: &input [4, "x", { deep: [~, 1.5, 0x1F] }]
            meta: { same: *input }
            lifecycle:
              auto_start: true
              depends_on: [app:processes]
              restart: { policy: on_failure, initial_delay: 1s, jitter: 0.1 }
          - { name: helpers, kind: library.lua, source: "return {}", imports: { o: other } }
          - { name: other, kind: library.lua, source: 'return {}' }
          - name: data
            kind: registry.entry
            data: { ü: [1, 2] }

        """

    private static let pieces = [
        "", " ", "  ", "\n", ":", ": ", "-", "- ", "[", "]", "{", "}", "&a ", "*a", "*input", "!!int ", "!x ", "|\n", ">", "\"", "'",
        "#", "---\n", "...", "~", "0", "-1", "9999999999999999999", "1e999", "5s", "app:helpers", "helpers", "app:", ":app",
        "\t", "\0", "\u{1}", "\u{FEFF}", "é", "%YAML 1.2\n", "? ", ", ", "<<: *input", "depends_on", "name", "null",
    ]

    @Test(arguments: 1...400 as ClosedRange<UInt64>)
    func mutationsNeverCrash(seed: UInt64) {
        var random = SplitMix64(state: seed)
        var bytes = Array(Self.valid.utf8)
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let start = Int.random(in: 0...bytes.count, using: &random)
            let end = min(bytes.count, start + Int.random(in: 0...12, using: &random))
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes.removeSubrange(start..<end)
            case 1: bytes.replaceSubrange(start..<end, with: Self.pieces.randomElement(using: &random)!.utf8)
            case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: start)
            default:
                let from = Int.random(in: 0..<max(1, bytes.count), using: &random)
                bytes.insert(contentsOf: Array(bytes[from..<min(bytes.count, from + 60)]), at: start)
            }
        }
        // The parser takes any bytes; a text is valid UTF-8 by its type.
        _ = try? parseYAML(bytes, path: "fuzz.yaml")
        let result = Application.load(yaml: String(decoding: bytes, as: UTF8.self), checkSyntax: fakeSyntaxCheck)
        switch result {
        case .success(let application):
            #expect(Set(application.startOrder).count == application.startOrder.count)
        case .failure(let faults):
            #expect(!faults.faults.isEmpty)
            for fault in faults.faults { #expect(!fault.description.contains("\n")) }
        }
    }

    @Test func theUnchangedTextLoads() throws {
        let loaded = try application(yaml: Self.valid)
        #expect(loaded.startOrder.map(\.description) == ["app:processes", "app:worker"])
    }
}

/// Steele, Lea, Flood 2014; small, and the same everywhere.
private struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
