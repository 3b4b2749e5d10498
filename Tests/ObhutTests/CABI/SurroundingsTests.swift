import Glibc
import ObhutHeader
import Synchronization
import Testing

@testable import Obhut

/// What the host program gives its processes: input, arguments, environment, and the form of the log.
@Suite struct SurroundingsTests {
    /// `texts` as C has them.
    private func withTexts<Result>(_ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) throws -> Result) rethrows -> Result {
        let copies = texts.map { UnsafePointer<CChar>(strdup($0)) } + [nil]
        defer { copies.forEach { free(UnsafeMutablePointer(mutating: $0)) } }
        return try copies.withUnsafeBufferPointer { try body($0.baseAddress!) }
    }

    private func yaml(_ body: String, _ fields: String) -> String {
        """
        version: "1.0"
        namespace: test
        entries:
          - { name: host, kind: process.host, lifecycle: { auto_start: true } }
          - name: main
            kind: process.lua
            modules: [io, env, logger, json]
            \(fields)
            source: |
              return { main = function(...) \(body) end }
        """
    }

    @Test func argumentsAndEnvironmentReachTheEntriesThatAllowThem_F6() throws {
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        withTexts(["a", "ä b"]) { #expect(obhut_config_set_arguments(config, $0, 2) == OBHUT_OK) }
        withTexts(["ONE=1", "TWO=a=b", "ONE=2", "=x", "none", "EMPTY="]) {
            #expect(obhut_config_set_environment(config, $0) == OBHUT_OK)
        }
        let runtime = try CRuntime(
            yaml(
                "local env, io = require('env'), require('io') "
                    + "return {env.get('ONE'), env.get('TWO'), env.get('EMPTY'), (env.get('none')) == nil, io.args()}", "env: [ONE, TWO, EMPTY, none]"), config: config)
        let port = try CPort(runtime)
        _ = try port.spawn("test:main", [], flags: OBHUT_SPAWN_MONITORED)
        let ended = try port.receive()
        #expect(ended.result.withUnsafeBytes { payloadToJSON($0) } == #"["1","a=b","",true,["a","ä b"]]"#)
    }

    @Test func wrongArgumentsAreRefused() {
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        #expect(obhut_config_set_arguments(config, nil, 1) == OBHUT_INVALID_ARGUMENT)
        #expect(obhut_config_set_log_format(config, 3) == OBHUT_INVALID_ARGUMENT)
        #expect(obhut_config_set_log_format(config, -1) == OBHUT_INVALID_ARGUMENT)
        let broken: [CChar] = [-1, 0]
        broken.withUnsafeBufferPointer { text in
            let texts = [text.baseAddress]
            #expect(obhut_config_set_arguments(config, texts, 1) == OBHUT_INVALID_ARGUMENT)
        }
    }

    /// A pipe as input: who waits for a line holds no worker, and a stop waits for no input.
    @Test func inputIsReadOnAThreadOfItsOwn_H2() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let config = obhut_config_new()
        _ = obhut_config_set_input_source(
            config, { user, buffer, size in Int64(read(Int32(Int(bitPattern: user)), buffer, size)) },
            UnsafeMutableRawPointer(bitPattern: Int(ends[0])), nil)
        let runtime = try CRuntime(
            yaml("return (require('io').readline())", "").replacing("process.host,", with: "process.host, host: { workers: 1 },"),
            config: config)
        obhut_config_free(config)
        let port = try CPort(runtime)
        let first = try port.spawn("test:main", [], flags: OBHUT_SPAWN_MONITORED)
        #expect(write(ends[1], "hel", 3) == 3)
        #expect(write(ends[1], "lo\nmore", 7) == 7)
        let ended = try port.receive()
        #expect(ended.from == first && ended.result == encoded { $0.writeString("hello") })
        _ = try port.spawn("test:main", [], flags: OBHUT_SPAWN_MONITORED)
        try runtime.stop(1_000_000)
        // Now the source returns, to nobody.
        close(ends[1])
    }

    @Test func logAsJSON_F5() throws {
        let config = obhut_config_new()
        _ = obhut_config_set_log_format(config, OBHUT_LOG_FORMAT_JSON)
        let runtime = try CRuntime(
            yaml("require('logger'):warn('one\\ntwo', {n = 1}) error('no luck')", ""), config: config)
        obhut_config_free(config)
        _ = try runtime.spawn("test:main")
        var log = ""
        #expect(eventually { log += (try? runtime.readLog()) ?? ""; return log.contains("traceback") })
        let lines = log.split(separator: "\n")
        #expect(lines.count == 2)
        for line in lines {
            var writer = PayloadWriter()
            #expect(jsonToPayload(String(line), into: &writer) == nil)
            #expect(line.contains(#""entry":"test:main","pid":"{test:host|0x0"#))
        }
        #expect(lines[0].contains(#""level":"warning""#) && lines[0].contains(#""message":"one\ntwo","fields":{"n":1}"#))
        #expect(lines[1].contains(#""level":"error""#) && lines[1].contains("failed: test:main:"))
    }
}
