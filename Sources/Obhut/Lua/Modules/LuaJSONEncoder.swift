import CObhut
import Glibc

/// Lua values to JSON text, for `json.encode`.
///
/// Raw access only, as in `LuaEncoder`: nothing raises and no metamethod runs. Which table is an array and how deep
/// values may nest is as there. Objects have their keys in order, so that equal values give equal text, in a
/// simulation too (T2). What JSON has no word for is refused and not changed: NaN and infinities, bytes that are no
/// UTF-8, keys that are neither string nor number.
struct LuaJSONEncoder {
    private let vm: VMPointer
    private let L: LuaState
    /// Most bytes of the text.
    private let limit: Int
    private(set) var out: [UInt8] = []
    private var message = ""
    /// Where the fault is, from the inside out.
    private var path: [String] = []
    /// The tables around the present value.
    private var around: [UnsafeRawPointer?] = []
    private var work = 0

    init(vm: VMPointer, L: LuaState, limit: Int) {
        self.vm = vm
        self.L = L
        self.limit = limit
    }

    /// What was wrong, after `encode` said no.
    var fault: String { isTooLarge ? message : EncodeFault(message: message, path: path.reversed()).message }
    /// Of the whole: no place in it is at fault.
    private var isTooLarge = false

    /// - Parameter index: absolute.
    mutating func encode(_ index: Int32) -> Bool {
        guard goesOn() else { return false }
        switch obh_lua_type(L, index) {
        case Int32(OBH_TNIL): append("null")
        case Int32(OBH_TBOOLEAN): append(obh_lua_toboolean(L, index) != 0 ? "true" : "false")
        case Int32(OBH_TNUMBER): return number(index)
        case Int32(OBH_TSTRING): return string(stringArgument(L, index).unsafelyUnwrapped)
        case Int32(OBH_TTABLE): return inside(index) { $0.table(index) }
        default: return object(index)
        }
        return true
    }

    private mutating func fail(_ text: String) -> Bool {
        message = text
        return false
    }

    private mutating func failAsTooLarge() -> Bool {
        isTooLarge = true
        return fail("the text is larger than \(formatByteSize(limit)) (max_message)")
    }

    /// Looked at for each value and key: whether the text is still within its bound, and the process may go on (C4).
    private mutating func goesOn() -> Bool {
        if out.count > limit { return failAsTooLarge() }
        work += 1
        if work & 4095 == 0 && hasToEnd(vm) { return fail("the process has to end") }
        return true
    }

    private mutating func append(_ text: String) { out.append(contentsOf: text.utf8) }

    // MARK: Scalars

    private mutating func number(_ index: Int32) -> Bool {
        if obh_lua_isinteger(L, index) != 0 {
            append(String(obh_lua_tointeger(L, index, nil)))
            return true
        }
        let value = obh_lua_tonumber(L, index, nil)
        guard value.isFinite else { return fail("cannot encode \(value.isNaN ? "NaN" : "an infinite number")") }
        append(value.description)
        return true
    }

    private mutating func string(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard isValidUTF8(bytes) else { return fail("cannot encode a string that is not UTF-8") }
        guard bytes.count <= limit else { return failAsTooLarge() }
        appendJSONString(bytes, to: &out)
        return true
    }

    // MARK: Tables

    private mutating func inside(_ index: Int32, _ body: (inout LuaJSONEncoder) -> Bool) -> Bool {
        guard around.count < payloadMaxDepth else {
            return fail("cannot encode a value that is nested over \(payloadMaxDepth) deep")
        }
        guard obh_lua_checkstack(L, 8) != 0 else { return fail("cannot encode: no room on the Lua stack") }
        let address = obh_lua_topointer(L, index)
        if around.contains(address) { return fail("cannot encode a \(typeName(L, index)) that contains itself") }
        around.append(address)
        let done = body(&self)
        around.removeLast()
        return done
    }

    private struct Key {
        let text: [UInt8]
        /// Nil: the key is `text`.
        var integer: Int64?
        var real: Double?
    }

    private mutating func table(_ index: Int32) -> Bool {
        obh_lua_complete(L, index)
        let length = Int(obh_lua_rawlen(L, index))
        var keys: [Key] = []
        var elements = 0
        obh_lua_pushnil(L)
        while obh_lua_next(L, index) != 0 {
            obh_lua_pop(L, 1)
            guard goesOn() else {
                obh_lua_pop(L, 1)
                return false
            }
            // As long as it may be an array, its keys are only counted.
            if keys.isEmpty && obh_lua_isinteger(L, -1) != 0
                && UInt64(bitPattern: obh_lua_tointeger(L, -1, nil)) &- 1 < UInt64(length)
            {
                elements += 1
                continue
            }
            guard let key = key(-1) else {
                obh_lua_pop(L, 1)
                return false
            }
            keys.append(key)
        }
        if keys.isEmpty && elements == length { return array(index, length) }
        if elements > 0 {
            guard let all = allKeys(index) else { return false }
            keys = all
        }
        return map(index, keys)
    }

    /// Of a table that turned out to be no array.
    private mutating func allKeys(_ index: Int32) -> [Key]? {
        var keys: [Key] = []
        obh_lua_pushnil(L)
        while obh_lua_next(L, index) != 0 {
            obh_lua_pop(L, 1)
            guard goesOn(), let key = key(-1) else {
                obh_lua_pop(L, 1)
                return nil
            }
            keys.append(key)
        }
        return keys
    }

    private mutating func key(_ index: Int32) -> Key? {
        switch obh_lua_type(L, index) {
        case Int32(OBH_TSTRING): return Key(text: [UInt8](stringArgument(L, index).unsafelyUnwrapped))
        case Int32(OBH_TNUMBER):
            if obh_lua_isinteger(L, index) != 0 {
                let value = obh_lua_tointeger(L, index, nil)
                return Key(text: Array(String(value).utf8), integer: value)
            }
            let value = obh_lua_tonumber(L, index, nil)
            return Key(text: Array(value.description.utf8), real: value)
        default:
            _ = fail("cannot encode a table with a \(typeName(L, index)) as a key")
            return nil
        }
    }

    private mutating func array(_ index: Int32, _ count: Int) -> Bool {
        out.append(UInt8(ascii: "["))
        for i in 0..<count {
            if i > 0 { out.append(UInt8(ascii: ",")) }
            obh_lua_rawgeti(L, index, Int64(i + 1))
            let done = encode(obh_lua_gettop(L))
            obh_lua_pop(L, 1)
            if !done {
                path.append("[\(i + 1)]")
                return false
            }
        }
        out.append(UInt8(ascii: "]"))
        return true
    }

    private mutating func map(_ index: Int32, _ keys: [Key]) -> Bool {
        let sorted = keys.sorted { $0.text.lexicographicallyPrecedes($1.text) }
        out.append(UInt8(ascii: "{"))
        for (i, key) in sorted.enumerated() {
            if i > 0 {
                out.append(UInt8(ascii: ","))
                if key.text == sorted[i - 1].text {
                    return fail("cannot encode a table with the key \(shown(key)) as a number and as a string")
                }
            }
            guard key.text.withUnsafeBytes({ string($0) }) else {
                path.append("(a key)")
                return false
            }
            out.append(UInt8(ascii: ":"))
            if let integer = key.integer {
                obh_lua_pushinteger(L, integer)
            } else if let real = key.real {
                obh_lua_pushnumber(L, real)
            } else {
                key.text.withUnsafeBytes { push(L, bytes: $0) }
            }
            obh_lua_rawget(L, index)
            let done = encode(obh_lua_gettop(L))
            obh_lua_pop(L, 1)
            if !done {
                path.append(key.integer == nil && key.real == nil ? ".\(shown(key))" : "[\(shown(key))]")
                return false
            }
        }
        out.append(UInt8(ascii: "}"))
        return true
    }

    private func shown(_ key: Key) -> String { String(decoding: key.text.prefix(64), as: UTF8.self) }

    // MARK: Objects of the runtime

    private mutating func object(_ index: Int32) -> Bool {
        switch Int(obh_lua_userdata_type(L, index)) {
        case obh_type_error: return inside(index) { $0.error(index) }
        case obh_type_payload:
            let bytes = payloadBytes(L, index).unsafelyUnwrapped
            if validatePayload(bytes, maxDepth: payloadMaxDepth - around.count) != nil {
                return fail("cannot encode a value that is nested over \(payloadMaxDepth) deep")
            }
            let system = vm.system
            append(payloadToJSON(bytes, pidText: { system.text(of: Pid(raw: $0)) }))
            return goesOn()
        default: return fail("cannot encode a \(typeName(L, index))")
        }
    }

    /// As results of processes show it: its parts, those that nobody set left out, and without its stack.
    private mutating func error(_ index: Int32) -> Bool {
        var isFirst = true
        out.append(UInt8(ascii: "{"))
        for (n, name) in [(Int32(1), "kind"), (2, "message"), (3, "retryable"), (4, "details")] {
            obh_lua_getuservalue(L, index, n)
            defer { obh_lua_pop(L, 1) }
            if isAbsent(L, -1) { continue }
            if !isFirst { out.append(UInt8(ascii: ",")) }
            isFirst = false
            append("\"\(name)\":")
            guard encode(obh_lua_gettop(L)) else {
                path.append(":\(name)()")
                return false
            }
        }
        out.append(UInt8(ascii: "}"))
        return true
    }
}
