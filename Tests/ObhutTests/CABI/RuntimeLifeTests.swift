import Foundation
import ObhutHeader
import Testing

@testable import Obhut

/// Errors, and the life of a runtime: create, load, start, stop, free, in every order.
@Suite struct RuntimeLifeTests {
    // MARK: Errors

    @Test func aFaultyApplicationIsToldWithItsPlace() throws {
        let runtime = try CRuntime(start: false)
        let yaml = "version: \"1.0\"\nnamespace: test\nentries:\n  - { name: host, kind: process.hots }\n"
        let refusal = refusal { obhut_runtime_load_text(runtime.handle, yaml, yaml.utf8.count, $0) }
        #expect(refusal?.status == OBHUT_INVALID_APPLICATION)
        #expect(refusal?.line == 4)
        #expect((refusal?.column ?? 0) > 1)
        #expect(refusal?.file == "<text>")
        #expect(refusal?.offset == -1)
        #expect(refusal?.text.contains("process.hots") == true)
        let latin: [UInt8] = Array("namespace: caf".utf8) + [0xe9]
        let notUTF8 = latin.map(CChar.init(bitPattern:)).withUnsafeBufferPointer { text in
            Self.refusalOfLoading(runtime.handle, text)
        }
        #expect(notUTF8?.status == OBHUT_INVALID_APPLICATION && notUTF8?.offset == 14)
        // Nothing was loaded, so another may be.
        try runtime.load(application())
        try runtime.start()
    }

    @Test func everyFaultOfAFolderIsALineAndTheFirstHasFileLineAndColumn() throws {
        let folder = try TemporaryFolder()
        try folder.write("_index.yaml", "version: \"1.0\"\nnamespace: a\nentries:\n  - { name: x, kind: no.kind }\n  - { kind: process.host }\n")
        try folder.write("sub/more.yaml", "version: \"1.0\"\nnamespace: b\nentries:\n  - { name: p, kind: process.lua, source: \"return {\", method: main }\n")
        let runtime = try CRuntime(start: false)
        let found = try #require(refusal { obhut_runtime_load_folder(runtime.handle, folder.path, $0) })
        #expect(found.status == OBHUT_INVALID_APPLICATION)
        #expect(found.text.split(separator: "\n").count == 3)
        #expect(found.file == "_index.yaml")
        #expect(found.line == 4)
        #expect(found.column > 0)
        let missing = try #require(refusal { obhut_runtime_load_folder(runtime.handle, folder.path + "/none", $0) })
        #expect(missing.status == OBHUT_INVALID_APPLICATION)
        #expect(missing.text.contains("does not exist"))
    }

    @Test func anErrorIsFreedTwiceWithoutHarm() {
        var error: OpaquePointer?
        #expect(obhut_payload_check([0xc1], 1, &error) == OBHUT_MALFORMED)
        #expect(obhut_error_offset(error) == 0)
        obhut_error_free(error)
        #expect(obhut_error_status(error) == OBHUT_INVALID_HANDLE)
        obhut_error_free(error)
        obhut_error_free(nil)
        #expect(obhut_payload_check([0xc1], 1, nil) == OBHUT_MALFORMED)
    }

    @Test func everyStatusHasANameAndAText() {
        for status in Int32(-14)...0 {
            #expect(String(cString: obhut_status_name(status)).hasPrefix("OBHUT_"))
            #expect(!String(cString: obhut_status_text(status)).isEmpty)
        }
        for status: Int32 in [1, -15, .min, .max] {
            #expect(String(cString: obhut_status_name(status)) == "unknown status")
        }
    }

    private static func refusalOfLoading(_ runtime: OpaquePointer, _ text: UnsafeBufferPointer<CChar>) -> Refusal? {
        refusal { obhut_runtime_load_text(runtime, text.baseAddress, text.count, $0) }
    }

    // MARK: Order of calls

    @Test func eachCallFitsItsState() throws {
        let runtime = try CRuntime(start: false)
        let handle = runtime.handle
        var port: OpaquePointer?
        // A port may be there before anything runs: it can then take the processes of an entry from the first on.
        try c { obhut_port_create(handle, &port, $0) }
        obhut_port_free(port)
        try runtime.load(application([("idle", "process.inbox():receive()")]))
        let yaml = application()
        let twice = refusal { obhut_runtime_load_text(handle, yaml, yaml.utf8.count, $0) }
        #expect(twice?.status == OBHUT_WRONG_STATE)
        #expect(twice?.text == "an application is loaded already")
        #expect(status { obhut_spawn(handle, "test:idle", nil, nil, 0, nil, $0) } == OBHUT_WRONG_STATE)
        try runtime.start()
        #expect(refusal { obhut_runtime_start(handle, 0, $0) }?.text == "the runtime is started already")
        #expect(status { obhut_runtime_load_text(handle, yaml, yaml.utf8.count, $0) } == OBHUT_WRONG_STATE)
        _ = try runtime.spawn("test:idle")
        try runtime.stop(0)
        try runtime.stop()
        try runtime.stop(0)
        #expect(refusal { obhut_runtime_start(handle, 0, $0) }?.text == "the runtime is stopped")
        #expect(status { obhut_port_create(handle, &port, $0) } == OBHUT_WRONG_STATE)
        #expect(status { obhut_spawn(handle, "test:idle", nil, nil, 0, nil, $0) } == OBHUT_WRONG_STATE)
        #expect(runtime.counters.processes == 0)
    }

    @Test func aRuntimeThatNeverStartedIsStoppedAtOnce() throws {
        let runtime = try CRuntime(application(), start: false)
        try runtime.stop()
        #expect(status { obhut_runtime_start(runtime.handle, 0, $0) } == OBHUT_WRONG_STATE)
        let empty = try CRuntime()
        try empty.stop()
    }

    /// Whichever thread is the one that the system does not give: a status, and nothing is left.
    @Test func threadsThatCannotBeStartedAreAStatus() async {
        await #expect(processExitsWith: .success) {
            func threads() -> Int {
                var count = 0
                guard let folder = opendir("/proc/self/task") else { return -1 }
                while readdir(folder) != nil { count += 1 }
                closedir(folder)
                return count
            }
            do {
                let yaml = application(
                    host: "{ workers: 3 }", [("idle", "process.inbox():receive()"), ("serves", "process.events():receive()")],
                    more: "  - { name: s, kind: process.service, process: serves, lifecycle: { auto_start: true } }\n")
                try CRuntime(yaml).stop(0)  // whatever the first one leaves
                let before = threads()
                var needed = 0
                while true {
                    let config = obhut_config_new()
                    _ = obhut_config_set_output_sink(config, { _, _, _ in }, nil, nil)
                    let runtime = try CRuntime(yaml, config: config, start: false)
                    obhut_config_free(config)
                    ThreadAllowance.left.store(needed, ordering: .relaxed)
                    let refused = refusal { obhut_runtime_start(runtime.handle, OBHUT_START_ALL, $0) }
                    ThreadAllowance.left.store(.max, ordering: .relaxed)
                    guard let refused else { break }
                    demand(refused.status == OBHUT_SYSTEM && refused.text.contains("no more threads"), "\(refused)")
                    demand(status { obhut_runtime_start(runtime.handle, 0, $0) } == OBHUT_WRONG_STATE, "started again")
                    demand(status { obhut_spawn(runtime.handle, "test:idle", nil, nil, 0, nil, $0) } == OBHUT_WRONG_STATE, "spawned")
                    demand(eventually { threads() == before }, "threads \(threads()), before \(before)")
                    needed += 1
                }
                // The output, the watch, a worker of the supervisors, three of the host.
                demand(needed == 6, "needed \(needed)")
                // To free one that runs needs a thread, or the time.
                var handle: OpaquePointer?
                try c { obhut_runtime_create(nil, &handle, $0) }
                try c { obhut_runtime_start(handle, 0, $0) }
                ThreadAllowance.left.store(0, ordering: .relaxed)
                obhut_runtime_free(handle)
                demand(threads() == before, "after free")
            } catch { demand(false, "\(error)") }
        }
    }

    @Test func manyThreadsStopAtOnceAndAllReturnWhenItIsDone() throws {
        for _ in 0..<rounds(20, atLeast: 3) {
            let runtime = try CRuntime(application([("idle", "process.inbox():receive()")]))
            for _ in 0..<10 { _ = try runtime.spawn("test:idle") }
            let wrong = Counter()
            together(4) { _ in
                if obhut_runtime_stop(runtime.handle, 0, nil) != OBHUT_OK { wrong.increment() }
                if runtime.counters.processes != 0 { wrong.increment() }
            }
            #expect(wrong.count == 0)
        }
    }

    @Test func theLongestTimeoutIsPolite() throws {
        let runtime = try CRuntime(
            application([("polite", "process.events():receive() print('asked') return 1")]))
        _ = try runtime.spawn("test:polite")
        // It has to have started, or there is nobody to ask.
        usleep(50_000)
        try runtime.stop(.max)
        #expect(try runtime.readOutput() == "asked\n")
    }

    @Test func useAfterFreeIsAStatus() throws {
        var handle: OpaquePointer?
        try c { obhut_runtime_create(nil, &handle, $0) }
        try c { obhut_runtime_start(handle, 0, $0) }
        var port: OpaquePointer?
        try c { obhut_port_create(handle, &port, $0) }
        obhut_runtime_free(handle)
        obhut_runtime_free(handle)
        #expect(status { obhut_runtime_stop(handle, 0, $0) } == OBHUT_INVALID_HANDLE)
        // The port is the caller's still; it learns that its runtime is gone.
        var message: OpaquePointer?
        #expect(status { obhut_port_receive(port, 20 * oneSecond, &message, $0) } == OBHUT_CLOSED)
        #expect(obhut_port_fd(port) >= 0)
        #expect(status { obhut_port_send(port, obhut_port_pid(port), "t", [0xc0], 1, $0) } == OBHUT_CLOSED)
        obhut_port_free(port)
        obhut_port_free(port)
        #expect(obhut_port_pid(port) == 0)
        obhut_runtime_free(nil)
    }

    @Test func freeWhileRunningStopsByForce() throws {
        let finalized = Counter()
        let config = obhut_config_new()
        #expect(
            obhut_config_set_output_sink(
                config, { _, _, _ in }, finalized.user, { Counter.of($0).increment() }) == OBHUT_OK)
        var handle: OpaquePointer?
        try c { obhut_runtime_create(config, &handle, $0) }
        obhut_config_free(config)
        let yaml = application([("spin", "while true do end"), ("deaf", "while true do process.events():receive() end")])
        try c { obhut_runtime_load_text(handle, yaml, yaml.utf8.count, $0) }
        try c { obhut_runtime_start(handle, 0, $0) }
        for entry in ["test:spin", "test:deaf"] { try c { obhut_spawn(handle, entry, nil, nil, 0, nil, $0) } }
        let before = monotonicNow()
        obhut_runtime_free(handle)
        #expect(monotonicNow() - before < oneSecond, "free does not wait")
        // The finalizer runs when nothing of the runtime is left.
        #expect(eventually { finalized.count == 1 })
    }

    @Test func freeWhileOthersCallIt() throws {
        for _ in 0..<rounds(20, atLeast: 3) {
            var made: OpaquePointer?
            try c { obhut_runtime_create(nil, &made, $0) }
            let yaml = application([("idle", "process.inbox():receive()")])
            try c { obhut_runtime_load_text(made, yaml, yaml.utf8.count, $0) }
            try c { obhut_runtime_start(made, 0, $0) }
            let handle = UInt(bitPattern: made)
            together(4) { index in
                let handle = OpaquePointer(bitPattern: handle)
                for _ in 0..<50 {
                    var port: OpaquePointer?, message: OpaquePointer?
                    _ = obhut_spawn(handle, "test:idle", nil, nil, 0, nil, nil)
                    _ = obhut_port_create(handle, &port, nil)
                    _ = obhut_port_spawn(port, "test:idle", nil, nil, 0, OBHUT_SPAWN_LINKED | OBHUT_SPAWN_MONITORED, nil, nil)
                    _ = obhut_port_receive(port, 0, &message, nil)
                    if index == 0 { obhut_runtime_free(handle) }
                    obhut_message_free(message)
                    obhut_port_free(port)
                }
            }
        }
    }

    @Test func startStopLoadAndSpawnFromManyThreadsAtOnce() throws {
        for _ in 0..<rounds(50, atLeast: 5) {
            let runtime = try CRuntime(start: false)
            let yaml = application([("idle", "process.inbox():receive()")])
            together(4) { index in
                switch index {
                case 0: _ = obhut_runtime_load_text(runtime.handle, yaml, yaml.utf8.count, nil)
                case 1: _ = obhut_runtime_start(runtime.handle, 0, nil)
                case 2: for _ in 0..<20 { _ = obhut_spawn(runtime.handle, "test:idle", nil, nil, 0, nil, nil) }
                default:
                    usleep(UInt32.random(in: 0..<3000))
                    _ = obhut_runtime_stop(runtime.handle, 0, nil)
                }
            }
        }
    }

    @Test func twoRuntimesSideBySideDoNotMix() throws {
        let first = try CRuntime(application([("echo", "local m = process.inbox():receive() process.send(m:from(), 'from', 'first')")]))
        let second = try CRuntime(application([("echo", "local m = process.inbox():receive() process.send(m:from(), 'from', 'second')")]))
        for (runtime, name) in [(first, "first"), (second, "second")] {
            let port = try CPort(runtime)
            let pid = try runtime.spawn("test:echo")
            try port.send(pid, "hello")
            #expect(try port.receive().payload == encoded { $0.writeString(name) })
        }
        try first.stop(0)
        #expect(first.counters.processes == 0)
        let port = try CPort(second)
        try port.send(port.pid, "still")
        #expect(try port.receive().topic == "still")
        #expect(status { obhut_port_create(first.handle, nil, $0) } != OBHUT_OK)
    }

    // MARK: Leaks

    @Test func fiftyRuntimesLeaveNoThreadAndNoDescriptor() async {
        await #expect(processExitsWith: .success) {
            func entries(_ folder: String) -> Int { (try? FileManager.default.contentsOfDirectory(atPath: folder).count) ?? -1 }
            func once() throws {
                let runtime = try CRuntime(application([("idle", "process.inbox():receive()")]))
                let ports = try (0..<10).map { _ in try CPort(runtime) }
                for port in ports { _ = try port.spawn("test:idle", flags: OBHUT_SPAWN_MONITORED) }
                try runtime.stop(0)
            }
            do {
                // The first opens liblua, which stays.
                try once()
                let (threads, descriptors) = (entries("/proc/self/task"), entries("/proc/self/fd"))
                let handles = HandleTable.shared.count
                for _ in 0..<rounds(50, atLeast: 10) { try once() }
                demand(eventually { entries("/proc/self/task") <= threads }, "threads: \(threads), \(entries("/proc/self/task"))")
                demand(entries("/proc/self/fd") <= descriptors, "descriptors: \(descriptors), \(entries("/proc/self/fd"))")
                demand(HandleTable.shared.count <= handles, "handles: \(handles), \(HandleTable.shared.count)")
                // Freed while running, they end on a thread of their own.
                for _ in 0..<rounds(50, atLeast: 10) {
                    var handle: OpaquePointer?
                    try c { obhut_runtime_create(nil, &handle, $0) }
                    try c { obhut_runtime_start(handle, 0, $0) }
                    obhut_runtime_free(handle)
                }
                demand(eventually { entries("/proc/self/task") <= threads }, "after free: \(entries("/proc/self/task"))")
                demand(entries("/proc/self/fd") <= descriptors, "after free: descriptors")
            } catch {
                demand(false, "\(error)")
            }
        }
    }

    /// In a process of its own, whose handlers are its own. A process that computes cannot be ended without ticks: that
    /// the first one ends shows that the handler was put back. Nothing ends the second.
    @Test func aHandlerThatWasReplacedIsPutBackOnceAndTheLogSaysSo_D2() async {
        await #expect(processExitsWith: .success) {
            do {
                let runtime = try CRuntime(application([("spin", "print(\"up\")\nwhile true do end")]))
                let port = try CPort(runtime)
                var log = ""
                func logged(_ text: String) -> Bool {
                    log += (try? runtime.readLog()) ?? ""
                    return log.contains(text)
                }
                func terminateWithoutHandler() throws {
                    var action = sigaction()
                    action.__sigaction_handler.sa_handler = SIG_IGN
                    sigaction(SIGURG, &action, nil)
                    let spinning = try port.spawn("test:spin", flags: OBHUT_SPAWN_MONITORED)
                    demand(eventually { (try? runtime.readOutput()) == "up\n" }, "it does not run")
                    try c { obhut_terminate(runtime.handle, spinning, $0) }
                }
                try terminateWithoutHandler()
                demand((try? port.receive())?.kind == OBHUT_MESSAGE_EXIT, "no EXIT")
                demand(eventually { logged("was put back") }, log)
                try terminateWithoutHandler()
                demand(eventually { logged("is not called") }, log)
                _exit(0)  // without a stop, which would wait for it; so nothing is to be said of leaks either
            } catch {
                demand(false, "\(error)")
            }
        }
    }

    /// A fault that is blocked on the thread that makes it would end the program past its crash handler.
    @Test(.disabled(if: isThreadSanitized)) func theProgramsCrashHandlerSeesAFaultOnAnyThreadOfTheLibrary() async {
        await #expect(processExitsWith: .success) {
            func tasks() -> Set<Int> {
                var found: Set<Int> = []
                guard let folder = opendir("/proc/self/task") else { return [] }
                while let entry = readdir(folder) {
                    let name = withUnsafePointer(to: &entry.pointee.d_name) {
                        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                    }
                    if let number = Int(name) { found.insert(number) }
                }
                closedir(folder)
                return found
            }
            do {
                // Not in Swift's overlay of glibc.
                typealias Kill = @convention(c) (pid_t, pid_t, Int32) -> Int32
                let tgkill = unsafeBitCast(dlsym(nil, "tgkill"), to: Kill.self)
                let before = tasks()
                let config = obhut_config_new()
                _ = obhut_config_set_output_sink(config, { _, _, _ in }, nil, nil)
                _ = obhut_config_set_input_source(config, { _, _, _ in pause(); return 0 }, nil, nil)
                let runtime = try CRuntime(
                    application([("reads", "require('io').read()")]).replacing("modules: [time]", with: "modules: [io]"),
                    config: config, start: false)
                try c {
                    obhut_runtime_define_function(
                        runtime.handle, "app:waits",
                        { _, port, _, _ in
                            var message: OpaquePointer?
                            while obhut_port_receive(port, -1, &message, nil) == OBHUT_OK { obhut_message_free(message) }
                        }, nil, nil, $0)
                }
                try runtime.start()
                _ = try runtime.spawn("test:reads")
                _ = try runtime.spawn("app:waits")
                // Two workers, output, watch, input, acceptor, function.
                demand(eventually { tasks().subtracting(before).count >= 7 }, "\(tasks().count) threads")
                let ours = tasks().subtracting(before)
                for (number, name) in [(SIGSEGV, "SIGSEGV"), (SIGBUS, "SIGBUS"), (SIGABRT, "SIGABRT"), (SIGPROF, "SIGPROF")] {
                    var action = sigaction()
                    // As a fault would: on the thread itself.
                    action.__sigaction_handler.sa_handler = { _ in crashesSeen.increment() }
                    sigaction(number, &action, nil)
                    for task in ours {
                        let seen = crashesSeen.count
                        demand(tgkill(getpid(), pid_t(task), number) == 0, "\(name) to \(task)")
                        demand(eventually { crashesSeen.count == seen + 1 }, "\(name) is blocked on thread \(task)")
                    }
                }
                _exit(0)  // the input source does not return
            } catch { demand(false, "\(error)") }
        }
    }

    @Test func startingChangesOneSignalAndStoppingRestoresIt() async {
        await #expect(processExitsWith: .success) {
            func handler(_ number: Int32) -> UInt {
                var action = sigaction()
                sigaction(number, nil, &action)
                return unsafeBitCast(action.__sigaction_handler.sa_sigaction, to: UInt.self)
            }
            // Those of C libraries, and of sanitizers, are none of our business: only what changes.
            let numbers = (1...64).filter { ![32, 33].contains($0) }.map(Int32.init)
            let before = numbers.map(handler)
            do {
                let runtime = try CRuntime(application(), start: false)
                demand(numbers.map(handler) == before, "loading changes a signal")
                try runtime.start()
                demand(zip(numbers, zip(numbers.map(handler), before)).filter { $1.0 != $1.1 }.map(\.0) == [SIGURG], "not SIGURG alone")
                let other = try CRuntime(application())
                try runtime.stop(0)
                demand(handler(SIGURG) != before[Int(SIGURG) - 1], "restored while another runs")
                try other.stop(0)
                demand(numbers.map(handler) == before, "not restored")
            } catch {
                demand(false, "\(error)")
            }
        }
    }

    // MARK: Counters

    @Test func countersFillWhatTheCallerHasRoomFor() throws {
        let runtime = try CRuntime(application([("idle", "process.inbox():receive()")]))
        for _ in 0..<3 { _ = try runtime.spawn("test:idle") }
        #expect(runtime.counters.spawned == 3)
        #expect(runtime.counters.processes == 3)
        let words = MemoryLayout<obhut_counters>.size / 8
        func ask(size: Int, tail: UInt64) -> (obhut_status, [UInt64]) {
            var memory = [UInt64](repeating: 0x55, count: 64)
            memory[0] = UInt64(bitPattern: Int64(size))
            for i in words..<64 { memory[i] = tail }
            let status = memory.withUnsafeMutableBytes {
                obhut_runtime_counters(runtime.handle, $0.baseAddress!.assumingMemoryBound(to: obhut_counters.self), nil)
            }
            return (status, memory)
        }
        // Smaller: what is behind it stays untouched.
        let (small, memory) = ask(size: 16, tail: 0x55)
        #expect(small == OBHUT_OK)
        #expect(memory[0] == 16 && memory[1] == 3 && memory[2] == 0x55)
        #expect(ask(size: 8 * words, tail: 0x55).0 == OBHUT_OK)
        let (large, zeroTail) = ask(size: 8 * words + 16, tail: 0)
        #expect(large == OBHUT_OK)
        #expect(zeroTail[0] == UInt64(8 * words + 16) && zeroTail[2] == 3 && zeroTail[words] == 0)
        #expect(ask(size: 8 * words + 16, tail: 1).0 == OBHUT_INVALID_ARGUMENT)
        for size in [0, 4, 12, -1, Int.min, Int.max, 1 << 40] {
            #expect(ask(size: size, tail: 0).0 == OBHUT_INVALID_ARGUMENT, "\(size)")
        }
    }

    // MARK: Pids

    @Test func aPidsTextIsReadBack() throws {
        let long = String(repeating: "n", count: 127)
        let runtime = try CRuntime(
            """
            version: "1.0"
            namespace: \(long)
            entries:
              - { name: \(long), kind: process.host, lifecycle: { auto_start: true } }
              - { name: p, kind: process.lua, method: main, source: "return { main = function() process.registry.register('me') process.inbox():receive() end }" }

            """)
        let pid = try runtime.spawn("\(long):p")
        let text = runtime.text(of: pid)
        #expect(text.hasPrefix("{\(long):\(long)|0x"))
        var found: obhut_pid = 0
        try c { obhut_pid_resolve(runtime.handle, text, &found, $0) }
        #expect(found == pid)
        #expect(eventually { obhut_pid_resolve(runtime.handle, "me", &found, nil) == OBHUT_OK })
        #expect(found == pid)
        // Cut where there is no room.
        var small = [CChar](repeating: 1, count: 6), length = 0
        #expect(obhut_pid_text(runtime.handle, pid, &small, 6, &length) == OBHUT_LIMIT)
        #expect(length == text.utf8.count)
        #expect(small[5] == 0)
        try c { obhut_terminate(runtime.handle, pid, $0) }
        #expect(eventually { runtime.counters.processes == 0 })
        for name in [text, "me", "", "{", "{}", "{|0x00000}", "{obhut:port|0x00000}", "{a:b|0x1234567890123}", "@x"] {
            #expect(status { obhut_pid_resolve(runtime.handle, name, &found, $0) } == OBHUT_NOT_FOUND, "\(name)")
            #expect(found == 0)
        }
        // The pid that this place will have next is nobody's yet.
        let next = runtime.text(of: pid + 1 << 24)
        #expect(status { obhut_pid_resolve(runtime.handle, next, &found, $0) } == OBHUT_NOT_FOUND)
    }
}

/// A folder that is removed at the end of a test.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "obhut-cabi-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws {
        let file = URL(fileURLWithPath: path).appendingPathComponent(name)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try text.write(to: file, atomically: true, encoding: .utf8)
    }
}

/// For a signal handler, which captures nothing.
private let crashesSeen = Counter()
