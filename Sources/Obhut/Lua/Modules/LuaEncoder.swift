import CObhut
import Glibc

// Lua values to MessagePack (ARCHITECTURE D6, SEMANTICS M1).
//
// Raw access only: no metamethod is called, nothing can raise, and the program does not run meanwhile. The
// depth is bounded, so recursion is too; a table inside itself is found by the addresses of the tables
// around it. Shared tables are written once for each place they stand in; that this stops is seen to by the
// writer's limit (`max_message`).

/// Encodes the value at `index`.
@inline(__always)
func encodeValue(
    _ vm: VMPointer, _ L: LuaState, _ index: Int32, into writer: inout PayloadWriter
) throws(EncodeFault) {
    if encodeScalar(L, index, &writer) {
        if writer.overflowed { throw tooLarge(vm) }
        return
    }
    try encodeCompound(vm, L, index, &writer)
}

/// The values from `first` to the top as one payload: none is nil, one is itself, several are an array in
/// which nils keep their places.
@inline(__always)
func encodePayload(
    _ vm: VMPointer, _ L: LuaState, from first: Int32, into writer: inout PayloadWriter
) throws(EncodeFault) {
    let count = obh_lua_gettop(L) &- first &+ 1
    if count == 1 { return try encodeValue(vm, L, first, into: &writer) }
    if count < 1 { return writer.writeNil() }
    try encodeArguments(vm, L, from: first, into: &writer)
}

/// The values from `first` to the top as an array.
func encodeArguments(
    _ vm: VMPointer, _ L: LuaState, from first: Int32, into writer: inout PayloadWriter
) throws(EncodeFault) {
    let top = obh_lua_gettop(L)
    writer.writeArrayHeader(Int(max(0, top - first + 1)))
    var index = first
    while index <= top {
        if !encodeScalar(L, index, &writer) {
            do throws(EncodeFault) {
                try encodeCompound(vm, L, index, &writer, depth: 1)
            } catch {
                throw top > first ? error.inArgument(Int(index - first + 1)) : error
            }
        }
        index += 1
    }
    if writer.overflowed { throw tooLarge(vm) }
}

/// Encodes the value at `index` as the error with which a process ends (P4): a string as it is, an error
/// object with its kind, anything else as an error object that holds its copy. Never fails: details that cannot be
/// copied or are too large are left out, and a text beyond `max_message` is cut short.
func encodeError(_ vm: VMPointer, _ L: LuaState, _ index: Int32, into writer: inout PayloadWriter) {
    let index = obh_lua_absindex(L, index)
    let start = writer.count
    writeError(vm, L, index, &writer)
    guard writer.overflowed else { return }
    let isString = obh_lua_type(L, index) == Int32(OBH_TSTRING)
    let text = (isString ? textArgument(L, index) : errorText(L, index, 2)) ?? typeName(L, index)
    let cut = "\(beginning(text, 200)) ... (\(text.utf8.count) bytes; max_message is \(formatByteSize(maxMessage(vm))))"
    writer.rewind(to: start, room: 1024)
    if isString { return writer.writeString(cut) }
    ErrorValue(kind: beginning(errorText(L, index, 1) ?? "UNKNOWN", 64), message: cut).write(into: &writer)
}

private func writeError(_ vm: VMPointer, _ L: LuaState, _ index: Int32, _ writer: inout PayloadWriter) {
    let start = writer.count
    let isError = obh_lua_userdata_type(L, index) == Int32(obh_type_error)
    if isError || obh_lua_type(L, index) == Int32(OBH_TSTRING) {
        if (try? encodeValue(vm, L, index, into: &writer)) != nil { return }
        if !isError { return }
        writer.rewind(to: start, room: 0)
    }
    var error: ErrorValue
    if isError {
        error = ErrorValue(
            kind: errorText(L, index, 1) ?? "UNKNOWN", message: errorText(L, index, 2) ?? "", stack: errorText(L, index, 5))
    } else {
        let type = obh_lua_type(L, index)
        let isPlain = type == Int32(OBH_TNUMBER) || type == Int32(OBH_TBOOLEAN) || type == Int32(OBH_TNIL)
        error = ErrorValue(
            kind: "UNKNOWN",
            message: isPlain ? describe(L, index) : "(error object is a \(typeName(L, index)) value)")
        var copy = PayloadWriter(limit: max(0, writer.limit - 4096))
        if (try? encodeValue(vm, L, index, into: &copy)) != nil, type != Int32(OBH_TNIL) {
            error.details = [UInt8](copy.bytes)
        }
    }
    error.write(into: &writer)
}

/// A text of the error object at `index`, by the number of its user value; nil for anything else.
private func errorText(_ L: LuaState, _ index: Int32, _ n: Int32) -> String? {
    guard obh_lua_userdata_type(L, index) == Int32(obh_type_error) else { return nil }
    obh_lua_getuservalue(L, index, n)
    defer { obh_lua_pop(L, 1) }
    return textArgument(L, -1)
}

/// At most so many bytes, and no half of a character.
private func beginning(_ text: String, _ bytes: Int) -> String {
    guard text.utf8.count > bytes else { return text }
    var end = text.utf8.index(text.utf8.startIndex, offsetBy: bytes)
    while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
    return String(text[..<end])
}

/// A writer for one call: begins in a buffer on the stack, so that a small message costs no allocation.
/// Its limit is the `max_message` of the process's host.
@inline(__always)
func withPayloadWriter<Result>(_ vm: VMPointer, _ body: (inout PayloadWriter) -> Result) -> Result {
    withUnsafeTemporaryAllocation(byteCount: 512, alignment: 8) { buffer in
        var writer = PayloadWriter(limit: maxMessage(vm), borrowing: buffer)
        return body(&writer)
    }
}

@inline(__always)
func maxMessage(_ vm: VMPointer) -> Int {
    vm.process.pointee.runnable.host?._withUnsafeGuaranteedRef { $0.limits.maxMessage } ?? .max
}

@inline(never)
private func tooLarge(_ vm: VMPointer) -> EncodeFault {
    EncodeFault(
        message: "payload is larger than \(formatByteSize(maxMessage(vm))) (max_message of \(vm.process.host?.name ?? "?"))")
}

/// "16MiB", "1KiB", "1000B": a size as entries write it.
func formatByteSize(_ bytes: Int) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] where bytes >= unit && bytes % unit == 0 {
        return "\(bytes / unit)\(name)"
    }
    return "\(bytes)B"
}

/// Nil, booleans, numbers and strings; false for all else.
@inline(__always)
private func encodeScalar(_ L: LuaState, _ index: Int32, _ writer: inout PayloadWriter) -> Bool {
    var scalar = obh_scalar()
    obh_lua_toscalar(L, index, &scalar)
    return write(scalar, &writer)
}

@inline(__always)
private func write(_ scalar: obh_scalar, _ writer: inout PayloadWriter) -> Bool {
    switch Int(scalar.type) {
    case OBH_TINTEGER: writer.writeInteger(scalar.integer)
    case OBH_TSTRING:
        writer.writeString(UnsafeRawBufferPointer(start: UnsafeRawPointer(scalar.text), count: scalar.size))
    case OBH_TNUMBER: writer.writeDouble(scalar.number)
    case OBH_TBOOLEAN: writer.writeBool(scalar.truth != 0)
    case OBH_TNIL: writer.writeNil()
    default: return false
    }
    return true
}

@inline(never)
private func encodeCompound(
    _ vm: VMPointer, _ L: LuaState, _ index: Int32, _ writer: inout PayloadWriter, depth: Int = 0
) throws(EncodeFault) {
    let fault: EncodeFault? = withUnsafeTemporaryAllocation(
        of: UnsafeRawPointer?.self, capacity: payloadMaxDepth + 1
    ) { around in
        var encoder = LuaEncoder(vm: vm, L: L, around: around, depth: depth)
        for i in 0..<depth { around[i] = nil }
        if encoder.encode(obh_lua_absindex(L, index), &writer), !writer.overflowed { return nil }
        if writer.overflowed { return tooLarge(vm) }
        return encoder.fault
    }
    if let fault { throw fault }
}

/// For long work inside one call (C4): whether a lethal signal has come meanwhile. Then the program runs no
/// more code, whatever the call answers.
@inline(never)
func hasToEnd(_ vm: VMPointer) -> Bool {
    guard vm.process.pointee.runnable.attention.load(ordering: .relaxed) else { return false }
    vm.process.drain()
    guard vm.process.isDoomed else { return false }
    _ = die(vm)
    return true
}

private struct LuaEncoder {
    let vm: VMPointer
    let L: LuaState
    /// The tables around the present value.
    let around: UnsafeMutableBufferPointer<UnsafeRawPointer?>
    var depth: Int
    private var tables = 0
    private var message = ""
    /// Where the fault is, from the inside out.
    private var path: [String] = []

    init(vm: VMPointer, L: LuaState, around: UnsafeMutableBufferPointer<UnsafeRawPointer?>, depth: Int) {
        self.vm = vm
        self.L = L
        self.around = around
        self.depth = depth
    }

    var fault: EncodeFault { EncodeFault(message: message, path: path.reversed()) }

    /// - Parameter index: absolute.
    /// - Returns: false when it was given up; `fault` or the writer's overflow says why.
    mutating func encode(_ index: Int32, _ writer: inout PayloadWriter) -> Bool {
        if encodeScalar(L, index, &writer) { return !writer.overflowed }
        if obh_lua_type(L, index) == Int32(OBH_TTABLE) {
            return inside(index) { $0.encodeTable(index, &writer) }
        }
        switch Int(obh_lua_userdata_type(L, index)) {
        case obh_type_payload: return encodePayloadObject(index, &writer)
        case obh_type_error: return inside(index) { $0.encodeErrorObject(index, &writer) }
        default: return fail("cannot send a \(typeName(L, index))")
        }
    }

    private mutating func fail(_ text: String) -> Bool {
        message = text
        return false
    }

    /// Runs `body` one level deeper, unless the value stands inside itself or too deep.
    private mutating func inside(_ index: Int32, _ body: (inout LuaEncoder) -> Bool) -> Bool {
        guard depth < payloadMaxDepth else {
            return fail("cannot send a value that is nested over \(payloadMaxDepth) deep")
        }
        guard obh_lua_checkstack(L, 8) != 0 else { return fail("cannot send: no room on the Lua stack") }
        tables += 1
        if tables & 4095 == 0 && hasToEnd(vm) { return fail("the process has to end") }
        let address = obh_lua_topointer(L, index)
        for outer in 0..<depth where around[outer] == address {
            return fail("cannot send a \(typeName(L, index)) that contains itself")
        }
        around[depth] = address
        depth += 1
        let done = body(&self)
        depth -= 1
        return done
    }

    /// Keys 1…n make an array, all else a map; nothing at all is an array.
    private mutating func encodeTable(_ index: Int32, _ writer: inout PayloadWriter) -> Bool {
        obh_lua_complete(L, index)
        let length = Int(obh_lua_rawlen(L, index))
        if length > 0 && encodeScalars(index, length, &writer) { return !writer.overflowed }
        var count = 0
        var isArray = true
        obh_lua_pushnil(L)
        while obh_lua_next(L, index) != 0 {
            obh_lua_pop(L, 1)
            count += 1
            if isArray {
                isArray =
                    obh_lua_isinteger(L, -1) != 0
                    && UInt64(bitPattern: obh_lua_tointeger(L, -1, nil)) &- 1 < UInt64(length)
            }
        }
        guard isArray && count == length else { return encodeMap(index, count, &writer) }
        writer.writeArrayHeader(count)
        if writer.overflowed { return false }
        var i = 0
        while i < count {
            i += 1
            obh_lua_rawgeti(L, index, Int64(i))
            let done = encode(obh_lua_gettop(L), &writer)
            obh_lua_pop(L, 1)
            if !done {
                path.append("[\(i)]")
                return false
            }
        }
        return true
    }

    /// An array of scalars at one walk: the keys of what Lua keeps as an array come first and in order. False, and
    /// nothing written, when it is anything else. (It may then not have overflowed either: with the keys between,
    /// a map of the same values is longer.)
    private func encodeScalars(_ index: Int32, _ length: Int, _ writer: inout PayloadWriter) -> Bool {
        let (start, top, portion) = (writer.count, obh_lua_gettop(L), 32)
        writer.writeArrayHeader(length)
        obh_lua_pushnil(L)
        let done = withUnsafeTemporaryAllocation(of: obh_scalar.self, capacity: portion) { scalars in
            var count = 0
            while true {
                let read = Int(
                    obh_lua_nextscalars(L, index, Int64(count &+ 1), scalars.baseAddress, Int32(portion)))
                if read < 0 { return false }
                for i in 0..<read { _ = write(scalars[i], &writer) }
                count &+= read
                if writer.overflowed { return true }
                if read < portion { return count == length }
            }
        }
        obh_lua_settop(L, top)
        if !done { writer.truncate(to: start) }
        return done
    }

    private mutating func encodeMap(_ index: Int32, _ count: Int, _ writer: inout PayloadWriter) -> Bool {
        writer.writeMapHeader(count)
        if writer.overflowed { return false }
        obh_lua_pushnil(L)
        while obh_lua_next(L, index) != 0 {
            let value = obh_lua_gettop(L)
            guard encode(value - 1, &writer) else {
                path.append("(a key)")
                obh_lua_pop(L, 2)
                return false
            }
            guard encode(value, &writer) else {
                obh_lua_pop(L, 1)
                path.append(component(of: value - 1))
                obh_lua_pop(L, 1)
                return false
            }
            obh_lua_pop(L, 1)
        }
        return true
    }

    /// A key as it would be written in a program.
    private func component(of index: Int32) -> String {
        guard let bytes = stringArgument(L, index) else { return "[\(describe(L, index))]" }
        let isName =
            !bytes.isEmpty && bytes.count <= 64
            && bytes.allSatisfy {
                $0 == UInt8(ascii: "_") || $0 &- UInt8(ascii: "0") < 10 || ($0 | 32) &- UInt8(ascii: "a") < 26
            } && bytes[0] &- UInt8(ascii: "0") >= 10
        let text = String(decoding: bytes.prefix(64), as: UTF8.self)
        return isName ? ".\(text)" : "[\"\(text)\"]"
    }

    /// Sent on without decoding. Nested in another value it must not pass the bound on depth: what a
    /// process may receive it may decode, however often it was wrapped on its way.
    private mutating func encodePayloadObject(_ index: Int32, _ writer: inout PayloadWriter) -> Bool {
        let bytes = payloadBytes(L, index).unsafelyUnwrapped
        if depth > 0, validatePayload(bytes, maxDepth: payloadMaxDepth - depth) != nil {
            return fail("cannot send a value that is nested over \(payloadMaxDepth) deep")
        }
        writer.appendRaw(bytes)
        return !writer.overflowed
    }

    private mutating func encodeErrorObject(_ index: Int32, _ writer: inout PayloadWriter) -> Bool {
        let place = writer.reserveExtension(type: PayloadExtension.error)
        writer.writeArrayHeader(5)
        for n in Int32(1)...5 {
            obh_lua_getuservalue(L, index, n)
            let done = encode(obh_lua_gettop(L), &writer)
            obh_lua_pop(L, 1)
            if !done {
                path.append(":details()")
                return false
            }
        }
        writer.patchExtension(at: place)
        return !writer.overflowed
    }
}
