import CNative
import Glibc

/// What native code may ask, and how it is answered: include/obhut_plugin.h, seen from the runtime.
///
/// Requests come from outside: they are read as untrusted, and a malformed one is answered by a status.
enum NativeRequests {
    /// A request that is being read.
    struct Reader {
        var reader: PayloadReader
        let operation: Int

        init(_ request: UnsafeRawBufferPointer) {
            reader = PayloadReader(request)
            if case .array = reader.next(), case .integer(let number) = reader.next() {
                operation = Int(number)
            } else {
                operation = -1
            }
        }

        mutating func pid() -> Pid {
            switch reader.next() {
            case .integer(let value): Pid(raw: UInt64(bitPattern: value))
            case .unsigned(let value): Pid(raw: value)
            default: .none
            }
        }

        mutating func integer() -> Int64 {
            if case .integer(let value) = reader.next() { return value }
            return 0
        }

        mutating func unsigned() -> UInt64 { pid().raw }

        mutating func isTrue() -> Bool {
            if case .bool(let value) = reader.next() { return value }
            return false
        }

        /// Nil: it is nil, or no text.
        mutating func bytes() -> UnsafeRawBufferPointer? {
            switch reader.next() {
            case .string(let bytes), .binary(let bytes): bytes
            default: nil
            }
        }
    }

    /// For whom something is done.
    struct Sender {
        let pid: Pid
        let entry: String
        /// Bytes of a payload (M1).
        let mostBytes: Int

        /// Of the present life of a process; its owner's.
        init(_ process: ProcessPointer) {
            pid = process.pid
            entry = process.pointee.definition.unsafelyUnwrapped.id
            mostBytes = process.host?.limits.maxMessage ?? .max
        }
    }

    // MARK: Answers

    static func succeed(_ answer: inout PayloadWriter) {
        answer.writeArrayHeader(1)
        answer.writeInteger(0)
    }

    static func succeed(_ answer: inout PayloadWriter, _ pid: Pid) {
        answer.writeArrayHeader(2)
        answer.writeInteger(0)
        answer.writeUnsigned(pid.raw)
    }

    static func fail(_ answer: inout PayloadWriter, _ status: Int32, _ text: String) {
        answer.writeArrayHeader(2)
        answer.writeInteger(Int64(status))
        answer.writeString(text)
    }

    /// What is received. It is the event's shape on the wire (OBN_RECEIVE); `signal` stays the caller's.
    static func write(_ signal: SignalPointer, _ answer: inout PayloadWriter) {
        answer.writeArrayHeader(10)
        answer.writeInteger(0)
        switch signal.pointee.kind {
        case .message: answer.writeInteger(Int64(OBHUT_MESSAGE_DATA))
        case .reply: answer.writeInteger(Int64(OBHUT_MESSAGE_REPLY))
        case .linkDown: answer.writeInteger(Int64(OBHUT_MESSAGE_LINK_DOWN))
        case .cancel: answer.writeInteger(Int64(OBHUT_MESSAGE_CANCEL))
        default: answer.writeInteger(Int64(OBHUT_MESSAGE_EXIT))
        }
        answer.writeUnsigned(signal.pointee.from.raw)
        var isError = false
        var (origin, hops) = (UInt64(0), 0)
        switch signal.pointee.kind {
        case .message, .reply:
            answer.writeString(signal.topic)
            // From C and tests a message may have none at all.
            withNilUnlessThere(signal.payload) { answer.writeBinary($0) }
            isError = signal.pointee.kind == .reply && signal.pointee.b != 0
        case .exit, .linkDown:
            let reason = signal.reason
            answer.writeString("")
            reason.payload.withUnsafeBytes { answer.writeBinary($0) }
            isError = reason.isAbnormal
            (origin, hops) = (reason.origin.raw, reason.hops)
        default:
            answer.writeString("")
            answer.writeNil()
        }
        answer.writeBool(isError)
        answer.writeUnsigned(signal.pointee.kind == .message || signal.pointee.kind == .reply ? signal.pointee.a : 0)
        answer.writeInteger(signal.pointee.kind == .cancel ? Int64(bitPattern: signal.pointee.a) : 0)
        answer.writeUnsigned(origin)
        answer.writeInteger(Int64(hops))
    }

    // MARK: Without the owner

    /// Whether the shell has to do it.
    static func needsOwner(_ operation: Int) -> Bool {
        switch operation {
        case OBN_RECEIVE, OBN_REQUEST, OBN_SPAWN, OBN_LINK, OBN_UNLINK, OBN_MONITOR, OBN_UNMONITOR, OBN_REGISTER, OBN_TRAP_LINKS,
            OBN_READY:
            true
        default: false
        }
    }

    /// Who has been sent something and is to be woken.
    struct Receiver {
        fileprivate var process: ProcessPointer?
        fileprivate var pid = Pid.none

        init() {}
        func wake() { process?.runnable.wake(serial: pid.serial) }
    }

    /// Does what any thread may do for the process, whose `lock` is held.
    /// - Parameter receiver: whom the caller wakes, still with the lock.
    static func runWithoutOwner(
        _ reader: inout Reader, of sender: Sender, in system: ProcessSystem, _ answer: inout PayloadWriter,
        _ receiver: inout Receiver
    ) {
        switch reader.operation {
        case OBN_SEND: send(&reader, sender, in: system, &answer, &receiver)
        case OBN_REPLY: reply(&reader, sender, in: system, &answer)
        case OBN_LOOKUP: lookup(&reader, in: system, &answer)
        case OBN_UNREGISTER: unregister(&reader, in: system, &answer)
        case OBN_CANCEL: cancel(&reader, sender.pid, in: system, &answer)
        case OBN_TERMINATE: terminate(&reader, sender.pid, in: system, &answer)
        case OBN_LOG: log(&reader, sender, in: system, &answer)
        default: fail(&answer, OBHUT_INVALID_ARGUMENT, "the runtime knows no operation \(reader.operation)")
        }
    }

    /// Topic and payload, checked as any that come from outside.
    static func checked(
        _ topic: UnsafeRawBufferPointer?, _ payload: UnsafeRawBufferPointer?, _ mostBytes: Int, _ answer: inout PayloadWriter
    ) -> (topic: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer)? {
        guard let topic, let payload = checked(payload, mostBytes, &answer) else {
            if topic == nil { fail(&answer, OBHUT_INVALID_ARGUMENT, "the request is malformed") }
            return nil
        }
        if let fault = fault(ofTopic: topic) {
            fail(&answer, fault.status, fault.text)
            return nil
        }
        return (topic, payload)
    }

    static func checked(
        _ payload: UnsafeRawBufferPointer?, _ mostBytes: Int, _ answer: inout PayloadWriter
    ) -> UnsafeRawBufferPointer? {
        guard let payload else {
            fail(&answer, OBHUT_INVALID_ARGUMENT, "the request is malformed")
            return nil
        }
        if let fault = fault(ofPayload: payload, mostBytes) {
            fail(&answer, fault.status, fault.text)
            return nil
        }
        return payload
    }

    static func notFound(_ answer: inout PayloadWriter, _ pid: Pid, in system: ProcessSystem) {
        let fault = notFound(pid, in: system)
        fail(&answer, fault.status, fault.text)
    }

    /// - Returns: false when it was refused, and that is the answer.
    static func sent(
        _ outcome: ProcessSystem.SendOutcome, _ pid: Pid, in system: ProcessSystem, _ answer: inout PayloadWriter
    ) -> Bool {
        guard let fault = fault(of: outcome, pid, in: system) else { return true }
        fail(&answer, fault.status, fault.text)
        return false
    }

    // MARK: What is wrong with a message

    /// The status, and the text for people.
    struct Fault {
        let status: Int32
        let text: String
    }

    @inline(__always)
    static func fault(ofTopic topic: UnsafeRawBufferPointer) -> Fault? {
        if let text = topicFault(topic) { return Fault(status: OBHUT_INVALID_ARGUMENT, text: text) }
        return isValidUTF8(topic) ? nil : Fault(status: OBHUT_INVALID_ARGUMENT, text: "the topic is not UTF-8")
    }

    @inline(__always)
    static func fault(ofPayload payload: UnsafeRawBufferPointer, _ mostBytes: Int) -> Fault? {
        if payload.count > mostBytes {
            return Fault(status: OBHUT_LIMIT, text: "the payload has \(payload.count) bytes; max_message is \(mostBytes)")
        }
        return validatePayload(payload).map { Fault(status: OBHUT_MALFORMED, text: "the payload is malformed: \($0)") }
    }

    @inline(__always)
    static func fault(of outcome: ProcessSystem.SendOutcome, _ pid: Pid, in system: ProcessSystem) -> Fault? {
        switch outcome {
        case .sent: nil
        case .notFound: notFound(pid, in: system)
        case .full: Fault(status: OBHUT_LIMIT, text: "mailbox full: \(system.text(of: pid))")
        }
    }

    private static func notFound(_ pid: Pid, in system: ProcessSystem) -> Fault {
        Fault(status: OBHUT_NOT_FOUND, text: "process not found: \(system.text(of: pid))")
    }

    private static func send(
        _ reader: inout Reader, _ sender: Sender, in system: ProcessSystem, _ answer: inout PayloadWriter,
        _ receiver: inout Receiver
    ) {
        let pid = reader.pid()
        let (topic, payload) = (reader.bytes(), reader.bytes())
        guard let message = checked(topic, payload, sender.mostBytes, &answer) else { return }
        receiver.pid = pid
        let outcome = system.post(
            .makeMessage(.message, from: sender.pid, topic: message.topic, payload: message.payload), to: pid,
            waking: &receiver.process)
        if sent(outcome, pid, in: system, &answer) { succeed(&answer) }
    }

    private static func reply(
        _ reader: inout Reader, _ sender: Sender, in system: ProcessSystem, _ answer: inout PayloadWriter
    ) {
        let pid = reader.pid()
        let number = reader.unsigned()
        guard let payload = checked(reader.bytes(), sender.mostBytes, &answer) else { return }
        let isError = reader.isTrue()
        guard number != 0 else { return fail(&answer, OBHUT_INVALID_ARGUMENT, "the message was no request: its number is 0") }
        guard system.reply(from: sender.pid, to: pid, request: number, payload: payload, isError: isError) else {
            return notFound(&answer, pid, in: system)
        }
        succeed(&answer)
    }

    private static func lookup(_ reader: inout Reader, in system: ProcessSystem, _ answer: inout PayloadWriter) {
        guard let text = reader.bytes() else { return fail(&answer, OBHUT_INVALID_ARGUMENT, "the request is malformed") }
        if let pid = system.resolve(UnsafeBufferPointer(rebasing: text.bindMemory(to: UInt8.self)[...])) {
            return succeed(&answer, pid)
        }
        fail(&answer, OBHUT_NOT_FOUND, "process not found: \(String(decoding: text, as: UTF8.self))")
    }

    private static func unregister(_ reader: inout Reader, in system: ProcessSystem, _ answer: inout PayloadWriter) {
        let name = String(decoding: reader.bytes() ?? UnsafeRawBufferPointer(start: nil, count: 0), as: UTF8.self)
        if system.names.unregister(name) { return succeed(&answer) }
        fail(&answer, OBHUT_NOT_FOUND, "no process is called \(name)")
    }

    private static func cancel(
        _ reader: inout Reader, _ sender: Pid, in system: ProcessSystem, _ answer: inout PayloadWriter
    ) {
        let pid = reader.pid()
        let timeout = reader.integer()
        guard timeout > 0 else { return fail(&answer, OBHUT_INVALID_ARGUMENT, "the timeout \(timeout) is not more than 0") }
        if system.cancel(pid, from: sender, timeout: timeout) { succeed(&answer) } else { notFound(&answer, pid, in: system) }
    }

    private static func terminate(
        _ reader: inout Reader, _ sender: Pid, in system: ProcessSystem, _ answer: inout PayloadWriter
    ) {
        let pid = reader.pid()
        guard system.terminate(pid, from: sender) else { return notFound(&answer, pid, in: system) }
        if pid == sender { fail(&answer, OBHUT_TERMINATED, "the process has been ended") } else { succeed(&answer) }
    }

    private static func log(
        _ reader: inout Reader, _ sender: Sender, in system: ProcessSystem, _ answer: inout PayloadWriter
    ) {
        guard let level = LogRecord.Level(rawValue: Int32(truncatingIfNeeded: reader.integer())), let text = reader.bytes() else {
            return fail(&answer, OBHUT_INVALID_ARGUMENT, "the level of the log is one of OBHUT_LOG_…")
        }
        var record = LogRecord(level: level, message: String(decoding: text, as: UTF8.self))
        record.entry = sender.entry
        record.pid = system.text(of: sender.pid)
        system.surroundings.log?(record)
        succeed(&answer)
    }

    // MARK: By the owner

    /// What the owner does at once; `receive` and `request` are the shell's, which may have to wait.
    /// - Returns: false: it is no such operation.
    static func runByOwner(_ reader: inout Reader, _ process: ProcessPointer, _ answer: inout PayloadWriter) -> Bool {
        let system = process.system
        switch reader.operation {
        case OBN_LINK:
            let pid = reader.pid()
            switch process.link(pid) {
            case .done: succeed(&answer)
            case .notFound: notFound(&answer, pid, in: system)
            case .toItself: fail(&answer, OBHUT_INVALID_ARGUMENT, "a process cannot be linked to itself")
            }
        case OBN_UNLINK:
            process.unlink(reader.pid())
            succeed(&answer)
        case OBN_MONITOR:
            let pid = reader.pid()
            switch process.monitor(pid) {
            case .done: succeed(&answer)
            case .notFound: notFound(&answer, pid, in: system)
            case .already: fail(&answer, OBHUT_WRONG_STATE, "already monitoring")
            }
        case OBN_UNMONITOR:
            let pid = reader.pid()
            if process.unmonitor(pid) {
                succeed(&answer)
            } else {
                fail(&answer, OBHUT_NOT_FOUND, "not monitoring: \(system.text(of: pid))")
            }
        case OBN_TRAP_LINKS:
            guard let choice = trapLinks(reader.integer()) else {
                fail(&answer, OBHUT_INVALID_ARGUMENT, "the choice is one of OBHUT_TRAP_LINKS_…")
                return true
            }
            process.setTrapLinks(choice)
            succeed(&answer)
        case OBN_REGISTER: register(&reader, process, &answer)
        case OBN_SPAWN: spawn(&reader, process, &answer)
        case OBN_READY:
            process.tellSupervisor(.ready)
            succeed(&answer)
        default: return false
        }
        return true
    }

    private static func trapLinks(_ choice: Int64) -> TrapLinks? {
        switch choice {
        case Int64(OBHUT_TRAP_LINKS_NO): .no
        case Int64(OBHUT_TRAP_LINKS_FAILURES): .failures
        case Int64(OBHUT_TRAP_LINKS_ALL): .all
        default: nil
        }
    }

    private static func register(_ reader: inout Reader, _ process: ProcessPointer, _ answer: inout PayloadWriter) {
        let (name, fault) = registeredName(reader.bytes() ?? UnsafeRawBufferPointer(start: nil, count: 0))
        guard let name else { return fail(&answer, OBHUT_INVALID_ARGUMENT, fault) }
        switch process.system.names.register(name, for: process.pid) {
        case .done: succeed(&answer)
        case .taken: fail(&answer, OBHUT_WRONG_STATE, "name already registered: \(name)")
        case .notFound: notFound(&answer, process.pid, in: process.system)
        }
    }

    private static func spawn(_ reader: inout Reader, _ process: ProcessPointer, _ answer: inout PayloadWriter) {
        let system = process.system
        guard let id = reader.bytes().map({ String(decoding: $0, as: UTF8.self) }) else {
            return fail(&answer, OBHUT_INVALID_ARGUMENT, "the request is malformed")
        }
        var host = process.host
        if let name = reader.bytes().map({ String(decoding: $0, as: UTF8.self) }) {
            host = system.resolveHost(name)
            if host == nil { return fail(&answer, OBHUT_NOT_FOUND, "process host not found: \(name)") }
        }
        guard let arguments = checked(reader.bytes(), process.host?.limits.maxMessage ?? .max, &answer) else { return }
        var first = PayloadReader(arguments)
        guard case .array = first.next() else { return fail(&answer, OBHUT_INVALID_ARGUMENT, "the arguments are no array") }
        let flags = UInt32(truncatingIfNeeded: reader.unsigned())
        guard flags & ~(OBHUT_SPAWN_LINKED | OBHUT_SPAWN_MONITORED) == 0 else {
            return fail(&answer, OBHUT_INVALID_ARGUMENT, "the flags are OBHUT_SPAWN_…")
        }
        var options: ProcessSystem.SpawnOptions = []
        if flags & OBHUT_SPAWN_LINKED != 0 { options.insert(.linked) }
        if flags & OBHUT_SPAWN_MONITORED != 0 { options.insert(.monitored) }
        let definition: ProcessDefinition
        switch system.resolveDefinition(id) {
        case .found(let found): definition = found
        case .notFound: return fail(&answer, OBHUT_NOT_FOUND, "entry not found: \(id)")
        case .notAProcess(let kind):
            return fail(&answer, OBHUT_INVALID_ARGUMENT, "\(id) is a \(kind): it cannot be run as a process")
        }
        guard let host else { return fail(&answer, OBHUT_NOT_FOUND, "the process has no host") }
        do throws(ProcessSystem.SpawnFault) {
            let child = try system.spawn(definition, on: host, arguments: arguments, parent: process, options: options)
            succeed(&answer, child.pid)
        } catch {
            switch error {
            case .hostFull, .tooManyProcesses, .outOfMemory, .acceptorFull: fail(&answer, OBHUT_LIMIT, error.text)
            case .wrongArguments: fail(&answer, OBHUT_INVALID_ARGUMENT, error.text)
            case .noDescriptor: fail(&answer, OBHUT_SYSTEM, error.text)
            default: fail(&answer, OBHUT_WRONG_STATE, error.text)
            }
        }
    }
}

/// The payload, or where there is none, MessagePack's nil.
@inline(__always)
func withNilUnlessThere<Result>(_ payload: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    if !payload.isEmpty { return body(payload) }
    var null: UInt8 = 0xc0
    return withUnsafeBytes(of: &null, body)
}
