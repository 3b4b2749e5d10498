import Glibc
import ObhutHeader
import Testing

@testable import Obhut

/// Random calls with random, stale, foreign and NULL arguments, by several threads at once (F1).
///
///     OBHUT_FUZZ_SECONDS=60    how long; default: some thousand calls
///     OBHUT_FUZZ_SEED=1234     of a run to be repeated (it is printed)
///     OBHUT_FUZZ_THREADS=1     default 3; only one thread makes the same calls in the same order
///
/// What is checked: nothing crashes or hangs, out-parameters are written, statuses are known ones, every runtime
/// stops with nothing left, and each finalizer runs once. Run it with the sanitizers to see more.
@Suite struct FuzzTests {
    static func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    static let yaml = application(
        host: "{ workers: 2, max_processes: 200, mailbox_limit: 100 }",
        [
            ("echo", "while true do local m = process.inbox():receive() m:reply(m:payload():data()) process.send(m:from() or 'none', 'back', 1) end"),
            ("returns", "return ..."),
            ("raises", "error('raised')"),
            ("spawns", "process.spawn_linked('app:resize', 'test:host') process.inbox():receive()"),
            ("polite", "process.events():receive()"),
        ],
        more: """
              - { name: worker, kind: process.external }
              - { name: values, kind: library.native, library: "\(CompiledLibrary.values)", functions: { echo_u64: "u64(u64)", echo_u8: "u8(u8)", see_bytes: "string(bytes)" } }
              - { name: thread, kind: process.native, library: "\(NativeFixtures.faulty)", symbol: echo, signature: status(context), isolation: thread }
              - { name: child, kind: process.native, library: "\(NativeFixtures.faulty)", symbol: echo, signature: status(context) }
              - { name: adds, kind: process.native, library: "\(NativeFixtures.faulty)", symbol: add, signature: "i64(i64, i64)", isolation: thread }
              - { name: crashes, kind: process.native, library: "\(NativeFixtures.faulty)", symbol: crash_segv, signature: void() }
              - { name: spins, kind: process.native, library: "\(NativeFixtures.faulty)", symbol: spins, signature: void() }
              - { name: described, kind: process.native, library: "\(CompiledLibrary.path("described.c"))", entry: counter }
              - { name: calls, kind: process.lua, imports: { values: values }, source: "local c = require('values') return { main = function(...) c.echo_u64(1) pcall(c.echo_u8, 256) return c.see_bytes(...) end }" }
              - name: top
                kind: supervisor
                lifecycle: { auto_start: true }
                intensity: { max_restarts: 1000000, max_seconds: 1 }
                children:
                  - { name: first, process: echo }
                  - { name: second, process: raises, restart: { type: permanent, initial_delay: 1ms } }

            """)

    /// Handles that all threads use, freed ones among them.
    final class Pool: @unchecked Sendable {  // guarded by lock
        private let lock = Lock()
        private var handles: [OpaquePointer?] = [nil]
        private let capacity: Int

        init(capacity: Int) { self.capacity = capacity }

        var all: [OpaquePointer?] { lock.with { handles } }

        /// - Returns: what had to make room.
        func add(_ handle: OpaquePointer?) -> OpaquePointer? {
            guard let handle else { return nil }
            return lock.with {
                handles.append(handle)
                return handles.count > capacity ? handles.remove(at: 1) : nil
            }
        }

        func any(_ random: inout RandomSource) -> OpaquePointer? {
            let choice = random.next()
            switch choice % 40 {
            case 0: return nil
            case 1: return OpaquePointer(bitPattern: UInt(truncatingIfNeeded: random.next()))
            default: return lock.with { handles[Int(choice >> 8) % handles.count] }
            }
        }
    }

    final class World: Sendable {
        let runtimes = Pool(capacity: 8), ports = Pool(capacity: 64)
        let pids = PidPool()
        /// Statuses that no header knows, errors without a text, processes that a stop has left.
        let faults = Counter()
        /// Callbacks that were given to the library, and those that it has let go.
        let registered = Counter(), finalized = Counter()

        static func from(_ user: UnsafeMutableRawPointer?) -> World { Unmanaged<World>.fromOpaque(user!).takeUnretainedValue() }

        func add(port: OpaquePointer?) { obhut_port_free(ports.add(port)) }
        func add(runtime: OpaquePointer?) { end(runtimes.add(runtime)) }

        /// Another thread may be in a call of it.
        func end(_ runtime: OpaquePointer?) {
            if obhut_runtime_stop(runtime, 0, nil) == OBHUT_OK {
                var counters = obhut_counters()
                counters.struct_size = MemoryLayout<obhut_counters>.size
                // Freed meanwhile by another: nothing is to be seen.
                if obhut_runtime_counters(runtime, &counters, nil) == OBHUT_OK, counters.processes != 0 { faults.increment() }
            }
            obhut_runtime_free(runtime)
        }
    }

    final class PidPool: @unchecked Sendable {  // guarded by lock
        private let lock = Lock()
        private var pids: [obhut_pid] = [0]
        func add(_ pid: obhut_pid) {
            lock.with {
                pids.append(pid)
                if pids.count > 128 { pids.remove(at: 1) }
            }
        }
        func any(_ random: inout RandomSource) -> obhut_pid {
            let choice = random.next()
            return choice % 30 == 0 ? random.next() : lock.with { pids[Int(choice >> 8) % pids.count] }
        }
    }

    @Test func randomCallsAreSurvived() {
        let seed = Self.number("OBHUT_FUZZ_SEED") ?? UInt64(monotonicNow())
        let threads = Int(Self.number("OBHUT_FUZZ_THREADS") ?? 3)
        let seconds = Self.number("OBHUT_FUZZ_SECONDS")
        let calls = rounds(3000, atLeast: 300)
        print("FuzzTests: OBHUT_FUZZ_SEED=\(seed) OBHUT_FUZZ_THREADS=\(threads)")
        let world = World()
        var first = FuzzCaller(world, seed: seed)
        for _ in 0..<2 { first.makeRuntime() }
        let until = seconds.map { monotonicNow() + Int64($0) * oneSecond }
        let made = Counter()
        together(threads) { index in
            var caller = FuzzCaller(world, seed: seed &+ UInt64(index) &* 7919)
            var count = 0
            while until.map({ monotonicNow() < $0 }) ?? (count < calls) {
                caller.step()
                count += 1
                if count % 500 == 0 { caller.makeRuntime() }
            }
            caller.free()
            made.increment()
        }
        first.free()
        for runtime in world.runtimes.all { world.end(runtime) }
        for port in world.ports.all { obhut_port_free(port) }
        // A runtime that was freed before it had stopped lets go on a thread of its own.
        #expect(eventually { world.finalized.count == world.registered.count }, "seed \(seed)")
        #expect(made.count == threads && world.faults.count == 0, "seed \(seed)")
    }
}
