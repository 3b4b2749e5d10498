import Foundation
import ObhutHeader
import Testing

@testable import Obhut

/// examples/plugins: each library is built with the one command that its source tells, and the application does what
/// docs/plugins.md shows.
@Suite struct PluginExampleTests {
    /// The command in the head of a source, run in a copy of the example.
    private static func build(_ source: String, in folder: String) throws {
        let text = try String(contentsOfFile: "\(folder)/\(source)", encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.contains(" \(source) -o app/") })
        let command = line.drop { " */".contains($0) }
        #expect(runProgram(["/bin/sh", "-c", "cd '\(folder)' && exec \(command)"]) == 0, "\(command)")
    }

    @Test func whatItPrints() throws {
        let folder = NSTemporaryDirectory() + "obhut-plugins-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.copyItem(atPath: ABIBaselineTests.root("examples/plugins"), toPath: folder)
        try FileManager.default.createSymbolicLink(atPath: folder + "/include", withDestinationPath: ABIBaselineTests.root("include"))
        for source in ["counter.c", "statistics.cpp", "greeter.swift", "database.c"] { try Self.build(source, in: folder) }

        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        let real = try ApplicationFolder.realPath(of: folder)
        try c { obhut_config_allow_native(config, real + "/app/", $0) }
        #expect(obhut_config_set_worker(config, NativeFixtures.worker) == OBHUT_OK)
        let runtime = try CRuntime(config: config, start: false)
        try c { obhut_runtime_load_folder(runtime.handle, folder + "/app", $0) }
        try runtime.start(OBHUT_START_HOSTS)
        let port = try CPort(runtime)
        _ = try port.spawn("plugins:main", [], flags: UInt32(OBHUT_SPAWN_MONITORED))
        let exit = try port.receive(60 * oneSecond)
        #expect(exit.isNormal, "\(exit.text ?? "")")
        try runtime.stop()
        let printed = try runtime.readOutput().split(separator: "\n").map(String.init)
        let version = printed.first ?? ""
        #expect(version.hasPrefix("zlib 1."))
        #expect(
            Array(printed.dropFirst()) == [
                "crc32 in place    414fa339",
                "crc32 in a child  414fa339",
                "crc32: argument 1 must be a whole number from 0 to 18446744073709551615 (u64), got -1",
                "process plugins:checksum takes other arguments: 2 arguments must be given (u64, bytes), got 1",
                "Hello, Ann and Ben!",
                "whom shall I greet?",
                "words\t12",
                "killed by SIGSEGV in counter_main",
                "words\t0",
                "mean\t2.5",
                "ben 42",
                "ann 31",
                "no such table: nowhere",
            ], "\(printed)")
    }
}
