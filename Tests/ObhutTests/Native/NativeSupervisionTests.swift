import CObhut
import Foundation
import Glibc
import ObhutHeader
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
        return try run(folder) { lines in lines.filter { $0.contains(text) }.count >= count }.filter { $0.contains(text) }
    }

    /// Runs an application until its lines, printed, logged and of crash reports, are enough.
    private func run(_ folder: String, until isEnough: @escaping ([String]) -> Bool) throws -> [String] {
        let found = Collected(isEnough)
        var configuration = RuntimeConfiguration()
        configuration.worker = NativeFixtures.worker
        configuration.output = { line, _ in found.add(String(decoding: line, as: UTF8.self)) }
        configuration.log = configuration.output
        configuration.crashes.sink = configuration.output
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
        private let isEnough: ([String]) -> Bool
        private var found: [String] = []

        init(_ isEnough: @escaping ([String]) -> Bool) { self.isEnough = isEnough }

        func add(_ more: String) {
            lock.with {
                found += more.split(separator: "\n").map(String.init)
                changed.broadcast()
            }
        }

        func wait() { lock.with { while !isEnough(found) { changed.wait(lock) } } }
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

    /// Whatever it dies of: each death is told, and another worker is there.
    @Test func aDeclaredSupervisorRestartsItWhateverItDiesOf() throws {
        let ends = [
            "killed by SIGSEGV in crash (OS process N)", "killed by SIGABRT in crash (OS process N)",
            "exited with status 3 in crash (OS process N) without returning", "exited with status 4 in crash (OS process N) without returning",
            "killed by SIGXCPU in crash (OS process N): its cpu_limit is 10ms",
        ]
        var yaml = Self.workers.replacing("signature: void(i32)", with: "signature: void(i32)\n    cpu_limit: 10ms") + """
              - name: pool
                kind: supervisor
                intensity: { max_restarts: 100000, max_seconds: 60 }
                lifecycle: { auto_start: true }
                children:

            """
        for kind in [0, 1, 2, 3, 5] {
            yaml += "      - { name: worker\(kind), process: worker, input: [\(kind)], restart: { initial_delay: 1ms, max_delay: 1ms, jitter: 0 } }\n"
        }
        let folder = try folder(["app.yaml": yaml])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let least = rounds(20, atLeast: 3)
        // Of each end, the OS processes that came to it; log and crash reports name each.
        var pids = [Set<Int32>](repeating: [], count: ends.count)
        var read = 0
        _ = try run(folder) { lines in
            for line in lines[read...] {
                guard let pid = osPid(in: line), let end = ends.firstIndex(where: withoutOSPid(line).contains) else { continue }
                pids[end].insert(pid)
            }
            read = lines.count
            return pids.allSatisfy { $0.count >= least }
        }
        // No process has come to two.
        #expect(pids.reduce(0) { $0 + $1.count } == pids.reduce(Set()) { $0.union($1) }.count)
    }

    // MARK: The supervisor that the design begins with

    /// Tests/Seed/app with another worker, which is native and dies; nothing else is changed.
    private func seed(_ symbol: String, _ signature: String) throws -> String {
        let folder = NSTemporaryDirectory() + "obhut-native-seed-\(UUID().uuidString)"
        try FileManager.default.copyItem(atPath: SeedFiles.root + "/app", toPath: folder)
        try FileManager.default.copyItem(atPath: NativeFixtures.faulty, toPath: folder + "/src/workers/libfaulty.so")
        try """
            version: "1.0"
            namespace: app.workers
            native: { allow: [file://libfaulty.so] }
            entries:
              - name: task_worker
                kind: process.native
                library: file://libfaulty.so
                method: \(symbol)
                signature: \(signature)
            """.write(toFile: folder + "/src/workers/_index.yaml", atomically: true, encoding: .utf8)
        let pool = try String(contentsOfFile: folder + "/src/supervisor/pool.lua", encoding: .utf8)
        #expect(pool == (try SeedFiles.text("snippets/pool.lua")))
        return folder
    }

    @Test func thePoolRestartsANativeWorkerThatSegfaults() throws {
        let folder = try seed("crash_worker", "void(i64)")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func starts(of worker: Int, in lines: [String]) -> [String] {
            let prefix = "Worker \(worker) started: "
            return lines.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        }
        let lines = try run(folder) { lines in (1...4).allSatisfy { starts(of: $0, in: lines).count >= 3 } }
        #expect(lines.contains("Supervisor started with 4 workers"))
        for worker in 1...4 {
            let pids = starts(of: worker, in: lines)
            #expect(Set(pids).count == pids.count)  // P3
            let deaths = lines.filter { $0.hasPrefix("Worker \(worker) died after ") && $0.hasSuffix("s, restarting") }
            #expect(deaths.count >= pids.count - 1)
        }
        // Each has its crash report, with signal, symbol and OS process.
        let told = lines.filter { $0.contains("killed by SIGSEGV in crash_worker (OS process ") }
        #expect(Set(told.compactMap(osPid)).count >= 8)
        #expect(!lines.contains { $0.hasPrefix("Failed to start worker") })
    }

    /// What its programs are told of such a worker: EXIT and LINK_DOWN, once each, with the same words.
    @Test func theProgramsAreToldOfASegfault() throws {
        let folder = try seed("crash_segv", "void()")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        #expect(obhut_config_set_worker(config, NativeFixtures.worker) == OBHUT_OK)
        let runtime = try CRuntime(config: config, start: false)
        try c { obhut_runtime_load_folder(runtime.handle, folder, $0) }
        try runtime.start(OBHUT_START_HOSTS)
        let port = try CPort(runtime)

        _ = try port.spawn("app.programs:spawn_monitored", flags: OBHUT_SPAWN_MONITORED)
        #expect(try port.receive().isNormal)
        let printed = try runtime.readOutput().split(separator: "\n").map(String.init)
        #expect(printed.count == 3 && printed[0].hasPrefix("Worker exited:\t{app:processes|"), "\(printed)")
        #expect(printed.map(withoutOSPid).suffix(2) == ["Result:\tnil", "Error:\tkilled by SIGSEGV in crash_segv (OS process N)"])

        let program = encoded { $0.write(.list([.string("app.workers:task_worker")])) }
        _ = try port.spawn("app.observers:observer", program, flags: OBHUT_SPAWN_MONITORED)
        let report = try port.receive()
        #expect(report.isNormal, "\(report.text ?? "")")
        let json = report.result.withUnsafeBytes { payloadToJSON($0) }
        let records = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [[String: Any]]
        let record = try #require(records?.first)
        #expect(records?.count == 1 && record["surplus"] as? Int == 0)
        let text = try #require(record["error"] as? String)
        #expect(withoutOSPid(text) == "killed by SIGSEGV in crash_segv (OS process N)")
        let down = try #require(record["down"] as? [String: Any])
        #expect(down["error"] as? String == text && down["origin"] as? String == record["pid"] as? String)
        try runtime.stop()
    }
}
