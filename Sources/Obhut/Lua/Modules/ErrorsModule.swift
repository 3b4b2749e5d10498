import CObhut

// `errors`: error objects. Everything an object holds is a user value of its userdata, so that it lives in
// the Lua heap: 1 kind, 2 message, 3 retryable, 4 details, 5 stack.

/// Pushes an error object that holds nothing yet.
func pushErrorObject(_ L: LuaState) { obh_lua_newuserdata(L, Int32(obh_type_error), 1, 5) }

/// Pushes an error object of the runtime's own.
func pushError(_ vm: VMPointer, _ L: LuaState, kind: StaticString, message: String) {
    pushErrorObject(L)
    push(L, kind)
    obh_lua_setuservalue(L, -2, 1)
    push(L, message)
    obh_lua_setuservalue(L, -2, 2)
    setStack(L)
}

/// `nil, err`: how calls of the modules fail whose errors are error objects.
func refusal(_ vm: VMPointer, _ L: LuaState, _ kind: StaticString, _ message: String) -> Int32 {
    obh_lua_pushnil(L)
    pushError(vm, L, kind: kind, message: message)
    return 2
}

/// Gives the object on top the traceback of the function that made it.
private func setStack(_ L: LuaState) {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 2048) { text in
        let count = obh_lua_traceback(L, 1, text.baseAddress, 2048)
        push(L, bytes: UnsafeRawBufferPointer(start: text.baseAddress, count: min(count, 2048)))
    }
    obh_lua_setuservalue(L, -2, 5)
}

/// Sets user value `n` of the object on top to a copy of the value at `index`.
private func setPart(_ L: LuaState, _ n: Int32, _ index: Int32) {
    obh_lua_pushvalue(L, index)
    obh_lua_setuservalue(L, -2, n)
}

@_cdecl("obh_call_errors_new")
func callErrorsNew(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    if obh_lua_type(L, 1) == Int32(OBH_TTABLE) { return newFromTable(vm, L) }
    guard obh_lua_type(L, 1) == Int32(OBH_TSTRING) else { return badType(vm, L, 1, "string or table") }
    let hasKind = !isAbsent(L, 2)
    if hasKind && obh_lua_type(L, 2) != Int32(OBH_TSTRING) { return badType(vm, L, 2, "string") }
    pushErrorObject(L)
    if hasKind { setPart(L, 1, 1) } else { setKind(L, "UNKNOWN") }
    setPart(L, 2, hasKind ? 2 : 1)
    setStack(L)
    return 1
}

private func setKind(_ L: LuaState, _ kind: StaticString) {
    push(L, kind)
    obh_lua_setuservalue(L, -2, 1)
}

private func newFromTable(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    obh_lua_settop(L, 1)
    // At 2 to 5: kind, message, retryable, details.
    obh_lua_rawgetfield(L, 1, cText("kind"))
    obh_lua_rawgetfield(L, 1, cText("message"))
    obh_lua_rawgetfield(L, 1, cText("retryable"))
    obh_lua_rawgetfield(L, 1, cText("details"))
    guard obh_lua_type(L, 3) == Int32(OBH_TSTRING) else {
        return badArgument(vm, L, 1, "field 'message': string expected, got \(typeName(L, 3))")
    }
    guard isAbsent(L, 2) || obh_lua_type(L, 2) == Int32(OBH_TSTRING) else {
        return badArgument(vm, L, 1, "field 'kind': string expected, got \(typeName(L, 2))")
    }
    guard isAbsent(L, 4) || obh_lua_type(L, 4) == Int32(OBH_TBOOLEAN) else {
        return badArgument(vm, L, 1, "field 'retryable': boolean expected, got \(typeName(L, 4))")
    }
    pushErrorObject(L)
    if isAbsent(L, 2) { setKind(L, "UNKNOWN") } else { setPart(L, 1, 2) }
    for n in Int32(2)...4 { setPart(L, n, n + 1) }
    setStack(L)
    return 1
}

/// `errors.wrap(err, message)`: "message: what err says", with err's kind, retryable and details.
@_cdecl("obh_call_errors_wrap")
func callErrorsWrap(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let message = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
    let isObject = obh_lua_userdata_type(L, 1) == Int32(obh_type_error)
    guard isObject || obh_lua_type(L, 1) == Int32(OBH_TSTRING) else {
        return badType(vm, L, 1, "error or string")
    }
    if isObject { obh_lua_getuservalue(L, 1, 2) } else { obh_lua_pushvalue(L, 1) }
    let inner = describe(L, -1)
    pushErrorObject(L)
    if isObject {
        for n in [Int32(1), 3, 4] {
            obh_lua_getuservalue(L, 1, n)
            obh_lua_setuservalue(L, -2, n)
        }
    } else {
        setKind(L, "UNKNOWN")
    }
    push(L, "\(String(decoding: message, as: UTF8.self)): \(inner)")
    obh_lua_setuservalue(L, -2, 2)
    setStack(L)
    return 1
}

@_cdecl("obh_call_errors_is")
func callErrorsIs(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard obh_lua_type(L, 2) == Int32(OBH_TSTRING) else { return badType(vm, L, 2, "string") }
    var same: Int32 = 0
    if obh_lua_userdata_type(L, 1) == Int32(obh_type_error) {
        obh_lua_getuservalue(L, 1, 1)
        same = obh_lua_rawequal(L, -1, 2)
    }
    obh_lua_pushboolean(L, same)
    return 1
}

/// Answers user value `n` of the error object at 1.
private func part(_ vm: VMPointer, _ L: LuaState, _ n: Int32) -> Int32 {
    guard obh_lua_userdata_type(L, 1) == Int32(obh_type_error) else { return badType(vm, L, 1, "error") }
    obh_lua_getuservalue(L, 1, n)
    return 1
}

@_cdecl("obh_call_error_kind")
func callErrorKind(_ vm: VMPointer, _ L: LuaState) -> Int32 { part(vm, L, 1) }

@_cdecl("obh_call_error_message")
func callErrorMessage(_ vm: VMPointer, _ L: LuaState) -> Int32 { part(vm, L, 2) }

@_cdecl("obh_call_error_retryable")
func callErrorRetryable(_ vm: VMPointer, _ L: LuaState) -> Int32 { part(vm, L, 3) }

@_cdecl("obh_call_error_details")
func callErrorDetails(_ vm: VMPointer, _ L: LuaState) -> Int32 { part(vm, L, 4) }

@_cdecl("obh_call_error_stack")
func callErrorStack(_ vm: VMPointer, _ L: LuaState) -> Int32 { part(vm, L, 5) }

@_cdecl("obh_call_error_tostring")
func callErrorToString(_ vm: VMPointer, _ L: LuaState) -> Int32 { part(vm, L, 2) }
