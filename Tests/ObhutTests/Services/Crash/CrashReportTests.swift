import Foundation
import Testing

@testable import Obhut

/// One report for each abnormal end, whatever it was (F5, P4, L9), and none for a normal one.
@Suite struct CrashReportTests {
    private static let program = """
        local time = require("time")
        local M = {}
        local function fall() error("boom") end
        function M.raises() time.sleep("3s") fall() end
        function M.inside() coroutine.spawn(function() fall() end) process.inbox():receive() end
        function M.object() error(errors.new({ message = "no disk", kind = "NO_DISK", retryable = false, details = { disk = 7 } })) end
        function M.answers() return nil, "no luck" end
        function M.returns() return "fine" end
        function M.waits() process.inbox():receive() end
        function M.spins() while true do end end
        function M.grows() local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end end
        function M.chain(n)
          if n == 0 then time.sleep("1s") fall() end
          process.spawn_linked("app:chain", "app:host", n - 1)
          process.inbox():receive()
        end
        function M.terminates(pid)
          process.terminate(pid)
          process.inbox():receive()
        end
        function M.cancels()
          local pid = process.spawn("app:waits", "app:host")
          process.cancel(pid, "2s")
          process.inbox():receive()
        end
        function M.messages()
          process.registry.register("one")
          process.registry.register("two")
          for i = 1, 40 do process.send(process.pid(), "topic" .. i, { secret = i }) end
          for i = 1, 20 do process.inbox():receive() end
          time.sleep("5s")
          fall()
        end
        return M
        """
    private static let methods = [
        "raises", "inside", "object", "answers", "returns", "waits", "spins", "chain", "terminates", "cancels", "messages",
    ]

    private static func world(
        _ entries: String = "", seed: UInt64 = 1, drive: Drive? = nil, services: Bool = false,
        configure: (inout RuntimeConfiguration) -> Void = { _ in }
    ) throws -> ApplicationWorld {
        let processes = methods.map {
            "- { name: \($0), kind: process.lua, source: file://program.lua, method: \($0), modules: [time] }\n"
        }
        return try ApplicationWorld(
            drive ?? Drive(seed: seed, instructions: 50),
            files: [
                "app.yaml": "namespace: app\nentries:\n- { name: host, kind: process.host, lifecycle: { auto_start: true } }\n"
                    + "- { name: nothing, kind: process.lua, source: file://program.lua, method: absent, modules: [time] }\n"
                    + "- { name: grows, kind: process.lua, source: file://program.lua, method: grows, modules: [time], memory_limit: 1MB }\n"
                    + processes.joined() + entries,
                "program.lua": program,
            ], services: services, configure: configure)
    }

    /// A report as a program reads it.
    struct Report {
        let json: [String: Any]
        let line: String
        let text: String

        subscript(key: String) -> String? { json[key] as? String }
        func number(_ path: String...) -> Int? {
            var value: Any? = json
            for key in path { value = (value as? [String: Any])?[key] }
            return value as? Int
        }
        func map(_ key: String) -> [String: Any] { json[key] as? [String: Any] ?? [:] }
        func maps(_ key: String, _ inner: String? = nil) -> [[String: Any]] {
            (inner.map { map(key)[$0] } ?? json[key]) as? [[String: Any]] ?? []
        }
    }

    static func reports(_ crashes: CrashReports) throws -> [Report] {
        var found: [Report] = []
        while let document = crashes.next(after: UInt64(found.last?.number("crash") ?? 0)) {
            let line = document.json
            #expect(line.hasSuffix("\n") && !line.dropLast().contains("\n"))
            let json = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            found.append(Report(json: json, line: line, text: CrashText.of(document)))
        }
        return found
    }

    // MARK: Ways to end (P4)

    @Test(arguments: [
        ("raises", "error", "program.lua:3: boom"), ("inside", "error", "program.lua:3: boom"), ("object", "error", "no disk"),
        ("answers", "error", "no luck"), ("nothing", "error", "app:nothing: method \"absent\" is a nil value, expected a function"),
        ("grows", "memory_limit", "memory limit of 1000000B exceeded"),
    ]) func everyFailureHasOneReport_P4_F5(entry: String, kind: String, error: String) throws {
        let world = try Self.world()
        defer { world.close() }
        let pid = try world.start("app:" + entry, [])
        #expect(try world.end(of: pid).text == error)
        let reports = try Self.reports(world.runtime.crashes)
        try #require(reports.count == 1)
        let report = reports[0]
        #expect(report["error"] == error && report["kind"] == kind)
        #expect(report["pid"] == world.text(of: pid) && report["entry"] == "app:" + entry && report["host"] == "app:host")
        #expect(report.json["origin"] == nil && report.json["supervision"] == nil)
        #expect(report.text.contains("app:\(entry) \(world.text(of: pid))\n  error       \(error)\n"))
        switch entry {
        case "raises":
            // Names and lines as they stand in the user's file, and the time that it lived.
            let trace = try #require(report["traceback"])
            #expect(trace.contains("program.lua:3: in upvalue 'fall'") && trace.contains("program.lua:4: in function <program.lua:4>"))
            #expect(report.number("uptime_ns") == 3_000_000_000 && report["time"] == "2026-01-01T00:00:03Z")
            #expect(report.number("memory", "limit") == 256 << 20 && report.number("memory", "used")! > 4000)
            #expect(report.text.contains("uptime      3s") && report.text.contains("\n  \tprogram.lua:4: in"))
        case "inside": #expect(report["traceback"]?.contains("program.lua:5: in") == true)
        case "object":
            #expect(report["error_kind"] == "NO_DISK" && report.json["retryable"] as? Bool == false)
            #expect(report.json["details"] as? [String: Int] == ["disk": 7])
            #expect(report.text.contains("details     {\"disk\":7}"))
        case "answers": #expect(report["traceback"] == nil)
        case "grows":
            #expect(report.number("memory", "limit") == 1_000_000 && report.number("memory", "peak")! > 500_000)
            // Where it asked for more, and not where the error was caught.
            #expect(report["traceback"]?.contains("in function <program.lua:11>") == true)
        default: break
        }
    }

    @Test func aNormalEndHasNoReport_P4() throws {
        let world = try Self.world()
        #expect(try world.run("app:returns") == .value(#""fine""#))
        #expect(world.runtime.crashes.next(after: 0) == nil && world.runtime.crashes.counts == (0, 0, 0))
        world.close()
    }

    @Test(arguments: ["waits", "spins"]) func terminationSaysWhoDidIt_P4(victim: String) throws {
        // In virtual time one that computes for ever lets no time pass.
        let world = try Self.world(drive: victim == "spins" ? .real : nil)
        defer { world.close() }
        let pid = try world.start("app:" + victim)
        let killer = try world.start("app:terminates", .string(world.text(of: pid)))
        #expect(try world.end(of: pid) == .error("terminated"))
        let reports = try Self.reports(world.runtime.crashes)
        try #require(reports.count == 1)
        #expect(reports[0]["entry"] == "app:" + victim && reports[0]["error"] == "terminated" && reports[0]["kind"] == "terminated")
        #expect(reports[0]["by"] == world.text(of: killer))
        #expect(reports[0].text.contains("by          \(world.text(of: killer))"))
    }

    @Test func aDeadlineThatPassedIsReported_P4_C1() throws {
        let world = try Self.world()
        defer { world.close() }
        _ = try world.start("app:cancels")
        world.advance(to: 3)
        let reports = try Self.reports(world.runtime.crashes)
        try #require(reports.count == 1)
        #expect(reports[0]["kind"] == "cancel_deadline" && reports[0]["error"] == "cancelled: deadline exceeded")
        #expect(reports[0].number("uptime_ns") == 2_000_000_000)
        // The CANCEL that it never read is the last thing in its mailbox.
        #expect(reports[0].maps("mailbox", "waiting").first?["event"] as? String == "pid.cancel")
    }

    @Test func theStepLimitIsReported_H3() throws {
        let world = try ApplicationWorld(
            .real,
            files: [
                "app.yaml": """
                namespace: app
                entries:
                  - { name: host, kind: process.host, host: { workers: 1, spare_workers: 0, step_limit: 1s } }
                  - { name: stuck, kind: process.lua, source: file://stuck.lua }
                  - { name: waits, kind: process.lua, source: "return { main = function() return 'ran' end }" }
                """,
                "stuck.lua": "return { main = function() print('begun') string.find(('a'):rep(40), ('a*'):rep(40) .. 'b') end }",
            ])
        defer { world.close() }
        let stuck = try world.start("app:stuck")
        try world.wait { $0.contains("begun") }
        _ = try world.start("app:waits")
        _ = try world.end(of: stuck)
        let reports = try Self.reports(world.runtime.crashes)
        try #require(reports.count == 1)
        #expect(reports[0]["kind"] == "step_limit" && reports[0]["error"] == "held a worker for 1 s in find")
    }

    // MARK: Where it began (L9)

    @Test(arguments: [3, 30]) func aFailureThroughLinksNamesWhereItBegan_L9(length: Int) throws {
        let world = try Self.world()
        defer { world.close() }
        let root = try world.start("app:chain", .int(Int64(length)))
        #expect(try world.end(of: root).isAbnormal)
        let reports = try Self.reports(world.runtime.crashes)
        try #require(reports.count == length + 1)
        let (first, last) = (reports[0], reports[length])
        #expect(first["kind"] == "error" && first.json["origin"] == nil)
        #expect(last["kind"] == "link" && last["pid"] == world.text(of: root) && last.number("hops") == length)
        let origin = last.map("origin")
        #expect(origin["pid"] as? String == first["pid"] && origin["entry"] as? String == "app:chain")
        #expect(origin["error"] as? String == "program.lua:3: boom")
        #expect((origin["traceback"] as? String)?.contains("program.lua:3: in upvalue 'fall'") == true)
        // Between the two, where it began left out: the last seven at most.
        let between = reports[1..<length].suffix(FailureRoute.keptStops).map { $0["pid"]! }
        #expect(last.maps("chain").map { $0["pid"] as? String } == between)
        #expect(last.number("chain_missing") == (length == 3 ? nil : length - 8))
        #expect(last.text.contains("caused by   app:chain \(first["pid"]!): program.lua:3: boom"))
        #expect(last.text.contains("and") == false && last.text.contains("caused by   22 more processes") == (length == 30))
    }

    // MARK: Supervisors (V3, V6)

    @Test func aSupervisedEndSaysWhatFollows_F5_V6() throws {
        let world = try Self.world(
            """
            - name: pool
              kind: supervisor
              intensity: { max_restarts: 2, max_seconds: 60 }
              children: [{ name: worker, process: raises, count: 1, restart: { initial_delay: 2s, jitter: 0 } }]
              lifecycle: { auto_start: true, restart: { policy: never } }

            """, services: true)
        defer { world.close() }
        world.advance(to: 100)
        let reports = try Self.reports(world.runtime.crashes)
        try #require(reports.count == 4)
        for (index, report) in reports[..<3].enumerated() {
            let supervision = report.map("supervision")
            #expect(report["entry"] == "app:raises" && report["error"] == "program.lua:3: boom")
            #expect(supervision["supervisor"] as? String == "app:pool" && supervision["child"] as? String == "worker#1")
            #expect(supervision["decision"] as? String == (index < 2 ? "restart" : "given up"))
            #expect(supervision["restarts"] as? Int == min(index + 1, 2))
            #expect(supervision["delay_ns"] as? Int == [2_000_000_000, 4_000_000_000, nil][index])
        }
        #expect(reports[2].map("supervision")["why"] as? String == "more than 2 restarts within 1m0s")
        #expect(reports[0].text.contains("child       worker#1 of app:pool\n  then        restart 1 in 2s\n"))
        // The supervisor itself, with the child that was too much.
        #expect(reports[3]["entry"] == "app:pool" && reports[3]["kind"] == "child")
        #expect(reports[3].map("origin")["pid"] as? String == reports[2]["pid"])
        #expect(reports[3].map("supervision")["decision"] as? String == "not restarted")
        #expect(world.runtime.crashes.counts.open == 0)
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>) func noReportStaysOpenWhenSupervisorsAreStopped_F5(seed: UInt64) throws {
        let world = try Self.world(
            """
            - name: pool
              kind: supervisor
              children: [{ name: worker, process: waits, count: 20, shutdown: 1ms }]
              lifecycle: { auto_start: true }

            """, seed: seed, services: true)
        world.advance(to: 1)
        let crashes = world.runtime.crashes
        // By force, so that the supervisor and its children end in any order.
        world.runtime.system.table.forEachLiving { slot, pid in
            if slot.pointee.entryID == "app:pool" { _ = world.runtime.system.terminate(pid, from: .none) }
        }
        world.close()
        let reports = try Self.reports(crashes)
        #expect(reports.filter { $0["entry"] == "app:waits" }.count == 20 && crashes.counts.open == 0)
        #expect(reports.filter { $0["entry"] == "app:pool" }.count == 1)
    }

    // MARK: Messages

    @Test func byDefaultItHasTheOldestThatWait() throws {
        let world = try Self.world()
        defer { world.close() }
        let pid = try world.start("app:messages")
        _ = try world.end(of: pid)
        let report = try #require(try Self.reports(world.runtime.crashes).first)
        #expect(report.json["names"] as? [String] == ["one", "two"])
        #expect(report.number("mailbox", "messages") == 20 && report.number("mailbox", "bytes") == 20 * 128)
        let waiting = report.maps("mailbox", "waiting")
        #expect(waiting.map { $0["topic"] as? String } == (21...28).map { "topic\($0)" })
        #expect(waiting.allSatisfy { $0["from"] as? String == world.text(of: pid) && $0["bytes"] as? Int == 9 })
        #expect(waiting.allSatisfy { $0["age_ns"] == nil && $0["contents"] == nil })
        #expect(report.maps("mailbox", "received").isEmpty)
        #expect(!report.line.contains("secret"))
    }

    @Test func onRequestItHasTheLastOnesTakenWithAgesAndContents() throws {
        let world = try Self.world { $0.crashes.messages = CrashMessages(received: 3, waiting: 2, contents: 100) }
        defer { world.close() }
        _ = try world.end(of: world.start("app:messages"))
        let report = try #require(try Self.reports(world.runtime.crashes).first)
        let received = report.maps("mailbox", "received")
        #expect(received.map { $0["topic"] as? String } == ["topic18", "topic19", "topic20"])
        #expect(received.map { $0["contents"] as? String } == (18...20).map { "{\"secret\":\($0)}" })
        #expect(report.maps("mailbox", "waiting").map { $0["age_ns"] as? Int } == [5_000_000_000, 5_000_000_000])
        #expect(report.text.contains("topic21 from") && report.text.contains("9 bytes, 5s old: {\"secret\":21}"))
    }

    @Test func contentsPassTheRedactionHook() throws {
        let world = try Self.world {
            $0.crashes.messages = CrashMessages(received: 1, waiting: 2, contents: 100)
            $0.crashes.redaction = { entry, topic, payload in
                let topic = String(decoding: topic, as: UTF8.self)
                return topic == "topic22" ? nil : "\(entry) \(topic) \(payload.count)"
            }
        }
        defer { world.close() }
        _ = try world.end(of: world.start("app:messages"))
        let report = try #require(try Self.reports(world.runtime.crashes).first)
        #expect(report.maps("mailbox", "received").map { $0["contents"] as? String } == ["app:messages topic20 9"])
        #expect(report.maps("mailbox", "waiting").map { $0["contents"] as? String } == ["app:messages topic21 9", nil])
        #expect(!report.line.contains("secret"))
    }

    // MARK: The log (F5)

    @Test func theLogHasItsEssentialsInFieldsOnlyAsJSON_F5() throws {
        for format in [LogFormat.text, .json] {
            let world = try Self.world { $0.logFormat = format }
            _ = try world.runtime.spawn(
                "app:raises", on: nil, arguments: UnsafeRawBufferPointer(start: nil, count: 0), parent: nil, options: [])
            world.advance(to: 5)
            world.close()
            let line = try #require(world.logged.first)
            if format == .text {
                #expect(line.hasSuffix("failed: program.lua:3: boom") && world.logged[1] == "stack traceback:")
            } else {
                #expect(world.logged.count == 1)
                let record = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
                let fields = try #require(record["fields"] as? [String: Any])
                #expect(fields["crash"] as? Int == 1 && fields["kind"] as? String == "error" && fields["mailbox"] as? Int == 0)
                #expect(fields["uptime_ns"] as? Int == 3_000_000_000 && (fields["memory"] as? Int ?? 0) > 0)
            }
        }
    }
}
