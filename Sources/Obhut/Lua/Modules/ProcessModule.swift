import CObhut
import Glibc

// `process`: sending, and what a process asks of itself. Its errors are strings.

/// The pseudo-index of Lua's registry (LUA_REGISTRYINDEX; lua_api.c checks the number).
let registryIndex: Int32 = -1_001_000

/// Places of the registry that the modules use: no address of anything.
enum RegistryKey {
    static var ownPid: UnsafeRawPointer? { UnsafeRawPointer(bitPattern: 1) }
    static var inbox: UnsafeRawPointer? { UnsafeRawPointer(bitPattern: 2) }
    static var events: UnsafeRawPointer? { UnsafeRawPointer(bitPattern: 3) }
    /// Table: topic to channel.
    static var topics: UnsafeRawPointer? { UnsafeRawPointer(bitPattern: 4) }
    /// Table: entry id of a library to what its chunk returned.
    static var libraries: UnsafeRawPointer? { UnsafeRawPointer(bitPattern: 5) }
    /// What `require("logger")` gives.
    static var logger: UnsafeRawPointer? { UnsafeRawPointer(bitPattern: 7) }
    /// The time and the counter in the last `uuid.v7()`.
    static var lastUUID: UnsafeRawPointer? { UnsafeRawPointer(bitPattern: 6) }
}

@_cdecl("obh_call_process_pid")
func callProcessPid(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    if obh_lua_rawgetp(L, registryIndex, RegistryKey.ownPid) == Int32(OBH_TSTRING) { return 1 }
    push(L, vm.process.pid, vm.system)
    obh_lua_pushvalue(L, -1)
    obh_lua_rawsetp(L, registryIndex, RegistryKey.ownPid)
    return 1
}

@_cdecl("obh_call_process_id")
func callProcessID(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    push(L, vm.process.pointee.definition.unsafelyUnwrapped.id)
    return 1
}

/// Also of a process that nobody supervises: the same program runs in both ways.
@_cdecl("obh_call_process_ready")
func callProcessReady(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    vm.process.tellSupervisor(.ready)
    return success(L)
}

// MARK: - send (M1, M5)

@_cdecl("obh_call_process_send")
func callProcessSend(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let destination = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    guard let topic = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
    if let fault = topicFault(topic) { return failure(L, fault) }
    let message = SignalPointer.make(.message, from: vm.process.pid)
    var writer = message.beginText(topic: topic, limit: maxMessage(vm))
    do throws(EncodeFault) {
        try encodePayload(vm, L, from: 3, into: &writer)
    } catch {
        message.release()
        return failure(L, error.message)
    }
    message.endText(writer)
    guard let pid = vm.destination(destination) else {
        message.release()
        return notFound(L, destination)
    }
    let outcome = vm.withSystem { $0.post(message, to: pid) }
    return outcome == .sent ? success(L) : unsent(vm, L, outcome, pid, destination)
}

@inline(never)
private func unsent(
    _ vm: VMPointer, _ L: LuaState, _ outcome: ProcessSystem.SendOutcome, _ pid: Pid, _ destination: UnsafeRawBufferPointer
) -> Int32 {
    outcome == .full ? failure(L, "mailbox full: \(vm.system.text(of: pid))") : notFound(L, destination)
}

// MARK: - request (M7), call

@_cdecl("obh_call_process_request")
func callProcessRequest(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let destination = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    guard let topic = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
    if let fault = topicFault(topic) { return failure(L, fault) }
    let timeout: Int64
    switch processTimeout(vm, L, 4) {
    case .success(let value): timeout = value
    case .failure(let text): return failure(L, text)
    case .wrongType: return badType(vm, L, 4, "string, number or duration")
    }
    guard obh_can_block(vm, L) != 0 else { return Int32(OBH_CANNOT_BLOCK) }
    obh_lua_settop(L, 4)
    let process = vm.process
    let message = SignalPointer.make(.message, from: process.pid)
    var writer = message.beginText(topic: topic, limit: maxMessage(vm))
    do throws(EncodeFault) {
        try encodeValue(vm, L, 3, into: &writer)
    } catch {
        message.release()
        return failure(L, error.message)
    }
    message.endText(writer)
    guard let pid = vm.destination(destination), let number = process.beginInquiry(pid) else {
        message.release()
        return notFound(L, destination)
    }
    message.pointee.a = number
    let outcome = vm.withSystem { $0.post(message, to: pid) }
    guard outcome == .sent else {
        process.endInquiry(number)
        return unsent(vm, L, outcome, pid, destination)
    }
    let ticket = vm.lua.awaitAnswer(number)
    vm.lua.pause(ticket, until: vm.lua.deadline(after: timeout))
    return Int32(OBH_BLOCK)
}

extension UnsafeMutablePointer where Pointee == LuaProcess {
    /// The running fiber parks until the answer with this number comes.
    func awaitAnswer(_ number: UInt64) -> FiberTicket {
        let ticket = beginWait()
        ticket.fiber.pointee.wait.inquiry = number
        pointee.modules.inquiries[number] = .init(ticket: ticket)
        return ticket
    }

    /// Ends the wait for an answer; the caller releases it. Nil: the time was over before.
    func takeAnswer() -> SignalPointer? {
        let fiber = pointee.current.unsafelyUnwrapped
        let number = fiber.pointee.wait.inquiry
        fiber.pointee.wait.inquiry = 0
        endPause(of: fiber)
        if let answer = pointee.modules.inquiries.removeValue(forKey: number)?.answer { return answer }
        pointee.vm.process.endInquiry(number)
        return nil
    }
}

@_cdecl("obh_resume_process_request")
func resumeProcessRequest(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let answer = vm.lua.takeAnswer() else {
        var timeout: Int64 = 0
        if case .success(let value) = processTimeout(vm, L, 4) { timeout = value }
        return failure(L, "timeout: no reply from \(describe(L, 1)) within \(formatDuration(timeout))")
    }
    defer { answer.release() }
    if answer.pointee.kind == .reply {
        if answer.pointee.b != 0 { return failure(L, describeError(answer.payload)) }
        decodeValue(vm, L, answer.payload)
        return 1
    }
    let reason = answer.reason
    let how = reason.isAbnormal ? "failed: \(reason.text)" : "ended"
    return failure(L, "no reply: process \(vm.system.text(of: answer.pointee.from)) \(how)")
}

@_cdecl("obh_call_process_call")
func callProcessCall(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard obh_can_block(vm, L) != 0 else { return Int32(OBH_CANNOT_BLOCK) }
    switch spawn(vm, L, .called) {
    case .answer(let code): return code
    case .spawned(let child):
        _ = vm.lua.awaitAnswer(child.inquiry)
        return Int32(OBH_BLOCK)
    }
}

@_cdecl("obh_resume_process_call")
func resumeProcessCall(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let answer = vm.lua.takeAnswer() else { return failure(L, "the call was given up") }
    defer { answer.release() }
    let reason = answer.reason
    if reason.isAbnormal { return failure(L, reason.text) }
    reason.payload.withUnsafeBytes { _ = decodeValue(vm, L, $0) }
    return 1
}

// MARK: - spawn (P2)

enum SpawnAnswer {
    case spawned(ProcessSystem.Spawned)
    case answer(Int32)
}

/// The arguments are the entry's id, the host's, and those of the new process.
/// - Parameter first: where the id stands.
func spawn(
    _ vm: VMPointer, _ L: LuaState, _ options: ProcessSystem.SpawnOptions, first: Int32 = 1,
    context: ProcessContext? = nil, beforeItRuns: ((Pid) -> Void)? = nil
) -> SpawnAnswer {
    guard let id = textArgument(L, first) else { return .answer(badType(vm, L, first, "string")) }
    guard let hostName = textArgument(L, first + 1) else { return .answer(badType(vm, L, first + 1, "string")) }
    let system = vm.system
    let definition: ProcessDefinition
    switch system.resolveDefinition(id) {
    case .found(let found): definition = found
    case .notFound: return .answer(failure(L, "entry not found: \(id)"))
    case .notAProcess(let kind):
        return .answer(failure(L, "\(id) is a \(kind): it cannot be run as a process"))
    }
    guard let host = system.resolveHost(hostName) else {
        return .answer(failure(L, "process host not found: \(hostName)"))
    }
    return withPayloadWriter(vm) { writer in
        do throws(EncodeFault) {
            try encodeArguments(vm, L, from: first + 2, into: &writer)
        } catch {
            return .answer(failure(L, error.message))
        }
        do throws(ProcessSystem.SpawnFault) {
            return .spawned(
                try system.spawn(
                    definition, on: host, arguments: writer.bytes, parent: vm.process, options: options, context: context,
                    beforeItRuns: beforeItRuns))
        } catch {
            return .answer(failure(L, "process \(error.text)"))
        }
    }
}

private func spawnAndAnswer(
    _ vm: VMPointer, _ L: LuaState, _ options: ProcessSystem.SpawnOptions
) -> Int32 {
    switch spawn(vm, L, options) {
    case .answer(let code): return code
    case .spawned(let child):
        push(L, child.pid, vm.system)
        return 1
    }
}

@_cdecl("obh_call_process_spawn")
func callProcessSpawn(_ vm: VMPointer, _ L: LuaState) -> Int32 { spawnAndAnswer(vm, L, []) }

@_cdecl("obh_call_process_spawn_monitored")
func callProcessSpawnMonitored(_ vm: VMPointer, _ L: LuaState) -> Int32 { spawnAndAnswer(vm, L, .monitored) }

@_cdecl("obh_call_process_spawn_linked")
func callProcessSpawnLinked(_ vm: VMPointer, _ L: LuaState) -> Int32 { spawnAndAnswer(vm, L, .linked) }

@_cdecl("obh_call_process_spawn_linked_monitored")
func callProcessSpawnLinkedMonitored(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    spawnAndAnswer(vm, L, [.linked, .monitored])
}

// MARK: - exit (P4)

@_cdecl("obh_call_process_exit")
func callProcessExit(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    obh_lua_settop(L, 1)
    return withPayloadWriter(vm) { writer in
        do throws(EncodeFault) {
            try encodeValue(vm, L, 1, into: &writer)
        } catch {
            return raise(L, error.message)
        }
        // What was decided before stands: it may be called by a variable that is closed at the end.
        if vm.process.pointee.outcome == nil {
            vm.process.end(.value(writer.bytes, of: vm.process.pid))
        }
        return Int32(OBH_EXIT)
    }
}
