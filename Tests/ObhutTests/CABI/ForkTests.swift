import Glibc
import ObhutHeader
import Testing

@testable import Obhut

/// C_API rule 8: after a fork, parent and child both go on.
@Suite struct ForkTests {
    /// Swift hides fork: a program in C does not.
    private static func fork() -> pid_t {
        typealias Function = @convention(c) () -> pid_t
        return unsafeBitCast(dlsym(nil, "fork"), to: Function.self)()
    }

    /// The thread sanitizer ends a child of a program with threads that starts threads of its own.
    @Test(.disabled(if: isThreadSanitized)) func parentAndChildBothGoOn() async {
        await #expect(processExitsWith: .success) {
            do {
                let yaml = application([("idle", "process.inbox():receive()")])
                let runtime = try CRuntime(yaml)
                let port = try CPort(runtime)
                let pid = try port.spawn("test:idle", flags: OBHUT_SPAWN_MONITORED)
                try port.send(port.pid, "kept")
                var message: OpaquePointer?, error: OpaquePointer?
                try c { obhut_port_receive(port.handle, 0, &message, $0) }
                let config = obhut_config_new()
                _ = obhut_payload_check(nil, 0, &error)
                let child = ForkTests.fork()
                if child == 0 {
                    // Before anything else: nothing of the parent's is woken.
                    demand(obhut_port_wake(port.handle) == OBHUT_FORKED, "wake at first")
                    let refused = refusal { obhut_send(runtime.handle, pid, "t", [0xc0], 1, $0) }
                    demand(refused?.status == OBHUT_FORKED, "send: \(String(describing: refused))")
                    demand(obhut_port_wake(port.handle) == OBHUT_FORKED, "wake")
                    demand(status { obhut_runtime_stop(runtime.handle, -1, $0) } == OBHUT_FORKED, "stop")
                    demand(status { obhut_port_receive(port.handle, -1, &message, $0) } == OBHUT_FORKED, "receive")
                    demand(obhut_config_set_seed(config, 1) == OBHUT_FORKED, "config")
                    demand(obhut_error_status(error) == OBHUT_FORKED, "error")
                    demand(obhut_port_pid(port.handle) == 0 && obhut_port_fd(port.handle) == -1, "pid")
                    obhut_message_free(message)
                    obhut_error_free(error)
                    obhut_config_free(config)
                    obhut_port_free(port.handle)
                    obhut_runtime_free(runtime.handle)
                    // It starts anew, and ends as it began.
                    do {
                        let own = try CRuntime(yaml)
                        let ownPort = try CPort(own)
                        let ownPid = try ownPort.spawn("test:idle", flags: OBHUT_SPAWN_MONITORED)
                        try ownPort.send(ownPid, "go")
                        demand(try ownPort.receive().from == ownPid, "the child's process")
                        demand(status { obhut_port_monitor(port.handle, ownPid, $0) } == OBHUT_FORKED, "the parent's port")
                        try own.stop()
                        // And has children of its own.
                        let grandchild = ForkTests.fork()
                        if grandchild == 0 {
                            demand(status { obhut_runtime_stop(own.handle, 0, $0) } == OBHUT_FORKED, "the child's")
                            demand(status { obhut_runtime_stop(runtime.handle, 0, $0) } == OBHUT_FORKED, "the parent's")
                            _exit(0)
                        }
                        var result: Int32 = -1
                        waitpid(grandchild, &result, 0)
                        demand(result == 0, "grandchild: \(result)")
                        demand(status { obhut_runtime_stop(own.handle, 0, $0) } == OBHUT_OK, "stopped twice")
                    } catch { demand(false, "child: \(error)") }
                    var action = sigaction()
                    sigaction(SIGURG, nil, &action)
                    demand(unsafeBitCast(action.__sigaction_handler.sa_handler, to: UInt.self) == 0, "the handler is still there")
                    _exit(0)
                }
                var result: Int32 = -1
                waitpid(child, &result, 0)
                demand(result == 0, "child: \(result)")
                // The parent does not notice.
                demand(obhut_message_kind(message) == OBHUT_MESSAGE_DATA, "message")
                obhut_message_free(message)
                demand(obhut_error_status(error) == OBHUT_MALFORMED, "error")
                obhut_error_free(error)
                obhut_config_free(config)
                try port.send(pid, "go")
                demand(try port.receive().from == pid, "the parent's process")
                try runtime.stop()
            } catch {
                demand(false, "\(error)")
            }
        }
    }
}
