import CNative
import Glibc
import Synchronization

/// How the code of a native process ended.
enum NativeEnd {
    /// The value, MessagePack.
    case returned([UInt8])
    /// - Parameter traceback: what it wrote to stderr at last, if anything.
    case failed(String, traceback: String?)
}

/// One run of a native function, as its own code and those who carry its calls see it.
///
/// A native process is two things. Its *shell* (`NativeShell`) is a body on the workers like any other, and owns all the state
/// that the core knows of: mailbox, links, monitors, names. Its *code* runs elsewhere, in a child OS process or on a thread
/// of its own, and only asks. This is what the two have in common. The law here:
///
/// - One request at a time: the code waits for the answer to each. So their order is the program's.
/// - What needs no owner (send, reply, look-ups, log) is done by whoever brings the request, under `lock`; all else goes to the shell as
///   a signal, `.call`, and the shell answers it when it can. If the shell waits, whoever brings the request does its step too: a
///   worker would have to be woken for it.
/// - `isOver` is set by the shell before anybody is told of the end. Under `lock` nothing is done for code that is over: what it
///   has sent came before its EXIT (M2), and what it asks afterwards is answered by `terminated`. Its code may outlive process,
///   shell and runtime: then it touches nothing but this object.
class NativeRun: @unchecked Sendable {  // guard notes stand on each mutable field
    let lock = Lock()
    /// Held while a step of the shell is done in place. `close` takes it once, so that process, hosts and runtime are there until that
    /// thread has left them. Taken before `lock`.
    private let inPlace = Lock()
    let program: NativeProgram
    let sender: NativeRequests.Sender
    var pid: Pid { sender.pid }
    var entry: String { sender.entry }
    var mostBytes: Int { sender.mostBytes }
    /// A MessagePack array.
    let arguments: [UInt8]
    /// Touched only under `lock` or `inPlace`, while it is not over.
    private(set) unowned(unsafe) var system: ProcessSystem
    private(set) var isOver = false  // guarded by lock
    private var end: NativeEnd?  // guarded by lock

    init(_ process: ProcessPointer, _ program: NativeProgram) {
        self.program = program
        sender = .init(process)
        system = process.system
        if let given = process.pointee.arguments {
            arguments = Array(given)
        } else {
            arguments = [0x90]
        }
    }

    // MARK: For those who carry its calls

    enum Taken {
        /// Done; the bytes answer it.
        case answered
        /// The shell will answer it.
        case passedOn
        case over
    }

    /// Nothing that the answer is written to may be in use: the shell may answer before this is over.
    /// - Parameter request: MessagePack, `[operation, …]`; from outside, not checked yet.
    /// - Parameter answered: gets the answer if it is given at once; with `lock` held.
    func take(_ request: UnsafeRawBufferPointer, _ answered: (borrowing PayloadWriter) -> Void) -> Taken {
        var reader = NativeRequests.Reader(request)
        if NativeRequests.needsOwner(reader.operation) { return passOn(request) }
        var answer = PayloadWriter(reserving: 64)
        return lock.with {
            if isOver { return .over }
            var receiver = NativeRequests.Receiver()
            NativeRequests.runWithoutOwner(&reader, of: sender, in: system, &answer, &receiver)
            // First the answer: the code waits for it, and has its next request to make.
            answered(answer)
            receiver.wake()
            return .answered
        }
    }

    private func passOn(_ request: UnsafeRawBufferPointer) -> Taken {
        inPlace.lock()
        defer { inPlace.unlock() }
        if lock.with({ isOver }) { return .over }
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        return system.deliverInPlace(.makeMessage(.call, from: pid, topic: none, payload: request), to: pid) ? .passedOn : .over
    }

    /// The code has ended, by itself: its shell takes it from there. The first end stands.
    func ended(_ end: NativeEnd) {
        lock.with {
            guard !isOver, self.end == nil else { return }
            self.end = end
            _ = system.deliver(.make(.call, from: pid, a: NativeRun.endMark), to: pid)
        }
    }

    /// A line that the code wrote to stdout or stderr, or a note about it; dropped when it is over.
    func write(_ act: (ProcessSystem) -> Void) {
        lock.with { if !isOver { act(system) } }
    }

    /// In a `.call`: it is no request, the code has ended.
    static let endMark: UInt64 = 1

    // MARK: For the shell

    /// Answers the request that waits; the bytes are copied.
    func answer(_ bytes: UnsafeRawBufferPointer) { preconditionFailure("of a subclass") }

    /// A CANCEL has come.
    func requestStop() { preconditionFailure("of a subclass") }

    /// How the code ended, once it is said.
    func takeEnd() -> NativeEnd? { lock.with { end } }

    /// From here on nothing is done for the code, which may still run.
    final func close() {
        lock.with {
            isOver = true
            closeLocked()
        }
        // Who is about to do a step in place finds that it is over.
        inPlace.with {}
        letGo()
    }

    /// With `lock` held.
    func closeLocked() {}
    /// Afterwards, without it.
    func letGo() {}
}
