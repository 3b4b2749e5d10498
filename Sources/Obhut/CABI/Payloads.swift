import Glibc
import ObhutHeader

/// The bytes that a caller hands over as pointer and length.
func bytes(
    _ pointer: UnsafeRawPointer?, _ length: Int, _ name: String
) throws(Failure) -> UnsafeRawBufferPointer {
    if pointer == nil && length > 0 { throw .argument("\(name) is NULL with a length of \(length)") }
    guard length >= 0 else { throw .argument("the length of \(name) is out of range") }
    return UnsafeRawBufferPointer(start: length == 0 ? nil : pointer, count: length)
}

/// The same, checked to be one well-formed MessagePack value.
func payload(
    _ pointer: UnsafeRawPointer?, _ length: Int, _ name: String = "payload"
) throws(Failure) -> UnsafeRawBufferPointer {
    let bytes = try bytes(pointer, length, name)
    if let fault = validatePayload(bytes) {
        throw Failure(OBHUT_MALFORMED, "\(name) is not MessagePack: \(fault)", offset: Int64(fault.offset))
    }
    return bytes
}

/// A copy that `obhut_bytes_free` frees, with a NUL behind it.
func ownedCopy(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> UnsafeMutableRawPointer {
    guard let copy = malloc(bytes.count + 1) else {
        throw Failure(OBHUT_SYSTEM, "no memory for \(bytes.count) bytes")
    }
    if let source = bytes.baseAddress { memcpy(copy, source, bytes.count) }
    copy.storeBytes(of: 0, toByteOffset: bytes.count, as: UInt8.self)
    return copy
}

/// The same of a text, and its length; it may hold NULs.
func ownedCopy(_ text: String) throws(Failure) -> (start: UnsafeMutablePointer<CChar>, count: Int) {
    var text = text
    let copy = text.withUTF8 { utf8 in Result { () throws(Failure) in try ownedCopy(UnsafeRawBufferPointer(utf8)) } }
    return (try copy.get().assumingMemoryBound(to: CChar.self), text.utf8.count)
}

@_cdecl("obhut_payload_from_json") @implementation
public func obhut_payload_from_json(
    _ json: UnsafePointer<CChar>!, _ length: Int,
    _ payload: UnsafeMutablePointer<UnsafeMutableRawPointer?>!,
    _ payload_length: UnsafeMutablePointer<Int>!, _ error: ErrorOut
) -> obhut_status {
    payload?.pointee = nil
    payload_length?.pointee = 0
    return report(error) { () throws(Failure) in
        guard let payload, let payload_length else { throw .argument("payload and payload_length must not be NULL") }
        let text = try bytes(json, length, "json")
        var writer = PayloadWriter()
        if let fault = jsonToPayload(text, into: &writer) {
            throw Failure(
                OBHUT_MALFORMED, "not JSON: \(fault)", line: fault.line, column: fault.column,
                offset: Int64(fault.offset))
        }
        payload.pointee = try ownedCopy(writer.bytes)
        payload_length.pointee = writer.count
    }
}

@_cdecl("obhut_payload_to_json") @implementation
public func obhut_payload_to_json(
    _ payload: UnsafeRawPointer!, _ length: Int,
    _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>!,
    _ json_length: UnsafeMutablePointer<Int>!, _ error: ErrorOut
) -> obhut_status {
    json?.pointee = nil
    json_length?.pointee = 0
    return report(error) { () throws(Failure) in
        guard let json else { throw .argument("json must not be NULL") }
        let copy = try ownedCopy(payloadToJSON(try Obhut.payload(payload, length)))
        json.pointee = copy.start
        json_length?.pointee = copy.count
    }
}

@_cdecl("obhut_payload_check") @implementation
public func obhut_payload_check(
    _ payload: UnsafeRawPointer!, _ length: Int, _ error: ErrorOut
) -> obhut_status {
    report(error) { () throws(Failure) in _ = try Obhut.payload(payload, length) }
}

@_cdecl("obhut_bytes_free") @implementation
public func obhut_bytes_free(_ bytes: UnsafeMutableRawPointer!) { free(bytes) }
