import CObhut

// `json`: text for the world outside. Its errors are error objects of kind INVALID.
//
// Both directions are bounded by `max_message`, as what is sent is: a value in which one table stands in many
// places would otherwise be a text without end.

@_cdecl("obh_call_json_encode")
func callJSONEncode(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard obh_lua_gettop(L) >= 1 else { return badArgument(vm, L, 1, "value expected") }
    var encoder = LuaJSONEncoder(vm: vm, L: L, limit: maxMessage(vm))
    guard encoder.encode(1) else { return refusal(vm, L, "INVALID", encoder.fault) }
    encoder.out.withUnsafeBytes { push(L, bytes: $0) }
    return 1
}

@_cdecl("obh_call_json_decode")
func callJSONDecode(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let text = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    return decodeJSON(vm, L, text)
}

/// Answers the value of a JSON text, or `nil, err`.
func decodeJSON(_ vm: VMPointer, _ L: LuaState, _ text: UnsafeRawBufferPointer) -> Int32 {
    withPayloadWriter(vm) { writer in
        if let fault = jsonToPayload(text, into: &writer, isOver: { hasToEnd(vm) }) {
            if writer.overflowed {
                return refusal(vm, L, "INVALID", "the value is larger than \(formatByteSize(writer.limit)) (max_message)")
            }
            return refusal(vm, L, "INVALID", "no JSON: \(fault)")
        }
        decodeValue(vm, L, writer.bytes)
        return 1
    }
}
