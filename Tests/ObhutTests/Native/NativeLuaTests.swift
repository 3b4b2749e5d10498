import CNative
import CObhut
import Foundation
import ObhutHeader
import Testing

@testable import Obhut

/// C functions that Lua requires (`library.native`): in their place, and on threads of their own.
@Suite(.serialized) struct NativeLuaTests {
    /// A runtime whose process `run` imports C libraries, each entry a name, path, functions, and whether they are offloaded.
    private static func runtime(
        _ body: String, host: String = "{ workers: 2 }", with libraries: [(name: String, path: String, functions: String, offload: Bool)]
    ) throws -> (CRuntime, CPort) {
        var yaml = """
            namespace: test
            entries:
            - { name: host, kind: process.host, host: \(host), lifecycle: { auto_start: true } }

            """
        for library in libraries {
            yaml += "- { name: \(library.name), kind: library.native, library: \(library.path), offload: \(library.offload), functions: { \(library.functions) } }\n"
        }
        yaml += "- name: run\n  kind: process.lua\n  modules: [time]\n  imports: { \(libraries.map { "\($0.name): \($0.name)" }.joined(separator: ", ")) }\n  source: |\n"
        for line in ("local function main(...)\n\(body)\nend\nreturn { main = main }").split(separator: "\n") { yaml += "    \(line)\n" }
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        try c { obhut_config_allow_native(config, "/", $0) }
        let runtime = try CRuntime(yaml, config: config)
        return (runtime, try CPort(runtime))
    }

    private static func outcome(_ port: CPort, _ arguments: EntryValue...) throws -> (value: [UInt8], error: String?) {
        let pid = try port.spawn("test:run", encoded { $0.write(.list(arguments)) }, flags: UInt32(OBHUT_SPAWN_MONITORED))
        let exit = try port.receive()
        #expect(exit.from == pid && exit.kind == OBHUT_MESSAGE_EXIT)
        return (exit.result, exit.isNormal ? nil : exit.text)
    }

    private static func text(_ text: String) -> [UInt8] { encoded { $0.writeString(text) } }

    private static let values = (
        name: "values", path: CompiledLibrary.values,
        functions: "echo_u64: \"u64(u64)\", echo_u8: \"u8(u8)\", echo_string: \"string(string)\", see_bytes: \"string(bytes)\", echo_status: \"status(i32)\", nothing: \"void()\", echo_f64: \"f64(f64)\"",
        offload: false
    )

    private static func offloaded(_ library: (name: String, path: String, functions: String, offload: Bool), _ isOffloaded: Bool) -> (name: String, path: String, functions: String, offload: Bool) {
        (library.name, library.path, library.functions, isOffloaded)
    }

    @Test(arguments: [false, true]) func functionsAreCalled(isOffloaded: Bool) throws {
        let (_, port) = try Self.runtime(
            """
            local values = require("values")
            assert(values == require("values") and type(values.echo_u8) == "function")
            local found = {}
            for name in pairs(values) do found[#found + 1] = name end
            assert(#found == 7)
            assert(values.echo_u64(1 << 62) == 1 << 62 and math.type(values.echo_u64(4.0)) == "integer")
            assert(values.echo_string("näive") == "näive")
            assert(values.see_bytes("a\\0b") == "3:610062" and values.see_bytes("\\xff") == "1:ff")
            assert(values.nothing() == nil and values.echo_status(0) == nil)
            assert(values.echo_f64(1) == 1.0 and math.type(values.echo_f64(1)) == "float")
            local sum = 0
            for i = 1, 200 do sum = sum + values.echo_u8(i) end
            -- In coroutines of the program, and under pcall.
            local inner = coroutine.wrap(function() coroutine.yield(values.echo_u8(7)) return values.echo_u8(8) end)
            assert(inner() == 7 and inner() == 8)
            assert(select(2, pcall(values.echo_u8, 9)) == 9)
            return sum
            """, with: [Self.offloaded(Self.values, isOffloaded)])
        for _ in 0..<3 {
            let outcome = try Self.outcome(port)
            #expect(outcome.error == nil)
            #expect(outcome.value == encoded { $0.writeInteger(20100) })
        }
    }

    @Test(arguments: [false, true], [
        ("values.echo_u8(256)", "echo_u8: argument 1 must be a whole number from 0 to 255 (u8), got 256"),
        ("values.echo_u8()", "echo_u8: 1 argument must be given (u8), got 0"),
        ("values.echo_u8(nil)", "echo_u8: argument 1 must be a whole number from 0 to 255 (u8), got nil"),
        ("values.echo_u8(1, 2)", "echo_u8: 1 argument must be given (u8), got 2"),
        ("values.echo_string('\\xff')", "echo_string: argument 1 must be a string in UTF-8 (string), got bytes that are no UTF-8"),
        ("values.echo_string({})", "echo_string: argument 1 must be a string in UTF-8 (string), got a list"),
        ("values.echo_status(-3)", "echo_status: the function answered status -3"),
    ]) func whatDoesNotFitIsAnError(isOffloaded: Bool, call: (text: String, error: String)) throws {
        let (_, port) = try Self.runtime("local values = require('values')\nreturn \(call.text)", with: [Self.offloaded(Self.values, isOffloaded)])
        let error = try Self.outcome(port).error
        #expect(error?.hasPrefix("test:run:") == true && error?.hasSuffix(": \(call.error)") == true, "\(error ?? "none")")
    }

    @Test func aFunctionIsNoArgument() throws {
        let (_, port) = try Self.runtime("require('values').echo_u8(print)", with: [Self.values])
        #expect(try Self.outcome(port).error?.contains("echo_u8: ") == true)
    }

    @Test func aLibraryThatCannotBeLoaded() throws {
        let path = CompiledLibrary.path("needy.c")
        let (_, port) = try Self.runtime(
            "local ok, fault = pcall(require, 'needy')\nassert(not ok)\nreturn fault", with: [("needy", path, "needy: \"i32()\"", false)])
        let outcome = try Self.outcome(port)
        #expect(outcome.error == nil)
        #expect(String(decoding: outcome.value, as: UTF8.self).hasSuffix("library test:needy cannot be used: \(path) cannot be loaded: \(path): undefined symbol: not_anywhere"))
    }

    @Test func onlyWhatIsImported() throws {
        let (_, port) = try Self.runtime("require('other')", with: [Self.values])
        #expect(try Self.outcome(port).error?.contains("module 'other' is not allowed: add it to \"modules\" of test:run") == true)
    }

    @Test(arguments: [false, true]) func anExceptionIsAnError(isOffloaded: Bool) throws {
        let path = CompiledLibrary.path("exceptions.cpp")
        let (_, port) = try Self.runtime(
            """
            local it = require('exceptions')
            local texts = {}
            for i = 1, 3 do
              local ok, fault = pcall(it.throw_one, i)
              assert(not ok)
              texts[i] = fault:gsub("^test:run:%d+: ", "")
            end
            assert(it.throw_one(0) == 0)
            return table.concat(texts, "|")
            """, with: [("exceptions", path, "throw_one: \"i32(i32)\"", isOffloaded)])
        let outcome = try Self.outcome(port)
        #expect(outcome.error == nil)
        #expect(
            outcome.value
                == Self.text(
                    "throw_one: a C++ exception has left the function: std::runtime_error: no luck|"
                        + "throw_one: a C++ exception has left the function: int|"
                        + "throw_one: a C++ exception has left the function: special::fault: of its own"))
    }

    /// `pthread_exit`: whoever waits is told.
    @Test(.disabled(if: obh_has_address_sanitizer(), "what the frames of such a thread held is lost, which is a leak to it"))
    func aThreadThatIsEndedIsAnError() throws {
        let (_, port) = try Self.runtime(
            "return require('greedy').ends_a_thread()",
            with: [("greedy", CompiledLibrary.path("greedy.c"), "ends_a_thread: \"void()\"", true)])
        let outcome = try Self.outcome(port)
        #expect(outcome.error?.hasSuffix("ends_a_thread: it has ended its thread without returning") == true)
    }

    // MARK: Waiting

    private static let path = CompiledLibrary.path("gate.c")
    private static let gate = (name: "gate", path: path, functions: "gate_open: \"void(i32)\", gate_waiting: \"i32()\"", offload: false)
    private static let slow = (name: "slow", path: path, functions: "gate_pass: \"i32(i32)\"", offload: true)
    private static let stuck = (name: "stuck", path: path, functions: "gate_pass: \"i32(i32)\"", offload: false)

    private static func call(_ symbol: String, _ signature: String, _ arguments: [EntryValue]) throws -> Int {
        let contents = try #require(obn_library_open(path, nil, 0))
        let function = try #require(obn_library_symbol(contents, symbol, nil, 0))
        var raw = try NativeSignature(parsing: signature).raw
        var result: UnsafeMutableRawPointer?
        var length = 0
        let bytes = encoded { $0.write(.list(arguments)) }
        #expect(obn_call(function, &raw, nil, bytes, bytes.count, &result, &length, nil, 0) == 0)
        defer { free(result) }
        // A small number is its own encoding.
        return length == 1 ? Int(result!.load(as: UInt8.self)) : -1
    }

    private static func waiting() -> Int { (try? call("gate_waiting", "i32()", [])) ?? -1 }

    /// One worker, and the process goes on with its other coroutines.
    @Test func anOffloadedCallHoldsNoWorker() throws {
        let (_, port) = try Self.runtime(
            """
            local gate, slow = require("gate"), require("slow")
            local results = channel.new(10)
            for i = 1, 10 do coroutine.spawn(function() results:send(slow.gate_pass(i)) end) end
            while gate.gate_waiting() < 10 do require("time").sleep("1ms") end
            gate.gate_open(10)
            local sum = 0
            for _ = 1, 10 do sum = sum + results:receive() end
            return sum
            """, host: "{ workers: 1, spare_workers: 0 }", with: [Self.gate, Self.slow])
        let outcome = try Self.outcome(port)
        #expect(outcome.error == nil)
        #expect(outcome.value == [55])
    }

    /// Its call is still at the gate when the process is over, and answers nobody.
    @Test func aProcessEndsWhileItsCallRuns() throws {
        let (runtime, port) = try Self.runtime("return require('slow').gate_pass(1)", with: [Self.slow])
        let pid = try port.spawn("test:run", [], flags: UInt32(OBHUT_SPAWN_MONITORED))
        #expect(eventually { Self.waiting() == 1 })
        try c { obhut_terminate(runtime.handle, pid, $0) }
        let exit = try port.receive()
        #expect(exit.from == pid && !exit.isNormal && exit.text == "terminated")
        #expect(try Self.call("gate_waiting", "i32()", []) == 1)
        _ = try Self.call("gate_open", "void(i32)", [.int(1)])
        #expect(eventually { Self.waiting() == 0 })
    }

    /// A function that does not return outlives its runtime.
    @Test func aRuntimeStopsWhileACallRuns() throws {
        do {
            let (runtime, port) = try Self.runtime("return require('slow').gate_pass(1)", with: [Self.slow])
            _ = try port.spawn("test:run")
            #expect(eventually { Self.waiting() == 1 })
            try runtime.stop(0)
        }
        #expect(try Self.call("gate_waiting", "i32()", []) == 1)
        _ = try Self.call("gate_open", "void(i32)", [.int(1)])
        #expect(eventually { Self.waiting() == 0 })
    }

    /// In its place a function is not left by force: the process ends when it returns, and runs no code of its own again.
    @Test(arguments: [1, 2]) func aCallInItsPlaceReturnsBeforeItsProcessEnds(workers: Int) throws {
        let (runtime, port) = try Self.runtime(
            "local value = require('stuck').gate_pass(1)\nprint('it went on')\nreturn value",
            host: "{ workers: \(workers) }", with: [Self.stuck])
        let pid = try port.spawn("test:run", [], flags: UInt32(OBHUT_SPAWN_MONITORED))
        #expect(eventually { Self.waiting() == 1 })
        try c { obhut_terminate(runtime.handle, pid, $0) }
        // Others run meanwhile, on a spare worker if there is but one (H3), and the function is let be by the signals.
        _ = try port.spawn("test:run", [], flags: UInt32(OBHUT_SPAWN_MONITORED))
        #expect(eventually { Self.waiting() == 2 })
        _ = try Self.call("gate_open", "void(i32)", [.int(2)])
        var ends = [try port.receive(), try port.receive()]
        if ends[0].from != pid { ends.swapAt(0, 1) }
        #expect(ends[0].from == pid && ends[0].text == "terminated")
        #expect(ends[1].isNormal && ends[1].result == [1])
        try runtime.stop(0)
        #expect(try runtime.readOutput() == "it went on\n")
    }
}
