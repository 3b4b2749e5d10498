import CObhut

// `require` and `print`.
//
// What a name means is said by the source that asks: the process's own, or a library. The chunk of a library
// runs once in a process and may block; whoever asks for it meanwhile waits for it. When it fails, its error
// goes to the one who asked, and the next one runs it again.

/// A library whose chunk is running. Which one a chunk belongs to is told by the stack that it runs on, not by
/// the fiber: a fiber may have several on their way, each in a coroutine that the program has put aside.
struct LibraryLoad {
    let id: String
    /// Who runs it.
    let fiber: FiberPointer
    var waiting: [FiberTicket] = []
}

/// Built-in modules: those that are global are given too, if they are listed.
private func pushBuiltin(_ L: LuaState, _ name: String) -> Bool {
    switch name {
    case "ctx": obh_lua_pushmodule(L, Int32(obh_module_ctx))
    case "env": obh_lua_pushmodule(L, Int32(obh_module_env))
    case "io": obh_lua_pushmodule(L, Int32(obh_module_io))
    case "logger": pushRootLogger(L)
    case "payload": obh_lua_pushmodule(L, Int32(obh_module_payload))
    case "json": obh_lua_pushmodule(L, Int32(obh_module_json))
    case "uuid": obh_lua_pushmodule(L, Int32(obh_module_uuid))
    case "time": obh_lua_pushmodule(L, Int32(obh_module_time))
    case "process": obh_lua_pushmodule(L, Int32(obh_module_process))
    case "channel": obh_lua_pushmodule(L, Int32(obh_module_channel))
    case "errors": obh_lua_pushmodule(L, Int32(obh_module_errors))
    case "supervisor": obh_lua_pushmodule(L, Int32(obh_module_supervisor))
    case "os": obh_lua_pushmodule(L, Int32(obh_module_os))
    default: return false
    }
    return true
}

@_cdecl("obh_call_require")
func callRequire(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let name = textArgument(L, 1) else { return badType(vm, L, 1, "string") }
    let unit = callingUnit(vm, L)
    if let library = unit.imports[name] { return requireLibrary(vm, L, library) }
    if let native = unit.natives[name] { return requireNative(vm, L, native) }
    guard unit.modules.contains(name) else {
        return raise(L, "module '\(name)' is not allowed: add it to \"modules\" of \(unit.id)")
    }
    if pushBuiltin(L, name) { return 1 }
    return raise(L, "module '\(name)' is not available in this version")
}

@_cdecl("obh_resume_require")
func resumeRequire(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    // The name alone: it has waited for another fiber's. (See `requireLibrary` for what lies above it.)
    if obh_lua_gettop(L) == 1 { return callRequire(vm, L) }
    let lua = vm.lua
    let id = textArgument(L, 2)
    if let index = lua.pointee.modules.loading.firstIndex(where: { $0.id == id }) {
        let load = lua.pointee.modules.loading.remove(at: index)
        for ticket in load.waiting where lua.pointee.isWaiting(ticket) {
            ticket.fiber.pointee.wait.outcome = .again
            lua.pointee.ready(ticket)
        }
    }
    if vm.pointee.call_failed != 0 { return Int32(OBH_RAISE) }
    // A chunk that returns nothing gives true, as in Lua.
    obh_lua_settop(L, 3)
    if obh_lua_type(L, 3) == Int32(OBH_TNIL) {
        obh_lua_pop(L, 1)
        obh_lua_pushboolean(L, 1)
    }
    pushLibraries(L)
    obh_lua_pushvalue(L, 2)
    obh_lua_pushvalue(L, 3)
    obh_lua_rawset(L, -3)
    obh_lua_settop(L, 3)
    return 1
}

private func requireLibrary(_ vm: VMPointer, _ L: LuaState, _ library: LuaUnit) -> Int32 {
    obh_lua_settop(L, 1)
    pushLibraries(L)
    push(L, library.id)
    if obh_lua_rawget(L, -2) != Int32(OBH_TNIL) { return 1 }
    obh_lua_settop(L, 1)
    let lua = vm.lua
    let fiber = lua.pointee.current.unsafelyUnwrapped
    if let index = lua.pointee.modules.loading.firstIndex(where: { $0.id == library.id }) {
        if lua.pointee.modules.loading[index].fiber == fiber {
            return raise(L, "module '\(describe(L, 1))' is required while it is being loaded")
        }
        guard obh_can_block(vm, L) != 0 else { return Int32(OBH_CANNOT_BLOCK) }
        lua.pointee.modules.loading[index].waiting.append(lua.beginWait())
        return Int32(OBH_BLOCK)
    }
    // Name, id, chunk, argument: the chunk's results will lie above the id.
    push(L, library.id)
    if obh_lua_loadcode(L, library.chunk.code, library.chunk.size, library.chunk.name) != 0 { return Int32(OBH_RAISE) }
    lua.pointee.modules.loading.append(LibraryLoad(id: library.id, fiber: fiber))
    obh_lua_pushvalue(L, 1)
    return Int32(OBH_TRY_BASE) - 1
}

func pushLibraries(_ L: LuaState) {
    if obh_lua_rawgetp(L, registryIndex, RegistryKey.libraries) == Int32(OBH_TTABLE) { return }
    obh_lua_pop(L, 1)
    obh_lua_createtable(L, 0, 2)
    obh_lua_pushvalue(L, -1)
    obh_lua_rawsetp(L, registryIndex, RegistryKey.libraries)
}

/// The source that the calling function stands in; the process's own where that cannot be told. A function of
/// C stands in none: with `pcall(require, name)` it is who calls `pcall`.
func callingUnit(_ vm: VMPointer, _ L: LuaState) -> LuaUnit {
    let main = vm.program.unit
    if main.imports.isEmpty { return main }
    let place = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
        var count = 0
        var level: Int32 = 1
        while count == 0 && level <= 8 {
            count = obh_lua_where(L, level, text.baseAddress, 256)
            level += 1
        }
        return String(
            decoding: UnsafeRawBufferPointer(start: text.baseAddress, count: min(count, 255)), as: UTF8.self)
    }
    return main.firstUnit { place.hasPrefix($0.shownName + ":") } ?? main
}

extension LuaUnit {
    /// This, or what it imports, at any distance; imports form no cycle.
    fileprivate func firstUnit(_ holds: (LuaUnit) -> Bool) -> LuaUnit? {
        if holds(self) { return self }
        for name in imports.keys.sorted() {
            if let found = imports[name]!.firstUnit(holds) { return found }
        }
        return nil
    }

    /// The chunk's name as Lua shows it: cut to its last 56 bytes if it is longer than 59 (luaO_chunkid).
    fileprivate var shownName: String {
        let name = String(cString: chunk.name + 1)
        return name.utf8.count <= 59 ? name : "..." + String(decoding: name.utf8.suffix(56), as: UTF8.self)
    }
}

/// `print(...)`: one whole line, by tabs (the trampoline has applied tostring).
@_cdecl("obh_call_print")
func callPrint(_ vm: VMPointer, _ L: LuaState) -> Int32 { printLine(vm, L) }

/// Prints the strings on the stack.
func printLine(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let writeLine = vm.system.writeLine else { return 0 }
    let count = obh_lua_gettop(L)
    var line: [UInt8] = []
    for index in 0..<count {
        if index > 0 { line.append(UInt8(ascii: "\t")) }
        if let text = stringArgument(L, index + 1) { line.append(contentsOf: text) }
    }
    line.append(UInt8(ascii: "\n"))
    line.withUnsafeBytes { writeLine($0) }
    return 0
}
