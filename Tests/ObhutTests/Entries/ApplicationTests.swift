import Foundation
import Testing

@testable import Obhut

@Suite struct ApplicationTests {
    /// The application of the seed text, as it stands there.
    static let seed = [
        "src/_index.yaml": """
            # src/_index.yaml
            version: "1.0"
            namespace: app

            entries:
              - name: processes
                kind: process.host
                host:
                  workers: 16            # Anzahl OS-Threads
                lifecycle:
                  auto_start: true
            """,
        "src/supervisor/_index.yaml": """
            version: "1.0"
            namespace: app.supervisor

            entries:
              - name: pool
                kind: process.lua
                source: file://pool.lua
                method: main
                modules:
                  - time
                lifecycle:
                  auto_start: true
            """,
        "src/supervisor/pool.lua": "return { main = main }\n",
        "src/workers/_index.yaml": """
            version: "1.0"
            namespace: app.workers

            entries:
              - name: task_worker
                kind: process.lua
                source: file://task_worker.lua
                method: main
                modules:
                  - time
            """,
        "src/workers/task_worker.lua": "return { main = main }\n",
    ]

    @Test func theSeedLoads() throws {
        let loaded = try application(Self.seed)
        let host = EntryID(namespace: "app", name: "processes")
        let pool = EntryID(namespace: "app.supervisor", name: "pool")
        let worker = EntryID(namespace: "app.workers", name: "task_worker")
        #expect(loaded.entries.map(\.id) == [host, pool, worker])
        #expect(loaded.startOrder == [host, pool])

        guard case .host(let definition) = loaded[host]?.definition else { throw Unexpected() }
        #expect(definition == HostEntry(workers: 16))
        #expect(loaded[host]?.lifecycle == Lifecycle(autoStart: true))

        guard case .process(let process) = loaded[pool]?.definition else { throw Unexpected() }
        #expect(process.method == "main")
        #expect(process.code.modules == ["time"])
        #expect(process.code.source.chunkName == "src/supervisor/pool.lua")
        #expect(process.code.source.text == Array("return { main = main }\n".utf8))
        // V1: the only process host there is.
        #expect(process.host == host)
        #expect(process.memoryLimit == nil)
        #expect(loaded[worker]?.position == SourcePosition(path: "src/workers/_index.yaml", line: 5, column: 5))
    }

    @Test func everyFieldIsRead() throws {
        let loaded = try application([
            "a.yaml": """
                namespace: app
                meta: { about: this file }
                entries:
                - name: h
                  kind: process.host
                  host:
                    workers: 2
                    max_processes: 10
                    mailbox_limit: 0
                    mailbox_bytes: 64KB
                    max_message: 1024
                    process_memory: 0
                    spare_workers: 0
                    step_limit: 1m30s
                - name: other
                  kind: process.host
                - name: p
                  kind: process.lua
                  source: file://lua/../p.lua
                  method: run
                  modules: [time, errors, time]
                  imports: { util: lib, "x.y": app:lib }
                  memory_limit: 64MiB
                  host: h
                  input: [4, "x", { a: [~, 1.5] }]
                  meta: { comment: anything, 1: one }
                  lifecycle:
                    auto_start: true
                    start_timeout: 1s
                    stop_timeout: 2s
                    stable_threshold: 0s
                    requires: [q, app:q]
                    restart:
                      policy: always
                      initial_delay: 5ms
                      max_delay: 1s
                      backoff_factor: 3
                      jitter: 0
                      max_attempts: 7
                - name: q
                  kind: process.lua
                  source: return {}
                  memory_limit: 0
                  host: app:h
                - name: f
                  kind: function.lua
                  source: |
                    return { main = function() end }
                - name: lib
                  kind: library.lua
                  source: file://p.lua
                  imports: { deep: lib2 }
                - { name: lib2, kind: library.lua, source: "return {}" }
                - name: d
                  kind: registry.entry
                  data: { n: 1 }
                """,
            "p.lua": "return {}",
            "lua/unused": "",
        ])
        func definition(_ name: String) -> EntryDefinition? { loaded[EntryID(namespace: "app", name: name)]?.definition }
        let id = { (name: String) in EntryID(namespace: "app", name: name) }

        guard case .host(let host) = definition("h") else { throw Unexpected() }
        #expect(
            host
                == HostEntry(
                    workers: 2, maxProcesses: 10, mailboxLimit: 0, mailboxBytes: 64_000, maxMessage: 1024,
                    processMemory: 0, spareWorkers: 0, stepLimit: 90_000_000_000))
        guard case .host(let other) = definition("other") else { throw Unexpected() }
        #expect(other == HostEntry(workers: ProcessInfo.processInfo.activeProcessorCount))
        #expect(other.mailboxLimit == 1_000_000 && other.mailboxBytes == 268_435_456 && other.maxMessage == 16_777_216)
        #expect(other.maxProcesses == 0 && other.processMemory == 268_435_456)
        #expect(other.spareWorkers == 4 && other.stepLimit == 5_000_000_000)

        guard case .process(let p) = definition("p") else { throw Unexpected() }
        #expect(p.method == "run" && p.memoryLimit == 67_108_864 && p.host == id("h"))
        #expect(p.code.modules == ["time", "errors"])
        #expect(p.code.imports == [LuaImport(name: "util", library: id("lib")), LuaImport(name: "x.y", library: id("lib"))])
        #expect(p.code.source.chunkName == "p.lua")
        #expect(p.input == [.int(4), .string("x"), .map([.init(key: .string("a"), value: .list([.null, .float(1.5)]))])])
        let entry = try #require(loaded[id("p")])
        #expect(entry.meta["comment"] == .string("anything"))
        #expect(
            entry.lifecycle
                == Lifecycle(
                    autoStart: true, startTimeout: 1_000_000_000, stopTimeout: 2_000_000_000, stableThreshold: 0,
                    dependsOn: [id("q")],
                    restart: RestartPolicy(
                        policy: .always, initialDelay: 5_000_000, maxDelay: 1_000_000_000, backoffFactor: 3,
                        jitter: 0, maxAttempts: 7)))

        guard case .process(let q) = definition("q"), case .function(let f) = definition("f"),
            case .library(let lib) = definition("lib"), case .data(let data) = definition("d")
        else { throw Unexpected() }
        #expect(q.method == "main" && q.memoryLimit == 0 && q.code.source.chunkName == "app:q")
        #expect(f.method == "main" && f.code.source.text == Array("return { main = function() end }\n".utf8))
        #expect(lib.imports == [LuaImport(name: "deep", library: id("lib2"))])
        #expect(data["n"] == .int(1))
        #expect(loaded[id("f")]?.lifecycle == nil)

        // V2: the hosts first, although only `p` says `auto_start`; `other` is not needed.
        #expect(loaded.startOrder == [id("h"), id("q"), id("p")])
    }

    @Test func defaultsOfALifecycleAreThoseOfTheDesign() {
        let lifecycle = Lifecycle()
        #expect(!lifecycle.autoStart && lifecycle.dependsOn.isEmpty)
        #expect(lifecycle.startTimeout == 10_000_000_000 && lifecycle.stopTimeout == 10_000_000_000)
        #expect(lifecycle.stableThreshold == 5_000_000_000)
        let restart = lifecycle.restart
        #expect(restart.policy == .onFailure && restart.initialDelay == 1_000_000_000 && restart.maxDelay == 90_000_000_000)
        #expect(restart.backoffFactor == 2 && restart.jitter == 0.1 && restart.maxAttempts == 0)
    }

    @Test func dependenciesStartFirstAcrossFiles() throws {
        let service = { (name: String, needs: String) in
            "- { name: \(name), kind: process.lua, source: 'return {}', lifecycle: { auto_start: true, depends_on: [\(needs)] } }\n"
        }
        let loaded = try application([
            "a.yaml": "namespace: a\nentries:\n" + service("x", "b:y") + service("w", ""),
            "b.yml": "namespace: b\nentries:\n" + service("y", "z") + service("z", "") + "- { name: h, kind: process.host }\n",
        ])
        #expect(loaded.startOrder.map(\.description) == ["b:h", "b:z", "b:y", "a:x", "a:w"])
    }

    @Test func otherFilesAreSkipped() throws {
        let app = try TemporaryApplication([
            "app/a.yaml": "namespace: app\nentries: [{ name: h, kind: process.host }]",
            "app/compose.yaml": "services: { a: !special 1, a: 2 }\n---\nmore: 1\n",
            "app/list.yml": "- 1\n",
            "app/empty.yaml": "",
            "app/half.yaml": "namespace: other\n",
            "app/notes.txt": "namespace: [",
            ".hidden/a.yaml": "namespace: [",
            "app/.git/a.yaml": "namespace: [",
            "app/.a.yaml": "namespace: [",
        ])
        #expect(try app.load().get().entries.map(\.id.description) == ["app:h"])
    }

    @Test func linksInsideTheFolderAreFollowedAndLoopsAreSafe() throws {
        // As Kubernetes mounts a ConfigMap: every file a link into a hidden folder.
        let app = try TemporaryApplication([
            "..data/a.yaml": "namespace: app\nentries: [{ name: p, kind: process.lua, source: file://p.lua }]",
            "..data/p.lua": "return {}",
        ])
        try app.link("a.yaml", to: "..data/a.yaml")
        try app.link("b.yaml", to: "a.yaml")
        try app.link("p.lua", to: "..data/p.lua")
        try app.link("loop", to: ".")
        #expect(try app.load().get().entries.map(\.position.path) == ["a.yaml"])
    }

    @Test func theFolderItselfMayBeALink() throws {
        let app = try TemporaryApplication([
            "real/a.yaml": "namespace: app\nentries: [{ name: p, kind: process.lua, source: file://p.lua }]",
            "real/p.lua": "return {}",
        ])
        try app.link("link", to: "real")
        let loaded = try Application.load(folder: app.folder + "/link/", checkSyntax: fakeSyntaxCheck).get()
        #expect(loaded.folder == app.folder + "/link/")
    }

    @Test func textsAndFoldersLoadAsOneApplication() throws {
        let app = try TemporaryApplication(["a.yaml": "namespace: app\nentries: [{ name: h, kind: process.host }]"])
        let text = "namespace: host.program\nentries: [{ name: p, kind: process.lua, host: app:h, source: 'return {}' }]"
        let loaded = try Application.load([.folder(app.folder), .yaml(text, name: "embedded")], checkSyntax: fakeSyntaxCheck).get()
        #expect(loaded.entries.map(\.id.description) == ["app:h", "host.program:p"])
        #expect(loaded.entries[1].position.path == "embedded")
    }

    @Test func aSharedFileIsCompiledOnce() throws {
        let app = try TemporaryApplication([
            "a.yaml": """
                namespace: app
                entries:
                - { name: x, kind: process.lua, source: file://p.lua }
                - { name: y, kind: function.lua, source: file://./p.lua }
                """,
            "p.lua": "return {}",
        ])
        var chunks: [String] = []
        _ = Application.load(folder: app.folder) { _, chunk in
            chunks.append(chunk)
            return nil
        }
        #expect(chunks == ["p.lua"])
    }

    struct Unexpected: Error {}

    /// By bytes, as the system takes them: a slash is one also before a combining mark, which makes one character of both.
    @Test func pathsAreJoinedByBytes_F1() {
        for (directory, path, joined) in [
            ("a/b", "c.lua", "a/b/c.lua"), ("", "./c//d/", "c/d"), ("a/b", "../c", "a/c"), ("a", "..", ""), ("a", "../..", nil),
            ("a", "/c", nil), ("a", "/\u{301}c", nil), ("a", "b/\u{301}/../c", "a/b/c"), ("a", "...", "a/..."),
        ] as [(String, String, String?)] {
            #expect(ApplicationFolder.join(directory, path) == joined, "\(directory) and \(path)")
        }
    }
}
