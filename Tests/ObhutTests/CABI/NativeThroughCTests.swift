import Foundation
import ObhutHeader
import Testing

@testable import Obhut

/// What the C interface has for native code: what may be loaded, what a library offers, what a spawn refuses.
@Suite struct NativeThroughCTests {
    private static func inspect(_ path: String?, _ format: Int32 = OBHUT_INSPECT_TEXT) throws -> String {
        var text = UnsafeMutablePointer<CChar>(bitPattern: 0xdead), length = -1
        defer { obhut_bytes_free(text) }
        do {
            try c { obhut_plugin_inspect(path, format, &text, &length, $0) }
        } catch {
            #expect(text == nil && length == 0)
            throw error
        }
        #expect(strlen(text!) == length)
        return String(cString: text!)
    }

    @Test func whatALibraryOffers() throws {
        let path = CompiledLibrary.path("described.c")
        #expect(try Self.inspect(path) == """
            \(path): plugin described 1.2.3, ABI 1
            entries
              sum      u64(bytes)  symbol sum
              counter  handler     symbol counter
              broken   u64(bites)  symbol sum
              missing  void()      symbol nowhere

            """)
        let json = try Self.inspect(path, OBHUT_INSPECT_JSON)
        #expect(json.hasPrefix("{\"path\":\"\(path)\",\"plugin\":{\"name\":\"described\",\"version\":\"1.2.3\",\"abi\":1,\"entries\":[{\"name\":\"sum\""))
        #expect(json.contains("{\"name\":\"counter\",\"symbol\":\"counter\",\"mode\":\"handler\",\"signature\":null}") && json.hasSuffix("]},\"functions\":[]}\n"))
        let plain = try Self.inspect(CompiledLibrary.values)
        #expect(plain.contains("no plugin") && plain.contains("\n  echo_u8\n") && !plain.contains("table"))
        #expect(try Self.inspect("libz.so.1").contains("\n  crc32\n"))
    }

    @Test func whatIsRefused() throws {
        #expect(throws: (any Error).self) { try Self.inspect(nil) }
        var length = 0
        #expect(obhut_plugin_inspect("x", OBHUT_INSPECT_TEXT, nil, &length, nil) == OBHUT_INVALID_ARGUMENT)
        for (path, format, status, text) in [
            ("", OBHUT_INSPECT_TEXT, OBHUT_INVALID_ARGUMENT, "path must be"), ("libz.so.1", 7, OBHUT_INVALID_ARGUMENT, "format: 7 is none"),
            ("/nowhere/x.so", OBHUT_INSPECT_TEXT, OBHUT_NOT_FOUND, "/nowhere/x.so does not exist"),
            ("libnowhere.so.3", OBHUT_INSPECT_TEXT, OBHUT_NOT_FOUND, "libnowhere.so.3 does not exist here"),
            ("/etc/passwd", OBHUT_INSPECT_JSON, OBHUT_INVALID_ARGUMENT, "/etc/passwd is no shared library"),
            (CompiledLibrary.path("described.c", "-DABI=2"), OBHUT_INSPECT_TEXT, OBHUT_INVALID_ARGUMENT, "\(CompiledLibrary.path("described.c", "-DABI=2")) is a plugin that cannot be used: it was built for plugin ABI 2 and this runtime has 1: upgrade libobhut"),
        ] as [(String, Int32, Int32, String)] {
            do {
                _ = try Self.inspect(path, format)
                Issue.record("\(path) was told")
            } catch let refusal as Refusal {
                #expect(refusal.status == status && refusal.text.hasPrefix(text), "\(refusal)")
            }
        }
    }

    @Test func patterns() {
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        for good in ["libz.so.1", "lib*.so", "/opt/plugins/", "/opt/plugins/*.so", "/"] {
            #expect(status { obhut_config_allow_native(config, good, $0) } == OBHUT_OK)
        }
        for bad in ["", "lib/z.so", "./z.so", "/a/../b", "..", "file://x.so"] {
            let refused = refusal { obhut_config_allow_native(config, bad, $0) }
            #expect(refused?.status == OBHUT_INVALID_ARGUMENT && refused?.text.hasPrefix("pattern must be a soname") == true)
        }
        #expect(status { obhut_config_allow_native(config, nil, $0) } == OBHUT_INVALID_ARGUMENT)
    }

    @Test func inputsAreCheckedWhenTheyAreLoaded() throws {
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        try c { obhut_config_allow_native(config, "/", $0) }
        let runtime = try CRuntime(config: config, start: false)
        let native = "kind: process.native, library: \(CompiledLibrary.values), symbol: echo_u8, signature: \"u8(u8)\""
        let yaml = application(more: """
              - { name: unused, \(native) }
              - { name: starts, \(native), input: [256], lifecycle: { auto_start: true } }
              - { name: service, kind: process.service, process: unused }
              - name: all
                kind: supervisor
                children: [{ process: service }, { name: good, process: unused, input: [1] }, { name: many, process: unused, input: [1], count: 2 }, { name: one, process: unused, count: 1 }]

            """)
        let found = refusal { error in
            yaml.withCString { obhut_runtime_load_text(runtime.handle, $0, strlen($0), error) }
        }
        #expect(found?.status == OBHUT_INVALID_APPLICATION)
        #expect(
            found?.text.split(separator: "\n").map { $0.drop { $0 != " " }.dropFirst() } == [
                "the 'input' of 'test:starts' does not fit 'test:starts', u8(u8): argument 1 must be a whole number from 0 to 255 (u8), got 256",
                "the 'input' of 'test:service' does not fit 'test:unused', u8(u8): 1 argument must be given (u8), got 0",
                "the 'input' of child 'many' does not fit 'test:unused', u8(u8): 1 argument must be given (u8), got 2",
            ], "\(found?.text ?? "")")
    }

    @Test func aSpawnWithWrongArgumentsIsRefused() throws {
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        try c { obhut_config_allow_native(config, "/", $0) }
        let runtime = try CRuntime(
            application(more: "  - { name: echo, kind: process.native, library: \(CompiledLibrary.values), symbol: echo_u8, signature: \"u8(u8)\" }\n"),
            config: config)
        var pid: obhut_pid = 7
        let refused = refusal { obhut_spawn(runtime.handle, "test:echo", nil, [0x91, 0xcd, 1, 0] as [UInt8], 4, &pid, $0) }
        #expect(refused?.status == OBHUT_INVALID_ARGUMENT && pid == 0)
        #expect(refused?.text == "test:echo takes other arguments: argument 1 must be a whole number from 0 to 255 (u8), got 256")
        #expect(status { obhut_spawn(runtime.handle, "test:echo", nil, nil, 0, &pid, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(runtime.counters.processes == 0)
        // And with right ones it is what it answers.
        let port = try CPort(runtime)
        _ = try port.spawn("test:echo", [0x91, 7], flags: UInt32(OBHUT_SPAWN_MONITORED))
        let exit = try port.receive()
        #expect(exit.isNormal && exit.result == [7])
    }

    /// A thread whose process is over is counted as long as its code has not noticed.
    @Test func zombiesAreCounted() throws {
        var toThread: [Int32] = [0, 0], fromThread: [Int32] = [0, 0]
        #expect(pipe(&toThread) == 0 && pipe(&fromThread) == 0)
        defer { for descriptor in toThread + fromThread { close(descriptor) } }
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        try c { obhut_config_allow_native(config, "/", $0) }
        let runtime = try CRuntime(
            application(more: "  - { name: blocks, kind: process.native, library: \(NativeFixtures.faulty), symbol: blocks, signature: \"status(context, i32, i32)\", isolation: thread }\n"),
            config: config)
        let port = try CPort(runtime)
        let arguments = encoded { $0.write(.list([.int(Int64(toThread[0])), .int(Int64(fromThread[1]))])) }
        let pids = try (0..<3).map { _ in try port.spawn("test:blocks", arguments, flags: OBHUT_SPAWN_MONITORED) }
        var status: Int32 = 0
        for _ in pids { #expect(read(fromThread[0], &status, 4) == 4 && status == 1) }
        #expect(runtime.counters.zombies == 0)
        for (number, pid) in pids.enumerated() {
            try c { obhut_terminate(runtime.handle, pid, $0) }
            #expect(try port.receive().from == pid)
            #expect(runtime.counters.zombies == UInt64(number + 1))
        }
        for left in (0..<3).reversed() {
            var byte: UInt8 = 0
            #expect(write(toThread[1], &byte, 1) == 1)
            #expect(read(fromThread[0], &status, 4) == 4 && status == OBHUT_TERMINATED)
            #expect(runtime.counters.zombies == UInt64(left))
        }
        // They stay readable when it has been stopped.
        try runtime.stop(0)
        #expect(runtime.counters.zombies == 0)
    }
}
