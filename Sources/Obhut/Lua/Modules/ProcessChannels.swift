import CObhut

// The channels of a process's own: inbox, events, and the topics it listens to (M3). Each is made when it is
// first asked for, and is then the same object for ever.

@_cdecl("obh_call_process_inbox")
func callProcessInbox(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    if obh_lua_rawgetp(L, registryIndex, RegistryKey.inbox) == Int32(OBH_TUSERDATA) { return 1 }
    vm.lua.pointee.modules.inbox = makeOwn(vm, L, .inbox, RegistryKey.inbox)
    return 1
}

@_cdecl("obh_call_process_events")
func callProcessEvents(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    if obh_lua_rawgetp(L, registryIndex, RegistryKey.events) == Int32(OBH_TUSERDATA) { return 1 }
    vm.lua.pointee.modules.events = makeOwn(vm, L, .events, RegistryKey.events)
    return 1
}

private func makeOwn(
    _ vm: VMPointer, _ L: LuaState, _ kind: ChannelRecord.Kind, _ key: UnsafeRawPointer?
) -> ChannelPointer {
    let record = vm.lua.makeRecord(kind)
    pushChannel(L, record)
    obh_lua_pushvalue(L, -1)
    obh_lua_rawsetp(L, registryIndex, key)
    return record
}

/// Pushes the table of the channels of topics.
private func pushTopics(_ L: LuaState) {
    if obh_lua_rawgetp(L, registryIndex, RegistryKey.topics) == Int32(OBH_TTABLE) { return }
    obh_lua_pop(L, 1)
    obh_lua_createtable(L, 0, 2)
    obh_lua_pushvalue(L, -1)
    obh_lua_rawsetp(L, registryIndex, RegistryKey.topics)
}

@_cdecl("obh_call_process_listen")
func callProcessListen(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let topic = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    if topic.isEmpty { return failure(L, "the topic is empty") }
    if topic.count > 255 { return failure(L, "the topic is longer than 255 bytes") }
    if topic[0] == UInt8(ascii: "@") {
        return failure(L, "topics that begin with @ are the runtime's: \(String(decoding: topic, as: UTF8.self))")
    }
    var givesMessages: Bool?
    if !isAbsent(L, 2) {
        guard obh_lua_type(L, 2) == Int32(OBH_TTABLE) else { return badType(vm, L, 2, "table") }
        obh_lua_complete(L, 2)
        obh_lua_pushnil(L)
        while obh_lua_next(L, 2) != 0 {
            guard textArgument(L, -2) == "message" else {
                return failure(L, "unknown option \(describe(L, -2)): listen knows message")
            }
            guard obh_lua_type(L, -1) == Int32(OBH_TBOOLEAN) else {
                return failure(L, "message is \(describe(L, -1)): it can be true or false")
            }
            givesMessages = obh_lua_toboolean(L, -1) != 0
            obh_lua_pop(L, 1)
        }
    }
    let process = vm.process
    process.drain()
    if process.isDoomed { return die(vm) }
    pushTopics(L)
    obh_lua_pushvalue(L, 1)
    if obh_lua_rawget(L, -2) == Int32(OBH_TUSERDATA), let record = channelRecord(L, -1) {
        if let givesMessages { record.pointee.givesMessages = givesMessages }
        return 1
    }
    obh_lua_pop(L, 1)
    let record = vm.lua.makeRecord(.topic)
    record.pointee.queueIndex = Int32(process.pointee.mailbox.listen(topic))
    record.pointee.givesMessages = givesMessages ?? false
    vm.lua.pointee.modules.topics.append(record)
    pushChannel(L, record)
    obh_lua_pushvalue(L, 1)
    obh_lua_setuservalue(L, -2, 1)
    obh_lua_pushvalue(L, 1)
    obh_lua_pushvalue(L, -2)
    obh_lua_rawset(L, -4)
    return 1
}

@_cdecl("obh_call_process_unlisten")
func callProcessUnlisten(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard obh_lua_touserdata(L, 1, Int32(obh_type_channel)) != nil else { return badType(vm, L, 1, "channel") }
    guard let record = channelRecord(L, 1), record.pointee.kind == .topic else {
        return failure(L, "the channel does not come from process.listen")
    }
    if record.pointee.isClosed { return failure(L, "the process does not listen to that topic any more") }
    vm.process.pointee.mailbox.unlisten(Int(record.pointee.queueIndex))
    vm.lua.pointee.modules.topics.removeAll { $0 == record }
    pushTopics(L)
    obh_lua_getuservalue(L, 1, 1)
    obh_lua_pushnil(L)
    obh_lua_rawset(L, -3)
    // Who waits at it gets `nil, false`. What was unread is in the inbox now: others may wait there.
    vm.lua.close(record)
    return success(L)
}
