import CNative
import CObhut
import Glibc

/// The body of a native process in mode handler: three functions of a plugin that run on the workers, as any body does.
///
/// They are called in place, one at a time, by the process's owner: so what they ask is done at once, and `send` goes the short
/// way, without a request in between. They must not block. An endless one holds its worker, which spare ones replace; at
/// `step_limit` the process is told to end (H3): each call answers that, and it is over when the function returns.
enum NativeHandler {
    /// How many events are handled before it is asked whether others wait for their turn (H2).
    private static let turn = 64

    /// The table of every such process; lives for ever.
    nonisolated(unsafe) static let table: UnsafePointer<obh_body> = {  // written once, here
        let table = UnsafeMutablePointer<obh_body>.allocate(capacity: 1)
        table.initialize(
            to: obh_body(
                start: { NativeHandler.start(.from($0!)) }, step: { NativeHandler.step(.from($0!)) },
                stop: { NativeHandler.stop(.from($0!)) },
                where: { process, text, size in NativeHandler.place(.from(process!), text!, size) }, memory: nil))
        return UnsafePointer(table)
    }()

    /// The functions of such a context: those of every other, but for `send`, and for `should_stop`: nobody else looks at the
    /// signals of this process while its function runs.
    nonisolated(unsafe) private static let functions: UnsafePointer<obhut_context_functions> = {  // written once, here
        let table = UnsafeMutablePointer<obhut_context_functions>.allocate(capacity: 1)
        table.initialize(to: obn_context_functions)
        table.pointee.send = { context, pid, topic, payload, length in
            let own = UnsafeMutableRawPointer(context!).assumingMemoryBound(to: obn_context.self)
            return own.pointee.carrier.assumingMemoryBound(to: HandlerState.self)
                .send(Pid(raw: pid), topic, UnsafeRawBufferPointer(start: payload, count: length))
        }
        table.pointee.should_stop = { context in
            let own = UnsafeMutableRawPointer(context!).assumingMemoryBound(to: obn_context.self)
            return own.pointee.carrier.assumingMemoryBound(to: HandlerState.self).shouldStop
        }
        return UnsafePointer(table)
    }()

    private static func start(_ process: ProcessPointer) -> Int32 {
        let definition = process.pointee.definition.unsafelyUnwrapped
        let program = unsafeDowncast(definition.program, to: NativeProgram.self)
        let (handler, fault) = find(program)
        guard let handler else {
            process.end(.error("\(definition.id): \(fault)", of: process.pid))
            return 1
        }
        let state = HandlerPointer.allocate(capacity: 1)
        state.initialize(to: HandlerState(process, program, handler))
        process.pointee.bodyState = UnsafeMutableRawPointer(state)
        let context = state.pointee.context
        obn_context_init(
            context,
            { carrier, request, length, answer, answerLength in
                carrier!.assumingMemoryBound(to: HandlerState.self)
                    .exchange(UnsafeRawBufferPointer(start: request, count: length), answer!, answerLength!)
            }, UnsafeMutableRawPointer(state), state.pointee.control, process.pid.raw, state.pointee.entry)
        context.pointee.is_handler = true
        context.pointee.plugin.functions = functions
        let arguments = process.pointee.arguments
        let none: [UInt8] = [0x90]
        let status = none.withUnsafeBytes { none in
            let given = arguments.map { UnsafeRawBufferPointer($0) } ?? none
            return handler.pointee.`init`(state.plugin, given.baseAddress, given.count, &state.pointee.user)
        }
        guard status == OBHUT_OK else {
            process.end(.error(state.failure("init", status), of: process.pid))
            return 1
        }
        state.pointee.isInitialized = true
        // Ended meanwhile: what came before that is not handled any more (P7).
        return process.isOver ? 1 : 0
    }

    private static func find(_ program: NativeProgram) -> (UnsafePointer<obhut_handler>?, fault: String) {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 2048) { text in
            guard let library = obn_library_open(program.library, text.baseAddress, text.count),
                obn_library_init(library, text.baseAddress, text.count) == 0
            else { return (nil, String(cString: text.baseAddress!)) }
            guard let symbol = obn_library_data(library, program.symbol, text.baseAddress, text.count) else {
                return (nil, String(cString: text.baseAddress!))
            }
            let handler = UnsafeRawPointer(symbol).assumingMemoryBound(to: obhut_handler.self)
            let known = MemoryLayout<obhut_handler>.size
            guard handler.pointee.struct_size == known else {
                return (
                    nil,
                    "\(program.symbol) is no obhut_handler of this version: its struct_size is \(handler.pointee.struct_size), not \(known)"
                )
            }
            guard handler.pointee.`init` != nil, handler.pointee.handle != nil else {
                return (nil, "\(program.symbol) has no init or no handle")
            }
            return (handler, "")
        }
    }

    private static func step(_ process: ProcessPointer) -> Int32 {
        let state = process.pointee.bodyState.unsafelyUnwrapped.assumingMemoryBound(to: HandlerState.self)
        for _ in 0..<turn {
            // Each time: a call of the function may have let in what was on its way.
            process.pointee.mailbox.route()
            guard let signal = process.takeOldest() else { return Int32(OBH_STEP_WAITING) }
            let outcome = state.handle(signal)
            signal.release()
            // Ended by others, or by itself, it is over, whatever it answers (C4), and nothing more is handled (P7).
            if process.isOver { return Int32(OBH_STEP_WAITING) }
            if outcome != OBHUT_HANDLER_CONTINUE { return state.end(outcome) }
        }
        return Int32(process.pointee.mailbox.isBare ? OBH_STEP_WAITING : OBH_STEP_UNFINISHED)
    }

    private static func stop(_ process: ProcessPointer) {
        guard let raw = process.pointee.bodyState else { return }
        let state = raw.assumingMemoryBound(to: HandlerState.self)
        process.pointee.bodyState = nil
        if state.pointee.isInitialized { state.pointee.handler.pointee.stop?(state.pointee.user) }
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// The symbol; allocates nothing.
    private static func place(_ process: ProcessPointer, _ text: UnsafeMutablePointer<CChar>, _ size: Int) -> Int {
        guard let raw = process.pointee.bodyState else { return 0 }
        let symbol = raw.assumingMemoryBound(to: HandlerState.self).pointee.symbol
        let count = min(strlen(symbol), size - 1)
        memcpy(text, symbol, count)
        text[count] = 0
        return count
    }
}

extension UnsafeMutablePointer where Pointee == ProcessSlot {
    /// Whether it has to end, as far as is known: what ends a process draws its attention.
    @inline(__always)
    fileprivate var isOver: Bool {
        if pointee.runnable.attention.load(ordering: .relaxed) { drain() }
        return isDoomed
    }
}

private typealias HandlerPointer = UnsafeMutablePointer<HandlerState>

/// The memory of one handler process; its owner's.
private struct HandlerState: ~Copyable {
    let process: ProcessPointer
    let handler: UnsafePointer<obhut_handler>
    let context: UnsafeMutablePointer<obn_context>
    let control: UnsafeMutablePointer<obn_control>
    let symbol: UnsafeMutablePointer<CChar>
    let entry: UnsafeMutablePointer<CChar>
    let sender: NativeRequests.Sender
    var user: UnsafeMutableRawPointer?
    var answer = PayloadWriter(reserving: 0)
    var isInitialized = false
    private let owner = getpid()
    /// In a child that its code has forked.
    var isForked: Bool { obh_fork_is_marked() == 0 && getpid() != owner }

    init(_ process: ProcessPointer, _ program: NativeProgram, _ handler: UnsafePointer<obhut_handler>) {
        self.process = process
        self.handler = handler
        sender = .init(process)
        context = .allocate(capacity: 1)
        control = .allocate(capacity: 1)
        control.initialize(to: obn_control())
        symbol = strdup(program.symbol)
        entry = strdup(sender.entry)
    }

    deinit {
        obn_context_free(context)
        context.deallocate()
        control.deallocate()
        free(symbol)
        free(entry)
    }
}

extension UnsafeMutablePointer where Pointee == HandlerState {
    fileprivate var plugin: UnsafeMutablePointer<obhut_context> {
        UnsafeMutableRawPointer(pointee.context).assumingMemoryBound(to: obhut_context.self)
    }

    /// What the plugin has said is wrong.
    fileprivate func failure(_ function: String, _ status: Int32) -> String {
        if pointee.context.pointee.has_failed {
            return pointee.context.failure
        }
        return "\(function) of \(String(cString: pointee.symbol)) answered status \(status)"
    }

    // MARK: Events

    @inline(__always)
    fileprivate func handle(_ signal: SignalPointer) -> Int32 {
        var event = obhut_event()
        event.struct_size = MemoryLayout<obhut_event>.size
        event.from = signal.pointee.from.raw
        guard signal.pointee.kind == .message else { return handle(event: signal, &event) }
        event.kind = OBHUT_MESSAGE_DATA
        event.request = signal.pointee.a
        event.payload = signal.payload.isEmpty ? nil : signal.payload.baseAddress
        event.length = signal.payload.count
        // A topic has 255 bytes at most; it wants a NUL.
        let topic = signal.topic
        return withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { copy in
            if topic.count > 0 { memcpy(copy.baseAddress!, topic.baseAddress!, topic.count) }
            copy[topic.count] = 0
            event.topic = UnsafePointer(copy.baseAddress!.assumingMemoryBound(to: CChar.self))
            event.topic_length = topic.count
            return pointee.handler.pointee.handle(plugin, pointee.user, &event)
        }
    }

    private func handle(event signal: SignalPointer, _ event: inout obhut_event) -> Int32 {
        event.topic = UnsafePointer(pointee.entry + strlen(pointee.entry))  // ""
        switch signal.pointee.kind {
        case .cancel:
            event.kind = OBHUT_MESSAGE_CANCEL
            event.deadline = Int64(bitPattern: signal.pointee.a)
            obn_control_stop(pointee.control)
            return pointee.handler.pointee.handle(plugin, pointee.user, &event)
        default:
            let reason = signal.reason
            event.kind = signal.pointee.kind == .exit ? OBHUT_MESSAGE_EXIT : OBHUT_MESSAGE_LINK_DOWN
            event.is_error = reason.isAbnormal
            event.origin = reason.origin.raw
            event.hops = UInt32(clamping: reason.hops)
            return reason.payload.withUnsafeBytes {
                event.payload = $0.baseAddress
                event.length = $0.count
                return pointee.handler.pointee.handle(plugin, pointee.user, &event)
            }
        }
    }

    fileprivate func end(_ outcome: Int32) -> Int32 {
        let process = pointee.process
        if outcome < 0 {
            process.end(.error(failure("handle", outcome), of: process.pid))
        } else if pointee.context.pointee.result.length > 0 {
            let result = pointee.context.pointee.result
            guard result.length <= pointee.sender.mostBytes else {
                let text = "the result of \(String(cString: pointee.symbol)) has \(result.length) bytes; max_message is \(pointee.sender.mostBytes)"
                process.end(.error(text, of: process.pid))
                return Int32(OBH_STEP_ENDED)
            }
            process.end(.value(UnsafeRawBufferPointer(start: result.bytes, count: result.length), of: process.pid))
        } else {
            process.end(.nothing(of: process.pid))
        }
        return Int32(OBH_STEP_ENDED)
    }

    // MARK: What it asks

    /// Any thread may ask; the signals are the worker's.
    fileprivate var shouldStop: Bool {
        let process = pointee.process
        if let worker = WorkerCore.current, worker.pointee.running.load(ordering: .relaxed) == UInt(bitPattern: process.runnable) {
            if !process.pointee.signals.isEmpty { process.drain() }
            if process.isDoomed || process.isCancelled { obn_control_stop(pointee.control) }
        }
        return obn_control_is_stopped(pointee.control)
    }

    fileprivate func exchange(
        _ request: UnsafeRawBufferPointer, _ answer: UnsafeMutablePointer<UnsafeRawPointer?>, _ length: UnsafeMutablePointer<Int>
    ) -> Int32 {
        let process = pointee.process
        if pointee.isForked { return OBHUT_FORKED }
        if process.isOver { return OBHUT_TERMINATED }
        pointee.answer.removeAll()
        var reader = NativeRequests.Reader(request)
        if !NativeRequests.needsOwner(reader.operation) {
            var receiver = NativeRequests.Receiver()
            NativeRequests.runWithoutOwner(&reader, of: pointee.sender, in: process.system, &pointee.answer, &receiver)
            receiver.wake()
        } else if !NativeRequests.runByOwner(&reader, process, &pointee.answer) {
            NativeRequests.fail(&pointee.answer, OBHUT_INVALID_ARGUMENT, "the runtime knows no operation \(reader.operation)")
        }
        if process.isDoomed { return OBHUT_TERMINATED }
        answer.pointee = pointee.answer.bytes.baseAddress
        length.pointee = pointee.answer.count
        return OBHUT_OK
    }

    fileprivate func send(_ pid: Pid, _ topic: UnsafePointer<CChar>?, _ payload: UnsafeRawBufferPointer) -> Int32 {
        if pointee.isForked { return obn_context_fault(pointee.context, OBHUT_FORKED, "the context is of the process from which this one was forked") }
        if pointee.process.isOver { return obn_context_fault(pointee.context, OBHUT_TERMINATED, "the process has been ended") }
        guard let topic else { return obn_context_fault(pointee.context, OBHUT_INVALID_ARGUMENT, "the topic is NULL") }
        let name = UnsafeRawBufferPointer(start: topic, count: strlen(topic))
        if let fault = NativeRequests.fault(ofTopic: name) { return refuse(fault) }
        return withNilUnlessThere(payload) { bytes in
            guard bytes.baseAddress != nil else {
                return obn_context_fault(pointee.context, OBHUT_INVALID_ARGUMENT, "the payload is NULL and has a length")
            }
            if let fault = NativeRequests.fault(ofPayload: bytes, pointee.sender.mostBytes) { return refuse(fault) }
            return Unmanaged.passUnretained(pointee.process.pointee.system)._withUnsafeGuaranteedRef { system in
                let outcome = system.send(from: pointee.sender.pid, to: pid, topic: name, payload: bytes)
                return NativeRequests.fault(of: outcome, pid, in: system).map(refuse) ?? OBHUT_OK
            }
        }
    }

    private func refuse(_ fault: NativeRequests.Fault) -> Int32 { obn_context_fault(pointee.context, fault.status, fault.text) }
}
