import CNative
import CObhut
import Foundation
import Glibc
import Testing

@testable import Obhut

/// Functions in child OS processes: what they can do, and what becomes of those that go wrong.
@Suite struct NativeProcessTests {
    @Test func aFunctionRunsAndItsResultIsTheValueOfItsEnd() {
        withNativeRuntime { native in
            #expect(native.run(native.define("t:add", "add", "lll"), [.int(40), .int(2)]) == "value 42")
            #expect(native.run(native.define("t:ok", "has_result", "tc")) == #"value ["a",-5]"#)
            let pid = native.run(native.define("t:pid", "pid_of_os", "l"))
            #expect(pid != "value \(getpid())")
        }
    }

    @Test func anAbnormalEndIsTheFunctionsOwnText() {
        withNativeRuntime { native in
            #expect(native.run(native.define("t:fails", "fails", "tcs"), [.string("no paper")]) == "error no paper")
            #expect(native.run(native.define("t:status", "answers_status", "tc")).contains("7"))
        }
    }

    @Test func theContextDoesAllThatAProcessCan() {
        withNativeRuntime { native in
            let echo = native.spawn(native.define("t:echo", "echo", "tc"))
            _ = native.define("t:add", "add", "lll")
            _ = native.define("t:os", "pid_of_os", "l")
            let everything = native.define("t:all", "everything", "tcss")
            let text = native.system.text(of: echo)
            #expect(native.run(everything, [.string(text), .string("t:os")]) == "value null")
            #expect(native.log.contains { $0.message == "all is well" && $0.entry == "t:all" && $0.pid != nil })
            #expect(native.run(native.define("t:old", "old_event", "tc")) == "value null")
        }
    }

    @Test func messagesOfAllSizesGoThereAndBack() {
        withNativeRuntime { native in
            let echo = native.spawn(native.define("t:echo", "echo", "tc"))
            for size in [0, 1, 31, 255, 4096, 70_000, 3_000_000] {
                let text = String(repeating: "x", count: size)
                native.send(echo, "m", .string(text))
                let came = native.next()
                guard case .message(echo, "m", let json) = came else {
                    Issue.record("\(size): \(came)")
                    continue
                }
                #expect(json.utf8.count == size + 2)
            }
        }
    }

    /// Semantics M2: what a process has sent comes before its EXIT.
    @Test func whatItSentComesBeforeItsEnd() {
        withNativeRuntime { native in
            let echo = native.define("t:echo", "echo", "tc")
            for _ in 0..<scaled(50) {
                let pid = native.spawn(echo)
                for number in 0..<20 { native.send(pid, "n", .int(Int64(number))) }
                _ = native.system.cancel(pid, from: native.pid, timeout: 60_000 * ms)
                for number in 0..<20 { #expect(native.next() == .message(pid, "n", "\(number)")) }
                #expect(native.next() == .exit(pid, "null", isError: false))
            }
            #expect(native.isQuiet)
        }
    }

    @Test(arguments: [
        ("crash_segv", "v", "killed by SIGSEGV in crash_segv"),
        ("crash_abort", "v", "killed by SIGABRT in crash_abort"),
        ("crash_illegal", "v", "killed by SIGILL in crash_illegal"),
        ("overruns_stack", "vl", "killed by SIGSEGV in overruns_stack"),
        ("crash_exit", "vi", "exited with status 3 in crash_exit"),
        ("crash_at_once", "vi", "exited with status 3 in crash_at_once"),
    ])
    func aCrashIsAnEndWithSignalSymbolAndPid(_ symbol: String, _ signature: String, _ text: String) {
        withNativeRuntime { native in
            let argument: NativeRuntime.Arguments = signature.count > 1 ? [.int(3)] : []
            let end = native.run(native.define("t:bad", symbol, signature), argument)
            #expect(end.hasPrefix("error \(text) (OS process "))
            let pid = osPid(in: end)
            #expect(pid != nil && !processExists(pid!))
            // Others do not notice.
            #expect(native.run(native.define("t:add", "add", "lll"), [.int(1), .int(2)]) == "value 3")
        }
    }

    @Test func anExceptionThatLeavesTheFunctionIsAnAbort() {
        withNativeRuntime { native in
            let end = native.run(native.define("t:throws", "throws", "v", library: NativeFixtures.throwing))
            #expect(withoutOSPid(end) == "error killed by SIGABRT in throws (OS process N)")
            #expect(native.log.contains { $0.message.contains("nobody catches this") && $0.entry == "t:throws" })
        }
    }

    @Test func aPluginWhoseInitFailsIsNotRun() {
        withNativeRuntime { native in
            for isolation in [NativeIsolation.process, .thread] {
                let definition = native.define("t:devices", "throws", "v", isolation, library: NativeFixtures.failing)
                #expect(
                    native.run(definition)
                        == "error the plugin devices 1.0 could not be initialized: the device is not there")
            }
        }
    }

    @Test func aFunctionThatNeverReturnsEndsByTerminate() {
        withNativeRuntime { native in
            for symbol in ["never_returns", "spins"] {
                let pid = native.spawn(native.define("t:bad", symbol, "v"))
                // It may not have begun: that is the same.
                #expect(native.system.terminate(pid, from: native.pid))
                #expect(native.next() == .exit(pid, "terminated", isError: true))
            }
            let pid = native.spawn(native.define("t:busy", "stubborn", "tc"))
            #expect(native.system.cancel(pid, from: native.pid, timeout: 50 * ms))
            #expect(native.next() == .exit(pid, "cancelled: deadline exceeded", isError: true))
        }
    }

    /// Semantics C2: it may look, clean up, and return in its own time.
    @Test func aComputationSeesThatItIsToStop() {
        withNativeRuntime { native in
            for isolation in [NativeIsolation.process, .thread] {
                let pid = native.spawn(native.define("t:busy", "until_stopped", "tc", isolation))
                #expect(native.system.cancel(pid, from: native.pid, timeout: 60_000 * ms))
                #expect(native.next() == .exit(pid, "null", isError: false))
            }
        }
    }

    @Test func aForkedChildIsNotTheProcess() {
        withNativeRuntime { native in
            #expect(native.run(native.define("t:forks", "forks", "tc")) == "value null")
            #expect(native.printed == "the child was refused\n")
            #expect(native.isQuiet)
        }
    }

    @Test func whatAFunctionForksIsKilledWithIt() {
        withNativeRuntime { native in
            #expect(native.run(native.define("t:leaves", "leaves_child", "tc")) == "value null")
            guard let pid = Int32(native.printed.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                Issue.record("no pid: \(native.printed)")
                return
            }
            // Its parent is gone, and whoever inherits it takes its end: then it is no more.
            native.execution.close()
            for _ in 0..<10_000 where isAlive(pid) { usleep(1000) }
            #expect(!isAlive(pid))
        }
    }

    private func isAlive(_ pid: Int32) -> Bool {
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        return !status.contains(") Z ")
    }

    @Test func descriptor3IsNobodys() {
        withNativeRuntime { native in
            #expect(native.run(native.define("t:closes", "closes_3", "tc")) == "value null")
        }
    }

    @Test(arguments: [("closes_all", "v"), ("closes_all_and_asks", "tc")])
    func aFunctionThatClosesTheChannelIsKilledAndNamed(_ symbol: String, _ signature: String) {
        withNativeRuntime { native in
            let end = native.run(native.define("t:closes", symbol, signature))
            #expect(end.hasPrefix("error killed in \(symbol) (OS process "))
            #expect(end.hasSuffix("): it has closed the channel to the runtime"))
        }
    }

    @Test func whatIsNoFrameEndsTheFunction() {
        withNativeRuntime { native in
            let end = native.run(native.define("t:writes", "writes_everywhere", "v"))
            #expect(end.hasPrefix("error writes_everywhere (OS process "))
            #expect(end.hasSuffix(") wrote what is no frame to its channel"))
        }
    }

    @Test func stdoutIsPrintedAndStderrLogged() {
        withNativeRuntime { native in
            #expect(native.run(native.define("t:writes", "writes_stdout", "tc")) == "value null")
            #expect(native.printed == "a line\nraw\nand half of one\n")
            #expect(native.log.map(\.message) == ["an error line"])
            #expect(native.run(native.define("t:reads", "reads_stdin", "l")) == "value 0")
        }
    }

    /// Lines are read when a function has returned, while its result is still on its way.
    @Test func whatIsPrintedIsNotInTheResult() {
        withNativeRuntime { native in
            let definition = native.define("t:prints", "prints_and_returns", "tc")
            let numbers = (0..<1000).map(String.init)
            for _ in 0..<rounds(50, atLeast: 5) {
                #expect(native.run(definition) == "value [" + numbers.joined(separator: ",") + "]")
            }
            #expect(native.printed.hasPrefix(numbers.map { "line \($0)\n" }.joined()))
        }
    }

    @Test func theLastLinesOnStderrStandInTheReport() {
        withNativeRuntime { native in
            var said: String?
            native.system.abnormalEnd = { _, reason, _ in said = reason.traceback }
            #expect(native.run(native.define("t:bad", "complains_and_crashes", "v")).contains("SIGABRT"))
            #expect(said == "last lines on stderr:\n\tfirst\n\tsecond")
        }
    }

    @Test func limitsAreNamed() {
        withNativeRuntime { native in
            let spins = native.run(native.define("t:spins", "spins", "v", cpuLimit: 50 * ms))
            #expect(spins.hasPrefix("error killed by SIGXCPU in spins (OS process "))
            #expect(spins.hasSuffix("): its cpu_limit is 50ms"))
            if obh_has_address_sanitizer() { return }  // its shadow is larger than any limit
            for symbol in ["mapped_too_much", "crash"] {
                let definition = native.define("t:much", symbol, symbol == "crash" ? "vi" : "v", memoryLimit: 64 << 20)
                let end = native.run(definition, symbol == "crash" ? [.int(4)] : [])
                #expect(end.hasPrefix("error killed by SIGSEGV in \(symbol) (OS process "))
                #expect(end.hasSuffix("), after its memory_limit of 64MiB refused it memory"))
            }
        }
    }

    @Test func aWorkerThatIsNotThereIsSaid() {
        withNativeRuntime(worker: "/no/such/obhut-worker") { native in
            let end = native.run(native.define("t:add", "add", "lll"), [.int(1), .int(2)])
            #expect(end == "error no OS process can be started for it: /no/such/obhut-worker: No such file or directory")
        }
        withNativeRuntime(worker: "/bin/true") { native in
            // As it ends before or after it was told what to run.
            let end = native.run(native.define("t:add", "add", "lll"), [.int(1), .int(2)])
            #expect(end.contains("exited with status 0 in add") || end.contains("has ended at once"))
        }
    }

    @Test func nothingIsStartedBeforeItIsNeeded() {
        withNativeRuntime { native in
            #expect(native.execution.workers.count == 0)
            #expect(native.run(native.define("t:add", "add", "lll"), [.int(1), .int(2)]) == "value 3")
            for _ in 0..<10_000 where native.execution.workers.sparesNow < NativeWorkers.spareCount { usleep(1000) }
            #expect(native.execution.workers.sparesNow == NativeWorkers.spareCount)
        }
    }

    /// Each is told once, with signal, symbol and pid; the next one runs; no child, descriptor or thread is left. In a program of its own,
    /// where all of them can be counted.
    @Test func aThousandCrashesInARowLeaveNothing() async {
        await #expect(processExitsWith: .success) {
            // What is made once and kept.
            withNativeRuntime { native in _ = native.run(native.define("t:crash", "crash", "vi"), [.int(0)]) }
            let before = Belongings()
            withNativeRuntime { native in
                let isBounded = !obh_has_address_sanitizer()  // its shadow is larger than any limit
                let definitions = [
                    native.define("t:crash", "crash", "vi"),
                    native.define("t:hungry", "crash", "vi", memoryLimit: isBounded ? 32 << 20 : nil),
                    native.define("t:spins", "crash", "vi", cpuLimit: 10 * ms),
                ]
                let ends = [
                    "killed by SIGSEGV in crash (OS process N)", "killed by SIGABRT in crash (OS process N)",
                    "exited with status 3 in crash (OS process N) without returning",
                    "exited with status 4 in crash (OS process N) without returning",
                    "killed by SIGSEGV in crash (OS process N), after its memory_limit of 32MiB refused it memory",
                    "killed by SIGXCPU in crash (OS process N): its cpu_limit is 10ms",
                ]
                var pids: Set<Int32> = []
                let count = scaled(1000)
                for number in 0..<count {
                    let kind = number % ends.count == 4 && !isBounded ? 0 : number % ends.count
                    let isLinked = number / ends.count % 2 == 0
                    let pid = native.spawn(
                        definitions[max(0, kind - 3)], [.int(Int64(kind))], options: isLinked ? .linked : .monitored)
                    let text: String
                    switch native.next() {
                    case .exit(pid, let error, true) where !isLinked: text = error
                    case .linkDown(pid, let error) where isLinked: text = error
                    case let other:
                        Issue.record("\(number): \(other)")
                        return
                    }
                    #expect(withoutOSPid(text) == ends[kind], "\(number)")
                    if let pid = osPid(in: text) {
                        pids.insert(pid)
                        // It was waited for before anybody was told.
                        #expect(!processExists(pid), "\(number): \(text)")
                    }
                }
                // The system gives numbers anew when they are used up.
                #expect(pids.count > count * 9 / 10)
                #expect(native.isQuiet)
            }
            #expect(Belongings() == before)
        }
    }

    /// What a program has of the system, but for threads that are not the library's.
    struct Belongings: Equatable {
        var descriptors: [String] = []
        var threads: [String] = []
        /// Ended and not waited for, too.
        var hasChildren: Bool

        init() {
            let files = FileManager.default
            for name in (try? files.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
                // The folder itself is not there any more.
                guard let target = try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)") else { continue }
                descriptors.append("\(name) \(target)")
            }
            for name in (try? files.contentsOfDirectory(atPath: "/proc/self/task")) ?? [] {
                let text = (try? String(contentsOfFile: "/proc/self/task/\(name)/comm", encoding: .utf8)) ?? ""
                if text.hasPrefix("obhut") { threads.append(text) }
            }
            descriptors.sort()
            threads.sort()
            hasChildren = waitpid(-1, nil, WNOHANG) == 0
        }
    }

    /// Requests that no function of the context has written, and no answer read: it ends when the second comes before the answer to the first.
    @Test(arguments: [OBN_RECEIVE, OBN_READY, OBN_LOOKUP], [0, 1])
    func aFloodOfRequestsEndsTheFunction(_ operation: Int, _ atOnce: Int) {
        withNativeRuntime { native in
            let echo = native.spawn(native.define("t:echo", "echo", "tc"))
            let floods = native.define("t:floods", "floods", "vii")
            let end = native.run(floods, [.int(Int64(operation)), .int(Int64(atOnce))])
            #expect(withoutOSPid(end) == "error floods (OS process N) asked before it was answered")
            native.send(echo, "n", .int(1))
            #expect(native.next() == .message(echo, "n", "1"))
            #expect(native.isQuiet)
        }
    }

    /// One that writes without end has its turn, and the others theirs.
    @Test func whoPrintsWithoutEndDelaysNobodyElse() {
        withNativeRuntime { native in
            let bytes = Counter()
            native.system.writeLine = { _ in bytes.increment() }
            let flood = native.spawn(native.define("t:floods", "floods_stdout", "v"))
            let echo = native.spawn(native.define("t:echo", "echo", "tc"))
            while bytes.count == 0 { usleep(100) }
            for number in 0..<100 {
                native.send(echo, "n", .int(Int64(number)))
                #expect(native.next() == .message(echo, "n", "\(number)"))
            }
            #expect(native.system.terminate(flood, from: native.pid))
            #expect(native.next() == .exit(flood, "terminated", isError: true))
        }
    }

    @Test(arguments: 1...UInt64(scaled(12, atLeast: 3)))
    func spawnsKillsCancelsAndCrashesInAnyOrder(_ seed: UInt64) {
        var random = RandomSource(seed: seed)
        withNativeRuntime { native in
            let definitions = [
                native.define("t:echo", "echo", "tc"), native.define("t:thread", "echo", "tc", .thread),
                native.define("t:crash", "crash", "vi", cpuLimit: 10 * ms), native.define("t:stubborn", "stubborn", "tc"),
                native.define("t:handler", "counter_handler", "v", mode: .handler),
            ]
            var alive: [Pid] = []
            var ended: Set<Pid> = []
            var spawned = 0
            func drain() {
                while let signal = try? native.port.receive(as: native.pid, timeout: 0) {
                    if signal.pointee.kind == .exit { #expect(ended.insert(signal.pointee.from).inserted) }
                    signal.release()
                }
            }
            for _ in 0..<scaled(300, atLeast: 60) {
                drain()
                switch random.below(6) {
                case 0, 1:
                    let number = random.below(definitions.count)
                    // Not the kind that wants a limit of memory.
                    let how = [0, 1, 2, 3, 5][random.below(5)]
                    alive.append(native.spawn(definitions[number], number == 2 ? [.int(Int64(how))] : []))
                    spawned += 1
                case 2 where !alive.isEmpty: _ = native.system.terminate(alive[random.below(alive.count)], from: native.pid)
                case 3 where !alive.isEmpty:
                    _ = native.system.cancel(
                        alive[random.below(alive.count)], from: native.pid, timeout: Int64(1 + random.below(20)) * ms)
                default:
                    guard !alive.isEmpty else { continue }
                    _ = native.system.sendText(from: native.pid, to: alive[random.below(alive.count)], "get", "x")
                }
            }
            for pid in alive { _ = native.system.terminate(pid, from: native.pid) }
            while ended.count < spawned {
                let received = native.next()
                if case .exit(let pid, _, _) = received { #expect(ended.insert(pid).inserted) }
                if received == .other { break }
            }
            #expect(ended == Set(alive))
        }
    }
}
