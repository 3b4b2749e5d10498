import CObhut
import Foundation
import Glibc
import ObhutHeader
import Testing

@testable import Obhut

/// Native processes in a program that has its own way with children: each test is a program of its own.
@Suite struct NativeSurroundingsTests {
    /// What is said of an end that somebody else has taken.
    private static func unknown(_ symbol: String) -> String {
        "error ended in \(symbol) (OS process N) without returning; how is not known: "
            + "this program ignores SIGCHLD, or has itself waited for it"
    }

    /// All that a function says itself is known as ever.
    private static func expectWhatIsSaid(_ native: NativeRuntime) {
        #expect(native.run(native.define("t:add", "add", "lll"), [.int(40), .int(2)]) == "value 42")
        #expect(native.run(native.define("t:fails", "fails", "tcs"), [.string("no paper")]) == "error no paper")
        #expect(native.run(native.define("t:none", "f", "v", library: "/nowhere/x.so")) == "error /nowhere/x.so does not exist")
        let echo = native.spawn(native.define("t:echo", "echo", "tc"))
        native.send(echo, "n", .int(1))
        #expect(native.next() == .message(echo, "n", "1"))
        #expect(native.system.terminate(echo, from: native.pid))
        #expect(native.next() == .exit(echo, "terminated", isError: true))
    }

    @Test func aProgramThatIgnoresSIGCHLD() async {
        await #expect(processExitsWith: .success) {
            _ = (NativeFixtures.worker, NativeFixtures.faulty)
            signal(SIGCHLD, SIG_IGN)
            withNativeRuntime { native in
                for _ in 0..<rounds(20, atLeast: 3) {
                    NativeSurroundingsTests.expectWhatIsSaid(native)
                    for symbol in ["crash_segv", "crash_abort"] {
                        let end = native.run(native.define("t:crash", symbol, "v"))
                        #expect(withoutOSPid(end) == NativeSurroundingsTests.unknown(symbol))
                    }
                }
                #expect(native.isQuiet)
            }
            withNativeRuntime(worker: "/bin/true") { native in
                let end = native.run(native.define("t:add", "add", "lll"), [.int(1), .int(2)])
                #expect(end.contains("ended in add") || end.contains("has ended at once"), "\(end)")
            }
        }
    }

    /// In a handler of the signal, and on a thread that does nothing else.
    @Test func aProgramThatWaitsForAnyChild() async {
        await #expect(processExitsWith: .success) {
            _ = (NativeFixtures.worker, NativeFixtures.faulty)
            signal(SIGCHLD) { _ in
                let saved = errno
                while waitpid(-1, nil, WNOHANG) > 0 {}
                errno = saved
            }
            let waits = startThread(named: "waits") {
                while true { if waitpid(-1, nil, 0) < 0 { usleep(50) } }
            }
            #expect(waits != nil)
            withNativeRuntime { native in
                for _ in 0..<rounds(100, atLeast: 5) {
                    NativeSurroundingsTests.expectWhatIsSaid(native)
                    for (symbol, known) in [("crash_segv", "SIGSEGV"), ("crash_abort", "SIGABRT")] {
                        let end = withoutOSPid(native.run(native.define("t:crash", symbol, "v")))
                        // As who was first.
                        let texts = [NativeSurroundingsTests.unknown(symbol), "error killed by \(known) in \(symbol) (OS process N)"]
                        #expect(texts.contains(end), "\(end)")
                    }
                }
                #expect(native.isQuiet)
            }
        }
    }

    /// The environment as it is when the child is started; no descriptor but its channel.
    @Test func whatAChildInherits() async {
        await #expect(processExitsWith: .success) {
            _ = (NativeFixtures.worker, NativeFixtures.faulty)
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)  // not close-on-exec
            setenv("OBHUT_TEST_INHERITED", "from the program", 1)
            withNativeRuntime { native in
                let getenv = native.define("t:getenv", "getenv", "ss", library: "libc.so.6")
                #expect(native.run(getenv, [.string("OBHUT_TEST_INHERITED")]) == "value \"from the program\"")
                #expect(native.run(getenv, [.string("OBHUT_TEST_NOT_THERE")]) == "value null")
                #expect(native.run(native.define("t:open", "open_descriptors", "l")) == "value 1")
            }
        }
    }

    // MARK: Fork

    /// Swift hides fork: a program in C does not.
    private static func fork() -> pid_t {
        typealias Function = @convention(c) () -> pid_t
        return unsafeBitCast(dlsym(nil, "fork"), to: Function.self)()
    }

    /// The descriptors, but for its own, of a program that is started by fork and exec.
    private static func inherited() -> [String] {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return ["no pipe"] }
        let arguments: [UnsafeMutablePointer<CChar>?] = ["ls", "-l", "/proc/self/fd"].map { (text: String) in strdup(text) } + [nil]
        let child = fork()
        if child == 0 {
            dup2(ends[1], 1)
            close(ends[0])
            close(ends[1])
            execv("/bin/ls", arguments)
            _exit(1)
        }
        close(ends[1])
        let text = String(decoding: FileHandle(fileDescriptor: ends[0], closeOnDealloc: true).readDataToEndOfFile(), as: UTF8.self)
        var status: Int32 = 0
        waitpid(child, &status, 0)
        arguments.forEach { free($0) }
        let targets = text.split(separator: "\n").filter { $0.contains(" -> ") }.map { $0.components(separatedBy: " -> ")[1] }
        return targets.filter { !$0.hasPrefix("/proc/") && !$0.hasPrefix("pipe:") }
    }

    private static func runtime() throws -> CRuntime {
        let config = obhut_config_new()
        defer { obhut_config_free(config) }
        try c { obhut_config_allow_native(config, "/", $0) }
        demand(obhut_config_set_worker(config, NativeFixtures.worker) == OBHUT_OK, "worker")
        let entries = [("echo", "echo", "status(context)", "process"), ("thread", "echo", "status(context)", "thread"), ("crash", "crash_segv", "void()", "process")]
        return try CRuntime(
            application(more: entries.map { name, symbol, signature, isolation in
                "  - { name: \(name), kind: process.native, library: \(NativeFixtures.faulty), symbol: \(symbol), signature: \"\(signature)\", isolation: \(isolation) }\n"
            }.joined()), config: config)
    }

    private static func crash(_ port: CPort) throws -> String {
        _ = try port.spawn("test:crash", flags: OBHUT_SPAWN_MONITORED)
        return withoutOSPid(try port.receive().text ?? "")
    }

    /// The thread sanitizer ends a child of a program with threads that starts threads of its own.
    @Test(.disabled(if: isThreadSanitized)) func aProgramThatForksWhileChildrenLive() async {
        await #expect(processExitsWith: .success) {
            do {
                _ = (NativeFixtures.worker, NativeFixtures.faulty)
                let own = NativeSurroundingsTests.inherited()
                let runtime = try NativeSurroundingsTests.runtime()
                let port = try CPort(runtime)
                let pids = try ["test:echo", "test:thread", "test:echo"].map { try port.spawn($0) }
                func talk(_ payload: UInt8) throws {
                    for pid in pids {
                        try port.send(pid, "n", [payload])
                        let back = try port.receive()
                        demand(back.from == pid && back.payload == [payload], "no echo")
                    }
                }
                try talk(1)
                // None of what is between the runtime and its children goes to another program.
                let inherited = NativeSurroundingsTests.inherited()
                demand(inherited == own, "\(inherited) beside \(own)")
                let child = NativeSurroundingsTests.fork()
                if child == 0 {
                    demand(status { obhut_send(runtime.handle, pids[0], "n", [2], 1, $0) } == OBHUT_FORKED, "send")
                    demand(status { obhut_runtime_stop(runtime.handle, 0, $0) } == OBHUT_FORKED, "stop")
                    obhut_port_free(port.handle)
                    obhut_runtime_free(runtime.handle)
                    do {
                        // Children of its own, and an end of them all.
                        let ownRuntime = try NativeSurroundingsTests.runtime()
                        let ownPort = try CPort(ownRuntime)
                        let echo = try ownPort.spawn("test:echo")
                        try ownPort.send(echo, "n", [3])
                        demand(try ownPort.receive().payload == [3], "the child's echo")
                        let text = try NativeSurroundingsTests.crash(ownPort)
                        demand(text == "killed by SIGSEGV in crash_segv (OS process N)", text)
                        try ownRuntime.stop(0)
                        demand(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD, "a child of the child is left")
                    } catch { demand(false, "child: \(error)") }
                    _exit(0)
                }
                try talk(4)  // while the child does all that
                var result: Int32 = -1
                while waitpid(child, &result, 0) < 0 && errno == EINTR {}
                demand(result == 0, "child: \(result)")
                try talk(5)
                let text = try NativeSurroundingsTests.crash(port)
                demand(text == "killed by SIGSEGV in crash_segv (OS process N)", text)
                try runtime.stop(0)
                demand(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD, "a child is left")
            } catch {
                demand(false, "\(error)")
            }
        }
    }
}
