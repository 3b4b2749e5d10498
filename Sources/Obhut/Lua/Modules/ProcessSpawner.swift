import CObhut

// `process.with_context{…}`: a spawner, which starts processes with more than an entry, a host and arguments. It is
// never changed: each `with_*` answers a new one.
//
// Its user values: 1 the context that it adds, an encoded map; 2 the name; 3 the messages, one after the other as
// topic and payload, encoded. All strings of Lua, or nil.

private let parts: Int32 = 3

private func isSpawner(_ L: LuaState) -> Bool { obh_lua_userdata_type(L, 1) == Int32(obh_type_spawner) }

/// Pushes a copy of the spawner at 1; if it is none, a new one.
private func pushCopy(_ L: LuaState) {
    obh_lua_newuserdata(L, Int32(obh_type_spawner), 1, parts)
    guard isSpawner(L) else { return }
    for n in 1...parts {
        obh_lua_getuservalue(L, 1, n)
        obh_lua_setuservalue(L, -2, n)
    }
}

/// The bytes of a part; they live as long as the spawner at 1.
private func part(_ L: LuaState, _ n: Int32) -> UnsafeRawBufferPointer? {
    obh_lua_getuservalue(L, 1, n)
    defer { obh_lua_pop(L, 1) }
    return stringArgument(L, -1)
}

/// Answers a spawner with the table at `index` added to the context.
private func addContext(_ vm: VMPointer, _ L: LuaState, _ index: Int32) -> Int32 {
    guard obh_lua_type(L, index) == Int32(OBH_TTABLE) else { return badType(vm, L, index, "table") }
    obh_lua_pushnil(L)
    while obh_lua_next(L, index) != 0 {
        guard obh_lua_type(L, -2) == Int32(OBH_TSTRING) else {
            return badArgument(vm, L, index, "a key of the context is a string, got \(typeName(L, -2))")
        }
        obh_lua_pop(L, 1)
    }
    return withPayloadWriter(vm) { writer in
        do throws(EncodeFault) {
            try encodeValue(vm, L, index, into: &writer)
        } catch {
            return badArgument(vm, L, index, error.message)
        }
        let old = isSpawner(L) ? part(L, 1) : nil
        // (An empty table is encoded as an array, which adds nothing.)
        let merged = mergeMaps(old ?? UnsafeRawBufferPointer(start: nil, count: 0), writer.bytes)
        pushCopy(L)
        merged.withUnsafeBytes { push(L, bytes: $0) }
        obh_lua_setuservalue(L, -2, 1)
        return 1
    }
}

@_cdecl("obh_call_process_with_context")
func callProcessWithContext(_ vm: VMPointer, _ L: LuaState) -> Int32 { addContext(vm, L, 1) }

@_cdecl("obh_call_spawner_with_context")
func callSpawnerWithContext(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard isSpawner(L) else { return badType(vm, L, 1, "process.spawner") }
    return addContext(vm, L, 2)
}

@_cdecl("obh_call_spawner_with_name")
func callSpawnerWithName(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard isSpawner(L) else { return badType(vm, L, 1, "process.spawner") }
    guard let name = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
    let (text, fault) = registeredName(name)
    guard text != nil else { return badArgument(vm, L, 2, fault) }
    pushCopy(L)
    obh_lua_pushvalue(L, 2)
    obh_lua_setuservalue(L, -2, 2)
    return 1
}

@_cdecl("obh_call_spawner_with_message")
func callSpawnerWithMessage(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard isSpawner(L) else { return badType(vm, L, 1, "process.spawner") }
    guard let topic = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
    if let fault = topicFault(topic) { return badArgument(vm, L, 2, fault) }
    return withPayloadWriter(vm) { writer in
        if let old = part(L, 3) {
            // What has been taken already does not count for the bound of one payload.
            writer.limit = writer.limit == .max ? .max : writer.limit + old.count + 260
            writer.appendRaw(old)
        }
        writer.writeString(topic)
        do throws(EncodeFault) {
            try encodePayload(vm, L, from: 3, into: &writer)
        } catch {
            return badArgument(vm, L, 3, error.message)
        }
        pushCopy(L)
        push(L, bytes: writer.bytes)
        obh_lua_setuservalue(L, -2, 3)
        return 1
    }
}

private func start(_ vm: VMPointer, _ L: LuaState, _ options: ProcessSystem.SpawnOptions) -> Int32 {
    guard isSpawner(L) else { return badType(vm, L, 1, "process.spawner") }
    let (system, process) = (vm.system, vm.process)
    var context = process.pointee.context
    if let added = part(L, 1) {
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        let map = context?.map.withUnsafeBytes { mergeMaps($0, added) } ?? mergeMaps(empty, added)
        context = ProcessContext(map: map)
    }
    let name = part(L, 2).map { String(decoding: $0, as: UTF8.self) }
    let messages = part(L, 3) ?? UnsafeRawBufferPointer(start: nil, count: 0)
    if let fault = fitFault(vm, L, messages) { return failure(L, fault) }
    if let name, !system.names.reserve(name) { return failure(L, "name already registered") }
    let answer = spawn(vm, L, options, first: 2, context: context) { pid in
        if let name { system.names.settle(name, for: pid) }
        forEachMessage(messages) { _ = system.send(from: process.pid, to: pid, topic: $0, payload: $1) }
    }
    switch answer {
    case .spawned(let child):
        push(L, child.pid, system)
        return 1
    case .answer(let code):
        if let name { system.names.settle(name, for: nil) }
        return code
    }
}

private func forEachMessage(
    _ messages: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
) {
    var reader = PayloadReader(messages)
    while !reader.isAtEnd, let (topic, payload) = reader.nextPair(in: messages) { body(topic, payload) }
}

/// Why the mailbox of a new process has no room for all of them; nil if it has (M5).
private func fitFault(_ vm: VMPointer, _ L: LuaState, _ messages: UnsafeRawBufferPointer) -> String? {
    guard !messages.isEmpty, let id = textArgument(L, 3), let host = vm.system.resolveHost(id) else { return nil }
    var count = UInt64(0)
    forEachMessage(messages) { _, _ in count += 1 }
    let bounds = host.mailboxBounds
    // Bytes are counted in units of 16, and a message has at most 128 of its own besides.
    guard count > bounds.messages || (UInt64(messages.count) + count * 128) / 16 > bounds.bytes else { return nil }
    return "mailbox full: \(count) messages are more than a process of \(id) takes"
}

@_cdecl("obh_call_spawner_spawn")
func callSpawnerSpawn(_ vm: VMPointer, _ L: LuaState) -> Int32 { start(vm, L, []) }

@_cdecl("obh_call_spawner_spawn_monitored")
func callSpawnerSpawnMonitored(_ vm: VMPointer, _ L: LuaState) -> Int32 { start(vm, L, .monitored) }

@_cdecl("obh_call_spawner_spawn_linked")
func callSpawnerSpawnLinked(_ vm: VMPointer, _ L: LuaState) -> Int32 { start(vm, L, .linked) }

@_cdecl("obh_call_spawner_spawn_linked_monitored")
func callSpawnerSpawnLinkedMonitored(_ vm: VMPointer, _ L: LuaState) -> Int32 { start(vm, L, [.linked, .monitored]) }

@_cdecl("obh_call_spawner_tostring")
func callSpawnerToString(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    push(L, "process.spawner")
    return 1
}
