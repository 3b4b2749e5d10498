import Glibc
import ObhutHeader
import Testing

@testable import Obhut

/// Children that a host program adds to a supervisor, and what it is told (V6, C_API).
@Suite struct SupervisorsThroughCTests {
    private static let yaml = application(
        [
            ("waits", "process.events():receive()"), ("fails", "error('no luck')"),
            ("unready", "process.events():receive()"),
        ],
        more: """
              - name: sup
                kind: supervisor
                children: [{ process: waits, count: 2 }]
                lifecycle: { auto_start: true }

            """)

    private static func json(_ text: String) throws -> [UInt8] {
        var payload: UnsafeMutableRawPointer?, length = 0
        try c { obhut_payload_from_json(text, text.utf8.count, &payload, &length, $0) }
        defer { obhut_bytes_free(payload) }
        return Array(UnsafeRawBufferPointer(start: payload, count: length))
    }

    /// The runtime, and the pid of its supervisor once its children run.
    private static func rig() throws -> (CRuntime, obhut_pid) {
        let runtime = try CRuntime(yaml)
        let all = try #require(HandleTable.shared.object(runtime.handle, .runtime, as: RuntimeObject.self)).runtime
        // The root's request is answered when the child is there.
        var root: obhut_pid = 0
        try c { obhut_runtime_supervisor(runtime.handle, &root, $0) }
        var pid: obhut_pid = 0
        while pid == 0 || all.system.aliveCount < 4 {
            all.system.table.forEachLiving { slot, living in if slot.pointee.entryID == "test:sup" { pid = living.raw } }
            sched_yield()
        }
        return (runtime, pid)
    }

    private static func start(_ runtime: CRuntime, _ supervisor: obhut_pid, _ text: String, timeout: Int64 = -1) throws -> obhut_pid {
        let payload = try json(text)
        var pid: obhut_pid = 7
        try c { obhut_supervisor_start_child(runtime.handle, supervisor, payload, payload.count, timeout, &pid, $0) }
        return pid
    }

    private static func list(
        _ runtime: CRuntime, _ supervisor: obhut_pid,
        _ call: (OpaquePointer?, obhut_pid, Int64, UnsafeMutablePointer<UnsafeMutableRawPointer?>?, UnsafeMutablePointer<Int>?, ErrorPlace?) -> obhut_status
    ) throws -> String {
        var payload: UnsafeMutableRawPointer?, length = 0
        try c { call(runtime.handle, supervisor, -1, &payload, &length, $0) }
        defer { obhut_bytes_free(payload) }
        return payloadToJSON(UnsafeRawBufferPointer(start: payload, count: length))
    }

    @Test func childrenAreAddedListedStoppedAndStarted_V6() throws {
        let (runtime, supervisor) = try Self.rig()
        let pid = try Self.start(runtime, supervisor, #"{"name":"x","process":"waits","input":[1]}"#)
        #expect(runtime.text(of: pid).hasPrefix("{test:host|0x"))
        let children = try Self.list(runtime, supervisor, obhut_supervisor_children)
        #expect(children.contains(#""name":"waits#2""#) && children.contains(#""name":"x""#) && children.contains(#""added":true"#))
        let count = try Self.list(runtime, supervisor, obhut_supervisor_count)
        #expect(count.contains(#""active":3"#) && count.contains(#""specs":3"#) && count.contains(#""supervisors":0"#))
        try c { obhut_supervisor_stop_child(runtime.handle, supervisor, "x", -1, $0) }
        #expect(refusal { obhut_terminate(runtime.handle, pid, $0) }?.status == OBHUT_NOT_FOUND)
        try c { obhut_supervisor_stop_child(runtime.handle, supervisor, "waits#1", -1, $0) }
        var again: obhut_pid = 0
        try c { obhut_supervisor_restart_child(runtime.handle, supervisor, "waits#1", -1, &again, $0) }
        #expect(runtime.text(of: again).hasPrefix("{test:host|0x"))
        #expect(refusal { obhut_supervisor_restart_child(runtime.handle, supervisor, "waits#1", -1, nil, $0) }?.status == OBHUT_WRONG_STATE)
    }

    @Test func whatIsWrongIsSaid_F2() throws {
        let (runtime, supervisor) = try Self.rig()
        func why(_ text: String) -> Refusal? {
            do { _ = try Self.start(runtime, supervisor, text) } catch { return error as? Refusal }
            return nil
        }
        #expect(why(#"{"process":"wats"}"#)?.status == OBHUT_NOT_FOUND)
        #expect(why(#"{"process":"wats"}"#)?.text.hasSuffix("did you mean 'test:waits'?") == true)
        #expect(why(#"{"process":"waits"}"#)?.status == OBHUT_WRONG_STATE)
        #expect(why("[1]")?.status == OBHUT_INVALID_ARGUMENT && why("[1]")?.text == "a child must be a mapping, got a list")
        #expect(why(#"{"name":"f","process":"fails","ready":"call"}"#)?.status == OBHUT_FAILED)
        #expect(why(#"{"name":"f","process":"fails","ready":"call"}"#)?.text == "child 'f' failed to start: test:fails:2: no luck")
        var pid: obhut_pid = 7
        func start(_ supervisor: obhut_pid, _ payload: [UInt8]?, _ length: Int) -> Refusal? {
            refusal { obhut_supervisor_start_child(runtime.handle, supervisor, payload, length, -1, &pid, $0) }
        }
        #expect(start(supervisor, nil, 3)?.status == OBHUT_INVALID_ARGUMENT && pid == 0)
        #expect(start(supervisor, [0x81], 1)?.status == OBHUT_MALFORMED)
        #expect(start(0, [0x80], 1)?.status == OBHUT_NOT_FOUND && start(.max, [0x80], 1)?.status == OBHUT_NOT_FOUND)
        let other = try runtime.spawn("test:waits")
        #expect(start(other, [0x80], 1)?.text.hasSuffix("is no supervisor") == true)
        try c { obhut_terminate(runtime.handle, other, $0) }
        var root: obhut_pid = 0
        try c { obhut_runtime_supervisor(runtime.handle, &root, $0) }
        #expect(start(root, [0x80], 1)?.text.contains("takes no children") == true)
        let port = try CPort(runtime)
        #expect(start(port.pid, [0x80], 1)?.status == OBHUT_INVALID_ARGUMENT)
        #expect(refusal { obhut_supervisor_stop_child(runtime.handle, supervisor, nil, -1, $0) }?.status == OBHUT_INVALID_ARGUMENT)
        #expect(refusal { obhut_supervisor_stop_child(runtime.handle, supervisor, "nobody", -1, $0) }?.status == OBHUT_NOT_FOUND)
        #expect(refusal { obhut_supervisor_children(runtime.handle, supervisor, -1, nil, nil, $0) }?.status == OBHUT_INVALID_ARGUMENT)
        #expect(refusal { obhut_runtime_failure(runtime.handle, nil, nil, $0) }?.status == OBHUT_INVALID_ARGUMENT)
        var text: UnsafeMutablePointer<CChar>?
        #expect(refusal { obhut_runtime_failure(runtime.handle, &text, nil, $0) }?.status == OBHUT_NOT_FOUND)
    }

    @Test func theWaitHasAnEnd_V6() throws {
        let (runtime, supervisor) = try Self.rig()
        let slow = try Self.json(#"{"name":"u","process":"unready","ready":"call"}"#)
        var pid: obhut_pid = 7
        #expect(
            refusal { obhut_supervisor_start_child(runtime.handle, supervisor, slow, slow.count, 0, &pid, $0) }?.status
                == OBHUT_TIMEOUT && pid == 0)
        // What was asked for goes on.
        #expect(try Self.list(runtime, supervisor, obhut_supervisor_children).contains(#""state":"starting""#))
        try runtime.stop(0)
        #expect(refusal { obhut_supervisor_stop_child(runtime.handle, supervisor, "u", -1, $0) } != nil)
    }

    @Test func theCauseIsThereWhenNobodyHasWatched_V3() throws {
        let runtime = try CRuntime(
            application(
                [], more: """
                      - name: faulty
                        kind: process.lua
                        source: "return { main = function() error('no database') end }"
                        lifecycle: { auto_start: true, restart: { max_attempts: 1, initial_delay: 1ms } }

                    """))
        var pid: obhut_pid = 0
        try c { obhut_runtime_supervisor(runtime.handle, &pid, $0) }
        let port = try CPort(runtime)
        // Until it has ended; then, without waiting, the cause is known.
        while obhut_port_monitor(port.handle, pid, nil) != OBHUT_NOT_FOUND {
            _ = obhut_port_unmonitor(port.handle, pid, nil)
            sched_yield()
        }
        var text: UnsafeMutablePointer<CChar>?, length = 0
        try c { obhut_runtime_failure(runtime.handle, &text, &length, $0) }
        defer { obhut_bytes_free(text) }
        let said = String(cString: try #require(text))
        #expect(said == "test:faulty failed after 1 restart: test:faulty:1: no database" && length == said.utf8.count)
    }
}
