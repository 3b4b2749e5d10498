import CNative
import CObhut
import Foundation
import Glibc
import Testing

@testable import Obhut

/// Functions that want more than there is, and such as leave something behind: Tests/Native/greedy.c.
@Suite struct NativeLimitTests {
    private static let library = CompiledLibrary.path("greedy.c")

    private func define(
        _ native: NativeRuntime, _ symbol: String, _ signature: String, _ isolation: NativeIsolation = .process,
        mode: NativeMode = .function, memoryLimit: Int? = nil, cpuLimit: Int64? = nil
    ) -> ProcessDefinition {
        native.define(
            "t:\(symbol)", symbol, signature, isolation, mode: mode, library: Self.library, memoryLimit: memoryLimit, cpuLimit: cpuLimit)
    }

    /// Semantics M1: refused, however long, and the function goes on.
    @Test(arguments: [NativeIsolation.process, .thread]) func aMessageThatIsTooLargeIsRefused(_ isolation: NativeIsolation) {
        withNativeRuntime { $0.maxMessage = 1 << 20 } _: { native in
            let sends = define(native, "sends_much", "tcl", isolation)
            #expect(native.run(sends, [.int(1 << 19)]) == #"value "0 |0""#)
            for size in [1 << 20, 1 << 21, 40 << 20] as [Int64] {
                let end = native.run(sends, [.int(size)])
                #expect(end.hasPrefix("value \"\(OBHUT_LIMIT) the payload "), "\(size): \(end)")
                #expect(end.contains("max_message is 1048576") && end.hasSuffix(#"|0""#), "\(size): \(end)")
            }
        }
    }

    @Test(arguments: [NativeIsolation.process, .thread]) func aResultThatIsTooLargeIsAnError(_ isolation: NativeIsolation) {
        withNativeRuntime { $0.maxMessage = 1 << 20 } _: { native in
            let returns = define(native, "returns_much", "tcl", isolation)
            #expect(native.run(returns, [.int(1 << 19)]).hasPrefix("value "))
            for size in [1 << 20, 1 << 21] as [Int64] {
                #expect(
                    native.run(returns, [.int(size)])
                        == "error the result of returns_much has \(size + 5) bytes; max_message is 1048576")
            }
        }
    }

    @Test func aResultOfAHandlerThatIsTooLargeIsAnError() {
        withNativeRuntime { $0.maxMessage = 1 << 20 } _: { native in
            let pid = native.spawn(define(native, "greedy_handler", "v", .thread, mode: .handler))
            native.send(pid, "much")
            #expect(native.next() == .exit(pid, "the result of greedy_handler has 2097157 bytes; max_message is 1048576", isError: true))
        }
    }

    /// Semantics F4: a message that has been taken for it and cannot be given to it is not passed over.
    @Test func aMessageThatThereIsNoMemoryForEndsIt() {
        if obh_has_address_sanitizer() { return }  // its shadow is larger than any limit
        withNativeRuntime { native in
            let pid = native.spawn(define(native, "receives_without_memory", "tc", memoryLimit: 8 << 20))
            native.send(pid, "begin")
            native.send(pid, "much", .string(String(repeating: "x", count: 4 << 20)))
            guard case .exit(pid, let text, true) = native.next() else {
                Issue.record("it goes on")
                return
            }
            #expect(text.hasPrefix("ended in receives_without_memory (OS process "))
            #expect(text.hasSuffix("): its memory_limit of 8MiB has left no memory for a message to it"))
        }
    }

    /// What it has left behind holds up neither the others nor the stop.
    @Test func whatIsLeftBehindAndWritesIsNotReadForEver() {
        withNativeRuntime { native in
            #expect(native.run(define(native, "leaves_a_writer", "tc")) == "value null")
            #expect(native.run(native.define("t:add", "add", "lll"), [.int(1), .int(2)]) == "value 3")
        }
    }

    @Test func aThreadThatReadsDoesNotHoldUpTheEnd() {
        withNativeRuntime { native in
            #expect(native.run(define(native, "returns_while_a_thread_reads", "tc")) == #"value "returned""#)
            #expect(native.printed == "printed before the end\n")
        }
    }

    /// `pthread_exit`, on a thread of the pool: an end like any other, and the pool knows that the thread is gone.
    @Test(.disabled(if: obh_has_address_sanitizer(), "what the frames of such a thread held is lost, which is a leak to it"))
    func aThreadThatIsEndedIsTheEndOfItsProcess() {
        withNativeRuntime { native in
            let ends = define(native, "ends_its_thread", "tc", .thread)
            for _ in 0..<3 { #expect(native.run(ends) == "error ends_its_thread has ended its thread without returning") }
            #expect(native.execution.zombies.load(ordering: .relaxed) == 0)
            #expect(native.run(native.define("t:add", "add", "lll", .thread), [.int(1), .int(2)]) == "value 3")
        }
    }

    @Test func anExceptionThatLeavesAnInitIsItsFailure() {
        withNativeRuntime { native in
            let one = native.define("t:one", "one", "i", .thread, library: CompiledLibrary.path("unlucky.cpp"))
            for _ in 0..<2 {
                #expect(
                    native.run(one)
                        == "error the plugin unlucky 1 could not be initialized: a C++ exception has left the function: std::runtime_error: no luck")
            }
        }
    }

    /// However soon it ends, that is what is told: while it is being told what to run, or before it is heard at all.
    @Test func aWorkerThatEndsAtOnceIsSaid() {
        withNativeRuntime(worker: "/bin/true") { native in
            let add = native.define("t:add", "add", "lll")
            for _ in 0..<scaled(200) {
                let end = native.run(add, [.int(1), .int(2)])
                #expect(end.contains("exited with status 0 in add") || end.contains("has ended at once"), "\(end)")
            }
        }
    }

    /// The child has a copy of the runtime's memory and none of its threads: it waits for nobody.
    @Test(arguments: [NativeIsolation.process, .thread], [0, 1] as [Int64])
    func aForkedChildHasNoContext(_ isolation: NativeIsolation, returns: Int64) {
        withNativeRuntime { native in
            let answers = Array(repeating: "\(OBHUT_FORKED)", count: 4).joined(separator: " ")
            #expect(native.run(define(native, "forks", "tci", isolation), [.int(returns)]) == "value \"\(answers)\"")
            #expect(!native.log.contains { $0.message == "from the child" })
        }
    }

    /// A SIGKILL from elsewhere, as of the system when memory runs out.
    @Test func aKillFromElsewhereIsNoLimit() {
        withNativeRuntime { native in
            let end = native.run(define(native, "kills_itself", "v", cpuLimit: 3_600_000 * ms))
            #expect(end.hasPrefix("error killed by SIGKILL in kills_itself (OS process ") && !end.contains("cpu_limit"))
        }
    }

    /// Semantics P7: over for all others at once, also where its code cannot be stopped.
    @Test func aHandlerThatIsOverSendsNothing() {
        withNativeRuntime { native in
            let pid = native.spawn(define(native, "greedy_handler", "v", .thread, mode: .handler))
            native.send(pid, "die")
            #expect(native.next() == .exit(pid, "terminated", isError: true))
            #expect(native.run(define(native, "last_status", "i", .thread)) == "value \(OBHUT_TERMINATED)")
            #expect(native.isQuiet)
        }
    }

    /// What has not begun when the runtime stops is not begun: it might never return.
    @Test func threadsBeginNothingWhenTheyAreClosed() {
        for _ in 0..<scaled(50) {
            let threads = NativeThreads()
            let isIdle = DispatchSemaphore(value: 0)
            let gate = DispatchSemaphore(value: 0)
            let closed = DispatchSemaphore(value: 0)
            #expect(threads.run { isIdle.signal() })
            isIdle.wait()
            #expect(threads.run { gate.wait() })
            Thread.detachNewThread {
                threads.close()
                closed.signal()
            }
            // Begun before, it is left alone; else it was dropped.
            #expect(closed.wait(timeout: .now() + 20) == .success)
            gate.signal()
        }
    }
}
