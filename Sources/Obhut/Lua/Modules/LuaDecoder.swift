import CObhut

// MessagePack to Lua values. The bytes may be anything: from C they were validated, yet nothing here trusts
// lengths, depth or keys, and nothing can raise. While it builds, the allocator may go over the process's
// limit; so it looks at the limit itself and gives up in time (F4).

/// Pushes the value that `bytes` hold, exactly one in any case: nil if they are malformed.
@inline(__always)
@discardableResult
func decodeValue(_ vm: VMPointer, _ L: LuaState, _ bytes: UnsafeRawBufferPointer) -> Bool {
    var decoder = LuaDecoder(vm: vm, L: L, reader: PayloadReader(bytes))
    return decoder.decodeOne()
}

/// Pushes the elements of the array that `bytes` hold; answers how many. Anything else is one argument.
func decodeArguments(_ vm: VMPointer, _ L: LuaState, _ bytes: UnsafeRawBufferPointer) -> Int32 {
    if bytes.isEmpty { return 0 }
    var decoder = LuaDecoder(vm: vm, L: L, reader: PayloadReader(bytes))
    guard case .array(let count) = decoder.reader.next() else {
        decodeValue(vm, L, bytes)
        return 1
    }
    guard count < 1_000_000, obh_lua_checkstack(L, Int32(count) + 4) != 0 else {
        decodeValue(vm, L, bytes)
        return 1
    }
    for _ in 0..<count { decoder.decodeOne(depth: 1) }
    return Int32(count)
}

private struct LuaDecoder {
    let vm: VMPointer
    let L: LuaState
    var reader: PayloadReader

    /// Tables are made with room for at most so many elements; larger ones grow as they are filled.
    private static let presize = 4096

    @inline(__always)
    @discardableResult
    mutating func decodeOne(depth: Int = 0) -> Bool {
        let top = obh_lua_gettop(L)
        if decode(reader.next(), depth) { return true }
        obh_lua_settop(L, top)
        obh_lua_pushnil(L)
        return false
    }

    /// Pushes the value of a token. On false the stack holds less or more than that.
    @inline(__always)
    private mutating func decode(_ token: PayloadReader.Token, _ depth: Int) -> Bool {
        switch token {
        case .integer(let value): obh_lua_pushinteger(L, value)
        case .string(let bytes), .binary(let bytes): push(L, bytes: bytes)
        case .null: obh_lua_pushnil(L)
        case .bool(let value): obh_lua_pushboolean(L, value ? 1 : 0)
        case .double(let value): obh_lua_pushnumber(L, value)
        case .unsigned(let value): obh_lua_pushnumber(L, Double(value))
        default: return decodeLarge(token, depth)
        }
        return true
    }

    @inline(never)
    private mutating func decodeLarge(_ token: PayloadReader.Token, _ depth: Int) -> Bool {
        switch token {
        case .array(let count): return decodeArray(count, depth)
        case .map(let count): return decodeMap(count, depth)
        case .ext(PayloadExtension.pid, let body) where body.count == 8:
            let raw = UInt64(bigEndian: body.loadUnaligned(as: UInt64.self))
            push(L, Pid(raw: raw), vm.system)
            return true
        case .ext(PayloadExtension.error, let body): return decodeError(body, depth)
        case .ext(_, let body):
            // Of no meaning here: its bytes, which can at least be sent on.
            push(L, bytes: body)
            return true
        default: return false
        }
    }

    /// Whether the process's memory allows more, its garbage collected. If not it has to end, although what was
    /// built so far is garbage in a moment: the program would take the nil for the value.
    @inline(__always)
    private func mayGrow() -> Bool {
        vm.pointee.arena.used <= vm.pointee.arena.limit || obh_memory_exceeded(vm, L) == 0
    }

    private func mayNest(_ depth: Int) -> Bool {
        depth < payloadMaxDepth && mayGrow() && obh_lua_checkstack(L, 8) != 0
    }

    private mutating func decodeArray(_ count: Int, _ depth: Int) -> Bool {
        guard mayNest(depth) else { return false }
        obh_lua_createtable(L, Int32(min(count, LuaDecoder.presize)), 0)
        var i = 0
        while i < count {
            i += 1
            guard decode(reader.next(), depth + 1) else { return false }
            obh_lua_rawseti(L, -2, Int64(i))
            if i & 1023 == 0 && (!mayGrow() || hasToEnd(vm)) { return false }
        }
        return true
    }

    private mutating func decodeMap(_ count: Int, _ depth: Int) -> Bool {
        guard mayNest(depth) else { return false }
        obh_lua_createtable(L, 0, Int32(min(count, LuaDecoder.presize)))
        var i = 0
        while i < count {
            i += 1
            guard decode(reader.next(), depth + 1), decode(reader.next(), depth + 1) else { return false }
            // A key that is nil or NaN has no place in a table: dropped.
            obh_lua_rawset(L, -3)
            if i & 1023 == 0 && (!mayGrow() || hasToEnd(vm)) { return false }
        }
        return true
    }

    private mutating func decodeError(_ body: UnsafeRawBufferPointer, _ depth: Int) -> Bool {
        guard mayNest(depth), let parts = ErrorValue.Parts(body) else { return false }
        pushErrorObject(L)
        push(L, bytes: parts.kind)
        obh_lua_setuservalue(L, -2, 1)
        push(L, bytes: parts.message)
        obh_lua_setuservalue(L, -2, 2)
        if let retryable = parts.retryable {
            obh_lua_pushboolean(L, retryable ? 1 : 0)
            obh_lua_setuservalue(L, -2, 3)
        }
        if let details = parts.details {
            var inner = LuaDecoder(vm: vm, L: L, reader: PayloadReader(details))
            guard inner.decode(inner.reader.next(), depth + 1) else { return false }
            obh_lua_setuservalue(L, -2, 4)
        }
        if let stack = parts.stack {
            push(L, bytes: stack)
            obh_lua_setuservalue(L, -2, 5)
        }
        return true
    }
}
