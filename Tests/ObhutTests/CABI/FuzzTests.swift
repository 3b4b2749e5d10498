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
/// What is checked: nothing crashes or hangs, out-parameters are written, statuses are known ones, and at the end
/// every runtime stops with nothing left. Run it with the sanitizers to see more.
@Suite struct FuzzTests {
    private static func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    private static let yaml = application(
        host: "{ workers: 2, max_processes: 200, mailbox_limit: 100 }",
        [
            ("echo", "while true do local m = process.inbox():receive() m:reply(m:payload():data()) process.send(m:from() or 'none', 'back', 1) end"),
            ("returns", "return ..."),
            ("raises", "error('raised')"),
            ("spawns", "process.spawn_linked('app:resize', 'test:host') process.inbox():receive()"),
            ("polite", "process.events():receive()"),
        ], more: "  - { name: worker, kind: process.external }\n")

    /// Handles that all threads use, freed ones among them.
    private final class Pool: @unchecked Sendable {  // guarded by lock
        private let lock = Lock()
        private var handles: [OpaquePointer?] = [nil]
        private let isBounded: Bool

        init(isBounded: Bool = true) { self.isBounded = isBounded }

        var all: [OpaquePointer?] { lock.with { handles } }

        func add(_ handle: OpaquePointer?) {
            guard let handle else { return }
            lock.with {
                handles.append(handle)
                if isBounded, handles.count > 64 { handles.remove(at: 1) }
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

    private final class World: Sendable {
        let runtimes = Pool(isBounded: false), ports = Pool()
        let pids = PidPool()
        let unknown = Counter()
    }

    private final class PidPool: @unchecked Sendable {  // guarded by lock
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

    /// One thread: what belongs to one thread at a time is its own.
    private struct Caller {
        var random: RandomSource
        let world: World
        var messages: [OpaquePointer?] = [nil]
        var infos: [OpaquePointer?] = [nil]
        var configs: [OpaquePointer?] = [nil]

        init(_ world: World, seed: UInt64) {
            self.world = world
            random = RandomSource(seed: seed)
        }

        mutating func pick(_ count: Int) -> Int { Int(random.next() >> 8) % count }
        mutating func port() -> OpaquePointer? { world.ports.any(&random) }
        mutating func runtime() -> OpaquePointer? { world.runtimes.any(&random) }
        mutating func pid() -> obhut_pid { world.pids.any(&random) }
        mutating func one(_ handles: [OpaquePointer?]) -> OpaquePointer? {
            // Another kind of handle now and then.
            pick(30) == 0 ? port() : handles[pick(handles.count)]
        }
        mutating func text() -> String? {
            let texts: [String?] = [
                "test:echo", "test:returns", "test:raises", "test:spawns", "test:polite", "app:resize", "test:worker",
                "app:resize", "test:host", "name", "topic", "", "@start app:resize", "{test:host|0x00001}", nil,
                String(repeating: "x", count: 300),
            ]
            return texts[pick(texts.count)]
        }
        mutating func payload() -> [UInt8] {
            let payloads: [[UInt8]] = [
                [0xc0], [1], [0x90], [0x91, 1], [0x93, 1, 2, 3], [], [0x92], [0xc1], [0xa3, 0x61, 0x62, 0x63],
                encoded { ErrorValue(kind: "X", message: "y").write(into: &$0) }, [0xc4, 0xff],
                [0xc5, 4, 0] + [UInt8](repeating: 7, count: 1024),
            ]
            return payloads[pick(payloads.count)]
        }
        mutating func timeout() -> Int64 { [0, 1, 1000, 200_000, .min][pick(4)] }
        mutating func keep(_ handle: OpaquePointer?, _ list: WritableKeyPath<Caller, [OpaquePointer?]>) {
            guard let handle else { return }
            self[keyPath: list].append(handle)
        }

        mutating func check(_ status: obhut_status) {
            if status > 0 || status < OBHUT_FORKED { world.unknown.increment() }
        }

        mutating func step() {
            let (bytes, pid, topic) = (payload(), pid(), text())
            let entry = text(), host = pick(3) == 0 ? text() : nil
            var error: OpaquePointer?
            var handle = OpaquePointer(bitPattern: 0xdead)
            var made: obhut_pid = 7, number: UInt64 = 7, count = 7
            switch pick(44) {
            case 0, 1, 2:
                check(obhut_port_create(runtime(), &handle, &error))
                world.ports.add(handle)
                if handle != nil { world.pids.add(obhut_port_pid(handle)) }
            case 3, 4: check(obhut_spawn(runtime(), entry, host, bytes, bytes.count, &made, &error)); world.pids.add(made)
            case 5, 6, 7, 8, 9:
                check(obhut_port_spawn(port(), entry, host, bytes, bytes.count, UInt32(pick(5)), &made, &error))
                world.pids.add(made)
            case 10: check(obhut_send(runtime(), pid, topic, bytes, bytes.count, &error))
            case 11, 12: check(obhut_port_send(port(), pid, topic, bytes, bytes.count, &error))
            case 13: check(obhut_cancel(runtime(), pid, Int64(pick(3)) * 1_000_000, &error))
            case 14: check(obhut_terminate(runtime(), pid, &error))
            case 15: check(obhut_port_monitor(port(), pid, &error))
            case 16: check(obhut_port_unmonitor(port(), pid, &error))
            case 17: check(obhut_port_link(port(), pid, &error))
            case 18: check(obhut_port_unlink(port(), pid, &error))
            case 19, 20, 21, 22, 23, 24:
                check(obhut_port_receive(port(), timeout(), &handle, &error))
                keep(handle, \.messages)
            case 25: check(obhut_port_wake(port()))
            case 26: obhut_port_free(port())
            case 27: check(obhut_port_request(port(), pid, topic, bytes, bytes.count, Int64(pick(3)) * 100_000 - 1, &number, &error))
            case 28:
                check(obhut_request(runtime(), pid, topic, bytes, bytes.count, Int64(pick(2)) * 300_000, &handle, &error))
                keep(handle, \.messages)
            case 29: check(obhut_name_register(runtime(), topic, pid, &error))
            case 30: check(obhut_name_unregister(runtime(), topic, &error))
            case 31: check(obhut_pid_resolve(runtime(), topic, &made, &error))
            case 32: check(obhut_runtime_define(runtime(), entry, port(), &error))
            case 33, 34, 35:
                check(obhut_message_take_port(one(messages), &handle, &error))
                world.ports.add(handle)
            case 36: check(obhut_message_reply(one(messages), bytes, bytes.count, &error))
            case 37: check(obhut_message_reply_error_object(one(messages), bytes, bytes.count, &error))
            case 38:
                let message = one(messages)
                _ = Received(message)  // frees it
            case 39: check(obhut_port_end(port(), bytes, bytes.count, &error))
            case 40: check(obhut_port_fail(port(), topic, entry, &error))
            case 41:
                check(obhut_port_trap_links(port(), Int32(pick(4)), &error))
                check(obhut_port_ready(port(), nil))
            case 42:
                check(obhut_runtime_info(runtime(), Int32(pick(4)), &handle, &error))
                keep(handle, \.infos)
                let info = one(infos)
                _ = (obhut_info_count(info), String(cString: obhut_info_text(info, pick(5), Int32(pick(8)))))
                obhut_info_free(info)
                check(obhut_process_info(runtime(), pid, &handle, nil))
                obhut_info_free(handle)
                check(obhut_runtime_pids(runtime(), nil, 0, &count, nil))
            default:
                switch pick(12) {
                case 0: makeRuntime()
                case 1: check(obhut_runtime_stop(runtime(), timeout(), &error))
                case 2: obhut_runtime_free(runtime())
                case 3: keep(obhut_config_new(), \.configs)
                case 4: check(obhut_config_set_seed(one(configs), 1)); obhut_config_free(one(configs))
                default:
                    var text: UnsafeMutablePointer<CChar>?
                    check(obhut_runtime_read_log(runtime(), &text, &count, nil))
                    obhut_bytes_free(text)
                }
            }
            if handle == OpaquePointer(bitPattern: 0xdead) { handle = nil }
            if error != nil, String(cString: obhut_error_text(error)).isEmpty { world.unknown.increment() }
            obhut_error_free(error)
            while messages.count > 16 { obhut_message_free(messages.remove(at: 1)) }
            while infos.count > 4 { obhut_info_free(infos.remove(at: 1)) }
            while configs.count > 4 { obhut_config_free(configs.remove(at: 1)) }
        }

        mutating func makeRuntime() {
            var runtime: OpaquePointer?
            check(obhut_runtime_create(nil, &runtime, nil))
            if pick(4) > 0 {
                var yaml = FuzzTests.yaml
                yaml.withUTF8 { utf8 in
                    utf8.withMemoryRebound(to: CChar.self) {
                        check(obhut_runtime_load_text(runtime, $0.baseAddress, $0.count, nil))
                    }
                }
            }
            check(obhut_runtime_start(runtime, OBHUT_START_ALL, nil))
            var port: OpaquePointer?
            check(obhut_port_create(runtime, &port, nil))
            check(obhut_runtime_define(runtime, "app:resize", port, nil))
            world.ports.add(port)
            world.runtimes.add(runtime)
        }

        mutating func free() {
            messages.forEach { obhut_message_free($0) }
            infos.forEach { obhut_info_free($0) }
            configs.forEach { obhut_config_free($0) }
        }
    }

    @Test func randomCallsAreSurvived() {
        let seed = Self.number("OBHUT_FUZZ_SEED") ?? UInt64(monotonicNow())
        let threads = Int(Self.number("OBHUT_FUZZ_THREADS") ?? 3)
        let seconds = Self.number("OBHUT_FUZZ_SECONDS")
        let calls = rounds(3000, atLeast: 300)
        print("FuzzTests: OBHUT_FUZZ_SEED=\(seed) OBHUT_FUZZ_THREADS=\(threads)")
        let world = World()
        var first = Caller(world, seed: seed)
        for _ in 0..<2 { first.makeRuntime() }
        let until = seconds.map { monotonicNow() + Int64($0) * oneSecond }
        let made = Counter()
        together(threads) { index in
            var caller = Caller(world, seed: seed &+ UInt64(index) &* 7919)
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
        #expect(made.count == threads && world.unknown.count == 0, "seed \(seed)")
        for runtime in world.runtimes.all {
            if obhut_runtime_stop(runtime, 0, nil) == OBHUT_OK {
                var counters = obhut_counters()
                counters.struct_size = MemoryLayout<obhut_counters>.size
                #expect(obhut_runtime_counters(runtime, &counters, nil) == OBHUT_OK)
                #expect(counters.processes == 0, "seed \(seed)")
            }
            obhut_runtime_free(runtime)
        }
        for port in world.ports.all { obhut_port_free(port) }
    }
}
