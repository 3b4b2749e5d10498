import Foundation
import Testing

@testable import Obhut

/// What people and programs get wrong, and what they are told (F1, F2).
@Suite struct BadInputTests {
    // MARK: Applications that do not load

    struct Wrong: Sendable, CustomTestStringConvertible {
        var name: String
        var files: [String: String]
        var faults: [String]
        var testDescription: String { name }
    }

    private static let host = "  - { name: processes, kind: process.host }\n"

    /// One file `src/a.yaml`, whose second entry begins on line 4.
    private static func entries(_ text: String) -> String { "namespace: app\nentries:\n" + host + text }

    private static func program(source: String) -> String {
        entries("  - { name: p, kind: process.lua, source: \(source), method: main }\n")
    }

    static let wrong = [
        Wrong(
            name: "malformed YAML", files: ["src/a.yaml": "namespace: app\nentries:\n  - name: x\n kind: y\n"],
            faults: [
                "src/a.yaml:4:2: malformed YAML: did not find expected key while parsing a block mapping that begins at line 1"
            ]),
        Wrong(
            name: "wrong types",
            files: [
                "src/a.yaml": """
                namespace: app
                entries:
                  - { name: processes, kind: process.host, host: { workers: many, mailbox_bytes: [1] } }
                  - { name: p, kind: process.lua, source: 7, method: [main], modules: time }
                """
            ],
            faults: [
                "src/a.yaml:3:61: 'host.workers' must be a whole number from 1 to 1024, got \"many\"",
                "src/a.yaml:3:82: 'host.mailbox_bytes' must be a size in bytes, such as \"64MiB\" or 65536, got a list",
                "src/a.yaml:4:43: 'source' must be a string, got 7: write \"7\"",
                "src/a.yaml:4:54: 'method' must be a string, got a list",
                "src/a.yaml:4:71: 'modules' must be a list of module names, got \"time\": write [time]",
            ]),
        Wrong(
            name: "unknown kind and field",
            files: [
                "src/a.yaml": """
                namespace: app
                entries:
                  - { name: processes, kind: process.hots }
                  - { name: p, kind: process.lua, source: "return {}", metod: main }
                """
            ],
            faults: [
                "src/a.yaml:3:30: unknown kind 'process.hots'; did you mean 'process.host'?",
                "src/a.yaml:4:56: unknown field 'metod' of process.lua; did you mean 'method'?",
            ]),
        Wrong(
            name: "duplicate id",
            files: ["src/a.yaml": entries(""), "src/b.yaml": "namespace: app\nentries:\n  - { name: processes, kind: registry.entry }\n"],
            faults: ["src/b.yaml:3:13: entry 'app:processes' is declared twice: first at src/a.yaml:3:5"]),
        Wrong(
            name: "dangling reference",
            files: ["src/a.yaml": entries("  - { name: p, kind: process.lua, source: \"return {}\", method: main, host: app:proceses }\n")],
            faults: ["src/a.yaml:4:76: 'host' refers to 'app:proceses', which does not exist; did you mean 'app:processes'?"]),
        Wrong(
            name: "source outside the application", files: ["src/a.yaml": program(source: "file://../../outside.lua")],
            faults: [
                "src/a.yaml:4:43: 'source' leaves the application folder, got \"file://../../outside.lua\": name a file inside it"
            ]),
        Wrong(
            name: "missing source", files: ["src/a.yaml": program(source: "file://porgram.lua"), "src/program.lua": "return {}"],
            faults: ["src/a.yaml:4:43: source file 'src/porgram.lua' does not exist; did you mean 'program.lua'?"]),
        Wrong(
            name: "Lua syntax error",
            files: [
                "src/a.yaml": entries(
                    """
                      - { name: p, kind: process.lua, source: file://p.lua, method: main }
                      - { name: q, kind: process.lua, source: file://q.lua, method: main }
                      - name: r
                        kind: process.lua
                        method: main
                        source: |
                          local x = 1
                          return { main = function() x = = 2 end }
                    """),
                "src/p.lua": "local function main()\n  if true then\n  return 1\nend\nreturn { main = main }\n",
                "src/q.lua": "return { main = function() break end }\n",
            ],
            faults: [
                "src/a.yaml:11: unexpected symbol near '='",
                "src/p.lua:6: 'end' expected (to close 'function' at line 1) near <eof>",
                "src/q.lua:1: break outside loop at line 1",
            ]),
        Wrong(
            name: "bytecode", files: ["src/a.yaml": program(source: "file://p.lua"), "src/p.lua": "\u{1b}Lua"],
            faults: ["src/p.lua:1: attempt to load a binary chunk (mode is 't')"]),
    ]

    @Test(arguments: wrong) func doesNotLoad(_ wrong: Wrong) throws {
        do {
            try ApplicationWorld(.real, files: wrong.files).close()
            Issue.record("it loaded")
        } catch Runtime.Problem.invalidApplication(let faults) {
            #expect(faults.faults.map(\.description) == wrong.faults)
        }
    }

    @Test func missingFolder() throws {
        do {
            try ApplicationWorld(.real, folder: "/no/such/folder").close()
            Issue.record("it loaded")
        } catch Runtime.Problem.invalidApplication(let faults) {
            #expect(faults.faults.map(\.description) == ["/no/such/folder: the application folder does not exist"])
        }
    }

    @Test func folderWithoutYAML() throws {
        let files = try TemporaryApplication(["main.lua": "return {}"])
        do {
            try ApplicationWorld(.real, folder: files.folder).close()
            Issue.record("it loaded")
        } catch Runtime.Problem.invalidApplication(let faults) {
            #expect(
                faults.faults.map(\.description) == [
                    "\(files.folder): no entries found: a YAML file with \"namespace\" and \"entries\" is needed"
                ])
        }
    }

    // MARK: Programs that fail

    struct Failing: Sendable, CustomTestStringConvertible {
        var name: String
        /// The whole of the source file `p.lua` of entry `app:p`.
        var source: String
        var end: ApplicationWorld.End
        var fields = ""
        var host = ""

        /// A `main` with this body.
        init(_ name: String, _ body: String, _ end: ApplicationWorld.End, fields: String = "", host: String = "") {
            self.init(name, source: "return { main = function(...) \(body) end }", end, fields: fields, host: host)
        }

        init(_ name: String, source: String, _ end: ApplicationWorld.End, fields: String = "", host: String = "") {
            (self.name, self.source, self.end, self.fields, self.host) = (name, source, end, fields, host)
        }

        var testDescription: String { name }

        func run(_ drive: Drive) throws -> ApplicationWorld.End {
            let world = try ApplicationWorld(
                drive,
                files: [
                    "app.yaml": """
                    namespace: app
                    entries:
                      - { name: processes, kind: process.host, host: { workers: 2\(host) } }
                      - { name: p, kind: process.lua, source: file://p.lua, method: main\(fields) }
                      - { name: data, kind: registry.entry }
                    """,
                    "p.lua": source,
                ])
            defer { world.close() }
            return try world.end(of: world.start("app:p", on: "app:processes", []))
        }
    }

    /// `body` answers `nil, err`: the process returns the `err`.
    private static func answers(
        _ name: String, _ call: String, _ error: String, before: String = "", fields: String = "", host: String = ""
    ) -> Failing {
        let json = error.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
        return Failing(
            name,
            "\(before) local value, err = \(call) assert(not value) assert(type(err) == 'string' or err:kind()) return tostring(err)",
            .value("\"\(json)\""), fields: fields, host: host)
    }

    static let sources = [
        Failing("an empty table", source: "return {}", .error("app:p: method \"main\" is a nil value, expected a function")),
        Failing("no return", source: "local x = 1", .error("app:p: source returned nil, expected a table of functions")),
        Failing("a number", source: "return 7", .error("app:p: source returned number, expected a table of functions")),
        Failing(
            "a function", source: "return function() end",
            .error("app:p: source returned function, expected a table of functions")),
        Failing(
            "method is no function", source: "return { main = 'x' }",
            .error("app:p: method \"main\" is a string value, expected a function")),
        Failing("an error while it is loaded", source: "error('at load')", .error("p.lua:1: at load")),
    ]

    static let required = [
        Failing(
            "a module that is not listed", "require('time')",
            .error("p.lua:1: module 'time' is not allowed: add it to \"modules\" of app:p")),
        Failing(
            "a library that is not imported", "require('helpers')",
            .error("p.lua:1: module 'helpers' is not allowed: add it to \"modules\" of app:p")),
        Failing(
            "one of Lua's own that is left out", "require('io')",
            .error("p.lua:1: module 'io' is not allowed: add it to \"modules\" of app:p")),
        Failing("no name", "require()", .error("p.lua:1: bad argument #1 to 'require' (string expected, got no value)")),
    ]

    private static func send(_ name: String, _ value: String, _ error: String, before: String = "", host: String = "") -> Failing {
        answers(name, "process.send(process.pid(), 'topic', \(value))", error, before: before, host: host)
    }

    static let payloads = [
        send("a function", "print", "cannot send a function"),
        send("a function in a table", "{ a = { 1, 2, print } }", "cannot send a function (at .a[3])"),
        send("a thread", "coroutine.create(print)", "cannot send a thread"),
        send("a channel", "channel.new(1)", "cannot send a channel"),
        send("a cycle", "t", "cannot send a table that contains itself (at .self)", before: "local t = {} t.self = t"),
        send(
            "too deep", "t", "cannot send a value that is nested over 128 deep (at [1][1][1][1][1][1] … [1][1][1][1][1])",
            before: "local t = {} for i = 1, 128 do t = { t } end"),
        send(
            "too large", "('x'):rep(2000)", "payload is larger than 1000B (max_message of app:processes)",
            host: ", max_message: 1000"),
        send(
            "too large by default", "('x'):rep(17 << 20)", "payload is larger than 16MiB (max_message of app:processes)"),
        send(
            "shared references that double at each level", "t", "payload is larger than 16MiB (max_message of app:processes)",
            before: "local t = { 1 } for i = 1, 60 do t = { t, t } end"),
        answers("as an argument", "process.spawn('app:p', 'app:processes', print)", "cannot send a function"),
        answers(
            "as a request", "process.request(process.pid(), 'topic', print, '1s')", "cannot send a function"),
        Failing("as a result", "return print", .error("the result cannot be copied: cannot send a function")),
        Failing("as an error", "error(print)", .error("(error object is a function value)")),
        Failing(
            "as an error, with what can be copied", "error({ code = 7 })", .error("(error object is a table value)")),
    ]

    private static let unknownPid = "{app:processes|0x7ffff}"
    private static func unknown(_ call: String, _ pid: String = unknownPid) -> Failing {
        answers("\(call), \(pid)", call.replacingOccurrences(of: "PID", with: "'\(pid)'"), "process not found: \(pid)")
    }

    static let unknowns =
        [
            "process.send(PID, 'topic', 1)", "process.monitor(PID)", "process.link(PID)", "process.cancel(PID, '1s')",
            "process.terminate(PID)", "process.request(PID, 'topic', 1, '1s')", "process.info(PID)",
        ].flatMap { call in
            [unknownPid, "{app:other|0x00001}", "{app:processes|0x}", "{", "{}", "{|0x1}", "nobody", "", "{app:processes|0xffffffffffffffffff}"].map {
                unknown(call, $0)
            }
        } + [
            answers("unmonitor", "process.unmonitor('\(unknownPid)')", "not monitoring: \(unknownPid)"),
            answers("lookup", "process.registry.lookup('nobody')", "name not registered"),
            answers("entry", "process.spawn('app:nothing', 'app:processes')", "entry not found: app:nothing"),
            answers("host", "process.spawn('app:p', 'app:nowhere')", "process host not found: app:nowhere"),
            answers(
                "no process", "process.spawn('app:data', 'app:processes')",
                "app:data is a registry.entry: it cannot be run as a process"),
            answers("no host", "process.spawn('app:p', 'app:p')", "process host not found: app:p"),
            answers("itself", "process.link(process.pid())", "a process cannot be linked to itself"),
            answers("topic", "process.send(process.pid(), '', 1)", "the topic is empty"),
            answers("own topic", "process.send(process.pid(), '@x', 1)", "topics that begin with @ are the runtime's: @x"),
            Failing("no pid", "process.send(7, 'x')", .error("p.lua:1: bad argument #1 to 'send' (string expected, got number)")),
        ]

    private static func cancel(_ timeout: String, _ error: String) -> Failing {
        // The process lives on: nothing happens.
        answers("cancel, \(timeout)", "process.cancel(process.pid(), \(timeout))", error)
    }
    private static func sleep(_ duration: String, _ error: String) -> Failing {
        answers("sleep, \(duration)", "require('time').sleep(\(duration))", error, fields: ", modules: [time]")
    }

    static let durations = [
        cancel("'soon'", "the timeout \"soon\" is no duration: write it like \"100ms\", \"5s\" or \"1m30s\""),
        cancel("'5'", "the timeout \"5\" is no duration: write it like \"100ms\", \"5s\" or \"1m30s\""),
        cancel("''", "the timeout \"\" is no duration: write it like \"100ms\", \"5s\" or \"1m30s\""),
        cancel("0", "the timeout 0 is not more than 0"),
        cancel("-5", "the timeout -5 is not more than 0"),
        cancel("'0s'", "the timeout 0s is not more than 0"),
        cancel("1.5", "the timeout 1.5 is no whole number of milliseconds"),
        cancel("5000000000", "the timeout 5000000000 is more than a day of milliseconds: pass \"5s\""),
        Failing(
            "cancel, {}", "process.cancel(process.pid(), {})",
            .error("p.lua:1: bad argument #2 to 'cancel' (string, number or duration expected, got table)")),
        sleep("'soon'", "\"soon\" is no duration: write it like \"100ms\", \"5s\" or \"1h30m\""),
        sleep("1/0", "inf nanoseconds are no duration"),
    ]

    static let limits = [
        Failing(
            "deep recursion", "local function f() return 1 + f() end f()",
            .error("p.lua:1: stack overflow")),
        Failing(
            "deep recursion of patterns", "return (('('):rep(100)):find(('('):rep(100))",
            .error("p.lua:1: too many captures")),
        // Lua itself makes no string over 2 GiB.
        Failing("a string of 10^12", "return ('x'):rep(1e12)", .error("p.lua:1: resulting string too large")),
        Failing(
            "a string of 10^9", "return #('x'):rep(1e9)", .error("memory limit of 64MiB exceeded"),
            fields: ", memory_limit: 64MiB"),
        Failing(
            "a string of 10^9 in pcall", "while true do pcall(string.rep, 'x', 1e9) end",
            .error("memory limit of 256MiB exceeded")),
        Failing(
            "allocation in a pcall loop",
            "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(1000) .. #t end) end",
            .error("memory limit of 4MiB exceeded"), fields: ", memory_limit: 4MiB"),
        Failing(
            "the limit of the host", "local t = {} while true do t[#t + 1] = {} end",
            .error("memory limit of 8MiB exceeded"), host: ", process_memory: 8MiB"),
        Failing(
            "coroutines without end", "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
            .error("memory limit of 4MiB exceeded"), fields: ", memory_limit: 4MiB"),
        Failing(
            "timers without end", "local t = {} while true do t[#t + 1] = require('time').after('1h') end",
            .error("memory limit of 4MiB exceeded"), fields: ", modules: [time], memory_limit: 4MiB"),
        Failing(
            "channels without end", "local t = {} while true do t[#t + 1] = channel.new(1) end",
            .error("memory limit of 4MiB exceeded"), fields: ", memory_limit: 4MiB"),
        Failing("a finalizer", "setmetatable({}, { __gc = print })", .error("p.lua:1: there are no finalizers here: use a <close> variable and '__close' instead of '__gc'")),
    ]

    private static let drives = [Drive.real, Drive(seed: 1, instructions: 100)]

    @Test(arguments: sources + required, drives) func fails(_ failing: Failing, drive: Drive) throws {
        let end = try failing.run(drive)
        #expect(end == failing.end)
    }

    @Test(arguments: payloads, drives) func cannotBeCopied(_ failing: Failing, drive: Drive) throws {
        let end = try failing.run(drive)
        #expect(end == failing.end)
    }

    @Test(arguments: unknowns, drives) func isUnknown(_ failing: Failing, drive: Drive) throws {
        let end = try failing.run(drive)
        #expect(end == failing.end)
    }

    @Test(arguments: durations, drives) func isNoDuration(_ failing: Failing, drive: Drive) throws {
        let end = try failing.run(drive)
        #expect(end == failing.end)
    }

    @Test(arguments: limits, drives) func isLimited(_ failing: Failing, drive: Drive) throws {
        let end = try failing.run(drive)
        #expect(end == failing.end)
    }
}
