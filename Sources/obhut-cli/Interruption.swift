import Glibc
import ObhutHeader
import Synchronization

/// What asks the command to stop: SIGINT, SIGTERM, or output that nobody takes.
///
/// Both signals are blocked in every thread and taken by one thread of their own with `sigwait`, so that no code
/// runs inside a signal handler. The first asks the command to stop in order: it is recorded, and the wait on the
/// command's port is woken. The second, or the first while the command stops already, ends it at once.
///
/// A signal that was ignored when the command started stays ignored, as under `nohup` or in a shell's background.
enum Interruption {
    /// The status to leave with, once something asked to stop; 0 before.
    private static let requested = Atomic<Int32>(0)
    /// From now on a signal ends the command at once.
    private static let stopping = Atomic<Bool>(false)
    /// The port to wake, as its bits. Handles may be used after they were freed: that is a status, not a fault.
    private static let port = Atomic<UInt>(0)

    /// What asked to stop, if anything did.
    static var status: ExitStatus? {
        let code = requested.load(ordering: .acquiring)
        return code == 0 ? nil : ExitStatus(code: code)
    }

    /// Whether SIGINT or SIGTERM asked, and not a failed output.
    static var bySignal: Bool { status == .signal(SIGINT) || status == .signal(SIGTERM) }

    /// Call once, before any other thread exists: they inherit what is blocked here.
    static func watch() {
        signal(SIGPIPE, SIG_IGN)  // a failed write says more, see Output
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM] {
            var action = sigaction()
            sigaction(number, nil, &action)
            if action.__sigaction_handler.sa_handler.map({ unsafeBitCast($0, to: Int.self) }) != 1 /* SIG_IGN */ {
                sigaddset(&set, number)
            }
        }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        var thread = pthread_t()
        let problem = pthread_create(&thread, nil, { _ in
            var set = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &set)
            var number: Int32 = 0
            while true { if sigwait(&set, &number) == 0 { Interruption.arrived(number) } }
        }, nil)
        precondition(problem == 0, "cannot start a thread: \(String(cString: strerror(problem)))")
        pthread_detach(thread)
    }

    /// Waits on `port` can be ended by an interruption from now on.
    static func wakes(_ handle: OpaquePointer) {
        port.store(UInt(bitPattern: handle), ordering: .sequentiallyConsistent)
    }

    /// The command stops in order now, whatever the reason.
    static func stopsInOrder() {
        stopping.store(true, ordering: .releasing)
    }

    static func outputFailed(_ problem: Int32) {
        if problem != EPIPE { complain("cannot write to standard output: \(String(cString: strerror(problem)))") }
        request(problem == EPIPE ? .signal(SIGPIPE) : .abnormal)
    }

    private static func arrived(_ number: Int32) {
        // Read before the request: what it asks for may begin at once, on the main thread.
        let isStopping = stopping.load(ordering: .acquiring)
        guard request(.signal(number)), !isStopping else { leave(.signal(number)) }
        if isatty(STDERR_FILENO) == 1 { complainPlainly("\nobhut: stopping; once more to end at once") }
    }

    /// False if something asked before.
    @discardableResult
    private static func request(_ status: ExitStatus) -> Bool {
        let (first, _) = requested.compareExchange(
            expected: 0, desired: status.code, ordering: .sequentiallyConsistent)
        // The other side publishes its port, then looks at `requested`: one of the two sees the other.
        if let handle = OpaquePointer(bitPattern: port.load(ordering: .sequentiallyConsistent)) {
            _ = obhut_port_wake(handle)
        }
        return first
    }
}
