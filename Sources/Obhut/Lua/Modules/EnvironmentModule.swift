import CObhut

// `env`: the environment variables that the source's entry allows, as the host program has given them. Its errors are
// error objects.

@_cdecl("obh_call_env_get")
func callEnvironmentGet(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let name = textArgument(L, 1) else { return badType(vm, L, 1, "string") }
    let unit = callingUnit(vm, L)
    guard unit.environment.contains(name) else {
        return refusal(
            vm, L, "PERMISSION_DENIED", "environment variable '\(name)' is not allowed: add it to \"env\" of \(unit.id)")
    }
    guard let value = vm.system.surroundings.environment[name] else {
        return refusal(vm, L, "NOT_FOUND", "environment variable '\(name)' is not set")
    }
    value.withUnsafeBytes { push(L, bytes: $0) }
    return 1
}

@_cdecl("obh_call_env_all")
func callEnvironmentAll(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let environment = vm.system.surroundings.environment
    obh_lua_createtable(L, 0, 0)
    for name in callingUnit(vm, L).environment {
        guard let value = environment[name] else { continue }
        push(L, name)
        value.withUnsafeBytes { push(L, bytes: $0) }
        obh_lua_rawset(L, -3)
    }
    return 1
}
