import CObhut

// `ctx`: what `process.with_context` of this process's parent, or of one before it, passed down. Its errors are error
// objects.

private func withContext<Result>(_ vm: VMPointer, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    guard let context = vm.process.pointee.context else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
    return context.map.withUnsafeBytes(body)
}

@_cdecl("obh_call_ctx_get")
func callContextGet(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let key = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    let isFound = withContext(vm) { map in
        var found: UnsafeRawBufferPointer?
        forEachPair(map) { if $0.elementsEqual(key) { found = $1 } }
        guard let found else { return false }
        decodeValue(vm, L, found)
        return true
    }
    if isFound { return 1 }
    return refusal(vm, L, "NOT_FOUND", "the context has no \(describe(L, 1))")
}

@_cdecl("obh_call_ctx_all")
func callContextAll(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withContext(vm) { map in
        if map.isEmpty { obh_lua_createtable(L, 0, 0) } else { decodeValue(vm, L, map) }
    }
    return 1
}
