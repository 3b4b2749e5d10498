import CObhut

// `logger`: records for the runtime's log, with pid and entry of the process that writes them.
//
// A logger's user values: 1 its fields, an encoded map; 2 its name. It is never changed: `with` and `named` answer new
// ones. To log never fails: what cannot be copied stands in the record as what it is, and what is too large as that.

/// Bytes of a message, and of the fields of one record.
private let recordLimit = 64 << 10

func pushRootLogger(_ L: LuaState) {
    if obh_lua_rawgetp(L, registryIndex, RegistryKey.logger) == Int32(OBH_TUSERDATA) { return }
    obh_lua_pop(L, 1)
    obh_lua_newuserdata(L, Int32(obh_type_logger), 1, 2)
    obh_lua_pushvalue(L, -1)
    obh_lua_rawsetp(L, registryIndex, RegistryKey.logger)
}

private func isLogger(_ L: LuaState) -> Bool { obh_lua_userdata_type(L, 1) == Int32(obh_type_logger) }

/// The bytes of a user value of the logger at 1; they live as long as it does.
private func part(_ L: LuaState, _ n: Int32) -> UnsafeRawBufferPointer? {
    obh_lua_getuservalue(L, 1, n)
    defer { obh_lua_pop(L, 1) }
    return stringArgument(L, -1)
}

/// The logger's fields and those of the table at `index` as one map.
private func fields(_ vm: VMPointer, _ L: LuaState, _ index: Int32) -> [UInt8] {
    let own = part(L, 1) ?? UnsafeRawBufferPointer(start: nil, count: 0)
    guard obh_lua_type(L, index) == Int32(OBH_TTABLE) else { return [UInt8](own) }
    var count = 0
    var pairs = PayloadWriter(limit: .max, reserving: 256)
    obh_lua_complete(L, index)
    obh_lua_pushnil(L)
    while obh_lua_next(L, index) != 0 {
        count += 1
        if count & 1023 == 0 && hasToEnd(vm) { break }
        var value = PayloadWriter(limit: max(0, recordLimit - pairs.count))
        let key = describe(L, -2)
        do throws(EncodeFault) {
            try encodeValue(vm, L, obh_lua_gettop(L), into: &value)
            pairs.writeString(key)
            pairs.appendRaw(value.bytes)
        } catch {
            pairs.writeString(key)
            pairs.writeString(value.overflowed ? "(too large)" : "(\(typeName(L, -1)))")
        }
        obh_lua_pop(L, 1)
        // The rest of a table of which so many were too large.
        if pairs.count > 2 * recordLimit { break }
    }
    var map = PayloadWriter(limit: .max, reserving: pairs.count + 8)
    map.writeMapHeader(count)
    map.appendRaw(pairs.bytes)
    return mergeMaps(own, map.bytes)
}

private func log(_ vm: VMPointer, _ L: LuaState, _ level: LogRecord.Level) -> Int32 {
    guard isLogger(L) else { return badType(vm, L, 1, "logger") }
    guard let message = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
    guard isAbsent(L, 3) || obh_lua_type(L, 3) == Int32(OBH_TTABLE) else { return badType(vm, L, 3, "table") }
    guard let write = vm.system.surroundings.log else { return 0 }
    var record = LogRecord(level: level, message: String(decoding: message.prefix(recordLimit), as: UTF8.self))
    if message.count > recordLimit { record.message += "…" }
    record.entry = vm.process.pointee.definition.unsafelyUnwrapped.id
    record.pid = vm.process.pidText
    record.logger = part(L, 2).map { String(decoding: $0, as: UTF8.self) }
    record.fields = fields(vm, L, 3)
    write(record)
    return 0
}

@_cdecl("obh_call_logger_debug")
func callLoggerDebug(_ vm: VMPointer, _ L: LuaState) -> Int32 { log(vm, L, .debug) }

@_cdecl("obh_call_logger_info")
func callLoggerInfo(_ vm: VMPointer, _ L: LuaState) -> Int32 { log(vm, L, .info) }

@_cdecl("obh_call_logger_warn")
func callLoggerWarn(_ vm: VMPointer, _ L: LuaState) -> Int32 { log(vm, L, .warning) }

@_cdecl("obh_call_logger_error")
func callLoggerError(_ vm: VMPointer, _ L: LuaState) -> Int32 { log(vm, L, .error) }

@_cdecl("obh_call_logger_with")
func callLoggerWith(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard isLogger(L) else { return badType(vm, L, 1, "logger") }
    guard obh_lua_type(L, 2) == Int32(OBH_TTABLE) else { return badType(vm, L, 2, "table") }
    let map = fields(vm, L, 2)
    obh_lua_newuserdata(L, Int32(obh_type_logger), 1, 2)
    map.withUnsafeBytes { push(L, bytes: $0) }
    obh_lua_setuservalue(L, -2, 1)
    obh_lua_getuservalue(L, 1, 2)
    obh_lua_setuservalue(L, -2, 2)
    return 1
}

@_cdecl("obh_call_logger_named")
func callLoggerNamed(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard isLogger(L) else { return badType(vm, L, 1, "logger") }
    guard let name = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
    guard (1...255).contains(name.count) else { return badArgument(vm, L, 2, "a name has 1 to 255 bytes") }
    let own = part(L, 2).map { String(decoding: $0.prefix(1024), as: UTF8.self) + "." } ?? ""
    obh_lua_newuserdata(L, Int32(obh_type_logger), 1, 2)
    obh_lua_getuservalue(L, 1, 1)
    obh_lua_setuservalue(L, -2, 1)
    push(L, own + String(decoding: name, as: UTF8.self))
    obh_lua_setuservalue(L, -2, 2)
    return 1
}

@_cdecl("obh_call_logger_tostring")
func callLoggerToString(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    push(L, "logger")
    return 1
}
