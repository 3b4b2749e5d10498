import Glibc
import ObhutHeader
import Testing

@testable import Obhut

/// Processes that the host program runs: to everybody else they are processes like any.
@Suite struct ExternalProcessTests {
    private func string(_ text: String) -> [UInt8] { encoded { $0.writeString(text) } }
    private func arguments(_ texts: String...) -> [UInt8] {
        encoded {
            $0.writeArrayHeader(texts.count)
            for text in texts { $0.writeString(text) }
        }
    }

    private static let programs: [(name: String, body: String)] = [
        ("spawns", """
            local pid, err = process.spawn_monitored('app:resize', 'test:host', 'a', 2)
            if not pid then return 'refused: ' .. tostring(err) end
            local e = process.events():receive()
            return e.result.error and 'failed: ' .. tostring(e.result.error) or 'ended: ' .. tostring(e.result.value)
            """),
        ("linked", """
            local pid = assert(process.spawn_linked('app:resize', 'test:host'))
            process.inbox():receive()
            """),
        ("named", """
            local pid = assert(process.with_context{}:with_name('resizer'):spawn('app:resize', 'test:host'))
            local answer, err = process.request('resizer', 'size', 3, '20s')
            return answer or err
            """),
        ("raises", "process.inbox():receive() error('raised')"),
        ("idle", "process.inbox():receive()"),
    ]
    private static let declared = "  - { name: worker, kind: process.external }\n"

    private func rig(_ yaml: String? = nil) throws -> (CRuntime, CPort) {
        let runtime = try CRuntime(yaml ?? application(Self.programs), start: false)
        let acceptor = try CPort(runtime)
        try c { obhut_runtime_define(runtime.handle, "app:resize", acceptor.handle, $0) }
        try runtime.start()
        return (runtime, acceptor)
    }

    /// A process that this program runs.
    private final class External: @unchecked Sendable {
        let handle: OpaquePointer?
        let pid: obhut_pid
        let entry: String
        let arguments: [UInt8]

        init(_ acceptor: CPort) throws {
            var message: OpaquePointer?
            try c { obhut_port_receive(acceptor.handle, 20 * oneSecond, &message, $0) }
            #expect(obhut_message_kind(message) == OBHUT_MESSAGE_START)
            var port: OpaquePointer?
            try c { obhut_message_take_port(message, &port, $0) }
            var second = OpaquePointer(bitPattern: 1)
            #expect(status { obhut_message_take_port(message, &second, $0) } == OBHUT_WRONG_STATE && second == nil)
            handle = port
            pid = obhut_port_pid(port)
            #expect(pid == obhut_message_from(message))
            let start = Received(message)
            entry = start.topic
            arguments = start.payload
        }

        deinit { obhut_port_free(handle) }

        func receive(_ timeout: Int64 = 20 * oneSecond) throws -> Received {
            var message: OpaquePointer?
            try c { obhut_port_receive(handle, timeout, &message, $0) }
            return Received(message)
        }

        var received: obhut_status {
            var message: OpaquePointer?
            defer { obhut_message_free(message) }
            return obhut_port_receive(handle, 20 * oneSecond, &message, nil)
        }
    }

    // MARK: Start and end

    @Test func luaSpawnsAndGetsTheValue() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        let spawner = try watch.spawn("test:spawns", flags: OBHUT_SPAWN_MONITORED)
        let process = try External(acceptor)
        #expect(process.entry == "app:resize")
        #expect(process.arguments == encoded {
            $0.writeArrayHeader(2)
            $0.writeString("a")
            $0.writeInteger(2)
        })
        #expect(runtime.counters.processes == 2)
        let value = string("small")
        try c { obhut_port_end(process.handle, value, value.count, $0) }
        let exit = try watch.receive()
        #expect(exit.from == spawner && exit.result == string("ended: small"))
        #expect(process.received == OBHUT_CLOSED)
        #expect(status { obhut_port_end(process.handle, nil, 0, $0) } == OBHUT_CLOSED)
        #expect(status { obhut_port_fail(process.handle, "late", nil, $0) } == OBHUT_CLOSED)
        #expect(eventually { runtime.counters.ended == 2 && runtime.counters.processes == 0 && runtime.counters.spawned == 2 })
    }

    @Test func anErrorIsAnAbnormalEnd() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        _ = try watch.spawn("test:spawns", flags: OBHUT_SPAWN_MONITORED)
        let first = try External(acceptor)
        try c { obhut_port_fail(first.handle, "out of paper", "at resize.c:3", $0) }
        #expect(try watch.receive().result == string("failed: out of paper"))
        // Nobody watches: the log says it, with the traceback (F5).
        _ = try runtime.spawn("app:resize")
        let second = try External(acceptor)
        let object = encoded { ErrorValue(kind: "CONFLICT", message: "in use").write(into: &$0) }
        #expect(status { obhut_port_fail_object(second.handle, [1], 1, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        try c { obhut_port_fail_object(second.handle, object, object.count, "at resize.c:7", $0) }
        var log = ""
        #expect(eventually {
            log += (try? runtime.readLog()) ?? ""
            return log.contains("in use") && log.contains("resize.c:7") && log.contains("app:resize")
        })
    }

    @Test func freeingTheHandleIsANormalEnd() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        let pid = try watch.spawn("app:resize", flags: OBHUT_SPAWN_MONITORED)
        do { _ = try External(acceptor) }
        let exit = try watch.receive()
        #expect(exit.from == pid && exit.isNormal && exit.result == [0xc0])
    }

    // MARK: Not taken

    @Test func aStartThatIsNotTakenEndsTheProcess() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        let pid = try watch.spawn("app:resize", arguments("x"), flags: OBHUT_SPAWN_MONITORED)
        #expect(try acceptor.receive().topic == "app:resize")  // and frees it
        let exit = try watch.receive()
        #expect(exit.from == pid && !exit.isNormal && exit.text?.hasPrefix("not accepted") == true)
        #expect(eventually { runtime.counters.processes == 0 })
    }

    @Test func anAcceptorThatEndsTakesItsUnreadStartsAlong() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        for _ in 0..<3 { _ = try watch.spawn("app:resize", flags: OBHUT_SPAWN_MONITORED) }
        let taken = try External(acceptor)
        acceptor.free()
        for _ in 0..<2 {
            let exit = try watch.receive()
            #expect(exit.from != taken.pid && exit.text?.contains("that was to take it has ended") == true)
        }
        // What was taken lives on.
        try runtime.send(taken.pid, "still")
        #expect(try taken.receive().topic == "still")
        let refused = refusal { obhut_port_spawn(watch.handle, "app:resize", nil, nil, 0, 3, nil, $0) }
        #expect(refused?.status == OBHUT_WRONG_STATE && refused?.text.contains("has ended") == true)
        #expect(eventually { runtime.counters.processes == 1 })
        // Another may take its place.
        let next = try CPort(runtime)
        try c { obhut_runtime_define(runtime.handle, "app:resize", next.handle, $0) }
        _ = try runtime.spawn("app:resize")
        _ = try External(next)
    }

    @Test func luaIsToldThatNobodyTakesIt() throws {
        let (runtime, acceptor) = try rig()
        acceptor.free()
        let watch = try CPort(runtime)
        _ = try watch.spawn("test:spawns", flags: OBHUT_SPAWN_MONITORED)
        let exit = try watch.receive()
        #expect(String(decoding: exit.result, as: UTF8.self).contains("the port that takes it has ended"))
    }

    @Test func anEntryThatIsDeclaredAndNotDefinedIsTold() throws {
        let runtime = try CRuntime(application(more: Self.declared))
        let refused = refusal { obhut_spawn(runtime.handle, "test:worker", nil, nil, 0, nil, $0) }
        #expect(refused?.status == OBHUT_WRONG_STATE)
        #expect(refused?.text == "test:worker is run by the host program, which has not defined it")
        let port = try CPort(runtime)
        try c { obhut_runtime_define(runtime.handle, "test:worker", port.handle, $0) }
        _ = try runtime.spawn("test:worker")
        _ = try External(port)
    }

    @Test func onlyWhatTheHostProgramRunsIsDefined() throws {
        let runtime = try CRuntime(application(Self.programs))
        let port = try CPort(runtime)
        let refused = refusal { obhut_runtime_define(runtime.handle, "test:idle", port.handle, $0) }
        #expect(refused?.status == OBHUT_INVALID_ARGUMENT && refused?.text.contains("is a process.lua") == true)
        for id in ["", "x", "a:b:c", "a b:c", ":x"] {
            #expect(status { obhut_runtime_define(runtime.handle, id, port.handle, $0) } == OBHUT_INVALID_ARGUMENT, "\(id)")
        }
        let other = try CPort(try CRuntime())
        #expect(status { obhut_runtime_define(runtime.handle, "a:b", other.handle, $0) } == OBHUT_INVALID_ARGUMENT)
        // Defined first, declared as something else afterwards.
        let late = try CRuntime(start: false)
        let acceptor = try CPort(late)
        try c { obhut_runtime_define(late.handle, "test:idle", acceptor.handle, $0) }
        let yaml = application(Self.programs)
        let fault = refusal { obhut_runtime_load_text(late.handle, yaml, yaml.utf8.count, $0) }
        #expect(fault?.status == OBHUT_INVALID_APPLICATION && fault?.text.contains("'test:idle' is a process.lua here") == true)
        try late.load(application())
    }

    // MARK: A process like any

    @Test func withoutAnyApplicationItRunsOnNoHost() throws {
        let runtime = try CRuntime(start: false)
        let acceptor = try CPort(runtime)
        try c { obhut_runtime_define(runtime.handle, "app:a", acceptor.handle, $0) }
        #expect(status { obhut_spawn(runtime.handle, "app:a", nil, nil, 0, nil, $0) } == OBHUT_WRONG_STATE)
        try runtime.start()
        let pid = try runtime.spawn("app:a", arguments("one"))
        let process = try External(acceptor)
        #expect(process.pid == pid && process.arguments == arguments("one"))
        #expect(runtime.text(of: pid).hasPrefix("{obhut:port|0x"))
        try c { obhut_port_send(process.handle, acceptor.pid, "hello", [0xc0], 1, $0) }
        #expect(try acceptor.receive().from == pid)
    }

    @Test func itIsNamedAskedAndAnswers() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        _ = try watch.spawn("test:named", flags: OBHUT_SPAWN_MONITORED)
        let process = try External(acceptor)
        var message: OpaquePointer?
        try c { obhut_port_receive(process.handle, 20 * oneSecond, &message, $0) }
        #expect(String(cString: obhut_message_topic(message, nil)) == "size")
        try c { obhut_message_reply(message, [9], 1, $0) }
        obhut_message_free(message)
        #expect(try watch.receive().result == [9])
    }

    @Test func aCancelIsAMessageWithADeadlineAndThenForce() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        // One ends in time.
        var pid = try watch.spawn("app:resize", flags: OBHUT_SPAWN_MONITORED)
        let polite = try External(acceptor)
        let before = monotonicNow()
        try c { obhut_cancel(runtime.handle, pid, 20 * oneSecond, $0) }
        var message: OpaquePointer?
        try c { obhut_port_receive(polite.handle, 20 * oneSecond, &message, $0) }
        #expect(obhut_message_kind(message) == OBHUT_MESSAGE_CANCEL)
        #expect(obhut_message_deadline(message) >= before + 20 * oneSecond)
        obhut_message_free(message)
        try c { obhut_port_end(polite.handle, nil, 0, $0) }
        #expect(try watch.receive().isNormal)
        // The other does not.
        pid = try watch.spawn("app:resize", flags: OBHUT_SPAWN_MONITORED)
        let deaf = try External(acceptor)
        try c { obhut_cancel(runtime.handle, pid, 1, $0) }
        let exit = try watch.receive()
        #expect(exit.from == pid && exit.text == "cancelled: deadline exceeded")
        #expect(deaf.received == OBHUT_CLOSED)
        #expect(eventually { runtime.counters.timers == 0 })
    }

    @Test func aTerminateTellsThoseWhoWatchAtOnce() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        let pid = try watch.spawn("app:resize", flags: OBHUT_SPAWN_MONITORED | OBHUT_SPAWN_LINKED)
        let process = try External(acceptor)
        let waiting = ProgramThread { #expect(process.received == OBHUT_CLOSED) }
        try c { obhut_terminate(runtime.handle, pid, $0) }
        let exit = try watch.receive(), down = try watch.receive()
        #expect(exit.kind == OBHUT_MESSAGE_EXIT && exit.text == "terminated")
        #expect(down.kind == OBHUT_MESSAGE_LINK_DOWN && down.from == pid)
        waiting.join()
        for call in [
            status { obhut_port_send(process.handle, watch.pid, "t", [0xc0], 1, $0) },
            status { obhut_port_monitor(process.handle, watch.pid, $0) },
            status { obhut_port_spawn(process.handle, "test:idle", nil, nil, 0, 0, nil, $0) },
            status { obhut_port_ready(process.handle, $0) },
            status { obhut_port_request(process.handle, watch.pid, "t", [0xc0], 1, -1, nil, $0) },
            status { obhut_port_trap_links(process.handle, 1, $0) },
        ] { #expect(call == OBHUT_CLOSED) }
        // One that is not taken yet.
        let second = try watch.spawn("app:resize", flags: OBHUT_SPAWN_MONITORED)
        try c { obhut_terminate(runtime.handle, second, $0) }
        #expect(try watch.receive().from == second)
        var start: OpaquePointer?, port: OpaquePointer?
        try c { obhut_port_receive(acceptor.handle, 20 * oneSecond, &start, $0) }
        #expect(status { obhut_message_take_port(start, &port, $0) } == OBHUT_CLOSED && port == nil)
        obhut_message_free(start)
    }

    /// Until the program frees the port of a process that was ended, nobody else gets its descriptor, and `obhut_port_wake` wakes nobody
    /// else. Afterwards its place is used again.
    @Test func anEndedOneKeepsItsDescriptor() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        let pid = try watch.spawn("app:resize", flags: OBHUT_SPAWN_MONITORED)
        var process: External? = try External(acceptor)
        let handle = try #require(process).handle
        let descriptor = obhut_port_fd(handle)
        try c { obhut_terminate(runtime.handle, pid, $0) }
        #expect(try watch.receive().text == "terminated")
        func isReadable() -> Bool {
            var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            return poll(&request, 1, 0) == 1
        }
        #expect(eventually { isReadable() })
        // More than are kept back before a place is used again.
        func usesItAgain() throws -> Bool {
            for _ in 0..<500 {
                let port = try CPort(runtime)
                if port.descriptor == descriptor { return true }
                _ = obhut_port_wake(process?.handle)
                #expect(port.receiveStatus(0) == OBHUT_TIMEOUT)
            }
            return false
        }
        #expect(try !usesItAgain())
        #expect(isReadable() && process?.received == OBHUT_CLOSED)
        process = nil
        #expect(try usesItAgain())
    }

    @Test func itFallsWithWhatItIsLinkedToUnlessItTraps() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        for traps in [false, true] {
            let pid = try watch.spawn("app:resize", flags: OBHUT_SPAWN_MONITORED)
            let process = try External(acceptor)
            if traps { try c { obhut_port_trap_links(process.handle, OBHUT_TRAP_LINKS_FAILURES, $0) } }
            var child: obhut_pid = 0
            try c { obhut_port_spawn(process.handle, "test:raises", nil, nil, 0, OBHUT_SPAWN_LINKED, &child, $0) }
            try runtime.send(child, "now")
            if traps {
                let down = try process.receive()
                #expect(down.kind == OBHUT_MESSAGE_LINK_DOWN && down.from == child)
                try c { obhut_port_end(process.handle, nil, 0, $0) }
                #expect(try watch.receive().isNormal)
            } else {
                let exit = try watch.receive()
                #expect(exit.from == pid && exit.text?.contains("raised") == true && exit.origin == child && exit.hops == 1)
            }
        }
        // And takes others along.
        let spawner = try watch.spawn("test:linked", flags: OBHUT_SPAWN_MONITORED)
        let process = try External(acceptor)
        try c { obhut_port_fail(process.handle, "torn", nil, $0) }
        let exit = try watch.receive()
        #expect(exit.from == spawner && exit.text?.hasSuffix("failed: torn") == true && exit.origin == process.pid)
    }

    /// The failure of one end of a chain of processes, each of this program, takes all along (L3), without a call within a
    /// call for each.
    @Test func aLongChainFalls() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        // Each has a descriptor.
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(7), &limit)
        limit.rlim_cur = min(limit.rlim_max, 20_000)
        setrlimit(__rlimit_resource_t(7), &limit)
        let count = min(rounds(8000, atLeast: 400), Int(limit.rlim_cur) - 500)
        var chain: [External] = []
        for i in 0..<count {
            let pid = i == 0 ? try watch.spawn("app:resize", flags: OBHUT_SPAWN_MONITORED) : try runtime.spawn("app:resize")
            let process = try External(acceptor)
            #expect(process.pid == pid)
            if let last = chain.last { try c { obhut_port_link(process.handle, last.pid, $0) } }
            chain.append(process)
        }
        try c { obhut_port_fail(chain.last!.handle, "the last one", nil, $0) }
        let exit = try watch.receive()
        #expect(exit.from == chain[0].pid && exit.origin == chain.last!.pid && exit.hops == UInt32(count - 1))
        #expect(eventually { runtime.counters.processes == 0 })
    }

    @Test func limitsOfTheHostHold() throws {
        let runtime = try CRuntime(application(host: "{ workers: 1, max_processes: 2 }", Self.programs))
        let acceptor = try CPort(runtime)
        try c { obhut_runtime_define(runtime.handle, "app:resize", acceptor.handle, $0) }
        _ = try runtime.spawn("app:resize")
        let second = try runtime.spawn("app:resize")
        #expect(status { obhut_spawn(runtime.handle, "app:resize", nil, nil, 0, nil, $0) } == OBHUT_LIMIT)
        #expect(status { obhut_spawn(runtime.handle, "test:idle", nil, nil, 0, nil, $0) } == OBHUT_LIMIT)
        #expect(status { obhut_spawn(runtime.handle, "app:resize", "test:none", nil, 0, nil, $0) } == OBHUT_NOT_FOUND)
        try c { obhut_terminate(runtime.handle, second, $0) }
        #expect(eventually { status { obhut_spawn(runtime.handle, "app:resize", nil, nil, 0, nil, $0) } == OBHUT_OK })
    }

    // MARK: Supervised

    private static let supervised = """
          - { name: worker, kind: process.external }
          - name: top
            kind: supervisor
            lifecycle: { auto_start: true }
            children:
              - { process: worker, input: ["first"], ready: call, restart: { type: permanent, initial_delay: 1ms } }
              - { process: after, restart: permanent }
          - name: after
            kind: process.lua
            method: main
            source: |
              return { main = function() print("after") process.events():receive() end }

        """

    @Test func aSupervisorStartsRestartsAndStopsIt() throws {
        let runtime = try CRuntime(application(more: Self.supervised), start: false)
        let acceptor = try CPort(runtime)
        try c { obhut_runtime_define(runtime.handle, "test:worker", acceptor.handle, $0) }
        try runtime.start()
        var process = try External(acceptor)
        #expect(process.arguments == arguments("first") && process.entry == "test:worker")
        // The next child waits until it says that it is ready.
        #expect(try runtime.readOutput() == "")
        try c { obhut_port_ready(process.handle, $0) }
        #expect(eventually { (try? runtime.readOutput()) == "after\n" })
        try c { obhut_port_fail(process.handle, "again", nil, $0) }
        process = try External(acceptor)
        try c { obhut_port_ready(process.handle, $0) }
        let last = process
        let runner = ProgramThread {
            // Until it is told to end.
            while let received = try? last.receive(), received.kind != OBHUT_MESSAGE_CANCEL {}
            _ = obhut_port_end(last.handle, nil, 0, nil)
        }
        try runtime.stop()
        runner.join()
        #expect(last.received == OBHUT_CLOSED)
        #expect(runtime.counters.processes == 0)
        let log = try runtime.readLog()
        #expect(log.contains("failed (restart 1 in ") && log.contains("): again"), "\(log)")
    }

    @Test func aServiceOfItsOwnStartsWithTheRuntime() throws {
        let runtime = try CRuntime(
            application(more: "  - { name: worker, kind: process.external, input: [1], lifecycle: { auto_start: true } }\n"
                + "  - { name: twin, kind: process.service, process: worker, lifecycle: { auto_start: true } }\n"),
            start: false)
        let acceptor = try CPort(runtime)
        try c { obhut_runtime_define(runtime.handle, "test:worker", acceptor.handle, $0) }
        try runtime.start()
        let inputs = try Set([External(acceptor).arguments, External(acceptor).arguments])
        #expect(inputs == [[0x91, 1], [0x90]])
        try runtime.stop(0)
    }

    @Test func aStopEndsWhatDoesNotEndByItself() throws {
        let (runtime, acceptor) = try rig()
        let processes = try (0..<10).map { _ -> External in
            _ = try runtime.spawn("app:resize")
            return try External(acceptor)
        }
        // And some that nobody has taken.
        for _ in 0..<5 { _ = try runtime.spawn("app:resize") }
        try runtime.stop(50 * oneMillisecond)
        #expect(runtime.counters.processes == 0)
        for process in processes { #expect(process.received == OBHUT_OK || process.received == OBHUT_CLOSED) }
        #expect(status { obhut_spawn(runtime.handle, "app:resize", nil, nil, 0, nil, $0) } == OBHUT_WRONG_STATE)
    }

    // MARK: Functions

    /// Doubles what it is asked, counts in `user` how often it returns.
    private static let doubles: obhut_process_function = { user, port, arguments, length in
        var message: OpaquePointer?
        while obhut_port_receive(port, -1, &message, nil) == OBHUT_OK {
            let kind = obhut_message_kind(message)
            var count = 0
            if kind == OBHUT_MESSAGE_DATA, let bytes = obhut_message_payload(message, &count) {
                let twice = [bytes.load(as: UInt8.self) &* 2]
                _ = obhut_message_reply(message, twice, 1, nil)
            }
            obhut_message_free(message)
            if kind == OBHUT_MESSAGE_CANCEL { break }
        }
        // What it was started with.
        _ = obhut_port_end(port, arguments, length, nil)
        Counter.of(user).increment()
    }

    @Test func aFunctionRunsOnAThreadOfItsOwn() throws {
        let returned = Counter()
        let runtime = try CRuntime(application(Self.programs), start: false)
        // The finalizer gets the same `user`, and counts as one more.
        try c {
            obhut_runtime_define_function(
                runtime.handle, "app:resize", Self.doubles, returned.user, { Counter.of($0).increment() }, $0)
        }
        try runtime.start()
        let watch = try CPort(runtime)
        _ = try watch.spawn("test:named", flags: OBHUT_SPAWN_MONITORED)
        #expect(try watch.receive().result == [6])
        var pids: Set<obhut_pid> = []
        for _ in 0..<5 { pids.insert(try watch.spawn("app:resize", arguments("mine"), flags: OBHUT_SPAWN_MONITORED)) }
        for pid in pids {
            var reply: OpaquePointer?
            try c { obhut_request(runtime.handle, pid, "t", [21], 1, 20 * oneSecond, &reply, $0) }
            #expect(Received(reply).result == [42])
        }
        for pid in pids.dropFirst() { try c { obhut_cancel(runtime.handle, pid, 20 * oneSecond, $0) } }
        for _ in pids.dropFirst() {
            let exit = try watch.receive()
            #expect(exit.isNormal && exit.result == arguments("mine"))
        }
        // By force: its function finds its port closed.
        try c { obhut_terminate(runtime.handle, pids.first!, $0) }
        #expect(try watch.receive().text == "terminated")
        #expect(eventually { returned.count == 5 })  // not yet the one of test:named
        try runtime.stop()
        // The last function, and the finalizer once.
        #expect(eventually { returned.count == 7 })
    }

    @Test func anotherDefinitionTakesThePlaceOfAFunction() throws {
        let runtime = try CRuntime()
        let finalized = Counter()
        try c {
            obhut_runtime_define_function(
                runtime.handle, "app:a", { _, _, _, _ in }, finalized.user, { Counter.of($0).increment() }, $0)
        }
        let acceptor = try CPort(runtime)
        try c { obhut_runtime_define(runtime.handle, "app:a", acceptor.handle, $0) }
        #expect(eventually { finalized.count == 1 })
        let pid = try runtime.spawn("app:a")
        #expect(try External(acceptor).pid == pid)
        // And a function again.
        try c { obhut_runtime_define_function(runtime.handle, "app:a", { _, _, _, _ in }, nil, nil, $0) }
        let watch = try CPort(runtime)
        let second = try watch.spawn("app:a", flags: OBHUT_SPAWN_MONITORED)
        let exit = try watch.receive()
        #expect(exit.from == second && exit.isNormal && exit.result == [0xc0])
    }

    // MARK: Races

    /// Spawned, taken, asked, failed and terminated by many threads: each ends once, and nothing is left.
    @Test func manyThreadsRunAndEndThem() throws {
        let (runtime, acceptor) = try rig()
        let watch = try CPort(runtime)
        let count = rounds(400, atLeast: 40)
        let runners = (0..<2).map { n in
            ProgramThread {
                var message: OpaquePointer?
                while obhut_port_receive(acceptor.handle, 20 * oneSecond, &message, nil) == OBHUT_OK {
                    if obhut_message_kind(message) == OBHUT_MESSAGE_DATA { break }
                    var port: OpaquePointer?
                    let number = obhut_message_from(message) >> 24
                    if number % 5 != 0, obhut_message_take_port(message, &port, nil) == OBHUT_OK {
                        switch number % 4 {
                        case 0: _ = obhut_port_end(port, [1], 1, nil)
                        case 1: _ = obhut_port_fail(port, "failed", nil, nil)
                        case 2: _ = obhut_port_link(port, watch.pid, nil)
                        default: break
                        }
                    }
                    obhut_message_free(message)
                    obhut_port_free(port)
                }
                obhut_message_free(message)
            }
        }
        let killer = ProgramThread {
            for _ in 0..<count {
                guard let pid = try? runtime.spawn("app:resize") else { continue }
                _ = obhut_cancel(runtime.handle, pid, 1, nil)
                _ = obhut_terminate(runtime.handle, pid, nil)
            }
        }
        for _ in 0..<count { _ = try watch.spawn("app:resize", flags: OBHUT_SPAWN_MONITORED | OBHUT_SPAWN_LINKED) }
        var exits = 0
        while exits < count { if try watch.receive().kind == OBHUT_MESSAGE_EXIT { exits += 1 } }
        killer.join()
        for _ in runners { try runtime.send(acceptor.pid, "enough") }
        for runner in runners { runner.join() }
        acceptor.free()
        #expect(eventually { runtime.counters.processes == 0 && runtime.counters.timers == 0 })
        #expect(runtime.counters.spawned == runtime.counters.ended)
    }
}
