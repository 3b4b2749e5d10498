import Foundation
import Testing

@testable import Obhut

/// One case for each way in which an application can be wrong.
@Suite struct ApplicationFaultTests {
    // MARK: Files

    @Test func missingFolder() {
        #expect(faults(of: Application.load(folder: "/no/such", checkSyntax: fakeSyntaxCheck)) == ["/no/such: the application folder does not exist"])
    }

    @Test func folderThatIsAFile() throws {
        let app = try TemporaryApplication(["x": ""])
        let path = app.folder + "/x"
        #expect(faults(of: Application.load(folder: path, checkSyntax: fakeSyntaxCheck)) == ["\(path): the application folder cannot be read: Not a directory"])
    }

    @Test(arguments: [[:], ["x.txt": ""], ["a.yaml": "other: 1"], ["a.yaml": "namespace: a\nentries: []"], [".h/a.yaml": "a: ["]])
    func noEntries(files: [String: String]) throws {
        let app = try TemporaryApplication(files)
        #expect(faults(of: app.load()) == ["\(app.folder): no entries found: a YAML file with \"namespace\" and \"entries\" is needed"])
    }

    @Test func malformedYAML() throws {
        #expect(try faults(["src/a.yaml": "namespace: app\nentries:\n  - name: x\n kind: y\n"]) == [
            "src/a.yaml:4:2: malformed YAML: did not find expected key while parsing a block mapping that begins at line 1"
        ])
    }

    @Test func unreadableFiles() throws {
        let app = try TemporaryApplication(["a.yaml": "namespace: app\nentries: [{ name: h, kind: process.host }]"])
        try app.link("broken.yaml", to: "nowhere")
        try app.link("outside.yaml", to: "/etc/hostname")
        try app.link("self.yaml", to: "self.yaml")
        #expect(mkfifo(app.folder + "/pipe.yaml", 0o600) == 0)
        try app.write("big.yml", String(repeating: "#", count: 16 << 20) + "#")
        #expect(faults(of: app.load()) == [
            "big.yml: is larger than 16 MiB",
            "broken.yaml: cannot be read: No such file or directory",
            "outside.yaml: is a link that leaves the application folder",
            "pipe.yaml: cannot be read: Not a regular file",
            "self.yaml: cannot be read: Too many levels of symbolic links",
        ])
    }

    @Test(.enabled(if: getuid() != 0, "root reads everything")) func forbiddenFiles() throws {
        let app = try TemporaryApplication(["a.yaml": "", "sub/b.yaml": ""])
        chmod(app.folder + "/a.yaml", 0)
        chmod(app.folder + "/sub", 0)
        defer { chmod(app.folder + "/sub", 0o700) }
        #expect(faults(of: app.load()) == ["a.yaml: cannot be read: Permission denied", "sub: cannot be read: Permission denied"])
    }

    // MARK: The file's own fields

    @Test func fileFields() throws {
        #expect(try faults(["a.yaml": "version: 2\nnamspace: x\nnamespace: [app]\nentries: { a: 1 }\n"]) == [
            "a.yaml:1:10: 'version' must be \"1.0\", got 2",
            "a.yaml:2:1: unknown field 'namspace' of the file; did you mean 'namespace'?",
            "a.yaml:3:12: 'namespace' must be a string, got a list",
            "a.yaml:4:10: 'entries' must be a list of entries, got a mapping",
        ])
        #expect(try faults(["a.yaml": "namespace: a b\nentries:\n- { name: h, kind: process.host, hots: 1 }\n"]) == [
            "a.yaml:1:12: 'namespace' must be 1 to 127 letters, digits, '_', '-' or '.', got \"a b\"",
            "a.yaml:3:34: unknown field 'hots' of process.host; did you mean 'host'?",
        ])
    }

    @Test func faultsOfTheYAMLItself() throws {
        #expect(try faults(["a.yaml": "namespace: a\nnamespace: b\nentries: [{ name: h, kind: process.host }]\n---\nx: 1\n"]) == [
            "a.yaml:2:1: key 'namespace' is given twice: first at line 1, column 1",
            "a.yaml:4:1: a second document begins here: a file holds one, write another file",
        ])
    }

    // MARK: Name and kind

    @Test func namesAndKinds() throws {
        #expect(try faults(inEntries: """
            - x
            - {}
            - { name: "", kind: process.host }
            - { name: 7, kind: process.lau, source: x }
            - { name: "a:b", kind: thing }
            - { name: k, kind: [process.host] }
            - { name: s, kind: process.service, process: app:pool }
            - { name: s2, kind: supervisor }
            - { name: n, kind: process.native }
            - { name: l, kind: library.native }
            """) == [
            "a.yaml:3:3: an entry must be a mapping, got \"x\"",
            "a.yaml:4:3: the entry has no 'kind'",
            "a.yaml:4:3: the entry has no 'name'",
            "a.yaml:5:11: 'name' must be 1 to 127 letters, digits, '_', '-' or '.', got \"\"",
            "a.yaml:6:11: 'name' must be 1 to 127 letters, digits, '_', '-' or '.', got 7: write \"7\"",
            "a.yaml:6:20: unknown kind 'process.lau'; did you mean 'process.lua'?",
            "a.yaml:7:11: 'name' must be 1 to 127 letters, digits, '_', '-' or '.', got \"a:b\"",
            "a.yaml:7:24: unknown kind 'thing'; the kinds are process.host, process.lua, process.native, process.external, process.service, supervisor, function.lua, library.lua, library.native, registry.entry",
            "a.yaml:8:20: 'kind' must be a string, got a list",
            "a.yaml:9:46: 'process' refers to 'app:pool', which does not exist",
            "a.yaml:10:3: the supervisor has no 'children': a list of what it runs",
            "a.yaml:11:3: the entry has no 'library': write a soname such as \"libz.so.1\", or \"file://libname.so\"",
            "a.yaml:11:3: the entry has no 'signature': what the C function gives and takes, such as \"u64(u64, bytes)\"",
            "a.yaml:11:3: the entry has no 'symbol': the name of the C function, or an 'entry' of a plugin",
            "a.yaml:12:3: the entry has no 'functions': names and signatures, such as { crc32: \"u64(u64, bytes)\" }",
            "a.yaml:12:3: the entry has no 'library': write a soname such as \"libz.so.1\", or \"file://libname.so\"",
        ])
    }

    @Test func duplicateIDs() throws {
        #expect(try faults([
            "a.yaml": "namespace: app\nentries:\n- { name: h, kind: process.host }\n",
            "b/c.yaml": "namespace: app\nentries:\n- name: h\n  kind: registry.entry\n  dat: 1\n",
        ]) == [
            "b/c.yaml:3:9: entry 'app:h' is declared twice: first at a.yaml:3:3",
            "b/c.yaml:5:3: unknown field 'dat' of registry.entry; did you mean 'data'?",
        ])
    }

    // MARK: Fields

    @Test func unknownFields() throws {
        #expect(try faults(inEntries: """
            - name: h
              kind: process.host
              host: { worker: 2, colour: red }
              lifecycle: { autostart: true, restart: { polciy: never } }
            - { name: l, kind: library.lua, source: "return {}", lifecycle: {}, 1: x }
            """) == [
            "a.yaml:5:11: unknown field 'worker' of 'host'; did you mean 'workers'?",
            "a.yaml:5:22: unknown field 'colour' of 'host'; its fields are workers, max_processes, mailbox_limit, mailbox_bytes, max_message, process_memory, spare_workers, step_limit",
            "a.yaml:6:16: unknown field 'autostart' of 'lifecycle'; did you mean 'auto_start'?",
            "a.yaml:6:44: unknown field 'polciy' of 'lifecycle.restart'; did you mean 'policy'?",
            "a.yaml:7:54: unknown field 'lifecycle' of library.lua; its fields are name, kind, source, modules, imports, env, meta",
            "a.yaml:7:69: unknown field '1' of library.lua; its fields are name, kind, source, modules, imports, env, meta",
        ])
    }

    @Test(arguments: [
        ("workers: many", "14: 'host.workers' must be a whole number from 1 to 1024, got \"many\""),
        ("workers: 0", "14: 'host.workers' must be a whole number from 1 to 1024, got 0"),
        ("workers: 1025", "14: 'host.workers' must be a whole number from 1 to 1024, got 1025"),
        ("workers: 2.0", "14: 'host.workers' must be a whole number from 1 to 1024, got 2.0"),
        ("workers: \"4\"", "14: 'host.workers' must be a whole number from 1 to 1024, got \"4\""),
        ("workers:", "13: 'host.workers' must be a whole number from 1 to 1024, got nothing"),
        ("max_processes: -1", "20: 'host.max_processes' must be a whole number 0 or more, got -1"),
        ("mailbox_limit: [1]", "20: 'host.mailbox_limit' must be a whole number 0 or more, got a list"),
        ("mailbox_bytes: 64M", "20: 'host.mailbox_bytes' must be a size in bytes, such as \"64MiB\" or 65536, got \"64M\""),
        ("max_message: 0", "18: 'host.max_message' must be a size of 1 or more in bytes, such as \"64MiB\" or 65536, got 0"),
        ("process_memory: -1", "21: 'host.process_memory' must be a size in bytes, such as \"64MiB\" or 65536, got -1"),
        ("spare_workers: 2000", "20: 'host.spare_workers' must be a whole number from 0 to 1024, got 2000"),
        ("step_limit: 5", "17: 'host.step_limit' must be a duration above 0, such as \"5s\" or \"1m30s\", got 5: write \"5s\" for seconds"),
        ("step_limit: 0s", "17: 'host.step_limit' must be a duration above 0, such as \"5s\" or \"1m30s\", got \"0s\""),
        ("step_limit: true", "17: 'host.step_limit' must be a duration above 0, such as \"5s\" or \"1m30s\", got true"),
    ])
    func hostFields(field: String, expected: String) throws {
        // H5: a bad value is an error at load, with file, line and column.
        #expect(try faults(inEntries: "- name: h\n  kind: process.host\n  host:\n    \(field)\n") == ["a.yaml:6:\(expected)"])
    }

    @Test(arguments: [
        ("method: 7", "11: 'method' must be a string, got 7: write \"7\""),
        ("method: \"\"", "11: 'method' must be a string, got \"\""),
        ("modules: time", "12: 'modules' must be a list of module names, got \"time\": write [time]"),
        ("modules: [table]", "13: module 'table' is not available in this version"),
        ("modules: [tiem]", "13: unknown module 'tiem'; did you mean 'time'?"),
        ("modules: [socket]", "13: unknown module 'socket'; the modules are \(EntryReader.availableModules.joined(separator: ", "))"),
        ("env: [1]", "9: an environment variable must be a name, got 1"),
        ("env: [A=B]", "9: an environment variable must be a name, got \"A=B\""),
        ("modules: [1]", "13: a module must be a name, got 1"),
        ("imports: [x]", "12: 'imports' must be a mapping of names to library ids, got a list: write { name: id }"),
        ("imports: { x: nowhere }", "17: import 'x' refers to 'app:nowhere', which does not exist"),
        ("imports: { x: p }", "17: import 'x' refers to 'app:p', which is a process.lua; it must be a library"),
        ("imports: { x: [p] }", "17: import 'x' must be an entry's id, \"namespace:name\", or a name of this namespace, got a list"),
        ("imports: { 1: p }", "14: the name of an import must be a string, got 1"),
        ("memory_limit: lots", "17: 'memory_limit' must be a size in bytes, such as \"64MiB\" or 65536, got \"lots\""),
        ("input: 4", "10: 'input' must be a list of arguments, got 4"),
        ("host: a:b:c", "9: 'host' must be an entry's id, \"namespace:name\", or a name of this namespace, got \"a:b:c\""),
        ("host: p", "9: 'host' refers to 'app:p', which is a process.lua; it must be a process.host"),
        ("lifecycle: true", "14: 'lifecycle' must be a mapping, got true"),
        ("lifecycle: { auto_start: yes }", "28: 'lifecycle.auto_start' must be true or false, got \"yes\""),
        ("lifecycle: { stop_timeout: 10 }", "30: 'lifecycle.stop_timeout' must be a duration above 0, such as \"5s\" or \"1m30s\", got 10: write \"10s\" for seconds"),
        ("lifecycle: { stable_threshold: -1s }", "34: 'lifecycle.stable_threshold' must be a duration, such as \"5s\" or \"1m30s\", got \"-1s\""),
        ("lifecycle: { depends_on: p }", "28: 'lifecycle.depends_on' must be a list of entry ids, got \"p\": write [p]"),
        ("lifecycle: { depends_on: [pp] }", "29: 'lifecycle.depends_on' refers to 'app:pp', which does not exist; did you mean 'app:p'?"),
        ("lifecycle: { depends_on: [], requires: [] }", "32: 'requires' and 'depends_on' are the same field: give one of them"),
        ("lifecycle: { depends_on: [p] }", "3:3: cycle of dependencies: app:p -> app:p"),
        ("lifecycle: { restart: { policy: sometimes } }", "35: 'lifecycle.restart.policy' must be one of always, on_failure, never, got \"sometimes\""),
        ("lifecycle: { restart: { backoff_factor: 0.5 } }", "43: 'lifecycle.restart.backoff_factor' must be a number from 1.0 to 1000.0, got 0.5"),
        ("lifecycle: { restart: { backoff_factor: .nan } }", "43: 'lifecycle.restart.backoff_factor' must be a number from 1.0 to 1000.0, got .nan"),
        ("lifecycle: { restart: { jitter: 2 } }", "35: 'lifecycle.restart.jitter' must be a number from 0.0 to 1.0, got 2"),
        ("lifecycle: { restart: { max_attempts: -1 } }", "41: 'lifecycle.restart.max_attempts' must be a whole number 0 or more, got -1"),
        ("lifecycle: { restart: { initial_delay: 2m } }", "42: 'lifecycle.restart.max_delay' (90s if not given) must not be shorter than 'initial_delay'"),
        ("lifecycle: { restart: { initial_delay: 2s, max_delay: 1s } }", "57: 'lifecycle.restart.max_delay' must not be shorter than 'initial_delay'"),
        ("lifecycle: { auto_start: true }", "3:3: 'app:p' starts with the application but there is no host to run it on: declare a process.host"),
    ])
    func processFields(field: String, expected: String) throws {
        let place = expected.hasPrefix("3:3:") ? "" : "6:"
        #expect(try faults(inProcess: field) == ["a.yaml:\(place)\(expected)"])
    }

    @Test func anImportMayNotHideAModule() throws {
        #expect(try faults(inEntries: """
            - { name: f, kind: function.lua, source: "return {}", modules: [time], imports: { time: l } }
            - { name: l, kind: library.lua, source: "return {}" }
            """) == ["a.yaml:3:83: import 'time' has the name of a module listed under 'modules': give it another name"])
    }

    // MARK: References

    @Test func danglingReferencesSuggest() throws {
        #expect(try faults([
            "a.yaml": "namespace: app\nentries:\n- { name: processes, kind: process.host }\n- { name: processed, kind: registry.entry }\n",
            "b.yaml": """
                namespace: app.workers
                entries:
                - { name: a, kind: process.lua, source: "return {}", host: app:proceses }
                - { name: b, kind: process.lua, source: "return {}", host: processes }
                - { name: c, kind: process.lua, source: "return {}", host: app:processed }
                """,
        ]) == [
            "b.yaml:3:60: 'host' refers to 'app:proceses', which does not exist; did you mean 'app:processes'?",
            "b.yaml:4:60: 'host' refers to 'app.workers:processes', which does not exist; did you mean 'app:processes'?",
            "b.yaml:5:60: 'host' refers to 'app:processed', which is a registry.entry; it must be a process.host",
        ])
    }

    @Test func aReferenceToAFaultyEntryIsNoSecondFault() throws {
        #expect(try faults(inEntries: """
            - { name: h, kind: process.host, host: { workers: 0 } }
            - { name: p, kind: process.lua, source: "return {}", host: h, lifecycle: { auto_start: true, depends_on: [s, u] } }
            - { name: s, kind: process.native, library: libc.so.6, symbol: abs, signature: i32(i32) }
            - { name: u, kind: process.lau }
            """) == [
            "a.yaml:3:51: 'host.workers' must be a whole number from 1 to 1024, got 0",
            "a.yaml:5:45: library 'libc.so.6' is not allowed: add it in this application, native: { allow: [\"libc.so.6\"] } beside 'namespace', or in the host program, obhut_config_allow_native(config, \"libc.so.6\"); with the command: --allow-native libc.so.6",
            "a.yaml:6:20: unknown kind 'process.lau'; did you mean 'process.lua'?",
        ])
    }

    @Test func aServiceNeedsOneHost() throws {
        #expect(try faults(inEntries: """
            - { name: h, kind: process.host }
            - { name: g, kind: process.host }
            - { name: p, kind: process.lua, source: "return {}", lifecycle: { auto_start: true, depends_on: [q] } }
            - { name: q, kind: process.lua, source: "return {}" }
            - { name: r, kind: process.lua, source: "return {}" }
            """) == [
            "a.yaml:5:3: 'app:p' starts with the application and needs a 'host': there are app:h, app:g",
            "a.yaml:6:3: 'app:q' starts with the application and needs a 'host': there are app:h, app:g",
        ])
    }

    // MARK: Cycles

    @Test func cyclesOfImports() throws {
        #expect(try faults(inEntries: """
            - { name: f, kind: function.lua, source: "return {}", imports: { a: y } }
            - { name: y, kind: library.lua, source: "return {}", imports: { a: z } }
            - { name: z, kind: library.lua, source: "return {}", imports: { a: x, b: z } }
            - { name: x, kind: library.lua, source: "return {}", imports: { a: y } }
            """) == [
            "a.yaml:5:3: cycle of imports: app:z -> app:z",
            "a.yaml:6:3: cycle of imports: app:x -> app:y -> app:z -> app:x",
        ])
    }

    @Test func cyclesOfDependencies() throws {
        // V2: `host:` counts, also where it is not written.
        #expect(try faults(inEntries: """
            - { name: h, kind: process.host, lifecycle: { depends_on: [b] } }
            - { name: a, kind: process.lua, source: "return {}", lifecycle: { auto_start: true, depends_on: [b] } }
            - { name: b, kind: process.lua, source: "return {}", lifecycle: { requires: [app:a] } }
            """) == [
            "a.yaml:4:3: cycle of dependencies: app:a -> app:b -> app:a",
            "a.yaml:4:3: cycle of dependencies: app:a -> app:h -> app:b -> app:a",
            "a.yaml:5:3: cycle of dependencies: app:b -> app:h -> app:b",
        ])
    }

    @Test func aLongCycleIsCut() throws {
        let count = 5000
        let entries = (0..<count).map { "- { name: l\($0), kind: library.lua, source: x, imports: { n: l\(($0 + 1) % count), z: l0 } }" }
        let found = try faults(inEntries: entries.joined(separator: "\n"))
        #expect(found.count == EntryGraph.maximumCycles)
        #expect(found.contains { $0.contains(" -> … 4981 more … -> ") })
    }

    // MARK: Sources

    @Test func sources() throws {
        let app = try TemporaryApplication([
            "src/a.yaml": """
                namespace: app
                entries:
                - { name: a, kind: process.lua }
                - { name: b, kind: process.lua, source: file://task_worke.lua }
                - { name: c, kind: process.lua, source: file://sub }
                - { name: d, kind: process.lua, source: file://empty.lua }
                - { name: e, kind: process.lua, source: task_worker.lua }
                - { name: f, kind: process.lua, source: "" }
                - { name: g, kind: process.lua, source: file:// }
                - { name: h, kind: process.lua, source: 7 }
                - { name: i, kind: process.lua, source: file://sub/none.lua }
                - { name: j, kind: process.lua, source: file://big.lua }
                - { name: k, kind: process.lua, source: file://pipe }
                - { name: l, kind: process.lua, source: "file://x\\0.lua" }
                """,
            "src/task_worker.lua": "return {}", "src/sub/x": "", "src/empty.lua": "",
            "src/big.lua": String(repeating: " ", count: 16 << 20) + " ",
        ])
        #expect(mkfifo(app.folder + "/src/pipe", 0o600) == 0)
        #expect(faults(of: app.load()) == [
            "src/a.yaml:3:3: the entry has no 'source': write \"file://name.lua\" or the Lua text itself",
            "src/a.yaml:4:41: source file 'src/task_worke.lua' does not exist; did you mean 'task_worker.lua'?",
            "src/a.yaml:5:41: source file 'src/sub' is a folder: name a file in it",
            "src/a.yaml:6:41: source file 'src/empty.lua' is empty",
            "src/a.yaml:7:41: 'source' is neither \"file://…\" nor Lua text, got \"task_worker.lua\": write \"file://task_worker.lua\"",
            "src/a.yaml:8:41: 'source' must be a string, got \"\"",
            "src/a.yaml:9:41: source file 'src' is a folder: name a file in it",
            "src/a.yaml:10:41: 'source' must be a string, got 7: write \"7\"",
            "src/a.yaml:11:41: source file 'src/sub/none.lua' does not exist",
            "src/a.yaml:12:41: source file 'src/big.lua' is larger than 16 MiB",
            "src/a.yaml:13:41: source file 'src/pipe' cannot be read: Not a regular file",
            "src/a.yaml:14:41: source file 'src/x\\u{0}.lua' does not exist",
        ])
    }

    @Test func sourcesOutsideTheApplication() throws {
        let app = try TemporaryApplication([
            "app/src/a.yaml": """
                namespace: app
                entries:
                - { name: a, kind: process.lua, source: file://../../secret.lua }
                - { name: b, kind: process.lua, source: file:///etc/passwd }
                - { name: c, kind: process.lua, source: file://link.lua }
                - { name: d, kind: process.lua, source: file://folder/secret.lua }
                - { name: e, kind: process.lua, source: file://../fine.lua }
                - { name: f, kind: process.lua, source: file://../../app2/secret.lua }
                - { name: g, kind: process.lua, source: file://twin/secret.lua }
                """,
            "app/fine.lua": "return {}", "secret.lua": "return {}", "app2/secret.lua": "return {}",
        ])
        try app.link("app/src/link.lua", to: "../../secret.lua")
        try app.link("app/src/folder", to: "../..")
        // Its path begins like the application's.
        try app.link("app/src/twin", to: "../../app2")
        let outside = { (line: Int, source: String) in
            "src/a.yaml:\(line):41: 'source' leaves the application folder, got \"file://\(source)\": name a file inside it"
        }
        let result = Application.load(folder: app.folder + "/app", checkSyntax: fakeSyntaxCheck)
        #expect(faults(of: result) == [
            outside(3, "../../secret.lua"), outside(4, "/etc/passwd"), outside(5, "link.lua"),
            outside(6, "folder/secret.lua"), outside(8, "../../app2/secret.lua"), outside(9, "twin/secret.lua"),
        ])
    }

    @Test func aTextHasNoFiles() {
        let yaml = "namespace: app\nentries:\n- { name: a, kind: process.lua, source: file://a.lua }"
        #expect(faults(of: Application.load(yaml: yaml, checkSyntax: fakeSyntaxCheck)) == [
            "<yaml>:3:41: 'source' names a file, got \"file://a.lua\", but this YAML does not come from a folder: write the Lua text itself"
        ])
        #expect(faults(of: Application.load(yaml: "a: 1", name: "boot.yaml", checkSyntax: fakeSyntaxCheck)) == [
            "boot.yaml: no entries found: a YAML file with \"namespace\" and \"entries\" is needed"
        ])
    }

    @Test func syntaxFaults() throws {
        #expect(try faults([
            "src/a.yaml": """
                namespace: app
                entries:
                - { name: a, kind: process.lua, source: file://bad.lua }
                - { name: b, kind: function.lua, source: file://../src/bad.lua }
                - name: c
                  kind: process.lua
                  source: |
                    local x = 1

                    syntax error
                - { name: d, kind: process.lua, source: "x = 1\\nsyntax error" }
                """,
            "src/bad.lua": "-- one\n-- two\nsyntax error\nsyntax error\n",
        ]) == [
            "src/a.yaml:10: syntax error in app:c",
            "src/a.yaml:11:41: line 2 of the source: syntax error in app:d",
            "src/bad.lua:3: syntax error in src/bad.lua",
        ])
    }

    // MARK: All of them

    @Test func allFaultsOfAllFilesAreReportedTogether() throws {
        let result = try TemporaryApplication([
            "a.yaml": "namespace: app\nentries:\n- { name: h, kind: process.host, host: { workers: x } }\n- { name: l, kind: library.lua, imports: { l: l } }\n",
            "b.yaml": "namespace: [\n",
            "c/d.yml": "namespace: c\nentries:\n- { name: p, kind: process.lua, source: file://p.lua, host: app:g }\n- { name: h, kind: nothing }\n",
            "c/p.lua": "syntax error",
        ]).load()
        guard case .failure(let all) = result else {
            Issue.record("it loaded")
            return
        }
        #expect(all.description == """
            a.yaml:3:51: 'host.workers' must be a whole number from 1 to 1024, got "x"
            a.yaml:4:3: cycle of imports: app:l -> app:l
            a.yaml:4:3: the entry has no 'source': write "file://name.lua" or the Lua text itself
            b.yaml:2:1: malformed YAML: did not find expected node content while parsing a flow node
            c/d.yml:3:61: 'host' refers to 'app:g', which does not exist; did you mean 'app:h'?
            c/d.yml:4:20: unknown kind 'nothing'; the kinds are process.host, process.lua, process.native, process.external, process.service, supervisor, function.lua, library.lua, library.native, registry.entry
            c/p.lua:1: syntax error in c/p.lua
            """)
    }
}
