import CObhut

// `supervisor`: children that are added to a supervisor while it runs, and what it has. Its errors are error objects.
//
// Each call is a request to the supervisor (M7): the fiber parks until the answer comes, or until the supervisor has
// ended, which is an answer too. There is no timeout of its own: a child is ready within its `start_timeout` or has
// failed, and has ended within its `shutdown`.

/// Asks the supervisor that argument 1 names.
/// - Parameter encode: writes the payload from argument 2.
private func ask(
    _ vm: VMPointer, _ L: LuaState, _ topic: SupervisionTopic,
    _ encode: (inout PayloadWriter) throws(EncodeFault) -> Void = { _ in }
) -> Int32 {
    guard let name = textArgument(L, 1) else { return badType(vm, L, 1, "string") }
    guard obh_can_block(vm, L) != 0 else { return Int32(OBH_CANNOT_BLOCK) }
    return withPayloadWriter(vm) { writer in
        do throws(EncodeFault) {
            try encode(&writer)
        } catch {
            return refusal(vm, L, "INVALID", error.message)
        }
        let (system, process) = (vm.system, vm.process)
        switch system.resolveSupervisor(name) {
        case .refused(let kind, let text): return refusal(vm, L, kind, text)
        case .found(let pid):
            guard let number = process.beginInquiry(pid) else {
                return refusal(vm, L, "NOT_FOUND", "supervisor not found: \(name)")
            }
            guard
                system.sendUnbounded(
                    from: process.pid, to: pid, topic: topic, payload: writer.bytes, request: number)
            else {
                process.endInquiry(number)
                return refusal(vm, L, "NOT_FOUND", "supervisor not found: \(name)")
            }
            _ = vm.lua.awaitAnswer(number)
            return Int32(OBH_BLOCK)
        }
    }
}

private func takeSupervisorAnswer(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let answer = vm.lua.takeAnswer() else { return refusal(vm, L, "CANCELED", "the request was given up") }
    defer { answer.release() }
    if answer.pointee.kind == .reply {
        if answer.pointee.b != 0 { obh_lua_pushnil(L) }
        decodeValue(vm, L, answer.payload)
        return answer.pointee.b != 0 ? 2 : 1
    }
    let reason = answer.reason
    let how = reason.isAbnormal ? "failed: \(reason.text)" : "ended"
    return refusal(
        vm, L, "UNAVAILABLE", "no reply: supervisor \(vm.system.text(of: answer.pointee.from)) \(how)")
}

/// The call with a child's name.
private func askForChild(_ vm: VMPointer, _ L: LuaState, _ topic: SupervisionTopic) -> Int32 {
    guard let name = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
    return ask(vm, L, topic) { $0.writeUTF8(name) }
}

@_cdecl("obh_call_supervisor_start_child")
func callSupervisorStartChild(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard obh_lua_type(L, 1) == Int32(OBH_TSTRING) else { return badType(vm, L, 1, "string") }
    guard obh_lua_type(L, 2) == Int32(OBH_TTABLE) else { return badType(vm, L, 2, "table") }
    return ask(vm, L, .startChild) { (writer) throws(EncodeFault) in try encodeValue(vm, L, 2, into: &writer) }
}

@_cdecl("obh_resume_supervisor_start_child")
func resumeSupervisorStartChild(_ vm: VMPointer, _ L: LuaState) -> Int32 { takeSupervisorAnswer(vm, L) }

@_cdecl("obh_call_supervisor_stop_child")
func callSupervisorStopChild(_ vm: VMPointer, _ L: LuaState) -> Int32 { askForChild(vm, L, .stopChild) }

@_cdecl("obh_resume_supervisor_stop_child")
func resumeSupervisorStopChild(_ vm: VMPointer, _ L: LuaState) -> Int32 { takeSupervisorAnswer(vm, L) }

@_cdecl("obh_call_supervisor_restart_child")
func callSupervisorRestartChild(_ vm: VMPointer, _ L: LuaState) -> Int32 { askForChild(vm, L, .restartChild) }

@_cdecl("obh_resume_supervisor_restart_child")
func resumeSupervisorRestartChild(_ vm: VMPointer, _ L: LuaState) -> Int32 { takeSupervisorAnswer(vm, L) }

@_cdecl("obh_call_supervisor_children")
func callSupervisorChildren(_ vm: VMPointer, _ L: LuaState) -> Int32 { ask(vm, L, .children) }

@_cdecl("obh_resume_supervisor_children")
func resumeSupervisorChildren(_ vm: VMPointer, _ L: LuaState) -> Int32 { takeSupervisorAnswer(vm, L) }

@_cdecl("obh_call_supervisor_count")
func callSupervisorCount(_ vm: VMPointer, _ L: LuaState) -> Int32 { ask(vm, L, .count) }

@_cdecl("obh_resume_supervisor_count")
func resumeSupervisorCount(_ vm: VMPointer, _ L: LuaState) -> Int32 { takeSupervisorAnswer(vm, L) }
