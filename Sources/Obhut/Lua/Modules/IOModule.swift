import CObhut

// `io`: the terminal, or what stands for it: the host program's output, input and arguments. No files (F6). Its errors
// are error objects.
//
// A process that waits for input holds no worker: it parks as for a request, and the input answers it.

@_cdecl("obh_call_io_print")
func callIOPrint(_ vm: VMPointer, _ L: LuaState) -> Int32 { printLine(vm, L) }

/// Strings and numbers as they are, in one piece.
@_cdecl("obh_call_io_write")
func callIOWrite(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    var text: [UInt8] = []
    for index in 0..<obh_lua_gettop(L) {
        let type = obh_lua_type(L, index + 1)
        guard type == Int32(OBH_TSTRING) || type == Int32(OBH_TNUMBER) else { return badType(vm, L, index + 1, "string") }
        var count = 0
        let bytes = obh_lua_tostring(L, index + 1, &count)
        text.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
    }
    if !text.isEmpty, let write = vm.system.writeLine { text.withUnsafeBytes { write($0) } }
    return success(L)
}

/// Nothing is held back: each piece is on its way when `write` returns.
@_cdecl("obh_call_io_flush")
func callIOFlush(_ vm: VMPointer, _ L: LuaState) -> Int32 { success(L) }

@_cdecl("obh_call_io_args")
func callIOArguments(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let arguments = vm.system.surroundings.arguments
    obh_lua_createtable(L, Int32(clamping: arguments.count), 0)
    for (index, text) in arguments.enumerated() {
        push(L, text)
        obh_lua_rawseti(L, -2, Int64(index + 1))
    }
    return 1
}

// MARK: - Input

private func ask(_ vm: VMPointer, _ L: LuaState, _ amount: InputRequest.Amount) -> Int32 {
    guard let read = vm.system.surroundings.read else {
        return refusal(vm, L, "UNAVAILABLE", "there is no input")
    }
    guard obh_can_block(vm, L) != 0 else { return Int32(OBH_CANNOT_BLOCK) }
    let process = vm.process
    let number = process.beginOwnInquiry()
    _ = vm.lua.awaitAnswer(number)
    read(InputRequest(pid: process.pid, number: number, amount: amount))
    return Int32(OBH_BLOCK)
}

private func takeInput(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let answer = vm.lua.takeAnswer() else { return refusal(vm, L, "UNAVAILABLE", "the wait for input was given up") }
    defer { answer.release() }
    if answer.pointee.b != 0 { return refusal(vm, L, "UNAVAILABLE", describeError(answer.payload)) }
    if answer.payload.first == PayloadTag.null { return refusal(vm, L, "UNAVAILABLE", "end of input") }
    decodeValue(vm, L, answer.payload)
    return 1
}

@_cdecl("obh_call_io_readline")
func callIOReadLine(_ vm: VMPointer, _ L: LuaState) -> Int32 { ask(vm, L, .line) }

@_cdecl("obh_resume_io_readline")
func resumeIOReadLine(_ vm: VMPointer, _ L: LuaState) -> Int32 { takeInput(vm, L) }

@_cdecl("obh_call_io_read")
func callIORead(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    var count: Int64 = 4096
    if !isAbsent(L, 1) {
        var isInteger: Int32 = 0
        guard obh_lua_type(L, 1) == Int32(OBH_TNUMBER) else { return badType(vm, L, 1, "number") }
        count = obh_lua_tointeger(L, 1, &isInteger)
        guard isInteger != 0, (1...Int64(InputRequest.mostBytes)).contains(count) else {
            return badArgument(vm, L, 1, "a whole number from 1 to \(InputRequest.mostBytes) expected, got \(describe(L, 1))")
        }
    }
    return ask(vm, L, .bytes(Int(count)))
}

@_cdecl("obh_resume_io_read")
func resumeIORead(_ vm: VMPointer, _ L: LuaState) -> Int32 { takeInput(vm, L) }
