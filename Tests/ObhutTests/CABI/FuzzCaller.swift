import Glibc
import ObhutHeader

@testable import Obhut

/// The calls of one thread; what belongs to one thread at a time is its own.
struct FuzzCaller {
    var random: RandomSource
    let world: FuzzTests.World
    var messages: [OpaquePointer?] = [nil]
    var infos: [OpaquePointer?] = [nil]
    var configs: [OpaquePointer?] = [nil]

    init(_ world: FuzzTests.World, seed: UInt64) {
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
            "test:thread", "test:child", "test:adds", "test:crashes", "test:spins", "test:described", "test:calls",
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
    mutating func keep(_ handle: OpaquePointer?, _ list: WritableKeyPath<FuzzCaller, [OpaquePointer?]>) {
        guard let handle else { return }
        self[keyPath: list].append(handle)
    }

    mutating func check(_ status: obhut_status) {
        if status > 0 || status < OBHUT_FORKED { world.faults.increment() }
    }

    mutating func step() {
        let (bytes, pid, topic) = (payload(), pid(), text())
        let entry = text(), host = pick(3) == 0 ? text() : nil
        var error: OpaquePointer?
        var handle = OpaquePointer(bitPattern: 0xdead)
        var made: obhut_pid = 7, number: UInt64 = 7, count = 7
        switch pick(50) {
        case 0, 1, 2:
            check(obhut_port_create(runtime(), &handle, &error))
            world.add(port: handle)
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
        case 48: define(entry)
        case 33, 34, 35:
            check(obhut_message_take_port(one(messages), &handle, &error))
            world.add(port: handle)
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
        case 43: supervise()
        case 44: readCrashes()
        case 45: configure()
        case 46: convert(bytes)
        case 47: look(at: one(messages))
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
                text = nil
                check(obhut_runtime_read_output(runtime(), &text, &count, nil))
                obhut_bytes_free(text)
            }
        }
        if handle == OpaquePointer(bitPattern: 0xdead) { handle = nil }
        if error != nil, String(cString: obhut_error_text(error)).isEmpty { world.faults.increment() }
        obhut_error_free(error)
        while messages.count > 16 { obhut_message_free(messages.remove(at: 1)) }
        while infos.count > 4 { obhut_info_free(infos.remove(at: 1)) }
        while configs.count > 4 { obhut_config_free(configs.remove(at: 1)) }
    }

    mutating func makeRuntime(_ given: OpaquePointer? = nil) {
        let own = given == nil ? obhut_config_new() : nil
        let config = given ?? own
        check(obhut_config_allow_native(config, CompiledLibrary.folder + "/", nil))
        check(obhut_config_set_worker(config, NativeFixtures.worker))
        var runtime: OpaquePointer?
        check(obhut_runtime_create(config, &runtime, nil))
        obhut_config_free(own)
        if pick(4) > 0 {
            var yaml = FuzzTests.yaml
            yaml.withUTF8 { utf8 in
                utf8.withMemoryRebound(to: CChar.self) {
                    let status = obhut_runtime_load_text(runtime, $0.baseAddress, $0.count, nil)
                    check(status)
                    // Without its programs nothing below is worth much.
                    if own != nil, status != OBHUT_OK { world.faults.increment() }
                }
            }
        }
        check(obhut_runtime_start(runtime, OBHUT_START_ALL, nil))
        var port: OpaquePointer?
        check(obhut_port_create(runtime, &port, nil))
        check(obhut_runtime_define(runtime, "app:resize", port, nil))
        world.add(port: port)
        world.add(runtime: runtime)
    }

    mutating func free() {
        messages.forEach { obhut_message_free($0) }
        infos.forEach { obhut_info_free($0) }
        configs.forEach { obhut_config_free($0) }
    }
}

// MARK: Supervisors, crash reports, configurations, bytes, messages

extension FuzzCaller {
    /// Of the application's supervisor or of whatever is no supervisor.
    mutating func supervise() {
        let runtime = runtime()
        var supervisor: obhut_pid = 7, made: obhut_pid = 7
        check(obhut_runtime_supervisor(runtime, &supervisor, nil))
        if pick(3) > 0 { check(obhut_pid_resolve(runtime, "test:top", &supervisor, nil)) }
        if pick(4) == 0 { supervisor = pid() }
        let names = ["first", "second", "third", "", nil], specification = payload()
        let name = names[pick(names.count)]
        var bytes: UnsafeMutableRawPointer?, length = -1
        switch pick(6) {
        case 0:
            let child = encoded { writer in
                writer.writeMapHeader(2)
                for text in ["name", "third", "process", "test:polite"] { writer.writeString(text) }
            }
            let chosen = pick(2) == 0 ? child : specification
            check(obhut_supervisor_start_child(runtime, supervisor, chosen, chosen.count, timeout(), &made, nil))
            world.pids.add(made)
        case 1: check(obhut_supervisor_stop_child(runtime, supervisor, name, timeout(), nil))
        case 2:
            check(obhut_supervisor_restart_child(runtime, supervisor, name, timeout(), &made, nil))
            world.pids.add(made)
        case 3: check(obhut_supervisor_children(runtime, supervisor, timeout(), &bytes, &length, nil))
        case 4: check(obhut_supervisor_count(runtime, supervisor, timeout(), &bytes, &length, nil))
        default:
            var text: UnsafeMutablePointer<CChar>?
            check(obhut_runtime_failure(runtime, &text, &length, nil))
            obhut_bytes_free(text)
            text = nil
            check(obhut_runtime_explain(runtime, Int32(pick(4)), &text, &length, nil, nil))
            obhut_bytes_free(text)
        }
        obhut_bytes_free(bytes)
    }

    mutating func readCrashes() {
        var report: OpaquePointer?, after: UInt64 = 0
        let runtime = runtime()
        for _ in 0..<pick(8) {
            check(obhut_runtime_next_crash(runtime, after, &report, nil))
            after = obhut_crash_sequence(report)
            var length = -1, copy: OpaquePointer?
            let json = obhut_crash_json(report, &length)
            // Some of it is missing now and then: no JSON any more, or another number.
            check(obhut_crash_from_json(json, pick(4) == 0 ? pick(length + 1) : length, &copy, nil))
            if String(cString: obhut_crash_text(copy, &length)).utf8.count != length { world.faults.increment() }
            if copy != nil, obhut_crash_pid(copy) == 0, obhut_crash_pid(report) != 0 { world.faults.increment() }
            _ = (String(cString: obhut_crash_entry(report)), String(cString: obhut_crash_error(copy)))
            obhut_crash_free(copy)
            obhut_crash_free(pick(50) == 0 ? port() : report)
        }
    }

    /// Sets something; now and then a runtime is made with it.
    mutating func configure() {
        keep(obhut_config_new(), \.configs)
        let config = one(configs)
        let finalizer: obhut_finalizer = { FuzzTests.World.from($0).finalized.increment() }
        let user = Unmanaged.passUnretained(world).toOpaque()
        let isSet = pick(4) > 0
        switch pick(16) {
        case 12: check(obhut_config_allow_native(config, text(), nil))
        case 13: check(obhut_config_set_worker(config, isSet ? "/nowhere/obhut-worker" : nil))
        case 14: check(obhut_config_set_environment(config, nil))
        case 15: inspect()
        case 0:
            world.registered.increment()
            check(obhut_config_set_output_sink(config, isSet ? { _, _, _ in } : nil, user, finalizer))
        case 1:
            world.registered.increment()
            check(obhut_config_set_log_sink(config, isSet ? { _, _, _, _ in } : nil, user, finalizer))
        case 2:
            world.registered.increment()
            check(obhut_config_set_crash_sink(config, isSet ? { _, _, _ in } : nil, user, finalizer))
        case 3:
            world.registered.increment()
            check(obhut_config_set_crash_redaction(config, isSet ? { _, _, _, _, _, _, _, _ in -1 } : nil, user, finalizer))
        case 4:
            world.registered.increment()
            check(obhut_config_set_input_source(config, isSet ? { _, _, _ in 0 } : nil, user, finalizer))
        case 5: check(obhut_config_set_log_format(config, Int32(pick(5)) - 1))
        case 6: check(obhut_config_set_crash_reports(config, UInt32(truncatingIfNeeded: random.next()), pick(1 << 20)))
        case 7: check(obhut_config_set_crash_messages(config, UInt32(pick(20)), UInt32(pick(20)), pick(5000)))
        case 8: check(obhut_config_set_cloning(config, Int32(pick(2))))
        case 9: check(obhut_config_set_preemption_signal(config, Int32(pick(2)) * 9))
        case 10: check(obhut_config_set_arguments(config, nil, pick(2)))
        default: makeRuntime(config)
        }
    }

    /// A function of this program, on threads that the library makes: it ends by itself, or when it is told to.
    mutating func define(_ entry: String?) {
        let function: obhut_process_function = { _, port, _, _ in
            var message: OpaquePointer?
            if obhut_port_receive(port, -1, &message, nil) == OBHUT_OK { obhut_message_free(message) }
        }
        world.registered.increment()
        check(
            obhut_runtime_define_function(
                runtime(), entry, pick(9) > 0 ? function : nil, Unmanaged.passUnretained(world).toOpaque(),
                { FuzzTests.World.from($0).finalized.increment() }, nil))
    }

    /// Libraries, and files that are none.
    mutating func inspect() {
        let paths = [CompiledLibrary.values, CompiledLibrary.path("described.c"), "/proc/self/maps", "/", "", nil, NativeFixtures.worker]
        var text: UnsafeMutablePointer<CChar>?, length = -1
        let status = obhut_plugin_inspect(paths[pick(paths.count)], Int32(pick(4)) - 1, &text, &length, nil)
        check(status)
        if (text != nil) != (status == OBHUT_OK) { world.faults.increment() }
        obhut_bytes_free(text)
    }

    /// Bytes of any kind, and the one or other of them changed.
    mutating func convert(_ bytes: [UInt8]) {
        var bytes = bytes
        for _ in 0..<pick(3) where !bytes.isEmpty { bytes[pick(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
        var json: UnsafeMutablePointer<CChar>?, payload: UnsafeMutableRawPointer?, length = -1
        let isValid = obhut_payload_check(bytes, bytes.count, nil) == OBHUT_OK
        let status = obhut_payload_to_json(bytes, bytes.count, &json, &length, nil)
        check(status)
        if status == OBHUT_OK {
            if !isValid { world.faults.increment() }
            if obhut_payload_from_json(json, length, &payload, &length, nil) != OBHUT_OK { world.faults.increment() }
        }
        obhut_bytes_free(json)
        obhut_bytes_free(payload)
        payload = nil
        bytes.withUnsafeBytes {
            check(obhut_payload_from_json($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count, &payload, &length, nil))
        }
        obhut_bytes_free(payload)
        var place = [CChar](repeating: 1, count: 32)
        check(obhut_pid_text(runtime(), pid(), &place, pick(place.count), &length))
        let port = port()
        check(obhut_port_fail_object(port, bytes, bytes.count, text(), nil))
        _ = obhut_port_fd(port)
    }

    func look(at message: OpaquePointer?) {
        var length = -1, value: UnsafeRawPointer?, text: UnsafePointer<CChar>?
        _ = (obhut_message_kind(message), obhut_message_from(message), obhut_message_origin(message), obhut_message_hops(message))
        _ = (obhut_message_request(message), obhut_message_status(message), obhut_message_deadline(message))
        if strlen(obhut_message_topic(message, &length)) > 255 { world.faults.increment() }
        if let payload = obhut_message_payload(message, &length), length > 0, obhut_payload_check(payload, length, nil) != OBHUT_OK {
            world.faults.increment()
        }
        _ = obhut_message_result(message, &value, &length, &text)
    }
}
