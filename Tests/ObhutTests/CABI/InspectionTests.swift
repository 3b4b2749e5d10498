import Glibc
import ObhutHeader
import Testing

@testable import Obhut

/// Looking at processes, hosts and entries from C.
@Suite struct InspectionTests {
    private func info(_ runtime: CRuntime, _ what: Int32) throws -> OpaquePointer? {
        var info: OpaquePointer?
        try c { obhut_runtime_info(runtime.handle, what, &info, $0) }
        return info
    }

    private func text(_ info: OpaquePointer?, _ index: Int, _ field: Int32) -> String {
        String(cString: obhut_info_text(info, index, field))
    }

    @Test func aProcessIsSeenAsItIs() throws {
        let runtime = try CRuntime(application([("idle", "print('up') process.inbox():receive()"), ("keeps", "print('up') process.events():receive()")]))
        let port = try CPort(runtime)
        let pid = try port.spawn("test:keeps", flags: OBHUT_SPAWN_LINKED | OBHUT_SPAWN_MONITORED)
        #expect(eventually { (try? runtime.readOutput()) == "up\n" })
        try c { obhut_name_register(runtime.handle, "b \"quoted\"", pid, $0) }
        try c { obhut_name_register(runtime.handle, "a", pid, $0) }
        for _ in 0..<3 { try port.send(pid, "unread", [0xc0]) }
        var found: OpaquePointer?
        try c { obhut_process_info(runtime.handle, pid, &found, $0) }
        #expect(obhut_info_count(found) == 1)
        #expect(text(found, 0, OBHUT_INFO_ENTRY) == "test:keeps" && text(found, 0, OBHUT_INFO_HOST) == "test:host")
        #expect(["running", "queued", "waiting"].contains(text(found, 0, OBHUT_INFO_STATE)))
        #expect(text(found, 0, OBHUT_INFO_NAMES) == #"["a","b \"quoted\""]"#)
        #expect(obhut_info_number(found, 0, OBHUT_INFO_PID) == Int64(pid))
        #expect(obhut_info_number(found, 0, OBHUT_INFO_MAILBOX) == 3)
        #expect(obhut_info_number(found, 0, OBHUT_INFO_MAILBOX_BYTES) >= 3 * 16)
        #expect(obhut_info_number(found, 0, OBHUT_INFO_LINKS) == 1 && obhut_info_number(found, 0, OBHUT_INFO_MONITORS) == 1)
        #expect(obhut_info_number(found, 0, OBHUT_INFO_UPTIME) > 0)
        // What it has not, and what is not there.
        #expect(obhut_info_number(found, 0, OBHUT_INFO_WORKERS) == -1 && text(found, 0, OBHUT_INFO_KIND) == "")
        #expect(obhut_info_number(found, 1, OBHUT_INFO_PID) == -1 && text(found, .max, OBHUT_INFO_HOST) == "")
        obhut_info_free(found)
        try c { obhut_process_info(runtime.handle, port.pid, &found, $0) }
        #expect(text(found, 0, OBHUT_INFO_HOST) == "obhut:port" && text(found, 0, OBHUT_INFO_ENTRY) == "")
        obhut_info_free(found)
        try c { obhut_terminate(runtime.handle, pid, $0) }
        while try port.receive().kind != OBHUT_MESSAGE_EXIT {}
        #expect(status { obhut_process_info(runtime.handle, pid, &found, $0) } == OBHUT_NOT_FOUND)
        #expect(found == nil)
    }

    @Test func allThatLiveAreListed() throws {
        let runtime = try CRuntime(application([("idle", "process.inbox():receive()")]))
        let port = try CPort(runtime)
        var expected: Set<obhut_pid> = [port.pid]
        for _ in 0..<20 { expected.insert(try runtime.spawn("test:idle")) }
        var count = 0
        try c { obhut_runtime_pids(runtime.handle, nil, 0, &count, $0) }
        #expect(count == 21)
        var pids = [obhut_pid](repeating: 0, count: 30)
        try c { obhut_runtime_pids(runtime.handle, &pids, 30, &count, $0) }
        #expect(count == 21 && Set(pids[..<21]) == expected && pids[21] == 0)
        pids = [obhut_pid](repeating: 0, count: 30)
        try c { obhut_runtime_pids(runtime.handle, &pids, 5, &count, $0) }
        #expect(count == 21 && pids[4] != 0 && pids[5] == 0)
        let all = try info(runtime, OBHUT_INFO_OF_PROCESSES)
        let seen = (0..<obhut_info_count(all)).map { obhut_pid(obhut_info_number(all, $0, OBHUT_INFO_PID)) }
        #expect(Set(seen) == expected)
        obhut_info_free(all)
    }

    @Test func hostsAndEntriesAreListed() throws {
        let runtime = try CRuntime(
            application(
                host: "{ workers: 3 }", [("idle", "process.inbox():receive()")],
                more: "  - { name: data, kind: registry.entry, data: 1, meta: { owner: somebody, n: [1, 2] } }\n"))
        let port = try CPort(runtime)
        try c { obhut_runtime_define(runtime.handle, "app:c", port.handle, $0) }
        _ = try runtime.spawn("test:idle")
        let hosts = try info(runtime, OBHUT_INFO_OF_HOSTS)
        #expect(obhut_info_count(hosts) == 1 && text(hosts, 0, OBHUT_INFO_ENTRY) == "test:host")
        #expect(text(hosts, 0, OBHUT_INFO_STATE) == "started" && obhut_info_number(hosts, 0, OBHUT_INFO_WORKERS) == 3)
        #expect(obhut_info_number(hosts, 0, OBHUT_INFO_PROCESSES) == 1)
        #expect(obhut_info_number(hosts, 0, OBHUT_INFO_RUN_QUEUE) >= 0)
        obhut_info_free(hosts)
        let entries = try info(runtime, OBHUT_INFO_OF_ENTRIES)
        #expect((0..<obhut_info_count(entries)).map { text(entries, $0, OBHUT_INFO_ENTRY) } == ["test:host", "test:idle", "test:data", "app:c"])
        #expect((0..<4).map { text(entries, $0, OBHUT_INFO_KIND) } == ["process.host", "process.lua", "registry.entry", "process.external"])
        #expect(text(entries, 2, OBHUT_INFO_META) == #"{"owner":"somebody","n":[1,2]}"# && text(entries, 1, OBHUT_INFO_META) == "null")
        #expect(text(entries, 0, OBHUT_INFO_FILE) == "<text>" && obhut_info_number(entries, 0, OBHUT_INFO_LINE) == 4)
        obhut_info_free(entries)
        let none = try info(try CRuntime(), OBHUT_INFO_OF_ENTRIES)
        #expect(obhut_info_count(none) == 0)
        obhut_info_free(none)
        try runtime.stop(0)
        let stopped = try info(runtime, OBHUT_INFO_OF_HOSTS)
        #expect(obhut_info_number(stopped, 0, OBHUT_INFO_RUN_QUEUE) == 0)
        obhut_info_free(stopped)
    }
}
