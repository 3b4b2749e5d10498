import Foundation
import Glibc
import Testing

@testable import Obhut

/// A native worker that segfaults, under supervisors that know nothing of native code.
@Suite struct NativeSupervisionTests {
    private func folder(_ files: [String: String]) throws -> String {
        let folder = NSTemporaryDirectory() + "obhut-native-app-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (name, text) in files { try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8) }
        try FileManager.default.copyItem(atPath: NativeFixtures.faulty, toPath: "\(folder)/libfaulty.so")
        return folder
    }

    private static let workers = """
        version: "1.0"
        namespace: app
        native: { allow: [file://libfaulty.so] }
        entries:
          - name: processes
            kind: process.host
            lifecycle: { auto_start: true }
          - name: worker
            kind: process.native
            library: file://libfaulty.so
            symbol: crash
            signature: void(i32)

        """

    /// Runs an application until `lines` lines were printed or logged that contain `text`.
    private func run(_ yaml: String, _ files: [String: String] = [:], until text: String, count: Int) throws -> [String] {
        let folder = try folder(files.merging(["app.yaml": yaml]) { a, _ in a })
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let found = Collected(text, count)
        var configuration = RuntimeConfiguration()
        configuration.output = { line, _ in found.add(String(decoding: line, as: UTF8.self)) }
        configuration.log = configuration.output
        let runtime = try Runtime(configuration)
        try runtime.load([.folder(folder)])
        try runtime.start()
        found.wait()
        runtime.stop(timeout: 0)
        #expect(runtime.native.workers.count == 0)
        return found.lines
    }

    private final class Collected: @unchecked Sendable {  // guarded by lock
        private let lock = Lock()
        private let changed = Condition()
        private let text: String
        private let count: Int
        private var found: [String] = []

        init(_ text: String, _ count: Int) { (self.text, self.count) = (text, count) }

        func add(_ more: String) {
            lock.with {
                found += more.split(separator: "\n").map(String.init).filter { $0.contains(text) }
                changed.broadcast()
            }
        }

        func wait() { lock.with { while found.count < count { changed.wait(lock) } } }
        var lines: [String] { lock.with { found } }
    }

    @Test func aSupervisorInLuaRestartsIt() throws {
        let yaml = Self.workers + """
              - name: supervisor
                kind: process.lua
                source: file://supervisor.lua
                modules: [process]
                lifecycle: { auto_start: true }
            """
        let lua = """
            return { main = function()
                local events = process.events()
                for kind = 0, 2 do
                    local pid = assert(process.spawn_monitored("app:worker", "app:processes", kind))
                    local event = events:receive()
                    assert(event.kind == process.event.EXIT and event.from == pid)
                    print("ended: " .. tostring(event.result.error))
                end
            end }
            """
        let lines = try run(yaml, ["supervisor.lua": lua], until: "ended: ", count: 3)
        #expect(lines[0].hasPrefix("ended: killed by SIGSEGV in crash (OS process "))
        #expect(lines[1].hasPrefix("ended: killed by SIGABRT in crash (OS process "))
        #expect(lines[2].hasPrefix("ended: exited with status 3 in crash (OS process "))
    }

    @Test func aDeclaredSupervisorRestartsIt() throws {
        let yaml = Self.workers + """
              - name: pool
                kind: supervisor
                intensity: { max_restarts: 100, max_seconds: 60 }
                children:
                  - { name: worker, process: worker, input: [0], restart: { initial_delay: 1ms, jitter: 0 } }
                lifecycle: { auto_start: true }
            """
        let lines = try run(yaml, until: "killed by SIGSEGV in crash (OS process ", count: 3)
        #expect(lines.count >= 3)
    }
}
