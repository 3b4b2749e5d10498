import Foundation
import ObhutHeader
import Testing

@testable import Obhut

/// C_API rule 2: every handle is survivable. One row for each function that takes one.
@Suite struct HandleTests {
    enum Kind: String, CaseIterable { case error, config, runtime, port, message, crash, info }

    struct Row: Sendable, CustomTestStringConvertible {
        let function: String
        let kind: Kind
        /// Calls it with a handle that is none; answers what was wrong with its answer.
        let refuses: @Sendable (OpaquePointer?) -> String?
        var testDescription: String { function }
    }

    /// A function with the last parameter `obhut_error **`.
    private static func reports(
        _ function: String, _ kind: Kind, _ call: @escaping @Sendable (OpaquePointer?, ErrorPlace?) -> obhut_status
    ) -> Row {
        Row(function: function, kind: kind) { handle in
            if call(handle, nil) != OBHUT_INVALID_HANDLE { return "without an error: another status" }
            guard let refusal = refusal({ call(handle, $0) }) else { return "succeeded" }
            if refusal.status != OBHUT_INVALID_HANDLE { return "status \(refusal)" }
            if !refusal.text.contains("not a handle") { return "text \(refusal.text)" }
            return nil
        }
    }

    private static func answers(
        _ function: String, _ kind: Kind, _ holds: @escaping @Sendable (OpaquePointer?) -> Bool
    ) -> Row {
        Row(function: function, kind: kind) { holds($0) ? nil : "another answer than the header says" }
    }

    private static var junk: OpaquePointer? { OpaquePointer(bitPattern: 0xdead) }

    static let rows: [Row] = [
        answers("obhut_error_status", .error) { obhut_error_status($0) == OBHUT_INVALID_HANDLE },
        answers("obhut_error_text", .error) { String(cString: obhut_error_text($0)) == "" },
        answers("obhut_error_file", .error) { obhut_error_file($0) == nil },
        answers("obhut_error_line", .error) { obhut_error_line($0) == 0 },
        answers("obhut_error_column", .error) { obhut_error_column($0) == 0 },
        answers("obhut_error_offset", .error) { obhut_error_offset($0) == -1 },
        answers("obhut_error_free", .error) { obhut_error_free($0); return true },
        answers("obhut_config_set_output_sink", .config) {
            let finalized = Counter()
            let status = obhut_config_set_output_sink(
                $0, { _, _, _ in }, finalized.user, { Counter.of($0).increment() })
            return status == OBHUT_INVALID_HANDLE && finalized.count == 1
        },
        answers("obhut_config_set_log_sink", .config) {
            let finalized = Counter()
            let status = obhut_config_set_log_sink(
                $0, { _, _, _, _ in }, finalized.user, { Counter.of($0).increment() })
            return status == OBHUT_INVALID_HANDLE && finalized.count == 1
        },
        answers("obhut_config_set_log_format", .config) {
            obhut_config_set_log_format($0, OBHUT_LOG_FORMAT_JSON) == OBHUT_INVALID_HANDLE
        },
        answers("obhut_config_set_input_source", .config) {
            let finalized = Counter()
            let status = obhut_config_set_input_source(
                $0, { _, _, _ in 0 }, finalized.user, { Counter.of($0).increment() })
            return status == OBHUT_INVALID_HANDLE && finalized.count == 1
        },
        answers("obhut_config_set_arguments", .config) {
            obhut_config_set_arguments($0, nil, 0) == OBHUT_INVALID_HANDLE
        },
        answers("obhut_config_set_environment", .config) {
            obhut_config_set_environment($0, nil) == OBHUT_INVALID_HANDLE
        },
        answers("obhut_config_set_preemption_signal", .config) {
            obhut_config_set_preemption_signal($0, 0) == OBHUT_INVALID_HANDLE
        },
        answers("obhut_config_set_seed", .config) { obhut_config_set_seed($0, 1) == OBHUT_INVALID_HANDLE },
        answers("obhut_config_set_worker", .config) { obhut_config_set_worker($0, "/x") == OBHUT_INVALID_HANDLE },
        reports("obhut_config_allow_native", .config) { obhut_config_allow_native($0, "libz.so.1", $1) },
        answers("obhut_config_set_cloning", .config) { obhut_config_set_cloning($0, 0) == OBHUT_INVALID_HANDLE },
        answers("obhut_config_set_crash_reports", .config) {
            obhut_config_set_crash_reports($0, 1, 1) == OBHUT_INVALID_HANDLE
        },
        answers("obhut_config_set_crash_messages", .config) {
            obhut_config_set_crash_messages($0, 1, 1, 1) == OBHUT_INVALID_HANDLE
        },
        answers("obhut_config_set_crash_redaction", .config) {
            let finalized = Counter()
            let status = obhut_config_set_crash_redaction(
                $0, { _, _, _, _, _, _, _, _ in 0 }, finalized.user, { Counter.of($0).increment() })
            return status == OBHUT_INVALID_HANDLE && finalized.count == 1
        },
        answers("obhut_config_set_crash_sink", .config) {
            let finalized = Counter()
            let status = obhut_config_set_crash_sink(
                $0, { _, _, _ in }, finalized.user, { Counter.of($0).increment() })
            return status == OBHUT_INVALID_HANDLE && finalized.count == 1
        },
        answers("obhut_config_free", .config) { obhut_config_free($0); return true },
        reports("obhut_runtime_load_folder", .runtime) { obhut_runtime_load_folder($0, "/", $1) },
        reports("obhut_runtime_load_text", .runtime) { obhut_runtime_load_text($0, "a: 1", 4, $1) },
        reports("obhut_runtime_start", .runtime) { obhut_runtime_start($0, 0, $1) },
        reports("obhut_runtime_stop", .runtime) { obhut_runtime_stop($0, 0, $1) },
        answers("obhut_runtime_free", .runtime) { obhut_runtime_free($0); return true },
        reports("obhut_runtime_read_output", .runtime) {
            var text: UnsafeMutablePointer<CChar>? = .init(bitPattern: 1), length = 3
            let status = obhut_runtime_read_output($0, &text, &length, $1)
            return text == nil && length == 0 ? status : 1
        },
        reports("obhut_runtime_read_log", .runtime) {
            var text: UnsafeMutablePointer<CChar>? = .init(bitPattern: 1), length = 3
            let status = obhut_runtime_read_log($0, &text, &length, $1)
            return text == nil && length == 0 ? status : 1
        },
        reports("obhut_runtime_explain", .runtime) {
            var text: UnsafeMutablePointer<CChar>? = .init(bitPattern: 1), length = 3, warnings = 3
            let status = obhut_runtime_explain($0, OBHUT_EXPLAIN_TEXT, &text, &length, &warnings, $1)
            return text == nil && length == 0 && warnings == 0 ? status : 1
        },
        reports("obhut_runtime_supervisor", .runtime) {
            var pid: obhut_pid = 7
            let status = obhut_runtime_supervisor($0, &pid, $1)
            return pid == 0 ? status : 1
        },
        reports("obhut_runtime_failure", .runtime) {
            var text: UnsafeMutablePointer<CChar>? = .init(bitPattern: 1), length = 3
            let status = obhut_runtime_failure($0, &text, &length, $1)
            return text == nil && length == 0 ? status : 1
        },
        reports("obhut_supervisor_start_child", .runtime) {
            var pid: obhut_pid = 7
            let status = obhut_supervisor_start_child($0, 1, nil, 0, -1, &pid, $1)
            return pid == 0 ? status : 1
        },
        reports("obhut_supervisor_stop_child", .runtime) { obhut_supervisor_stop_child($0, 1, "a", -1, $1) },
        reports("obhut_supervisor_restart_child", .runtime) {
            var pid: obhut_pid = 7
            let status = obhut_supervisor_restart_child($0, 1, "a", -1, &pid, $1)
            return pid == 0 ? status : 1
        },
        reports("obhut_supervisor_children", .runtime) {
            var payload: UnsafeMutableRawPointer? = .init(bitPattern: 1), length = 3
            let status = obhut_supervisor_children($0, 1, -1, &payload, &length, $1)
            return payload == nil && length == 0 ? status : 1
        },
        reports("obhut_supervisor_count", .runtime) {
            var payload: UnsafeMutableRawPointer? = .init(bitPattern: 1), length = 3
            let status = obhut_supervisor_count($0, 1, -1, &payload, &length, $1)
            return payload == nil && length == 0 ? status : 1
        },
        reports("obhut_runtime_counters", .runtime) {
            var counters = obhut_counters()
            counters.struct_size = MemoryLayout<obhut_counters>.size
            counters.spawned = 7
            let status = obhut_runtime_counters($0, &counters, $1)
            return counters.spawned == 0 ? status : 1
        },
        answers("obhut_pid_text", .runtime) {
            var text = [CChar](repeating: 1, count: 4), length = 3
            return obhut_pid_text($0, 1, &text, 4, &length) == OBHUT_INVALID_HANDLE && length == 0 && text[0] == 0
        },
        reports("obhut_pid_resolve", .runtime) {
            var pid: obhut_pid = 7
            let status = obhut_pid_resolve($0, "name", &pid, $1)
            return pid == 0 ? status : 1
        },
        reports("obhut_name_register", .runtime) { obhut_name_register($0, "name", 1, $1) },
        reports("obhut_name_unregister", .runtime) { obhut_name_unregister($0, "name", $1) },
        reports("obhut_request", .runtime) {
            var reply = junk
            let status = obhut_request($0, 1, "topic", [0xc0], 1, -1, &reply, $1)
            return reply == nil ? status : 1
        },
        reports("obhut_runtime_define", .runtime) { obhut_runtime_define($0, "test:a", nil, $1) },
        answers("obhut_runtime_define_function", .runtime) {
            let finalized = Counter()
            let status = obhut_runtime_define_function(
                $0, "test:a", { _, _, _, _ in }, finalized.user, { Counter.of($0).increment() }, nil)
            return status == OBHUT_INVALID_HANDLE && finalized.count == 1
        },
        reports("obhut_runtime_pids", .runtime) {
            var count = 7
            let status = obhut_runtime_pids($0, nil, 0, &count, $1)
            return count == 0 ? status : 1
        },
        reports("obhut_runtime_info", .runtime) {
            var info = junk
            let status = obhut_runtime_info($0, OBHUT_INFO_OF_PROCESSES, &info, $1)
            return info == nil ? status : 1
        },
        reports("obhut_process_info", .runtime) {
            var info = junk
            let status = obhut_process_info($0, 1, &info, $1)
            return info == nil ? status : 1
        },
        answers("obhut_info_count", .info) { obhut_info_count($0) == 0 },
        answers("obhut_info_text", .info) { String(cString: obhut_info_text($0, 0, OBHUT_INFO_HOST)) == "" },
        answers("obhut_info_number", .info) { obhut_info_number($0, 0, OBHUT_INFO_PID) == -1 },
        answers("obhut_info_free", .info) { obhut_info_free($0); return true },
        reports("obhut_spawn", .runtime) {
            var pid: obhut_pid = 7
            let status = obhut_spawn($0, "test:a", nil, nil, 0, &pid, $1)
            return pid == 0 ? status : 1
        },
        reports("obhut_send", .runtime) { obhut_send($0, 1, "topic", [0xc0], 1, $1) },
        reports("obhut_cancel", .runtime) { obhut_cancel($0, 1, 1, $1) },
        reports("obhut_terminate", .runtime) { obhut_terminate($0, 1, $1) },
        reports("obhut_port_create", .runtime) {
            var port = junk
            let status = obhut_port_create($0, &port, $1)
            return port == nil ? status : 1
        },
        answers("obhut_port_pid", .port) { obhut_port_pid($0) == 0 },
        reports("obhut_port_spawn", .port) {
            var pid: obhut_pid = 7
            let status = obhut_port_spawn($0, "test:a", nil, nil, 0, 0, &pid, $1)
            return pid == 0 ? status : 1
        },
        reports("obhut_port_send", .port) { obhut_port_send($0, 1, "topic", [0xc0], 1, $1) },
        reports("obhut_port_request", .port) {
            var number: UInt64 = 7
            let status = obhut_port_request($0, 1, "topic", [0xc0], 1, 1, &number, $1)
            return number == 0 ? status : 1
        },
        reports("obhut_port_ready", .port) { obhut_port_ready($0, $1) },
        reports("obhut_port_trap_links", .port) { obhut_port_trap_links($0, OBHUT_TRAP_LINKS_ALL, $1) },
        reports("obhut_port_end", .port) { obhut_port_end($0, nil, 0, $1) },
        reports("obhut_port_fail", .port) { obhut_port_fail($0, "no", nil, $1) },
        reports("obhut_port_fail_object", .port) { obhut_port_fail_object($0, [0xa1, 0x6e], 2, nil, $1) },
        reports("obhut_port_monitor", .port) { obhut_port_monitor($0, 1, $1) },
        reports("obhut_port_unmonitor", .port) { obhut_port_unmonitor($0, 1, $1) },
        reports("obhut_port_link", .port) { obhut_port_link($0, 1, $1) },
        reports("obhut_port_unlink", .port) { obhut_port_unlink($0, 1, $1) },
        reports("obhut_port_receive", .port) {
            var message = junk
            let status = obhut_port_receive($0, -1, &message, $1)
            return message == nil ? status : 1
        },
        answers("obhut_port_fd", .port) { obhut_port_fd($0) == -1 },
        answers("obhut_port_wake", .port) { obhut_port_wake($0) == OBHUT_INVALID_HANDLE },
        answers("obhut_port_free", .port) { obhut_port_free($0); return true },
        answers("obhut_message_kind", .message) { obhut_message_kind($0) == -1 },
        answers("obhut_message_from", .message) { obhut_message_from($0) == 0 },
        answers("obhut_message_topic", .message) {
            var length = 3
            return String(cString: obhut_message_topic($0, &length)) == "" && length == 0
        },
        answers("obhut_message_payload", .message) {
            var length = 3
            return obhut_message_payload($0, &length) == nil && length == 0
        },
        answers("obhut_message_result", .message) {
            var value: UnsafeRawPointer? = .init(bitPattern: 1), length = 3
            var text: UnsafePointer<CChar>? = .init(bitPattern: 1)
            return !obhut_message_result($0, &value, &length, &text) && value == nil && length == 0 && text == nil
        },
        answers("obhut_message_origin", .message) { obhut_message_origin($0) == 0 },
        answers("obhut_message_hops", .message) { obhut_message_hops($0) == 0 },
        answers("obhut_message_request", .message) { obhut_message_request($0) == 0 },
        answers("obhut_message_status", .message) { obhut_message_status($0) == OBHUT_INVALID_HANDLE },
        answers("obhut_message_deadline", .message) { obhut_message_deadline($0) == 0 },
        reports("obhut_message_reply", .message) { obhut_message_reply($0, [0xc0], 1, $1) },
        reports("obhut_message_reply_error", .message) { obhut_message_reply_error($0, "no", $1) },
        reports("obhut_message_reply_error_object", .message) {
            obhut_message_reply_error_object($0, [0xa1, 0x6e], 2, $1)
        },
        reports("obhut_message_take_port", .message) {
            var port = junk
            let status = obhut_message_take_port($0, &port, $1)
            return port == nil ? status : 1
        },
        answers("obhut_message_free", .message) { obhut_message_free($0); return true },
        reports("obhut_runtime_next_crash", .runtime) {
            var crash = junk
            let status = obhut_runtime_next_crash($0, 0, &crash, $1)
            return crash == nil ? status : 1
        },
        answers("obhut_crash_sequence", .crash) { obhut_crash_sequence($0) == 0 },
        answers("obhut_crash_pid", .crash) { obhut_crash_pid($0) == 0 },
        answers("obhut_crash_entry", .crash) { String(cString: obhut_crash_entry($0)) == "" },
        answers("obhut_crash_error", .crash) { String(cString: obhut_crash_error($0)) == "" },
        answers("obhut_crash_text", .crash) {
            var length = 3
            return String(cString: obhut_crash_text($0, &length)) == "" && length == 0
        },
        answers("obhut_crash_json", .crash) {
            var length = 3
            return String(cString: obhut_crash_json($0, &length)) == "" && length == 0
        },
        answers("obhut_crash_free", .crash) { obhut_crash_free($0); return true },
    ]

    /// Live handles of every kind, and one of each that was freed.
    private struct Handles {
        let runtime: CRuntime
        let port: CPort
        var live: [Kind: OpaquePointer] = [:]
        var freed: [Kind: OpaquePointer] = [:]

        init() throws {
            runtime = try CRuntime()
            port = try CPort(runtime)
            for freed in [true, false] {
                var made: [Kind: OpaquePointer] = [:]
                var error: OpaquePointer?
                _ = obhut_payload_check(nil, 0, &error)
                made[.error] = error
                made[.config] = obhut_config_new()
                var other: OpaquePointer?
                _ = obhut_runtime_create(nil, &other, nil)
                made[.runtime] = other
                var second: OpaquePointer?
                _ = obhut_port_create(runtime.handle, &second, nil)
                made[.port] = second
                try port.send(port.pid, "topic")
                var message: OpaquePointer?
                _ = obhut_port_receive(port.handle, 0, &message, nil)
                made[.message] = message
                let json = #"{"time":"t","pid":"{a:b|0x00001}","error":"e"}"#
                var crash: OpaquePointer?
                _ = obhut_crash_from_json(json, json.utf8.count, &crash, nil)
                made[.crash] = crash
                var info: OpaquePointer?
                _ = obhut_runtime_info(runtime.handle, OBHUT_INFO_OF_PROCESSES, &info, nil)
                made[.info] = info
                if freed {
                    Handles.free(made)
                    self.freed = made
                } else {
                    live = made
                }
            }
        }

        static func free(_ handles: [Kind: OpaquePointer]) {
            obhut_error_free(handles[.error])
            obhut_config_free(handles[.config])
            obhut_runtime_free(handles[.runtime])
            obhut_port_free(handles[.port])
            obhut_message_free(handles[.message])
            obhut_crash_free(handles[.crash])
            obhut_info_free(handles[.info])
        }

        /// What must be refused where `kind` is expected.
        func bad(for kind: Kind) -> [(String, OpaquePointer?)] {
            var bad: [(String, OpaquePointer?)] = [
                ("NULL", nil), ("1", OpaquePointer(bitPattern: 1)), ("all ones", OpaquePointer(bitPattern: UInt.max)),
            ]
            for other in Kind.allCases where other != kind { bad.append(("live \(other)", live[other])) }
            for other in Kind.allCases { bad.append(("freed \(other)", freed[other])) }
            let bits = UInt(bitPattern: live[kind])
            bad.append(("next generation", OpaquePointer(bitPattern: bits + 1 << 28)))
            bad.append(("another place", OpaquePointer(bitPattern: bits ^ 0xff_0000)))
            bad.append(("another copy's", OpaquePointer(bitPattern: bits ^ 1 << 50)))
            bad.append(("an address", OpaquePointer(Unmanaged.passUnretained(runtime).toOpaque())))
            var random = SystemRandomNumberGenerator()
            for _ in 0..<50 { bad.append(("random", OpaquePointer(bitPattern: UInt.random(in: 1...UInt.max, using: &random)))) }
            return bad
        }
    }

    @Test(arguments: rows) func refuses(_ row: Row) throws {
        let handles = try Handles()
        for (what, handle) in handles.bad(for: row.kind) {
            if let fault = row.refuses(handle) { Issue.record("\(row.function)(\(what)): \(fault)") }
        }
        // Nothing of another kind was freed by it.
        #expect(obhut_error_status(handles.live[.error]) == OBHUT_MALFORMED)
        #expect(obhut_config_set_seed(handles.live[.config], 1) == OBHUT_OK)
        #expect(obhut_runtime_stop(handles.live[.runtime], 0, nil) == OBHUT_OK)
        #expect(obhut_port_pid(handles.live[.port]) != 0)
        #expect(obhut_message_kind(handles.live[.message]) == OBHUT_MESSAGE_DATA)
        #expect(obhut_crash_pid(handles.live[.crash]) == 1)
        #expect(obhut_info_count(handles.live[.info]) > 0)
        Handles.free(handles.live)
    }

    @Test func everyFunctionThatTakesAHandleHasARow() throws {
        let path = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../include/obhut.h").standardized.path
        let header = try String(contentsOfFile: path, encoding: .utf8)
        let declaration = try Regex(#"(?m)^[a-z].*?[ *](obhut_[a-z_]+)\(((?:const )?obhut_(?:error|config|runtime|port|message|crash|info) \*[a-z]+)[,)]"#)
        let names = header.matches(of: declaration).map { String($0.output[1].substring!) }
        #expect(names.count > 40)
        // Its config may be NULL: see below.
        #expect(Set(names).subtracting(HandleTests.rows.map(\.function)) == ["obhut_runtime_create"])
    }

    @Test func aRuntimeIsNotMadeWithWhatIsNoConfiguration() throws {
        let handles = try Handles()
        defer { Handles.free(handles.live) }
        for (what, handle) in handles.bad(for: .config) where handle != nil {
            var runtime = HandleTests.junk
            let refusal = refusal { obhut_runtime_create(handle, &runtime, $0) }
            #expect(refusal?.status == OBHUT_INVALID_HANDLE, "\(what)")
            #expect(runtime == nil)
        }
        #expect(status { obhut_runtime_create(nil, nil, $0) } == OBHUT_INVALID_ARGUMENT)
    }

    @Test func aHandleIsNotTheNextOneAfterItWasFreed() {
        var seen: Set<OpaquePointer?> = []
        for _ in 0..<rounds(20_000) {
            let config = obhut_config_new()
            #expect(seen.insert(config).inserted)
            obhut_config_free(config)
        }
    }

    @Test func handlesAreMadeAndFreedByManyThreads() {
        let wrong = Counter()
        together(4) { _ in
            for _ in 0..<rounds(5000) {
                let mine = obhut_config_new()
                if obhut_config_set_seed(mine, 1) != OBHUT_OK { wrong.increment() }
                obhut_config_free(mine)
                obhut_config_free(mine)
                if obhut_config_set_seed(mine, 1) != OBHUT_INVALID_HANDLE { wrong.increment() }
            }
        }
        #expect(wrong.count == 0)
    }

    @Test func everyNullArgumentIsAStatus() throws {
        let runtime = try CRuntime(application())
        let port = try CPort(runtime)
        let (r, p) = (runtime.handle, port.handle)
        var size = 5
        #expect(status { obhut_runtime_read_output(r, nil, &size, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(size == 0)
        #expect(status { obhut_runtime_read_log(r, nil, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_runtime_counters(r, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(obhut_pid_text(r, 1, nil, 4, nil) == OBHUT_INVALID_ARGUMENT)
        var byte: CChar = 1
        #expect(obhut_pid_text(r, 1, &byte, 0, nil) == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_pid_resolve(r, "x", nil, $0) } == OBHUT_INVALID_ARGUMENT)
        var pid: obhut_pid = 7
        #expect(status { obhut_pid_resolve(r, nil, &pid, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(pid == 0)
        pid = 7
        #expect(status { obhut_spawn(r, nil, nil, nil, 0, &pid, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(pid == 0)
        #expect(status { obhut_spawn(r, "test:a", nil, nil, 5, &pid, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_spawn(r, "test:a", nil, [0x90], -1, &pid, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_port_spawn(p, nil, nil, nil, 0, 0, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_port_spawn(p, "test:a", nil, nil, 0, 4, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_send(r, port.pid, nil, [0xc0], 1, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_send(r, port.pid, "t", nil, 1, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_port_send(p, port.pid, nil, [0xc0], 1, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_cancel(r, port.pid, 0, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_cancel(r, port.pid, -1, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_port_create(r, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_port_receive(p, 0, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_runtime_load_folder(r, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_runtime_load_text(r, nil, 1, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_runtime_start(r, 9, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_payload_check(nil, 1, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_runtime_next_crash(r, 0, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_crash_from_json("{}", 2, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        var crash: OpaquePointer? = HandleTests.junk
        #expect(status { obhut_crash_from_json(nil, 2, &crash, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(crash == nil)
        #expect(status { obhut_payload_from_json("1", 1, nil, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_payload_to_json([0xc0], 1, nil, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_name_register(r, nil, port.pid, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_name_unregister(r, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_request(r, port.pid, "t", [0xc0], 1, 1, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_runtime_define(r, nil, p, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_runtime_define(r, "test:x", nil, $0) } == OBHUT_INVALID_HANDLE)
        #expect(status { obhut_runtime_define_function(r, "a:b", nil, nil, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_port_fail(p, nil, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_port_fail_object(p, [0x01], 1, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_port_end(p, nil, 5, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_port_trap_links(p, OBHUT_TRAP_LINKS_NO, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_port_trap_links(p, 9, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_runtime_pids(r, nil, 0, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_runtime_pids(r, nil, 1, &size, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_runtime_info(r, 0, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        var info: OpaquePointer?
        #expect(status { obhut_runtime_info(r, 9, &info, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(status { obhut_process_info(r, port.pid, nil, $0) } == OBHUT_INVALID_ARGUMENT)
        #expect(!obhut_has_feature(nil) && !obhut_has_feature("flight") && obhut_has_feature("requests"))
        for topic in ["", "@x", String(repeating: "t", count: 256)] {
            let refusal = refusal { obhut_send(r, port.pid, topic, [0xc0], 1, $0) }
            #expect(refusal?.status == OBHUT_INVALID_ARGUMENT)
            #expect(refusal?.text.contains("1 to 255 bytes") == true)
        }
        // Pids of nobody, of another node, and of places that were never made.
        for pid: obhut_pid in [0, 1 << 48, 0xff_ffff, .max, port.pid + 1 << 24] {
            #expect(status { obhut_send(r, pid, "t", [0xc0], 1, $0) } == OBHUT_NOT_FOUND)
            #expect(status { obhut_port_send(p, pid, "t", [0xc0], 1, $0) } == OBHUT_NOT_FOUND)
            #expect(status { obhut_port_monitor(p, pid, $0) } == OBHUT_NOT_FOUND)
            #expect(status { obhut_port_link(p, pid, $0) } == OBHUT_NOT_FOUND)
            #expect(status { obhut_port_unlink(p, pid, $0) } == OBHUT_OK)
            #expect(status { obhut_port_unmonitor(p, pid, $0) } == OBHUT_NOT_FOUND)
            #expect(status { obhut_cancel(r, pid, 1, $0) } == OBHUT_NOT_FOUND)
            #expect(status { obhut_name_register(r, "n", pid, $0) } == OBHUT_NOT_FOUND)
            #expect(status { obhut_port_request(p, pid, "t", [0xc0], 1, -1, nil, $0) } == OBHUT_NOT_FOUND)
            #expect(status { obhut_request(r, pid, "t", [0xc0], 1, -1, &info, $0) } == OBHUT_NOT_FOUND)
            #expect(status { obhut_process_info(r, pid, &info, $0) } == OBHUT_NOT_FOUND)
            #expect(status { obhut_terminate(r, pid, $0) } == OBHUT_NOT_FOUND)
            #expect(runtime.text(of: pid).hasPrefix("{"))
        }
    }
}
