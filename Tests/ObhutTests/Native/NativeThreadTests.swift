import CNative
import CObhut
import Foundation
import Glibc
import Synchronization
import Testing

@testable import Obhut

/// Functions on threads of this address space, and handlers on the workers.
@Suite struct NativeThreadTests {
    @Test func aFunctionRunsAndItsResultIsTheValueOfItsEnd() {
        withNativeRuntime { native in
            #expect(native.run(native.define("t:add", "add", "lll", .thread), [.int(40), .int(2)]) == "value 42")
            #expect(native.run(native.define("t:pid", "pid_of_os", "l", .thread)) == "value \(getpid())")
            #expect(native.run(native.define("t:ok", "has_result", "tc", .thread)) == #"value ["a",-5]"#)
            #expect(native.run(native.define("t:fails", "fails", "tcs", .thread), [.string("no paper")]) == "error no paper")
        }
    }

    @Test func theContextDoesAllThatAProcessCan() {
        withNativeRuntime { native in
            let echo = native.spawn(native.define("t:echo", "echo", "tc", .thread))
            _ = native.define("t:os", "pid_of_os", "l", .thread)
            let everything = native.define("t:all", "everything", "tcss", .thread)
            let text = native.system.text(of: echo)
            #expect(native.run(everything, [.string(text), .string("t:os")]) == "value null")
            #expect(native.run(native.define("t:old", "old_event", "tc", .thread)) == "value null")
        }
    }

    /// More that block than there are workers, and the others do not wait for them. Terminate is told at once, and the
    /// thread is a zombie until it asks something.
    @Test func whatBlocksDelaysNobodyAndEndsAtOnceForItsWatchers() {
        var toThread: [Int32] = [0, 0]
        var fromThread: [Int32] = [0, 0]
        #expect(pipe(&toThread) == 0 && pipe(&fromThread) == 0)
        defer { for descriptor in toThread + fromThread { close(descriptor) } }
        withNativeRuntime { native in
            let blocks = native.define("t:blocks", "blocks", "tcii", .thread)
            let pids = (0..<8).map { _ in
                native.spawn(blocks, [.int(Int64(toThread[0])), .int(Int64(fromThread[1]))])
            }
            var status: Int32 = 0
            for _ in pids { #expect(read(fromThread[0], &status, 4) == 4 && status == 1) }
            let echo = native.spawn(native.define("t:echo", "echo", "tc", .thread))
            for number in 0..<100 {
                native.send(echo, "n", .int(Int64(number)))
                #expect(native.next() == .message(echo, "n", "\(number)"))
            }
            for pid in pids { #expect(native.system.terminate(pid, from: native.pid)) }
            var ended: Set<Pid> = []
            for _ in pids {
                guard case .exit(let pid, "terminated", true) = native.next() else {
                    Issue.record("no EXIT")
                    return
                }
                ended.insert(pid)
            }
            #expect(ended == Set(pids))
            #expect(native.execution.zombies.load(ordering: .relaxed) == 8)
            var bytes = [UInt8](repeating: 0, count: 8)
            #expect(write(toThread[1], &bytes, 8) == 8)
            for _ in 0..<8 {
                #expect(read(fromThread[0], &status, 4) == 4)
                #expect(status == OBHUT_TERMINATED)
            }
            #expect(native.execution.zombies.load(ordering: .relaxed) == 0)
        }
    }

    /// A stop does not wait for code that does not return; what it asks afterwards touches nothing.
    @Test func aZombieOutlivesTheRuntime() {
        var toThread: [Int32] = [0, 0]
        var fromThread: [Int32] = [0, 0]
        #expect(pipe(&toThread) == 0 && pipe(&fromThread) == 0)
        defer { for descriptor in toThread + fromThread { close(descriptor) } }
        withNativeRuntime { native in
            let blocks = native.define("t:blocks", "blocks", "tcii", .thread)
            _ = native.spawn(blocks, [.int(Int64(toThread[0])), .int(Int64(fromThread[1]))])
            var status: Int32 = 0
            #expect(read(fromThread[0], &status, 4) == 4 && status == 1)
        }
        var byte: UInt8 = 0
        #expect(write(toThread[1], &byte, 1) == 1)
        var status: Int32 = 0
        #expect(read(fromThread[0], &status, 4) == 4)
        #expect(status == OBHUT_TERMINATED)
    }

    @Test(arguments: 1...UInt64(scaled(40, atLeast: 4)))
    func endsAndRequestsCrossInAnyOrder(_ seed: UInt64) {
        var random = RandomSource(seed: seed)
        withNativeRuntime { native in
            let echo = native.define("t:echo", "echo", "tc", .thread)
            for _ in 0..<20 {
                let pid = native.spawn(echo)
                for _ in 0..<random.below(30) { _ = native.system.sendText(from: .none, to: pid, "x") }
                for _ in 0..<random.below(3000) { _ = random.next() }
                _ = native.system.terminate(pid, from: native.pid)
                #expect(native.next() == .exit(pid, "terminated", isError: true))
            }
            #expect(native.isQuiet)
        }
    }
}

/// Mode handler.
@Suite struct NativeHandlerTests {
    private func handler(_ native: NativeRuntime) -> ProcessDefinition {
        native.define("t:counter", "counter_handler", "v", .thread, mode: .handler)
    }

    @Test func eventsComeToHandleOneAtATime() {
        withNativeRuntime { native in
            let pid = native.spawn(handler(native))
            for _ in 0..<1000 { native.send(pid, "add") }
            native.send(pid, "get")
            #expect(native.next() == .message(pid, "count", "1000"))
            native.send(pid, "wait")
            native.send(pid, "calls")
            native.send(pid, "end", .int(12))
            #expect(native.next() == .exit(pid, "12", isError: false))
        }
    }

    /// What comes while it handles, and is let in by a call of its own, is handled too.
    @Test func nothingThatComesMeanwhileIsForgotten() {
        withNativeRuntime { native in
            let pid = native.spawn(handler(native))
            for _ in 0..<3 {
                native.send(pid, "to itself")
                #expect(native.next() == .message(pid, "told", "null"))
            }
        }
    }

    @Test func itFailsIsCancelledAndTerminated() {
        withNativeRuntime { native in
            var pid = native.spawn(handler(native))
            native.send(pid, "fail")
            #expect(native.next() == .exit(pid, "it was told to fail", isError: true))
            pid = native.spawn(handler(native))
            #expect(native.system.cancel(pid, from: native.pid, timeout: 60_000 * ms))
            #expect(native.next() == .exit(pid, "null", isError: false))
            pid = native.spawn(handler(native))
            native.send(pid, "terminate")
            #expect(native.next() == .exit(pid, "terminated", isError: true))
            pid = native.spawn(handler(native), [.int(1)])
            #expect(native.next() == .exit(pid, "it takes no arguments", isError: true))
            pid = native.spawn(handler(native))
            let watched = native.spawn(native.define("t:add", "add", "lll", .thread), [.int(1), .int(2)], options: [])
            _ = watched
            native.send(pid, "end")
            #expect(native.next() == .exit(pid, "null", isError: false))
        }
    }

    /// H3, of native code: one that asks now and then learns that it has to end.
    @Test(arguments: ["until told", "until stopped"]) func whoHoldsTheLastWorkerIsEndedAtItsStepLimit(topic: String) {
        withNativeRuntime(workers: 1, { ($0.spareWorkers, $0.stepLimit) = (0, 20 * ms) }) { native in
            let pid = native.spawn(handler(native)), other = native.spawn(handler(native))
            native.send(pid, topic)
            native.send(other, "get")
            #expect(native.next() == .exit(pid, "held a worker for 20ms in counter_handler", isError: true))
            #expect(native.next() == .message(other, "count", "0"))
            #expect(native.isQuiet)
        }
    }

    @Test(arguments: ["until told", "until stopped"]) func whoIsTerminatedLearnsItFromWhatItAsks(topic: String) {
        withNativeRuntime { native in
            let pid = native.spawn(handler(native))
            native.send(pid, topic)
            #expect(native.system.terminate(pid, from: native.pid))
            #expect(native.next() == .exit(pid, "terminated", isError: true))
            #expect(native.isQuiet)
        }
    }

    @Test func whoIsCancelledLearnsItBeforeItHandlesIt() {
        withNativeRuntime { native in
            let pid = native.spawn(handler(native))
            native.send(pid, "until stopped")
            #expect(native.system.cancel(pid, from: native.pid, timeout: 3_600_000 * ms))
            #expect(native.next() == .exit(pid, "null", isError: false))
            #expect(native.isQuiet)
        }
    }

    /// A function that asks nothing is left alone until it returns, on a worker that a spare one stands in for.
    @Test func whoSpinsHoldsItsWorkerAndNoOther() throws {
        var text = [CChar](repeating: 0, count: 1024)
        let library = try #require(obn_library_open(NativeFixtures.faulty, &text, text.count))
        let mayReturn = try #require(obn_library_data(library, "counters_may_return", &text, text.count))
        let spinning = try #require(obn_library_data(library, "counters_spinning", &text, text.count))
        withNativeRuntime(workers: 1, { ($0.spareWorkers, $0.stepLimit) = (1, 20 * ms) }) { native in
            let pid = native.spawn(handler(native)), other = native.spawn(handler(native))
            native.send(pid, "spin")
            #expect(eventually { spinning.load(as: Int32.self) == 1 })
            native.send(other, "get")
            #expect(native.next() == .message(other, "count", "0"))
            #expect(native.system.terminate(pid, from: native.pid))
            native.send(other, "get")
            #expect(native.next() == .message(other, "count", "0"))
            #expect(native.isQuiet)
            mayReturn.assumingMemoryBound(to: Int32.self).pointee = 1
            #expect(native.next() == .exit(pid, "terminated", isError: true))
        }
    }

    @Test func aStructThatIsNoneIsRefused() {
        withNativeRuntime { native in
            let other = native.define("t:other", "handler_of_another_size", "v", .thread, mode: .handler)
            #expect(native.run(other).hasPrefix("error t:other: handler_of_another_size is no obhut_handler of this version"))
            let missing = native.define("t:missing", "no_such_handler", "v", .thread, mode: .handler)
            #expect(native.run(missing).contains("no_such_handler"))
        }
    }
}
