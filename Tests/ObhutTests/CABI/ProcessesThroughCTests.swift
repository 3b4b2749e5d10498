import Glibc
import ObhutHeader
import Synchronization
import Testing

@testable import Obhut

/// Lua processes, everything through the C interface alone.
@Suite struct ProcessesThroughCTests {
    private func string(_ text: String) -> [UInt8] { encoded { $0.writeString(text) } }
    private func arguments(_ texts: String...) -> [UInt8] {
        encoded {
            $0.writeArrayHeader(texts.count)
            for text in texts { $0.writeString(text) }
        }
    }

    private static let programs: [(name: String, body: String)] = [
        ("echo", "while true do\n  local m = process.inbox():receive()\n  process.send(m:from(), 'echo ' .. m:topic(), m:payload():data())\nend"),
        ("returns", "return ..."),
        ("raises", "error('raised ' .. tostring((...)))"),
        ("answers", "return nil, errors.new{kind = errors.CONFLICT, message = 'answered'}"),
        ("idle", "process.inbox():receive()"),
        ("polite", "print('ready') local e = process.events():receive() return e.kind"),
        ("deaf", "print('ready') while true do process.events():receive() end"),
        ("spins", "while true do end"),
        ("child", "process.link((...)) process.inbox():receive()"),
        ("tells", "process.send((...), 'several', 1, 'two', nil, {3}) process.send((...), 'none')"),
    ]

    private func rig(host: String = "{ workers: 2 }", more: String = "") throws -> (CRuntime, CPort) {
        let runtime = try CRuntime(application(host: host, Self.programs, more: more))
        return (runtime, try CPort(runtime))
    }

    // MARK: Spawn and send

    @Test func aProcessAnswersAndItsEndIsSeen() throws {
        let (runtime, port) = try rig()
        let pid = try port.spawn("test:echo", flags: OBHUT_SPAWN_MONITORED)
        for payload in [string("hello"), [0xc0], [0x93, 1, 2, 3], string("a\0b"), [0xc3]] {
            try port.send(pid, "greeting", payload)
            let answer = try port.receive()
            #expect(answer.kind == OBHUT_MESSAGE_DATA && answer.from == pid)
            #expect(answer.topic == "echo greeting" && answer.payload == payload)
        }
        #expect(runtime.text(of: pid).hasPrefix("{test:host|0x"))
        try c { obhut_terminate(runtime.handle, pid, $0) }
        let exit = try port.receive()
        #expect(exit.kind == OBHUT_MESSAGE_EXIT && exit.from == pid && !exit.isNormal)
        #expect(exit.text == "terminated" && exit.result == string("terminated"))
        #expect(exit.origin == pid && exit.hops == 0)
        #expect(refusal { obhut_terminate(runtime.handle, pid, $0) }?.status == OBHUT_NOT_FOUND)
        #expect(refusal { obhut_send(runtime.handle, pid, "t", [0xc0], 1, $0) }?.text == "process not found: \(runtime.text(of: pid))")
        // Counted after those who watch were told.
        #expect(eventually { runtime.counters.ended == 1 })
    }

    @Test func severalValuesAreOneArray() throws {
        let (runtime, port) = try rig()
        _ = try runtime.spawn("test:tells", arguments(runtime.text(of: port.pid)))
        let several = try port.receive()
        #expect(several.topic == "several")
        #expect(several.payload == encoded {
            $0.writeArrayHeader(4)
            $0.writeInteger(1)
            $0.writeString("two")
            $0.writeNil()
            $0.writeArrayHeader(1)
            $0.writeInteger(3)
        })
        let none = try port.receive()
        #expect(none.topic == "none")
        // Whatever it is, it is one value.
        #expect(status { obhut_payload_check(none.payload, none.payload.count, $0) } == OBHUT_OK)
    }

    @Test func endsCarryValueOrError() throws {
        let (_, port) = try rig()
        func end(_ entry: String, _ arguments: [UInt8] = []) throws -> Received {
            let pid = try port.spawn(entry, arguments, flags: OBHUT_SPAWN_MONITORED)
            let exit = try port.receive()
            #expect(exit.kind == OBHUT_MESSAGE_EXIT && exit.from == pid)
            return exit
        }
        let value = try end("test:returns", arguments("given"))
        #expect(value.isNormal && value.result == string("given") && value.text == nil)
        let nothing = try end("test:returns")
        #expect(nothing.isNormal && nothing.result == [0xc0])
        let raised = try end("test:raises", arguments("x"))
        #expect(!raised.isNormal && raised.text?.contains("raised x") == true)
        let answered = try end("test:answers")
        #expect(!answered.isNormal && answered.text?.contains("answered") == true)
        // An error object: extension type 2.
        #expect([0xc7, 0xc8, 0xc9].contains(answered.result.first ?? 0))
    }

    @Test func argumentsAreOneArray() throws {
        let (runtime, port) = try rig()
        let map: [UInt8] = [0x80]
        let refused = refusal { obhut_spawn(runtime.handle, "test:idle", nil, map, 1, nil, $0) }
        #expect(refused?.status == OBHUT_INVALID_ARGUMENT)
        #expect(refused?.text == "arguments must be a MessagePack array")
        let broken: [UInt8] = [0x92, 0xc0]
        #expect(refusal { obhut_port_spawn(port.handle, "test:idle", nil, broken, 2, 0, nil, $0) }?.status == OBHUT_MALFORMED)
        #expect(runtime.counters.spawned == 0)
    }

    @Test func whatIsUnknownIsTold() throws {
        let (runtime, _) = try rig(
            more: "  - { name: helpers, kind: library.lua, source: 'return {}' }\n")
        func spawn(_ entry: String, _ host: String?) -> Refusal? {
            refusal { obhut_spawn(runtime.handle, entry, host, nil, 0, nil, $0) }
        }
        #expect(spawn("test:none", nil)?.status == OBHUT_NOT_FOUND)
        #expect(spawn("test:none", nil)?.text == "entry not found: test:none")
        #expect(spawn("", nil)?.status == OBHUT_NOT_FOUND)
        #expect(spawn("test:idle", "test:none")?.status == OBHUT_NOT_FOUND)
        #expect(spawn("test:idle", "test:idle")?.status == OBHUT_NOT_FOUND)
        #expect(spawn("test:helpers", nil)?.status == OBHUT_INVALID_ARGUMENT)
        #expect(spawn("test:helpers", nil)?.text.contains("library.lua") == true)
        let none = try CRuntime()
        #expect(status { obhut_spawn(none.handle, "test:idle", nil, nil, 0, nil, $0) } == OBHUT_NOT_FOUND)
    }

    @Test func withSeveralHostsOneHasToBeNamed() throws {
        let (runtime, _) = try rig(more: "  - { name: other, kind: process.host, lifecycle: { auto_start: true } }\n")
        let refused = refusal { obhut_spawn(runtime.handle, "test:idle", nil, nil, 0, nil, $0) }
        #expect(refused?.status == OBHUT_WRONG_STATE)
        #expect(refused?.text.contains("test:host, test:other") == true)
        _ = try runtime.spawn("test:idle", host: "test:other")
    }

    @Test func limitsAreTold() throws {
        let (runtime, port) = try rig(host: "{ workers: 1, max_processes: 1, mailbox_limit: 5, max_message: 1KiB }")
        let pid = try port.spawn("test:idle", flags: OBHUT_SPAWN_MONITORED)
        let full = refusal { obhut_spawn(runtime.handle, "test:idle", nil, nil, 0, nil, $0) }
        #expect(full?.status == OBHUT_LIMIT)
        #expect(full?.text.contains("max_processes is 1") == true)
        let large = [0xc5, 4, 0] + [UInt8](repeating: 0, count: 1024)
        let tooLarge = refusal { obhut_send(runtime.handle, pid, "t", large, large.count, $0) }
        #expect(tooLarge?.status == OBHUT_LIMIT)
        #expect(tooLarge?.text.contains("max_message is 1024") == true)
        try c { obhut_terminate(runtime.handle, pid, $0) }
        #expect(try port.receive().kind == OBHUT_MESSAGE_EXIT)
        #expect(eventually { status { obhut_spawn(runtime.handle, "test:spins", nil, nil, 0, nil, $0) } == OBHUT_OK })
    }

    @Test func aFullMailboxIsTold() throws {
        let (runtime, _) = try rig(host: "{ workers: 1, mailbox_limit: 5 }")
        let pid = try runtime.spawn("test:spins")
        var sent = 0
        var said: Refusal?
        while sent < 10 {
            said = refusal { obhut_send(runtime.handle, pid, "t", [0xc0], 1, $0) }
            if said != nil { break }
            sent += 1
        }
        #expect(sent == 5)
        #expect(said?.status == OBHUT_LIMIT && said?.text == "mailbox full: \(runtime.text(of: pid))")
    }

    // MARK: Cancel and terminate

    @Test func cancelIsPoliteUntilItsDeadline() throws {
        let (runtime, port) = try rig()
        let polite = try port.spawn("test:polite", flags: OBHUT_SPAWN_MONITORED)
        try c { obhut_cancel(runtime.handle, polite, 20 * oneSecond, $0) }
        let first = try port.receive()
        #expect(first.isNormal && first.result == string("pid.cancel"))
        let deaf = try port.spawn("test:deaf", flags: OBHUT_SPAWN_MONITORED)
        let before = monotonicNow()
        try c { obhut_cancel(runtime.handle, deaf, 50 * oneMillisecond, $0) }
        #expect(try port.receive().text == "cancelled: deadline exceeded")
        #expect(monotonicNow() - before >= 50 * oneMillisecond)
        #expect(eventually { runtime.counters.timers == 0 })
    }

    @Test func whatComputesIsTerminated() throws {
        let (runtime, port) = try rig(host: "{ workers: 1 }")
        let spinners = try (0..<5).map { _ in try port.spawn("test:spins", flags: OBHUT_SPAWN_MONITORED) }
        for pid in spinners.reversed() {
            try c { obhut_terminate(runtime.handle, pid, $0) }
            let exit = try port.receive()
            #expect(exit.from == pid && exit.text == "terminated")
        }
    }

    // MARK: Links

    @Test func aLinkedFailureIsAMessageAfterItsExit() throws {
        let (_, port) = try rig()
        let pid = try port.spawn("test:raises", arguments("linked"), flags: OBHUT_SPAWN_LINKED | OBHUT_SPAWN_MONITORED)
        let exit = try port.receive(), down = try port.receive()
        #expect(exit.kind == OBHUT_MESSAGE_EXIT && down.kind == OBHUT_MESSAGE_LINK_DOWN)
        #expect(down.from == pid && down.text == exit.text && down.text?.contains("raised linked") == true)
        #expect(down.origin == pid && down.hops == 0 && !down.isNormal)
        // A normal end is none (L2).
        _ = try port.spawn("test:returns", flags: OBHUT_SPAWN_LINKED)
        #expect(port.receiveStatus(50 * oneMillisecond) == OBHUT_TIMEOUT)
    }

    @Test func theCauseTravelsAlongAChain() throws {
        let (runtime, port) = try rig()
        let end = try runtime.spawn("test:idle")
        var last = end
        for _ in 0..<2 { last = try runtime.spawn("test:child", arguments(runtime.text(of: last))) }
        #expect(eventually {
            // Each has linked when it waits; links are seen in nothing else from here.
            runtime.counters.processes == 3
        })
        usleep(100_000)
        try port.link(last)
        try c { obhut_terminate(runtime.handle, end, $0) }
        let down = try port.receive()
        #expect(down.kind == OBHUT_MESSAGE_LINK_DOWN && down.from == last)
        #expect(down.origin == end && down.hops == 2)
        #expect(down.text?.hasSuffix("failed: terminated") == true)
    }

    @Test func unlinkedAndUnmonitoredPeersAreNotHeardOf() throws {
        let (runtime, port) = try rig()
        let pid = try port.spawn("test:idle", flags: OBHUT_SPAWN_LINKED | OBHUT_SPAWN_MONITORED)
        try port.unlink(pid)
        try port.unmonitor(pid)
        try c { obhut_terminate(runtime.handle, pid, $0) }
        #expect(eventually { runtime.counters.processes == 0 })
        #expect(port.receiveStatus() == OBHUT_TIMEOUT)
        #expect(!port.isReadable)
    }

    @Test func aFreedPortFailsNobody() throws {
        let (runtime, port) = try rig()
        let linked = try port.spawn("test:idle", flags: OBHUT_SPAWN_LINKED)
        let (watcher, pid) = (try CPort(runtime), port.pid)
        try watcher.monitor(linked)
        try watcher.monitor(pid)
        port.free()
        #expect(try watcher.receive().from == pid)
        #expect(watcher.receiveStatus(50 * oneMillisecond) == OBHUT_TIMEOUT)
        #expect(runtime.counters.processes == 1)
    }

    @Test func noEndOfManyIsMissed() throws {
        let (runtime, port) = try rig()
        let count = rounds(5000, atLeast: 200)
        var pids: Set<obhut_pid> = []
        for i in 0..<count {
            // Some are terminated before they have begun.
            let pid = try port.spawn("test:returns", flags: OBHUT_SPAWN_MONITORED)
            if i % 3 == 0 { _ = obhut_terminate(runtime.handle, pid, nil) }
            #expect(pids.insert(pid).inserted)
        }
        for _ in 0..<count { #expect(pids.remove(try port.receive().from) != nil) }
        #expect(port.receiveStatus() == OBHUT_TIMEOUT)
        #expect(eventually { runtime.counters.processes == 0 && runtime.counters.ended == UInt64(count) })
        let counters = runtime.counters
        #expect(counters.spawned == UInt64(count) && counters.ended == UInt64(count))
    }

    // MARK: Stop (V4)

    private static let services = """
          - name: first
            kind: process.lua
            method: main
            source: "return { main = function() process.events():receive() print('first') end }"
            host: host
            lifecycle: { auto_start: true }
          - name: second
            kind: process.lua
            method: main
            source: "return { main = function() process.events():receive() print('second') end }"
            host: host
            lifecycle: { auto_start: true, depends_on: [first] }
          - name: third
            kind: process.lua
            method: main
            source: "return { main = function() process.events():receive() print('third') end }"
            host: host
            lifecycle: { auto_start: true, depends_on: [second] }

        """

    @Test func servicesStopInReverseOrder() throws {
        let (runtime, _) = try rig(more: Self.services)
        // The start does not wait for them.
        for _ in 0..<1000 where runtime.counters.spawned < 4 { usleep(10_000) }
        #expect(runtime.counters.spawned == 4)
        usleep(50_000)
        try runtime.stop()
        #expect(try runtime.readOutput() == "third\nsecond\nfirst\n")
    }

    @Test func theSupervisorOfServicesTellsThatTheApplicationHasFailed_V3() throws {
        let (runtime, port) = try rig(
            more: """
                  - name: faulty
                    kind: process.lua
                    method: main
                    source: "return { main = function() error('no database') end }"
                    host: host
                    lifecycle: { auto_start: true, restart: { max_attempts: 1, initial_delay: 300ms } }

                """)
        var pid: obhut_pid = 0
        try c { obhut_runtime_supervisor(runtime.handle, &pid, $0) }
        #expect(runtime.text(of: pid).hasPrefix("{obhut:supervisors|0x"))
        try port.monitor(pid)
        let exit = try port.receive()
        #expect(exit.kind == OBHUT_MESSAGE_EXIT && exit.from == pid && !exit.isNormal)
        #expect(exit.text == "test:faulty failed after 1 restart: test:faulty:1: no database")
        // Its pid is still told, and the hosts are open.
        var again: obhut_pid = 0
        try c { obhut_runtime_supervisor(runtime.handle, &again, $0) }
        #expect(again == pid)
        _ = try runtime.spawn("test:echo")
    }

    @Test func whereNothingStartsByItselfThereIsNoSupervisor_V1() throws {
        let (runtime, _) = try rig()
        var pid: obhut_pid = 7
        #expect(refusal { obhut_runtime_supervisor(runtime.handle, &pid, $0) }?.status == OBHUT_NOT_FOUND)
        #expect(pid == 0)
        #expect(refusal { obhut_runtime_supervisor(runtime.handle, nil, $0) }?.status == OBHUT_INVALID_ARGUMENT)
    }

    @Test func hostsAloneStartNoService() throws {
        let runtime = try CRuntime(application(Self.programs, more: Self.services), start: false)
        try runtime.start(OBHUT_START_HOSTS)
        #expect(runtime.counters.spawned == 0)
        _ = try runtime.spawn("test:first")
    }

    @Test func whatIgnoresCancelIsEndedAtItsStopTimeout() throws {
        let (runtime, _) = try rig(
            more: """
                  - name: stubborn
                    kind: process.lua
                    method: main
                    source: "return { main = function() while true do process.events():receive() end end }"
                    host: host
                    lifecycle: { auto_start: true, stop_timeout: 100ms }

                """)
        usleep(20_000)
        let before = monotonicNow()
        try runtime.stop()
        let waited = monotonicNow() - before
        #expect(waited >= 100 * oneMillisecond && waited < 10 * oneSecond, "\(waited)")
        #expect(try runtime.readLog().contains("cancelled: deadline exceeded"))
    }

    @Test func theTimeoutBoundsThePolitePart() throws {
        for timeout in [0, 50 * oneMillisecond] {
            let (runtime, port) = try rig()
            for entry in ["test:deaf", "test:deaf", "test:spins", "test:idle"] { _ = try port.spawn(entry) }
            let before = monotonicNow()
            try runtime.stop(timeout)
            let waited = monotonicNow() - before
            #expect(waited >= timeout && waited < timeout + 4 * oneSecond, "\(waited)")
            #expect(runtime.counters.processes == 0)
            #expect(port.receiveStatus() == OBHUT_CLOSED)
        }
    }

    @Test func aSecondStopBringsTheFirstForward() throws {
        for frees in [false, true] {
            let finalized = Counter()
            let config = obhut_config_new()
            _ = obhut_config_set_log_sink(config, { _, _, _, _ in }, finalized.user, { Counter.of($0).increment() })
            var made: OpaquePointer?
            try c { obhut_runtime_create(config, &made, $0) }
            obhut_config_free(config)
            let yaml = application(
                Self.programs,
                more: """
                      - name: stubborn
                        kind: process.lua
                        method: main
                        source: "return { main = function() while true do process.events():receive() end end }"
                        host: host
                        lifecycle: { auto_start: true, stop_timeout: 1h }

                    """)
            try c { obhut_runtime_load_text(made, yaml, yaml.utf8.count, $0) }
            try c { obhut_runtime_start(made, 0, $0) }
            let handle = UInt(bitPattern: made), before = monotonicNow()
            let polite = ProgramThread { _ = obhut_runtime_stop(OpaquePointer(bitPattern: handle), -1, nil) }
            usleep(100_000)
            if !frees { try c { obhut_runtime_stop(made, 0, $0) } }
            obhut_runtime_free(made)
            polite.join()
            #expect(monotonicNow() - before < 10 * oneSecond)
            #expect(eventually { finalized.count == 1 })
        }
    }

    @Test func aThousandProcessesStop() throws {
        let (runtime, port) = try rig()
        for i in 0..<1000 { _ = try port.spawn(i % 2 == 0 ? "test:deaf" : "test:idle", flags: OBHUT_SPAWN_LINKED) }
        try runtime.stop(50 * oneMillisecond)
        #expect(runtime.counters.processes == 0)
    }
}
