import CObhut

// `uuid`: RFC 9562. Chance comes from the runtime's seam (T2): a seed gives the same ones again, so they are names
// and no secrets.

/// Pushes the text of 128 bits, with version and variant set in them.
private func pushUUID(_ L: LuaState, _ high: UInt64, _ low: UInt64, version: UInt64) {
    let high = (high & ~0xf000) | version << 12
    let low = (low & ~(3 << 62)) | 2 << 62
    let digits: StaticString = "0123456789abcdef"
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 36) { text in
        var at = 0
        for digit in 0..<32 {
            if digit == 8 || digit == 12 || digit == 16 || digit == 20 {
                text[at] = UInt8(ascii: "-")
                at += 1
            }
            let word = digit < 16 ? high : low
            text[at] = digits.utf8Start[Int((word >> UInt64(60 - digit % 16 * 4)) & 15)]
            at += 1
        }
        push(L, bytes: UnsafeRawBufferPointer(text))
    }
}

@_cdecl("obh_call_uuid_v4")
func callUUIDv4(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    pushUUID(L, luaRandom(vm), luaRandom(vm), version: 4)
    return 1
}

/// 48 bits of milliseconds, then 12 of their fraction, as section 6.2 of the RFC allows (method 3). Each one of a
/// process is greater than the one before, even if the wall clock stands still or is set back.
@_cdecl("obh_call_uuid_v7")
func callUUIDv7(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let wall = UInt64(max(0, vm.system.clock.wall))
    let millisecond = UInt64(nanosecondsPerMillisecond)
    var stamp = (wall / millisecond) << 12 | ((wall % millisecond) << 12) / millisecond
    if obh_lua_rawgetp(L, registryIndex, RegistryKey.lastUUID) == Int32(OBH_TNUMBER) {
        stamp = max(stamp, UInt64(bitPattern: obh_lua_tointeger(L, -1, nil)) + 1)
    }
    obh_lua_pushinteger(L, Int64(bitPattern: stamp))
    obh_lua_rawsetp(L, registryIndex, RegistryKey.lastUUID)
    pushUUID(L, (stamp >> 12) << 16 | stamp & 0xfff, luaRandom(vm), version: 7)
    return 1
}
