import CNative
import CObhut
import Glibc

/// The body of a native process (ARCHITECTURE D11): its state, on the workers. See `NativeRun` for its code, elsewhere.
///
/// A step answers what the code has asked: each request comes as a `.call`, in the order of the signals. `receive` and `request` may have
/// to wait; then the shell waits, like any process, for a signal or a time, and answers when there is something. So all rules of
/// mailboxes, links and monitors hold as they are written, and no thread stands still for a process that waits.
enum NativeShell {
    /// The table of every native process with code of its own; lives for ever.
    nonisolated(unsafe) static let table: UnsafePointer<obh_body> = {  // written once, here
        let table = UnsafeMutablePointer<obh_body>.allocate(capacity: 1)
        table.initialize(
            to: obh_body(
                start: { NativeShell.start(.from($0!)) }, step: { NativeShell.state(.from($0!)).step() },
                stop: { NativeShell.stop(.from($0!)) }, where: nil, memory: nil))
        return UnsafePointer(table)
    }()

    private static func start(_ process: ProcessPointer) -> Int32 {
        let definition = process.pointee.definition.unsafelyUnwrapped
        let program = unsafeDowncast(definition.program, to: NativeProgram.self)
        guard let execution = NativeExecution.of(process.system), process.system.scheduler.simulation == nil else {
            process.end(.error("\(definition.id): native code does not run in a simulation", of: process.pid))
            return 1
        }
        let run: NativeRun
        let fault: String?
        switch program.isolation {
        case .process:
            let worker = WorkerRun(process, program, execution.workers)
            run = worker
            fault = execution.workers.start(worker)
        case .thread:
            let thread = ThreadRun(process, program, execution)
            run = thread
            fault = thread.start()
        }
        let state = NativeShellState(process, run)
        process.pointee.bodyState = Unmanaged.passRetained(state).toOpaque()
        if let fault {
            process.end(.error("\(definition.id): \(fault)", of: process.pid))
            return 1
        }
        return 0
    }

    private static func stop(_ process: ProcessPointer) {
        guard let raw = process.pointee.bodyState else { return }
        let state = Unmanaged<NativeShellState>.fromOpaque(raw).takeRetainedValue()
        process.pointee.bodyState = nil
        state.run.close()
    }

    private static func state(_ process: ProcessPointer) -> NativeShellState {
        Unmanaged<NativeShellState>.fromOpaque(process.pointee.bodyState.unsafelyUnwrapped).takeUnretainedValue()
    }
}

/// A shell's own memory; only its owner's.
final class NativeShellState {
    let process: ProcessPointer
    let run: NativeRun
    /// For what its code waits.
    private var wait = Wait.nothing
    private var isStopRequested = false

    private enum Wait {
        case nothing
        /// The next message or event, until then.
        case event(until: Int64)
        /// The reply to that request of its own.
        case reply(UInt64, of: Pid, until: Int64)
    }

    init(_ process: ProcessPointer, _ run: NativeRun) {
        self.process = process
        self.run = run
    }

    func step() -> Int32 {
        while let signal = process.pointee.mailbox.answers.removeFirst() {
            defer { signal.release() }
            if signal.pointee.kind != .call {
                take(answer: signal)
            } else if signal.pointee.a == NativeRun.endMark {
                return end()
            } else {
                serve(signal.payload)
            }
            if process.isDoomed { return Int32(OBH_STEP_WAITING) }
        }
        if !isStopRequested && process.isCancelled {
            isStopRequested = true
            run.requestStop()
        }
        continueWait()
        return Int32(OBH_STEP_WAITING)
    }

    private func end() -> Int32 {
        switch run.takeEnd() {
        case .returned(let value) where value.count > run.mostBytes:
            let text = "the result of \(run.program.symbol) has \(value.count) bytes; max_message is \(run.mostBytes)"
            process.end(.error(text, of: process.pid))
        case .returned(let value): value.withUnsafeBytes { process.end(.value($0, of: process.pid)) }
        case .failed(let text, let traceback): process.end(.error(text, of: process.pid, traceback: traceback))
        case nil: return Int32(OBH_STEP_WAITING)
        }
        return Int32(OBH_STEP_ENDED)
    }

    // MARK: Requests

    private func serve(_ request: UnsafeRawBufferPointer) {
        var reader = NativeRequests.Reader(request)
        var answer = PayloadWriter(reserving: 128)
        switch reader.operation {
        case OBN_RECEIVE:
            wait = .event(until: deadline(after: reader.integer()))
            return
        case OBN_REQUEST: if begin(&reader, &answer) { return }
        default:
            if !NativeRequests.runByOwner(&reader, process, &answer) {
                NativeRequests.fail(&answer, OBHUT_INVALID_ARGUMENT, "the runtime knows no operation \(reader.operation)")
            }
        }
        // What was done may have found that it has to end: then nobody is answered.
        if !process.isDoomed { run.answer(answer.bytes) }
    }

    /// - Parameter timeout: nanoseconds, negative: for ever.
    private func deadline(after timeout: Int64) -> Int64 {
        if timeout < 0 { return .max }
        let (sum, overflow) = process.system.clock.now.addingReportingOverflow(timeout)
        return overflow ? .max : sum
    }

    /// - Returns: whether it waits; else `answer` says what was wrong.
    private func begin(_ reader: inout NativeRequests.Reader, _ answer: inout PayloadWriter) -> Bool {
        let pid = reader.pid()
        let (topic, payload) = (reader.bytes(), reader.bytes())
        let timeout = reader.integer()
        guard let message = NativeRequests.checked(topic, payload, run.mostBytes, &answer) else { return false }
        guard timeout != 0 else {
            NativeRequests.fail(&answer, OBHUT_INVALID_ARGUMENT, "the timeout of a request is not 0")
            return false
        }
        guard let number = process.beginInquiry(pid) else {
            NativeRequests.notFound(&answer, pid, in: process.system)
            return false
        }
        let outcome = process.system.send(
            from: process.pid, to: pid, topic: message.topic, payload: message.payload, request: number)
        guard NativeRequests.sent(outcome, pid, in: process.system, &answer) else {
            process.endInquiry(number)
            return false
        }
        wait = .reply(number, of: pid, until: deadline(after: timeout))
        return true
    }

    /// A reply, or the end of one that was asked.
    private func take(answer signal: SignalPointer) {
        guard case .reply(let number, let pid, _) = wait, signal.pointee.a == number else { return }
        wait = .nothing
        if signal.pointee.kind == .reply { return answer(with: signal) }
        let how = signal.reason.isAbnormal ? "failed: \(signal.reason.text)" : "ended"
        fail(OBHUT_NOT_FOUND, "no reply: process \(process.system.text(of: pid)) \(how)")
    }

    // MARK: Waits

    /// Answers what waits if there is something, or its time is over.
    private func continueWait() {
        let until: Int64
        switch wait {
        case .nothing:
            process.pointee.wakeAt = .max
            return
        case .event(let deadline):
            process.pointee.mailbox.route()
            if let signal = process.takeOldest() {
                defer { signal.release() }
                wait = .nothing
                process.pointee.wakeAt = .max
                return answer(with: signal)
            }
            until = deadline
        case .reply(_, _, let deadline): until = deadline
        }
        process.pointee.wakeAt = until
        guard until != .max, process.system.clock.now >= until else { return }
        process.pointee.wakeAt = .max
        if case .reply(let number, let pid, _) = wait {
            process.endInquiry(number)
            fail(OBHUT_TIMEOUT, "no reply from \(process.system.text(of: pid)) in time")
        } else {
            fail(OBHUT_TIMEOUT, "nothing has come in time")
        }
        wait = .nothing
    }

    private func answer(with signal: SignalPointer) {
        var answer = PayloadWriter(reserving: 256)
        NativeRequests.write(signal, &answer)
        run.answer(answer.bytes)
    }

    private func fail(_ status: Int32, _ text: String) {
        var answer = PayloadWriter(reserving: 128)
        NativeRequests.fail(&answer, status, text)
        run.answer(answer.bytes)
    }
}
