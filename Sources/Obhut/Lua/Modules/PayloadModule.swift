import CObhut
import Glibc

// `payload`: values that are kept encoded, so that they can be passed on without being looked at. Its errors are
// error objects of kind INVALID.
//
// A payload object holds one value, and a word for the form in which it holds it. Of LUA it is any value that can be
// sent; of JSON its text; of STRING and BYTES a string. The word belongs to the object and does not travel: what is
// sent is the data, of JSON a string.

enum PayloadObjectFormat: UInt8 {
    case lua = 0, json, string, bytes

    init?(name: UnsafeRawBufferPointer) {
        switch String(decoding: name, as: UTF8.self) {
        case "lua/any": self = .lua
        case "json/plain": self = .json
        case "text/plain": self = .string
        case "bytes/plain": self = .bytes
        default: return nil
        }
    }

    var name: StaticString {
        switch self {
        case .lua: "lua/any"
        case .json: "json/plain"
        case .string: "text/plain"
        case .bytes: "bytes/plain"
        }
    }
}

/// Pushes a payload object that holds `bytes`, one encoded value.
private func pushPayload(_ L: LuaState, _ bytes: UnsafeRawBufferPointer, _ format: PayloadObjectFormat) {
    let memory = obh_lua_newuserdata(L, Int32(obh_type_payload), PayloadHeader.size + bytes.count, 0).unsafelyUnwrapped
    memory.initializeMemory(
        as: PayloadHeader.self,
        to: PayloadHeader(address: 0, length: UInt32(bytes.count), format: format.rawValue))
    if let base = bytes.baseAddress { memcpy(memory + PayloadHeader.size, base, bytes.count) }
}

/// The format of the payload object at 1; nil if it is none.
private func format(_ L: LuaState) -> PayloadObjectFormat? {
    obh_lua_touserdata(L, 1, Int32(obh_type_payload)).map {
        PayloadObjectFormat(rawValue: $0.load(as: PayloadHeader.self).format) ?? .lua
    }
}

/// The format that argument 2 names, or what to answer.
private func formatArgument(_ vm: VMPointer, _ L: LuaState) -> (PayloadObjectFormat?, answer: Int32) {
    guard let name = stringArgument(L, 2) else { return (nil, badType(vm, L, 2, "string")) }
    if let format = PayloadObjectFormat(name: name) { return (format, 0) }
    return (nil, refusal(vm, L, "INVALID", "unknown format \(describe(L, 2)): see payload.format"))
}

/// Answers a payload object of the value at `index`, as it is, or `nil, err`.
private func answerPayload(_ vm: VMPointer, _ L: LuaState, _ index: Int32, _ format: PayloadObjectFormat) -> Int32 {
    withPayloadWriter(vm) { writer in
        do throws(EncodeFault) {
            try encodeValue(vm, L, index, into: &writer)
        } catch {
            return refusal(vm, L, "INVALID", error.message)
        }
        pushPayload(L, writer.bytes, format)
        return 1
    }
}

/// Why the value at `index` is no data of a format; nil if it is.
private func fault(_ L: LuaState, _ index: Int32, _ format: PayloadObjectFormat) -> String? {
    guard format != .lua else { return nil }
    guard let bytes = stringArgument(L, index) else {
        return "data of format \(format.name) is a string, this is a \(typeName(L, index))"
    }
    return format == .bytes || isValidUTF8(bytes) ? nil : "data of format \(format.name) is UTF-8, this is not"
}

@_cdecl("obh_call_payload_new")
func callPayloadNew(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard obh_lua_gettop(L) >= 1 else { return badArgument(vm, L, 1, "value expected") }
    var chosen = PayloadObjectFormat.lua
    if !isAbsent(L, 2) {
        let (format, answer) = formatArgument(vm, L)
        guard let format else { return answer }
        chosen = format
    }
    if let fault = fault(L, 1, chosen) { return refusal(vm, L, "INVALID", fault) }
    return answerPayload(vm, L, 1, chosen)
}

@_cdecl("obh_call_payload_get_format")
func callPayloadGetFormat(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let format = format(L) else { return badType(vm, L, 1, "payload") }
    push(L, format.name)
    return 1
}

/// The value itself, whatever form it is kept in.
@_cdecl("obh_call_payload_unmarshal")
func callPayloadUnmarshal(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let format = format(L) else { return badType(vm, L, 1, "payload") }
    decodeValue(vm, L, payloadBytes(L, 1).unsafelyUnwrapped)
    guard format == .json else { return 1 }
    return decodeJSON(vm, L, stringArgument(L, -1).unsafelyUnwrapped)
}

/// The same value in another form.
@_cdecl("obh_call_payload_transcode")
func callPayloadTranscode(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let from = format(L) else { return badType(vm, L, 1, "payload") }
    let (wanted, answer) = formatArgument(vm, L)
    guard let wanted else { return answer }
    obh_lua_settop(L, 1)
    if wanted == from {
        return 1
    }
    let count = callPayloadUnmarshal(vm, L)
    if count > 1 { return count }
    if wanted == .json {
        var encoder = LuaJSONEncoder(vm: vm, L: L, limit: maxMessage(vm))
        guard encoder.encode(obh_lua_gettop(L)) else { return refusal(vm, L, "INVALID", encoder.fault) }
        encoder.out.withUnsafeBytes { push(L, bytes: $0) }
    }
    if let fault = fault(L, obh_lua_gettop(L), wanted) { return refusal(vm, L, "INVALID", fault) }
    return answerPayload(vm, L, obh_lua_gettop(L), wanted)
}
