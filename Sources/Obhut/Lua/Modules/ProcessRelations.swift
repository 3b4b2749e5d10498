import CObhut

// `process`: links, monitors, cancellation and options. Each of these handles first what has come (L5), and
// may so find that the process has to end: then it runs no more code.

/// Calls `act` with the process that argument 1 names.
@inline(__always)
private func withDestination(
    _ vm: VMPointer, _ L: LuaState, _ act: (Pid, UnsafeRawBufferPointer) -> Int32
) -> Int32 {
    guard let destination = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    guard let pid = vm.destination(destination) else {
        vm.process.drain()
        return vm.process.isDoomed ? die(vm) : notFound(L, destination)
    }
    let code = act(pid, destination)
    return vm.process.isDoomed ? die(vm) : code
}

@_cdecl("obh_call_process_link")
func callProcessLink(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDestination(vm, L) { pid, destination in
        switch vm.process.link(pid) {
        case .done: success(L)
        case .notFound: notFound(L, destination)
        case .toItself: failure(L, "a process cannot be linked to itself")
        }
    }
}

@_cdecl("obh_call_process_unlink")
func callProcessUnlink(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let destination = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    // What is not linked, or not even there, is unlinked (L6).
    if let pid = vm.destination(destination) {
        vm.process.unlink(pid)
    } else {
        vm.process.drain()
    }
    return vm.process.isDoomed ? die(vm) : success(L)
}

@_cdecl("obh_call_process_monitor")
func callProcessMonitor(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    var asEvent = false
    if !isAbsent(L, 2) {
        guard obh_lua_type(L, 2) == Int32(OBH_TTABLE) else { return badType(vm, L, 2, "table") }
        obh_lua_complete(L, 2)
        obh_lua_pushnil(L)
        while obh_lua_next(L, 2) != 0 {
            guard textArgument(L, -2) == "if_dead" else {
                return failure(L, "unknown option \(describe(L, -2)): monitor knows if_dead")
            }
            guard textArgument(L, -1) == "event" else {
                return failure(L, "if_dead is \(describe(L, -1)): it can be \"event\"")
            }
            asEvent = true
            obh_lua_pop(L, 1)
        }
    }
    return withDestination(vm, L) { pid, destination in
        switch vm.process.monitor(pid, ifDeadEvent: asEvent) {
        case .done: success(L)
        case .notFound: notFound(L, destination)
        case .already: failure(L, "already monitoring")
        }
    }
}

@_cdecl("obh_call_process_unmonitor")
func callProcessUnmonitor(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let destination = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    var done = false
    if let pid = vm.destination(destination) {
        done = vm.process.unmonitor(pid)
    } else {
        vm.process.drain()
    }
    if vm.process.isDoomed { return die(vm) }
    return done ? success(L) : failure(L, "not monitoring: \(String(decoding: destination, as: UTF8.self))")
}

// MARK: - cancel, terminate (C1–C5)

enum TimeoutArgument {
    case success(Int64)
    case failure(String)
    case wrongType
}

/// A timeout of `process`: a duration as text or object, or whole milliseconds; 5 s if there is none (C1).
/// - Returns: nanoseconds, more than 0.
func processTimeout(_ vm: VMPointer, _ L: LuaState, _ index: Int32) -> TimeoutArgument {
    let value: Int64
    switch obh_lua_type(L, index) {
    case Int32(OBH_TNONE), Int32(OBH_TNIL): return .success(ProcessSystem.defaultCancelTimeout)
    case Int32(OBH_TNUMBER):
        var isInteger: Int32 = 0
        let milliseconds = obh_lua_tointeger(L, index, &isInteger)
        guard isInteger != 0 else {
            return .failure("the timeout \(describe(L, index)) is no whole number of milliseconds")
        }
        if milliseconds > 86_400_000 {
            return .failure(
                "the timeout \(milliseconds) is more than a day of milliseconds: pass \"\(shortDuration(milliseconds))\"")
        }
        // Below 0 it is refused like any other duration; -1 keeps the product in range.
        value = max(milliseconds, -1) * nanosecondsPerMillisecond
    case Int32(OBH_TSTRING):
        let text = stringArgument(L, index).unsafelyUnwrapped
        guard let parsed = parseDuration(text) else {
            return .failure(
                "the timeout \"\(String(decoding: text, as: UTF8.self))\" is no duration: write it like \"100ms\", \"5s\" or \"1m30s\"")
        }
        value = parsed
    default:
        guard let duration = durationObject(L, index) else { return .wrongType }
        value = duration
    }
    guard value > 0 else { return .failure("the timeout \(describe(L, index)) is not more than 0") }
    return .success(value)
}

/// "5s" for 5,000,000,000: nanoseconds as a program would write them.
private func shortDuration(_ nanoseconds: Int64) -> String {
    var text = formatDuration(nanoseconds)
    if text.hasSuffix("m0s") { text.removeLast(2) }
    if text.hasSuffix("h0m") { text.removeLast(2) }
    return text
}

@_cdecl("obh_call_process_cancel")
func callProcessCancel(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let destination = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    let timeout: Int64
    switch processTimeout(vm, L, 2) {
    case .success(let value): timeout = value
    case .failure(let text): return failure(L, text)
    case .wrongType: return badType(vm, L, 2, "string, number or duration")
    }
    guard let pid = vm.destination(destination),
        vm.system.cancel(pid, from: vm.process.pid, timeout: timeout)
    else { return notFound(L, destination) }
    return success(L)
}

@_cdecl("obh_call_process_terminate")
func callProcessTerminate(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let destination = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    guard let pid = vm.destination(destination), vm.system.terminate(pid, from: vm.process.pid) else {
        return notFound(L, destination)
    }
    if pid == vm.process.pid {
        vm.process.drain()
        if vm.process.isDoomed { return die(vm) }
    }
    return success(L)
}

// MARK: - Options

@_cdecl("obh_call_process_set_options")
func callProcessSetOptions(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard obh_lua_type(L, 1) == Int32(OBH_TTABLE) else { return badType(vm, L, 1, "table") }
    func refuse(_ text: String) -> Int32 {
        obh_lua_pushboolean(L, 0)
        push(L, text)
        return 2
    }
    var choice: TrapLinks?
    obh_lua_complete(L, 1)
    obh_lua_pushnil(L)
    while obh_lua_next(L, 1) != 0 {
        guard textArgument(L, -2) == "trap_links" else {
            return refuse("unknown option \(describe(L, -2)): there is trap_links")
        }
        switch obh_lua_type(L, -1) {
        case Int32(OBH_TBOOLEAN): choice = obh_lua_toboolean(L, -1) != 0 ? .failures : .no
        case Int32(OBH_TSTRING) where textArgument(L, -1) == "all": choice = .all
        default: return refuse("trap_links is \(describe(L, -1)): it can be true, false or \"all\"")
        }
        obh_lua_pop(L, 1)
    }
    if let choice {
        vm.process.setTrapLinks(choice)
    } else {
        vm.process.drain()
    }
    return vm.process.isDoomed ? die(vm) : success(L)
}

@_cdecl("obh_call_process_get_options")
func callProcessGetOptions(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    obh_lua_createtable(L, 0, 1)
    switch vm.process.pointee.trapLinks {
    case .no: obh_lua_pushboolean(L, 0)
    case .failures: obh_lua_pushboolean(L, 1)
    case .all: push(L, "all")
    }
    setField(L, "trap_links")
    return 1
}
