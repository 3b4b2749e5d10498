/// The check at the C boundary: `bytes` are exactly one value, nested at most `maxDepth` deep, every
/// length inside, every `str` valid UTF-8, and pids and error objects of the right shape. Nil when
/// all is well. One pass, no recursion: bytes from outside must not decide how deep our stack goes.
///
/// An error object's body is read in place, as the array it holds, and counts as one level; so an
/// error whose details hold an error whose details … has the same bound as arrays have.
@inline(__always)
func validatePayload(_ bytes: UnsafeRawBufferPointer, maxDepth: Int = payloadMaxDepth) -> PayloadFault? {
    guard !bytes.isEmpty else { return PayloadFault(offset: 0, reason: .empty) }
    return bytes.count == sizeOfScalar(bytes[0]) ? nil : validateAny(bytes, maxDepth: maxDepth)
}

private func validateAny(_ bytes: UnsafeRawBufferPointer, maxDepth: Int) -> PayloadFault? {
    // For 128 levels these are 1,024 bytes, the most that is taken from the stack.
    return withUnsafeTemporaryAllocation(of: Int.self, capacity: max(1, maxDepth)) { outer in
        validate(bytes, maxDepth: maxDepth, outer: outer)
    }
}

/// Bytes of a nil, boolean or number that begins with `tag`; 0 of anything else.
@inline(__always)
private func sizeOfScalar(_ tag: UInt8) -> Int {
    switch tag {
    case 0x00...0x7f, 0xe0...0xff, PayloadTag.null, PayloadTag.no, PayloadTag.yes: 1
    case PayloadTag.unsigned8, PayloadTag.signed8: 2
    case PayloadTag.unsigned16, PayloadTag.signed16: 3
    case PayloadTag.unsigned32, PayloadTag.signed32, PayloadTag.float32: 5
    case PayloadTag.unsigned64, PayloadTag.signed64, PayloadTag.float64: 9
    default: 0
    }
}

/// `pending` is how many values are still to come at this depth, `outer[d]` how many at those further out.
private func validate(
    _ bytes: UnsafeRawBufferPointer, maxDepth: Int, outer: UnsafeMutableBufferPointer<Int>
) -> PayloadFault? {
    var reader = PayloadReader(bytes)
    var depth = 0
    var pending = 1
    while true {
        while pending == 0 {
            if depth == 0 {
                return reader.isAtEnd ? nil : PayloadFault(offset: reader.offset, reason: .trailingBytes)
            }
            depth -= 1
            pending = outer[depth]
        }
        pending -= 1

        let start = reader.offset
        func fault(_ reason: PayloadFault.Reason) -> PayloadFault { PayloadFault(offset: start, reason: reason) }
        var children = 0
        switch reader.next() {
        case .null, .bool, .integer, .unsigned, .double, .binary:
            continue
        case .string(let text):
            guard isValidUTF8(text) else { return fault(.invalidUTF8) }
            continue
        case .array(let n): children = n
        case .map(let n): children = 2 * n
        case .ext(PayloadExtension.pid, let body):
            guard body.count == 8 else { return fault(.badPid) }
            continue
        case .ext(PayloadExtension.error, let body):
            guard ErrorValue.hasShape(body) else { return fault(.badError) }
            // The array in it is the value we came for.
            reader.rewind(over: body)
            pending += 1
            continue
        case .ext:
            continue
        case .malformed:
            return fault(start < bytes.count && bytes[start] == PayloadTag.reserved ? .reservedByte : .truncated)
        }
        guard depth < maxDepth else { return fault(.tooDeep) }
        outer[depth] = pending
        depth += 1
        pending = children
    }
}
