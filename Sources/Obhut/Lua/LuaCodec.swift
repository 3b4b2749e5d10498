import CObhut

/// Why a Lua value could not be encoded (M1).
struct EncodeFault: Error {
    /// "a function cannot be sent"
    var message: String
}

// The codec itself is in Modules/: `encodeValue(vm, L, index, into:)` and `decodeValue`.
