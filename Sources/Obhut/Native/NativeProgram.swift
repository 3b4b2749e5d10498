import CNative

/// What a `process.native` entry runs: `program` of its `ProcessDefinition`. Immutable.
final class NativeProgram: Sendable {
    /// "namespace:name".
    let id: String
    /// An absolute path, or a soname that the loader finds.
    let library: String
    let symbol: String
    /// Of a handler without meaning.
    let signature: NativeSignature
    let isolation: NativeIsolation
    let mode: NativeMode
    /// Bytes of the child OS process; nil: no limit.
    let memoryLimit: Int?
    /// Nanoseconds on a CPU; nil: no limit.
    let cpuLimit: Int64?

    init(
        id: String, library: String, symbol: String, signature: NativeSignature, isolation: NativeIsolation,
        mode: NativeMode = .function, memoryLimit: Int? = nil, cpuLimit: Int64? = nil
    ) {
        self.id = id
        self.library = library
        self.symbol = symbol
        self.signature = signature
        self.isolation = isolation
        self.mode = mode
        self.memoryLimit = memoryLimit
        self.cpuLimit = cpuLimit
    }

    convenience init(_ entry: NativeEntry, id: String) {
        self.init(
            id: id, library: entry.library, symbol: entry.symbol, signature: entry.signature, isolation: entry.isolation,
            mode: entry.mode, memoryLimit: entry.memoryLimit, cpuLimit: entry.cpuLimit)
    }

    /// What is wrong with the arguments of a spawn, nil: nothing. A handler looks at its own.
    /// - Parameter arguments: an encoded array; empty: none.
    func fault(of arguments: UnsafeRawBufferPointer) -> String? {
        if mode == .handler { return nil }
        var signature = signature.raw
        return nativeText { obn_check(&signature, arguments.baseAddress, arguments.count, $0, $1) == 0 }
    }
}

extension NativeSignature {
    init(raw: obn_signature) {
        let parameters = withUnsafeBytes(of: raw.parameters) { $0.prefix(Int(raw.count)).map { NativeType(rawValue: $0)! } }
        self.init(result: NativeType(rawValue: raw.result)!, parameters: parameters)
    }

    /// As the C side has it.
    var raw: obn_signature {
        precondition(parameters.count <= NativeSignature.maximumParameters)
        var raw = obn_signature()
        raw.result = result.rawValue
        raw.count = UInt8(parameters.count)
        withUnsafeMutableBytes(of: &raw.parameters) { cells in
            for (index, type) in parameters.enumerated() { cells[index] = type.rawValue }
        }
        return raw
    }
}

/// What a C function of `CNative` says when it answers that something is wrong; nil if nothing is.
func nativeText(_ body: (UnsafeMutablePointer<CChar>, Int) -> Bool) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { text in
        text[0] = 0
        if body(text.baseAddress!, text.count) { return nil }
        return String(cString: text.baseAddress!)
    }
}
