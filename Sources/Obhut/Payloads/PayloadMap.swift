// Maps with str keys as they lie encoded: what `with_context` passes down, and the fields of a log record.

/// Calls `body` with each key and its encoded value. Stops at what is malformed or has another kind of key.
func forEachPair(
    _ map: UnsafeRawBufferPointer,
    _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void
) {
    var reader = PayloadReader(map)
    guard case .map(let count) = reader.next() else { return }
    for _ in 0..<count {
        guard let (key, value) = reader.nextPair(in: map) else { return }
        body(key, value)
    }
}

extension PayloadReader {
    /// A string and the value behind it, encoded, of the `bytes` that this reads; nil if something else stands there.
    mutating func nextPair(
        in bytes: UnsafeRawBufferPointer
    ) -> (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)? {
        let key: UnsafeRawBufferPointer
        switch next() {
        case .string(let text), .binary(let text): key = text
        default: return nil
        }
        let start = offset
        guard skip() else { return nil }
        return (key, UnsafeRawBufferPointer(rebasing: bytes[start..<offset]))
    }
}

/// The pairs of `base` and `over` as one map, sorted by key; of a key in both, that of `over`.
func mergeMaps(_ base: UnsafeRawBufferPointer, _ over: UnsafeRawBufferPointer) -> [UInt8] {
    var pairs: [(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)] = []
    forEachPair(base) { pairs.append(($0, $1)) }
    forEachPair(over) { pairs.append(($0, $1)) }
    // The later of two equal ones comes later: the standard library's sort is stable.
    pairs.sort { $0.key.lexicographicallyPrecedes($1.key) }
    var merged: [(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)] = []
    for pair in pairs {
        if let last = merged.last, last.key.elementsEqual(pair.key) { merged.removeLast() }
        merged.append(pair)
    }
    var writer = PayloadWriter()
    writer.writeMapHeader(merged.count)
    for pair in merged {
        writer.writeString(pair.key)
        writer.appendRaw(pair.value)
    }
    return [UInt8](writer.bytes)
}
