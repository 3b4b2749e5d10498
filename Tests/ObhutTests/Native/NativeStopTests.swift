import Foundation
import Glibc
import ObhutHeader
import Synchronization
import Testing

@testable import Obhut

/// A runtime stops while native code that runs on its workers does not return (V4): handlers, and C functions that Lua calls in their
/// place. Each test has a library of its own, whose functions stay until the test lets them go.
@Suite struct NativeStopTests {
    /// The functions of Tests/Native/stays.c.
    private struct Stays {
        let path: String
        private let library: UnsafeMutableRawPointer

        /// - Parameter spinning: they compute meanwhile.
        init(_ name: String, spinning: Bool = false) {
            path = CompiledLibrary.path("stays.c", spinning ? ["-D\(name)", "-DSPINS"] : ["-D\(name)"])
            library = dlopen(path, RTLD_NOW | RTLD_LOCAL)!
        }

        private func read(_ symbol: String) -> Int {
            Int(unsafeBitCast(dlsym(library, symbol), to: (@convention(c) () -> Int32).self)())
        }
        var inside: Int { read("stays_inside") }
        var stopped: Int { read("stays_stopped") }
        var told: Int { read("stays_told") }
        var heard: Int { read("stays_heard") }
        func release(_ count: Int = 1) {
            unsafeBitCast(dlsym(library, "stays_release"), to: (@convention(c) (Int32) -> Void).self)(Int32(count))
        }
    }

    /// - Parameter patience: a test does not depend on it: what is not held has its time anew with each step.
    private static func config(_ config: OpaquePointer? = obhut_config_new(), patience: Int = 5) throws -> OpaquePointer? {
        try c { obhut_config_allow_native(config, "/", $0) }
        find(configuration: config)!.change { $0.patience = patience }
        return config
    }

    private static func runtime(
        _ stays: Stays, host: String = "{ workers: 2 }", config given: OpaquePointer? = obhut_config_new(), patience: Int = 5
    ) throws -> (CRuntime, CPort) {
        let config = try config(given, patience: patience)
        defer { obhut_config_free(config) }
        let runtime = try CRuntime(yaml(stays, host), config: config)
        return (runtime, try CPort(runtime))
    }

    private static func yaml(_ stays: Stays, _ host: String = "{ workers: 2 }") -> String {
        var more = "  - { name: library, kind: library.native, library: \(stays.path), functions: { stays_here: \"i32(i32)\" } }\n"
        for (name, symbol) in [("stays", "stays_in_handle"), ("begins", "stays_in_init"), ("stops", "stays_in_stop")] {
            more += "  - { name: \(name), kind: process.native, library: \(stays.path), symbol: \(symbol), mode: handler }\n"
        }
        more += """
              - name: calls
                kind: process.lua
                modules: [logger]
                imports: { library: library }
                source: |
                  local logger = require("logger")
                  local function main(port)
                    require("library").stays_here(1)
                    print("it went on")
                    logger:info("late")
                    process.send(port, "late", 1)
                    process.send(process.pid(), "late", 1)
                    process.spawn_linked_monitored("test:waits", "test:host")
                    process.spawn("test:stays", "test:host")
                    process.monitor(port)
                    process.link(port)
                    process.registry.register("late")
                    process.cancel(process.pid(), "1ms")
                    io.read(1)
                    while true do port = port .. "." end
                  end
                  return { main = main }

            """
        let waits = (name: "waits", body: "process.events():receive()\nprocess.events():receive()")
        let watches = (name: "watches", body: "local pid, port = ...\nassert(process.monitor(pid))\nprocess.send(port, 'watching')\nprocess.events():receive()\nprocess.events():receive()")
        return application(host: host, [waits, watches], more: more)
    }

    /// Stops on a thread of its own. One that does not come back is a failure, and no test that hangs: what it waits for is let go then.
    private static func stop(_ stays: Stays, at once: Int = 1, meanwhile: () throws -> Void = {}, _ stop: @escaping @Sendable () -> Void) {
        let done = Counter()
        let threads = (0..<once).map { _ in
            ProgramThread {
                stop()
                done.increment()
            }
        }
        do { try meanwhile() } catch { Issue.record(error) }
        let hasEnded = eventually(within: 120 * oneSecond) { done.count == once }
        #expect(hasEnded, "the stop does not end")
        if !hasEnded { stays.release(1000) }
        for thread in threads { thread.join() }
    }

    private static func stop(_ stays: Stays, _ runtime: CRuntime, meanwhile: () throws -> Void = {}) {
        stop(stays, meanwhile: meanwhile) { #expect(obhut_runtime_stop(runtime.handle, 0, nil) == OBHUT_OK) }
    }

    /// A handler that has begun: who has not is not stopped either.
    private static func begin(_ entry: String, _ port: CPort, flags: UInt32 = 0) throws -> obhut_pid {
        let pid = try port.spawn(entry, flags: flags)
        try port.send(pid, "begin")
        #expect(try port.receive().topic == "begun")
        return pid
    }

    /// What was left behind ends when it is let go.
    private static func expectEnd(_ runtime: CRuntime, ended: Int) {
        #expect(eventually { runtime.counters.processes == 0 && runtime.counters.zombies == 0 })
        #expect(runtime.counters.ended == UInt64(ended))
    }

    private static func text(_ runtime: CRuntime, _ entry: String, _ pid: obhut_pid, _ symbol: String? = nil) -> String {
        "\(entry) \(runtime.text(of: pid))" + (symbol.map { " in \($0)" } ?? "")
    }

    // MARK: Where it stays

    @Test(arguments: ["{ workers: 2 }", "{ workers: 1, spare_workers: 0 }"]) func inHandle_V4(host: String) throws {
        let stays = Stays(host.contains("2") ? "HANDLE_2" : "HANDLE_1")
        let (runtime, port) = try Self.runtime(stays, host: host)
        let pid = try port.spawn("test:stays")
        try port.send(pid, "stay")
        #expect(eventually { stays.inside == 1 })
        Self.stop(stays, runtime)
        #expect(runtime.counters.processes == 1 && runtime.counters.zombies == 1 && runtime.counters.ended == 0)
        let log = try runtime.readLog()
        let name = Self.text(runtime, "test:stays", pid, "stays_in_handle")
        #expect(log.contains("error: stopped without \(name): its code does not return; its thread stays until it does\n"), "\(log)")
        #expect(port.receiveStatus() == OBHUT_CLOSED)
        // Everything is refused, by a runtime that is there.
        #expect(stays.stopped == 0)
        stays.release()
        Self.expectEnd(runtime, ended: 1)
        #expect(stays.told > 15 && stays.heard == stays.told && stays.stopped == 1)
    }

    @Test func inInit_V4() throws {
        let stays = Stays("INIT")
        let (runtime, port) = try Self.runtime(stays)
        let pid = try port.spawn("test:begins")
        #expect(eventually { stays.inside == 1 })
        Self.stop(stays, runtime)
        #expect(runtime.counters.processes == 1 && runtime.counters.zombies == 1)
        let log = try runtime.readLog()
        #expect(log.contains("stopped without \(Self.text(runtime, "test:begins", pid, "stays_in_init")): "), "\(log)")
        stays.release()
        Self.expectEnd(runtime, ended: 1)
        #expect(stays.told > 15 && stays.heard == stays.told && stays.stopped == 1)
    }

    /// Its process is about to end: it takes no signals any more, and is told all the same.
    @Test func inStop_V4() throws {
        let stays = Stays("STOP")
        let (runtime, port) = try Self.runtime(stays)
        let pid = try port.spawn("test:stops", flags: OBHUT_SPAWN_MONITORED)
        try port.send(pid, "end")
        #expect(eventually { stays.inside == 1 })
        Self.stop(stays, runtime)
        #expect(runtime.counters.processes == 1 && runtime.counters.zombies == 1)
        let log = try runtime.readLog()
        #expect(log.contains("stopped without \(Self.text(runtime, "test:stops", pid, "stays_in_stop")): "), "\(log)")
        stays.release()
        Self.expectEnd(runtime, ended: 1)
        #expect(stays.stopped == 1)
    }

    /// The Lua code does not go on when the function returns, though nobody interrupts it any more; and where it counts its instructions
    /// and so makes some of its calls, these do nothing.
    @Test(arguments: [SIGURG, 0]) func inAFunctionThatLuaCalls_V4(signal: Int32) throws {
        let stays = Stays("LUA_\(signal)")
        let config = obhut_config_new()
        #expect(obhut_config_set_preemption_signal(config, signal) == OBHUT_OK)
        let (runtime, port) = try Self.runtime(stays, config: config)
        let pid = try port.spawn("test:calls", encoded { $0.write(.list([.string(runtime.text(of: port.pid))])) })
        #expect(eventually { stays.inside == 1 })
        Self.stop(stays, runtime)
        #expect(runtime.counters.processes == 1 && runtime.counters.zombies == 1)
        let log = try runtime.readLog()
        #expect(log.contains("stopped without \(Self.text(runtime, "test:calls", pid)) in a function of test:library: "), "\(log)")
        stays.release()
        Self.expectEnd(runtime, ended: 1)
        #expect(try runtime.readOutput() == (signal == 0 ? "it went on\n" : ""))
        #expect(runtime.counters.timers == 0 && runtime.counters.spawned == 1)
    }

    // MARK: The others

    /// One worker, no spare ones: who does not stay ends as ever, its own `stop` is called and a port that watches it is told. The one that
    /// stays is held longer than this takes, however long that is: its time begins anew with each end.
    @Test func allOthersEnd_V4() throws {
        let stays = Stays("OTHERS")
        let (runtime, port) = try Self.runtime(stays, host: "{ workers: 1, spare_workers: 0 }", patience: 50)
        let pid = try port.spawn("test:stays", flags: OBHUT_SPAWN_MONITORED)
        var others = Set<obhut_pid>()
        for _ in 0..<20 {
            others.insert(try port.spawn("test:waits", flags: OBHUT_SPAWN_MONITORED))
            let arguments = encoded { $0.write(.list([.string(runtime.text(of: pid)), .string(runtime.text(of: port.pid))])) }
            others.insert(try port.spawn("test:watches", arguments, flags: OBHUT_SPAWN_MONITORED))
            #expect(try port.receive().topic == "watching")
        }
        // A handler that ends politely or by force is stopped.
        others.insert(try Self.begin("test:stays", port, flags: OBHUT_SPAWN_MONITORED | OBHUT_SPAWN_LINKED))
        try port.send(pid, "stay")
        #expect(eventually { stays.inside == 1 })
        Self.stop(stays, runtime, meanwhile: {
            while !others.isEmpty {
                let exit = try port.receive(120 * oneSecond)
                if exit.kind == OBHUT_MESSAGE_EXIT { #expect(others.remove(exit.from) != nil) }
            }
            #expect(stays.stopped == 1)
        })
        #expect(runtime.counters.processes == 1 && runtime.counters.zombies == 1)
        stays.release()
        Self.expectEnd(runtime, ended: 42)
        #expect(stays.stopped == 2)
    }

    /// Each of them holds a worker, and there are fewer than that.
    @Test(arguments: [false, true]) func twoAtATime_V4(areSpinning: Bool) throws {
        let stays = Stays("TWO", spinning: areSpinning)
        let (runtime, port) = try Self.runtime(stays, host: "{ workers: 1, spare_workers: 0 }")
        let pids = [try Self.begin("test:stays", port), try Self.begin("test:stops", port)]
        try port.send(pids[0], "stay")
        #expect(eventually { stays.inside == 1 })
        // This one begins to stay when the stop ends it, on a worker that is there for that.
        Self.stop(stays, runtime)
        #expect(stays.inside == 2 && runtime.counters.processes == 2 && runtime.counters.zombies == 2)
        let log = try runtime.readLog()
        let names = [Self.text(runtime, "test:stays", pids[0], "stays_in_handle"), Self.text(runtime, "test:stops", pids[1], "stays_in_stop")]
        #expect(log.contains("stopped without \(names[0]), \(names[1]): their code does not return; their threads stay until it does\n"), "\(log)")
        stays.release()
        #expect(eventually { runtime.counters.zombies == 1 && runtime.counters.processes == 1 })
        stays.release()
        Self.expectEnd(runtime, ended: 2)
        #expect(stays.stopped == 2)
    }

    /// More than can be helped: those that nobody ends any more are told, too, and end when somebody comes back.
    @Test func moreThanThreads_V4() throws {
        let stays = Stays("MORE")
        let (runtime, port) = try Self.runtime(stays, host: "{ workers: 1, spare_workers: 0 }")
        for _ in 0..<12 { _ = try Self.begin("test:stops", port) }
        Self.stop(stays, runtime)
        // One worker and eight that help.
        #expect(stays.inside == 9 && runtime.counters.processes == 12 && runtime.counters.zombies == 9)
        let log = try runtime.readLog()
        #expect(log.contains("their threads stay until it does; nor do 3 more end: their host has no thread left for them\n"), "\(log)")
        stays.release(12)
        Self.expectEnd(runtime, ended: 12)
        #expect(stays.stopped == 12)
    }

    @Test func twoStopsAtATime_V4() throws {
        let stays = Stays("STOPS")
        let (runtime, port) = try Self.runtime(stays)
        try port.send(try port.spawn("test:stays"), "stay")
        #expect(eventually { stays.inside == 1 })
        Self.stop(stays, at: 3) { #expect(obhut_runtime_stop(runtime.handle, 0, nil) == OBHUT_OK) }
        #expect(runtime.counters.zombies == 1)
        #expect(try runtime.readLog().split(separator: "\n").count { $0.contains("stopped without") } == 1)
        stays.release()
        Self.expectEnd(runtime, ended: 1)
    }

    /// A supervisor above it, and its own time for a polite end: it is left behind, not they.
    @Test func aServiceThatStays_V4() throws {
        let stays = Stays("SERVICE")
        let config = try Self.config()
        defer { obhut_config_free(config) }
        let runtime = try CRuntime(
            application(more: "  - { name: begins, kind: process.native, library: \(stays.path), symbol: stays_in_init, mode: handler, lifecycle: { auto_start: true, stop_timeout: 10ms } }\n"),
            config: config)
        #expect(eventually { stays.inside == 1 })
        Self.stop(stays) { #expect(obhut_runtime_stop(runtime.handle, -1, nil) == OBHUT_OK) }
        #expect(runtime.counters.processes == 1 && runtime.counters.zombies == 1)
        stays.release()
        #expect(eventually { runtime.counters.processes == 0 && runtime.counters.zombies == 0 })
    }

    // MARK: After the stop

    /// What it comes back to is there, though the program has let go of all; and what the program has given is its own again.
    @Test(arguments: [false, true]) func itComesBackToARuntimeThatWasFreed_V4(isStopped: Bool) throws {
        let stays = Stays(isStopped ? "FREED" : "FREED_RUNNING")
        let sink = OutputTests.Sink()
        let shown = Counter(), finals = Counter()
        let kept: ObjectIdentifier
        do {
            let config = try Self.config(sink.config(output: true, log: true))
            defer { obhut_config_free(config) }
            #expect(obhut_config_set_crash_messages(config, 4, 4, 100) == OBHUT_OK)
            #expect(
                obhut_config_set_crash_redaction(
                    config,
                    { user, _, _, _, _, _, _, _ in
                        Counter.of(user).increment()
                        return -1
                    }, shown.user, { Counter.of($0).add(1000) }) == OBHUT_OK)
            #expect(obhut_config_set_input_source(config, { _, _, _ in 0 }, finals.user, { Counter.of($0).increment() }) == OBHUT_OK)
            var handle: OpaquePointer?
            try c { obhut_runtime_create(config, &handle, $0) }
            let yaml = Self.yaml(stays)
            try c { error in yaml.withCString { obhut_runtime_load_text(handle, $0, strlen($0), error) } }
            try c { obhut_runtime_start(handle, OBHUT_START_ALL, $0) }
            for _ in 0..<2 {
                var pid: obhut_pid = 0
                try c { obhut_spawn(handle, "test:stays", nil, nil, 0, &pid, $0) }
                for topic in ["stay", "unread"] { try c { obhut_send(handle, pid, topic, [0xc0] as [UInt8], 1, $0) } }
            }
            #expect(eventually { stays.inside == 2 })
            let runtime = try find(handle)
            kept = ObjectIdentifier(runtime)
            let bits = UInt(bitPattern: handle)
            if !isStopped { obhut_runtime_free(handle) }
            Self.stop(stays) {
                if isStopped { #expect(obhut_runtime_stop(OpaquePointer(bitPattern: bits), 0, nil) == OBHUT_OK) } else { runtime.stop(timeout: 0) }
            }
            if isStopped { obhut_runtime_free(handle) }
        }
        #expect(sink.all.contains { $0.level == OBHUT_LOG_ERROR && $0.text.contains("stopped without test:stays ") })
        #expect(sink.finals == 2 && finals.count == 1 && shown.count == 1000)
        let runtime = try #require(KeptRuntimes.shared.all.first { ObjectIdentifier($0) == kept })
        let calls = sink.calls.load(ordering: .sequentiallyConsistent)
        stays.release(2)
        #expect(eventually { stays.stopped == 2 && runtime.system.aliveCount == 0 && runtime.scheduler.strandedThreads == 0 })
        #expect(stays.told > 30 && stays.heard == stays.told)
        // Its end was abnormal, and nobody was asked what may be shown of what it had not read.
        #expect(shown.count == 1000 && sink.calls.load(ordering: .sequentiallyConsistent) == calls)
    }

    /// A thread that is left may get the signal after the stop.
    @Test(.disabled(if: isThreadSanitized)) func theHandlerOfTheSignalStays_V4() async {
        await #expect(processExitsWith: .success) {
            let config = obhut_config_new()
            demand(obhut_config_set_preemption_signal(config, SIGUSR2) == OBHUT_OK, "the signal")
            let stays = Stays("SIGNAL")
            let (runtime, port) = try NativeStopTests.runtime(stays, config: config)
            try port.send(try port.spawn("test:stays"), "stay")
            demand(eventually { stays.inside == 1 }, "it does not stay")
            alarm(120)  // one that does not come back is a failure, too
            try runtime.stop(0)
            alarm(0)
            kill(getpid(), SIGUSR2)
            stays.release()
            demand(eventually { runtime.counters.processes == 0 && runtime.counters.zombies == 0 }, "it does not end")
            kill(getpid(), SIGUSR2)
        }
    }

    /// What the program does with a stopped runtime, while something of it is left, is refused as ever.
    @Test func theProgramMayCallOn_V4() throws {
        let stays = Stays("CALLS")
        let (runtime, port) = try Self.runtime(stays)
        let pid = try port.spawn("test:stays")
        try port.send(pid, "stay")
        #expect(eventually { stays.inside == 1 })
        Self.stop(stays, runtime)
        var other: obhut_pid = 0
        #expect(status { obhut_spawn(runtime.handle, "test:waits", nil, nil, 0, &other, $0) } == OBHUT_WRONG_STATE)
        // It has not ended: messages to it wait, and a cancel has no effect any more.
        try runtime.send(pid, "late")
        try c { obhut_cancel(runtime.handle, pid, oneMillisecond, $0) }
        try c { obhut_terminate(runtime.handle, pid, $0) }
        #expect(status { obhut_port_send(port.handle, pid, "late", [0xc0] as [UInt8], 1, $0) } == OBHUT_CLOSED)
        stays.release()
        Self.expectEnd(runtime, ended: 1)
        #expect(status { obhut_terminate(runtime.handle, pid, $0) } == OBHUT_NOT_FOUND)
        #expect(runtime.counters.timers == 0)
    }
}
