import CObhut

// C functions of a `library.native` entry, as Lua calls them.
//
// Each is a closure of one C function of ours, whose upvalue is the `NativeFunction`; that lives as long as the program
// of the process. Called in its place, foreign code runs like any function of the runtime: no Lua error and no signal
// handler leaves it (`in_host`), a C++ exception is an error of Lua, and the process can be ended when it returns. Called
// elsewhere (`offload: true`) it runs on a thread of the native pool, and the coroutine parks as for a request.

/// The table of the library's functions, always the same one in a process.
func requireNative(_ vm: VMPointer, _ L: LuaState, _ module: NativeModule) -> Int32 {
    obh_lua_settop(L, 1)
    pushLibraries(L)
    push(L, module.id)
    if obh_lua_rawget(L, -2) != Int32(OBH_TNIL) { return 1 }
    obh_lua_settop(L, 2)
    if let fault = module.open() { return raise(L, "library \(module.id) cannot be used: \(fault)") }
    push(L, module.id)
    obh_lua_createtable(L, 0, Int32(clamping: module.functions.count))
    for function in module.functions {
        push(L, function.name)
        obh_lua_pushnative(L, Unmanaged.passUnretained(function).toOpaque())
        obh_lua_rawset(L, -3)
    }
    obh_lua_pushvalue(L, -1)
    obh_lua_insert(L, 1)
    // Name and id lie between: table, name, libraries, id, table.
    obh_lua_rawset(L, -3)
    obh_lua_settop(L, 1)
    return 1
}

private func called(_ L: LuaState) -> NativeFunction {
    // Upvalue 1.
    Unmanaged<NativeFunction>.fromOpaque(obh_lua_topointer(L, registryIndex - 1)!).takeUnretainedValue()
}

@_cdecl("obh_call_native_call")
func callNative(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let function = called(L)
    return withPayloadWriter(vm) { writer in
        do throws(EncodeFault) {
            try encodeArguments(vm, L, from: 1, into: &writer)
        } catch {
            return raise(L, "\(function.name): \(error.message)")
        }
        // A simulation has one thread.
        if function.isOffloaded, vm.system.scheduler.simulation == nil { return offload(vm, L, function, writer.bytes) }
        return function.call(writer.bytes) { result, fault in
            if let fault { return raise(L, "\(function.name): \(fault)") }
            obh_lua_settop(L, 0)
            decodeValue(vm, L, result)
            return 1
        }
    }
}

private func offload(
    _ vm: VMPointer, _ L: LuaState, _ function: NativeFunction, _ arguments: UnsafeRawBufferPointer
) -> Int32 {
    // Wrong arguments need no thread.
    if let fault = function.fault(of: arguments) { return raise(L, "\(function.name): \(fault)") }
    guard let execution = NativeExecution.of(vm.system) else { return raise(L, "\(function.name): there are no threads for it") }
    guard obh_can_block(vm, L) != 0 else { return Int32(OBH_CANNOT_BLOCK) }
    let process = vm.process
    let (system, pid) = (vm.system, process.pid)
    let number = process.beginOwnInquiry()
    let isStarted = execution.calls.start(function, arguments, on: execution.threads) { [unowned system] payload, isError in
        // Of a process that has ended nobody waits for it.
        _ = system.reply(from: .none, to: pid, request: number, payload: payload, isError: isError)
    }
    guard isStarted else {
        process.endInquiry(number)
        return raise(L, "\(function.name): the system gives no thread for it")
    }
    _ = vm.lua.awaitAnswer(number)
    return Int32(OBH_BLOCK)
}

@_cdecl("obh_resume_native_call")
func resumeNative(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let function = called(L)
    guard let answer = vm.lua.takeAnswer() else { return raise(L, "\(function.name): the call was given up") }
    defer { answer.release() }
    if answer.pointee.b != 0 { return raise(L, "\(function.name): \(describeError(answer.payload))") }
    obh_lua_settop(L, 0)
    decodeValue(vm, L, answer.payload)
    return 1
}
