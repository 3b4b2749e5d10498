import CObhut

// `process.list`, `process.info`, and the names of `process.registry`.

@_cdecl("obh_call_process_list")
func callProcessList(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let system = vm.system
    obh_lua_createtable(L, Int32(clamping: system.aliveCount), 0)
    var count: Int64 = 0
    system.table.forEachLiving { _, pid in
        count += 1
        push(L, pid, system)
        obh_lua_rawseti(L, -2, count)
    }
    return 1
}

/// Figures of another process are read while it runs: each is right by itself, at some moment meanwhile.
@_cdecl("obh_call_process_info")
func callProcessInfo(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let destination = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    let system = vm.system
    guard let pid = vm.destination(destination), let slot = system.table.living(pid) else {
        return notFound(L, destination)
    }
    let phase = slot.pointee.runnable.phase
    let startedAt = slot.pointee.startedAt
    let load = slot.loadNow
    let memory =
        pid == vm.process.pid ? vm.pointee.arena.used : slot.pointee.memoryUsed.load(ordering: .relaxed)
    let links = slot.pointee.linkCount.load(ordering: .relaxed)
    let watchers = slot.pointee.watcherCount.load(ordering: .relaxed)
    let entry = slot.pointee.entryID
    let host = slot.host
    // Still the same life: what was read is its own.
    guard system.table.living(pid) != nil else { return notFound(L, destination) }

    obh_lua_createtable(L, 0, 9)
    push(L, pid, system)
    setField(L, "pid")
    switch phase {
    case .running: push(L, "running")
    case .queued: push(L, "queued")
    case .idle, .free: push(L, "waiting")
    }
    setField(L, "state")
    if let entry {
        push(L, entry)
        setField(L, "entry")
    }
    push(L, host?.name ?? ProcessSystem.portHost)
    setField(L, "host")
    obh_lua_pushinteger(L, Int64(MailboxLoad.messages(load)))
    setField(L, "mailbox")
    obh_lua_pushinteger(L, Int64(memory))
    setField(L, "memory")
    obh_lua_pushinteger(L, Int64(links))
    setField(L, "links")
    obh_lua_pushinteger(L, Int64(watchers))
    setField(L, "monitors")
    obh_lua_pushnumber(L, Double(system.clock.now &- startedAt) / 1e9)
    setField(L, "uptime")
    return 1
}

// MARK: - Names

@_cdecl("obh_call_registry_register")
func callRegistryRegister(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let bytes = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    let (text, fault) = registeredName(bytes)
    guard let text else { return failure(L, fault) }
    var pid = vm.process.pid
    if !isAbsent(L, 2) {
        guard let destination = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
        guard let other = vm.system.anyPid(fromText: destination.bindMemory(to: UInt8.self)) else { return notFound(L, destination) }
        pid = other
    }
    switch vm.system.names.register(text, for: pid) {
    case .done: return success(L)
    case .taken: return failure(L, "name already registered")
    case .notFound: return failure(L, "process not found: \(vm.system.text(of: pid))")
    }
}

@_cdecl("obh_call_registry_lookup")
func callRegistryLookup(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let bytes = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    guard let pid = vm.system.names.lookup(bytes) else {
        return failure(L, "name not registered")
    }
    push(L, pid, vm.system)
    return 1
}

@_cdecl("obh_call_registry_unregister")
func callRegistryUnregister(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let bytes = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    let done = isValidUTF8(bytes) && vm.system.names.unregister(String(decoding: bytes, as: UTF8.self))
    obh_lua_pushboolean(L, done ? 1 : 0)
    return 1
}
