import Glibc
import ObhutHeader
import Testing

@testable import Obhut

/// Names, and requests with their replies (M7), both ways.
@Suite struct RequestTests {
    private func string(_ text: String) -> [UInt8] { encoded { $0.writeString(text) } }

    private static let programs: [(name: String, body: String)] = [
        ("server", """
            while true do
              local m = process.inbox():receive()
              if m:topic() == 'fail' then m:reply(nil, errors.new{kind = errors.CONFLICT, message = 'refused'})
              elseif m:topic() == 'die' then error('died of it')
              elseif m:topic() == 'echo' then m:reply(m:payload():data()) end
            end
            """),
        ("asks", "return process.request((...), 'question', 21, '20s')"),
        ("asks_twice", """
            local first = process.request((...), 'question', 1, '20s')
            local second = process.request((...), 'question', 2, '20s')
            return tostring(first) .. ' ' .. tostring(second)
            """),
        ("idle", "process.inbox():receive()"),
        ("named", "process.registry.register('by Lua') process.inbox():receive()"),
    ]

    private func rig() throws -> (CRuntime, CPort) {
        let runtime = try CRuntime(application(Self.programs))
        return (runtime, try CPort(runtime))
    }

    private func pidArgument(_ runtime: CRuntime, _ pid: obhut_pid) -> [UInt8] {
        encoded {
            $0.writeArrayHeader(1)
            $0.writeString(runtime.text(of: pid))
        }
    }

    /// The next message, not freed.
    private func take(_ port: CPort) throws -> OpaquePointer? {
        var message: OpaquePointer?
        try c { obhut_port_receive(port.handle, 20 * oneSecond, &message, $0) }
        return message
    }

    private func ask(_ port: CPort, _ pid: obhut_pid, _ topic: String, _ payload: [UInt8], _ timeout: Int64 = -1) throws -> UInt64 {
        var number: UInt64 = 0
        try c { obhut_port_request(port.handle, pid, topic, payload, payload.count, timeout, &number, $0) }
        #expect(number != 0)
        return number
    }

    // MARK: Names

    @Test func aNameIsRegisteredLookedUpAndTakenBack() throws {
        let (runtime, port) = try rig()
        func resolve(_ text: String) -> obhut_pid {
            var pid: obhut_pid = 7
            _ = obhut_pid_resolve(runtime.handle, text, &pid, nil)
            return pid
        }
        let pid = try runtime.spawn("test:idle")
        try c { obhut_name_register(runtime.handle, "the idle one", pid, $0) }
        try c { obhut_name_register(runtime.handle, "the idle one", pid, $0) }
        try c { obhut_name_register(runtime.handle, "main", port.pid, $0) }
        #expect(resolve("the idle one") == pid && resolve("main") == port.pid && resolve(runtime.text(of: pid)) == pid)
        let taken = refusal { obhut_name_register(runtime.handle, "the idle one", port.pid, $0) }
        #expect(taken?.status == OBHUT_WRONG_STATE && taken?.text == "name already registered: the idle one")
        for name in ["", "{x", "@x", String(repeating: "n", count: 256), "\u{0}"] {
            #expect(status { obhut_name_register(runtime.handle, name, pid, $0) } == OBHUT_INVALID_ARGUMENT)
        }
        try c { obhut_name_unregister(runtime.handle, "main", $0) }
        #expect(resolve("main") == 0)
        #expect(status { obhut_name_unregister(runtime.handle, "main", $0) } == OBHUT_NOT_FOUND)
        // Free before the end is seen (P5).
        try port.monitor(pid)
        try c { obhut_terminate(runtime.handle, pid, $0) }
        #expect(try port.receive().kind == OBHUT_MESSAGE_EXIT)
        #expect(resolve("the idle one") == 0)
        try c { obhut_name_register(runtime.handle, "the idle one", port.pid, $0) }
        // A name that Lua registers is the same.
        _ = try runtime.spawn("test:named")
        #expect(eventually { resolve("by Lua") != 0 })
    }

    // MARK: Asked by Lua

    @Test func aRequestOfLuaIsAnsweredFromC() throws {
        let (runtime, port) = try rig()
        let asker = try port.spawn("test:asks", pidArgument(runtime, port.pid), flags: OBHUT_SPAWN_MONITORED)
        let message = try take(port)
        #expect(obhut_message_kind(message) == OBHUT_MESSAGE_DATA && obhut_message_request(message) != 0)
        #expect(obhut_message_from(message) == asker)
        try c { obhut_message_reply(message, [42], 1, $0) }
        let again = refusal { obhut_message_reply(message, [42], 1, $0) }
        #expect(again?.status == OBHUT_WRONG_STATE && again?.text == "the request was answered already")
        obhut_message_free(message)
        let exit = try port.receive()
        #expect(exit.isNormal && exit.result == [42])
    }

    @Test func aRequestOfLuaIsAnsweredWithAnError() throws {
        let (runtime, port) = try rig()
        _ = try port.spawn("test:asks", pidArgument(runtime, port.pid), flags: OBHUT_SPAWN_MONITORED)
        var message = try take(port)
        try c { obhut_message_reply_error(message, "not today", $0) }
        obhut_message_free(message)
        #expect(try port.receive().text == "not today")
        _ = try port.spawn("test:asks", pidArgument(runtime, port.pid), flags: OBHUT_SPAWN_MONITORED)
        message = try take(port)
        let object = encoded { ErrorValue(kind: "CONFLICT", message: "an object").write(into: &$0) }
        #expect(status { obhut_message_reply_error_object(message, [7], 1, $0) } == OBHUT_INVALID_ARGUMENT)
        try c { obhut_message_reply_error_object(message, object, object.count, $0) }
        obhut_message_free(message)
        #expect(try port.receive().text?.contains("an object") == true)
    }

    @Test func whatIsNoRequestIsNotAnswered() throws {
        let (_, port) = try rig()
        try port.send(port.pid, "plain")
        let message = try take(port)
        #expect(obhut_message_request(message) == 0)
        let refused = refusal { obhut_message_reply(message, [0xc0], 1, $0) }
        #expect(refused?.status == OBHUT_WRONG_STATE && refused?.text.contains("no request") == true)
        #expect(status { obhut_message_reply(message, [0x92], 1, $0) } == OBHUT_MALFORMED)
        var taken: OpaquePointer?
        #expect(status { obhut_message_take_port(message, &taken, $0) } == OBHUT_WRONG_STATE)
        #expect(obhut_message_status(message) == OBHUT_OK && obhut_message_deadline(message) == 0)
        obhut_message_free(message)
    }

    @Test func repliesInAnyOrderFindTheirRequests() throws {
        let (runtime, port) = try rig()
        let askers = try (0..<5).map { _ in
            try port.spawn("test:asks_twice", pidArgument(runtime, port.pid), flags: OBHUT_SPAWN_MONITORED)
        }
        var waiting = try askers.map { _ in try take(port) }
        for message in waiting.reversed() {
            try c { obhut_message_reply(message, [1], 1, $0) }
            obhut_message_free(message)
        }
        waiting = try askers.map { _ in try take(port) }
        for message in waiting {
            try c { obhut_message_reply(message, [2], 1, $0) }
            obhut_message_free(message)
        }
        for _ in askers { #expect(try port.receive().result == string("1 2")) }
    }

    // MARK: Asked from C

    @Test func aPortAsksAndTheReplyIsAMessage() throws {
        let (_, port) = try rig()
        let server = try port.spawn("test:server")
        let first = try ask(port, server, "echo", string("a"))
        let second = try ask(port, server, "fail", [0xc0])
        let third = try ask(port, server, "echo", string("b"), 20 * oneSecond)
        #expect(Set([first, second, third]).count == 3)
        for (number, value) in [(first, string("a")), (second, []), (third, string("b"))] {
            let message = try take(port)
            #expect(obhut_message_kind(message) == OBHUT_MESSAGE_REPLY && obhut_message_request(message) == number)
            #expect(obhut_message_status(message) == OBHUT_OK && obhut_message_from(message) == server)
            let received = Received(message)
            if number == second {
                #expect(!received.isNormal && received.text == "refused")
            } else {
                #expect(received.isNormal && received.result == value && received.text == nil)
            }
            #expect(received.payload == [] && received.topic == "")
        }
    }

    @Test func aRequestEndsWithTheOneThatWasAsked() throws {
        let (runtime, port) = try rig()
        let server = try port.spawn("test:server")
        let number = try ask(port, server, "die", [0xc0], 20 * oneSecond)
        let message = try take(port)
        #expect(obhut_message_kind(message) == OBHUT_MESSAGE_REPLY && obhut_message_request(message) == number)
        #expect(obhut_message_status(message) == OBHUT_NOT_FOUND && obhut_message_from(message) == server)
        let received = Received(message)
        #expect(!received.isNormal && received.text?.contains("died of it") == true)
        #expect(status { obhut_port_request(port.handle, server, "echo", [0xc0], 1, -1, nil, $0) } == OBHUT_NOT_FOUND)
        #expect(port.receiveStatus() == OBHUT_TIMEOUT)
        // Its timer went with it.
        #expect(runtime.counters.timers == 0)
    }

    @Test func aRequestEndsWithItsTime() throws {
        let (runtime, port) = try rig()
        let silent = try CPort(runtime)
        let number = try ask(port, silent.pid, "echo", [0xc0], 1)
        let message = try take(port)
        #expect(obhut_message_status(message) == OBHUT_TIMEOUT && obhut_message_request(message) == number)
        let received = Received(message)
        #expect(received.kind == OBHUT_MESSAGE_REPLY && received.from == 0 && received.text?.hasPrefix("timeout: no reply") == true)
        // A late reply vanishes, and is no failure.
        let asked = try take(silent)
        try c { obhut_message_reply(asked, [0xc0], 1, $0) }
        obhut_message_free(asked)
        #expect(port.receiveStatus() == OBHUT_TIMEOUT)
        #expect(status { obhut_port_request(port.handle, silent.pid, "t", [0xc0], 1, 0, nil, $0) } == OBHUT_INVALID_ARGUMENT)
    }

    @Test func exactlyOneAnswerComesForEachOfManyRequests() throws {
        let (runtime, port) = try rig()
        let rounds = rounds(2000, atLeast: 100)
        var numbers: Set<UInt64> = []
        let answerer = try CPort(runtime)
        // Replies race with the time of each.
        let thread = ProgramThread {
            for _ in 0..<rounds {
                var message: OpaquePointer?
                guard obhut_port_receive(answerer.handle, 20 * oneSecond, &message, nil) == OBHUT_OK else { return }
                _ = obhut_message_reply(message, [1], 1, nil)
                obhut_message_free(message)
            }
        }
        for i in 0..<rounds { numbers.insert(try ask(port, answerer.pid, "q", [0xc0], Int64(1 + i % 50) * 10_000)) }
        for _ in 0..<rounds {
            let message = try take(port)
            #expect(numbers.remove(obhut_message_request(message)) != nil)
            obhut_message_free(message)
        }
        thread.join()
        #expect(numbers.isEmpty && port.receiveStatus() == OBHUT_TIMEOUT && !port.isReadable)
        #expect(runtime.counters.timers == 0)
    }

    @Test func aRequestIsWaitedFor() throws {
        let (runtime, port) = try rig()
        let server = try port.spawn("test:server")
        var reply: OpaquePointer?
        let asked = string("x")
        try c { obhut_request(runtime.handle, server, "echo", asked, asked.count, -1, &reply, $0) }
        #expect(obhut_message_kind(reply) == OBHUT_MESSAGE_REPLY && obhut_message_from(reply) == server)
        #expect(Received(reply).result == asked)
        try c { obhut_request(runtime.handle, server, "fail", [0xc0], 1, 20 * oneSecond, &reply, $0) }
        #expect(Received(reply).text == "refused")
        let late = refusal { obhut_request(runtime.handle, server, "silence", [0xc0], 1, 1, &reply, $0) }
        #expect(late?.status == OBHUT_TIMEOUT && reply == nil)
        let died = refusal { obhut_request(runtime.handle, server, "die", [0xc0], 1, 20 * oneSecond, &reply, $0) }
        #expect(died?.status == OBHUT_NOT_FOUND && died?.text.contains("died of it") == true)
        #expect(status { obhut_request(runtime.handle, port.pid, "t", [0xc0], 1, 0, &reply, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(runtime.counters.timers == 0)
    }

    @Test func aStopEndsTheWaitForAReply() throws {
        let (runtime, port) = try rig()
        let seen = Counter()
        let thread = ProgramThread {
            var reply: OpaquePointer?
            let status = obhut_request(runtime.handle, port.pid, "t", [0xc0], 1, -1, &reply, nil)
            // The one asked ends, or the asker's own mailbox: whichever the stop comes to first.
            if status == OBHUT_CLOSED || status == OBHUT_NOT_FOUND { seen.increment() }
        }
        let message = try take(port)
        try runtime.stop(0)
        thread.join()
        #expect(seen.count == 1)
        #expect(status { obhut_message_reply(message, [0xc0], 1, $0) } == OBHUT_NOT_FOUND)
        obhut_message_free(message)
    }
}
