import Foundation
import Testing

@testable import Obhut

/// The programs that run are the given ones, line by line.
@Suite struct SeedFilesTests {
    /// Each snippet, the file it stands in, and what that file returns.
    static let programs = [
        ("spawn_monitored", "programs/spawn_monitored", "main"),
        ("monitor_existing", "programs/monitor_existing", "main"),
        ("unmonitor", "programs/unmonitor", "main"),
        ("explicit_link", "workers/linker", "worker_main"),
        ("spawn_linked", "programs/spawn_linked", "parent_main"),
        ("trap_links_off", "programs/trap_links_off", "worker_main"),
        ("trap_links_on", "programs/trap_links_on", "worker_main"),
        ("cancel", "programs/cancel", "main"),
        ("cancel_handled", "workers/long_worker", "worker_main"),
        ("star_parent", "programs/star_parent", "star_parent_main"),
        ("linker_child", "workers/linker_child", "linker_child_main"),
        ("chain_root", "programs/chain_root", "chain_root_main"),
        ("chain_node", "workers/chain_node", "chain_node_main"),
    ]

    @Test(arguments: programs)
    func eachSnippetStandsUnchanged(snippet: String, file: String, function: String) throws {
        let wanted = try SeedFiles.lines("snippets/\(snippet).lua")
        let lines = try SeedFiles.lines("app/src/\(file).lua")
        let starts = lines.indices.filter { lines[$0...].starts(with: wanted) }
        #expect(starts.count == 1)
        #expect(lines[((starts.first ?? 0) + wanted.count)...].filter { !$0.isEmpty } == ["return { main = \(function) }"])
    }

    @Test func wholeFilesStandUnchanged() throws {
        #expect(try SeedFiles.text("app/src/supervisor/pool.lua") == SeedFiles.text("snippets/pool.lua"))
        #expect(try SeedFiles.text("app/src/workers/task_worker.lua") == SeedFiles.text("snippets/task_worker.lua"))
    }

    @Test func noSnippetIsForgotten() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: SeedFiles.root + "/snippets")
        let known = Self.programs.map { $0.0 + ".lua" } + ["pool.lua", "task_worker.lua", "host.yaml", "supervisor.yaml", "workers.yaml"]
        #expect(names.sorted() == known.sorted())
    }

    /// YAML means something only with its indentation, which had been lost.
    @Test(arguments: [("host", "_index"), ("supervisor", "supervisor/_index"), ("workers", "workers/_index")])
    func eachDocumentHasItsLines(snippet: String, file: String) throws {
        let lines = try SeedFiles.lines("app/src/\(file).yaml").map { $0.trimmingCharacters(in: .whitespaces) }
        #expect(lines == (try SeedFiles.lines("snippets/\(snippet).yaml")))
    }

    /// The example shows the same files, indented for people.
    @Test(arguments: [
        ("host.yaml", "_index.yaml"), ("supervisor.yaml", "supervisor/_index.yaml"),
        ("pool.lua", "supervisor/pool.lua"), ("task_worker.lua", "workers/task_worker.lua"),
    ])
    func theExampleHasTheSameFiles(snippet: String, file: String) throws {
        let lines = try SeedFiles.lines("../../examples/worker-pool/src/" + file)
        #expect(lines.map { $0.trimmingCharacters(in: .whitespaces) } == (try SeedFiles.lines("snippets/" + snippet)))
    }

    @Test func theApplicationIsRight() throws {
        #expect(LuaLibrary.open() == nil)
        for folder in [SeedFiles.root + "/app", SeedFiles.repository + "/examples/worker-pool"] {
            #expect(faults(of: Application.load(folder: folder, checkSyntax: LuaCompiler().check)) == [])
        }
    }
}
