// Payloads: the one format for values between Lua, native code, C, C++, Python and the wire.
//
// A payload is exactly one MessagePack value (github.com/msgpack/msgpack/blob/master/spec.md):
//
//   first byte   value                       first byte   value
//   00...7f      integer 0...127             cc cd ce cf  unsigned of 8, 16, 32, 64 bits
//   80...8f      map of 0...15 pairs         d0 d1 d2 d3  signed of 8, 16, 32, 64 bits
//   90...9f      array of 0...15             d4 ... d8    extension of 1, 2, 4, 8, 16 bytes
//   a0...bf      str of 0...31 bytes         d9 da db     str, length in 8, 16, 32 bits
//   c0           nil                         dc dd        array, count in 16, 32 bits
//   c1           never valid                 de df        map, count in 16, 32 bits
//   c2 c3        false, true                 e0...ff      integer -32...-1
//   c4 c5 c6     bin, length in 8, 16, 32 bits
//   c7 c8 c9     extension, length in 8, 16, 32 bits, then its type byte
//   ca cb        float of 32, 64 bits
//
// Numbers are big-endian. An extension's type byte stands before its body:
//
//   type 1   a pid: 8 bytes, big-endian
//   type 2   an error object: a MessagePack array of five (see ErrorValue)
//
// Laws. Integers stay integers and floats floats: the writer takes the smallest integer form and
// always 64 bits for a float. `str` is valid UTF-8 always; other bytes travel as `bin`. Containers
// nest at most 128 deep. Bytes that come from outside pass `validatePayload` once, at the C
// boundary; behind it readers may trust depth and UTF-8, but `PayloadReader` still checks every
// length, because a reader that can leave its buffer is one bug away from doing so.
// Nothing here knows of processes, threads or Lua: buffers belong to their one owner.

/// First bytes of the forms that carry no value in the byte itself.
enum PayloadTag {
    static let null: UInt8 = 0xc0
    static let reserved: UInt8 = 0xc1
    static let no: UInt8 = 0xc2
    static let yes: UInt8 = 0xc3
    static let binary8: UInt8 = 0xc4
    static let binary16: UInt8 = 0xc5
    static let binary32: UInt8 = 0xc6
    static let extension8: UInt8 = 0xc7
    static let extension16: UInt8 = 0xc8
    static let extension32: UInt8 = 0xc9
    static let float32: UInt8 = 0xca
    static let float64: UInt8 = 0xcb
    static let unsigned8: UInt8 = 0xcc
    static let unsigned16: UInt8 = 0xcd
    static let unsigned32: UInt8 = 0xce
    static let unsigned64: UInt8 = 0xcf
    static let signed8: UInt8 = 0xd0
    static let signed16: UInt8 = 0xd1
    static let signed32: UInt8 = 0xd2
    static let signed64: UInt8 = 0xd3
    static let fixedExtension1: UInt8 = 0xd4
    static let fixedExtension2: UInt8 = 0xd5
    static let fixedExtension4: UInt8 = 0xd6
    static let fixedExtension8: UInt8 = 0xd7
    static let fixedExtension16: UInt8 = 0xd8
    static let string8: UInt8 = 0xd9
    static let string16: UInt8 = 0xda
    static let string32: UInt8 = 0xdb
    static let array16: UInt8 = 0xdc
    static let array32: UInt8 = 0xdd
    static let map16: UInt8 = 0xde
    static let map32: UInt8 = 0xdf
}

/// The extension types Obhut gives a meaning to; all others pass through untouched.
enum PayloadExtension {
    static let pid: Int8 = 1
    static let error: Int8 = 2
}

/// How deep arrays and maps may nest (SEMANTICS M1). A scalar has depth 0.
let payloadMaxDepth = 128

/// Why bytes are no payload, and where.
struct PayloadFault: Equatable, CustomStringConvertible {
    /// Offset in bytes of the value at fault.
    let offset: Int
    let reason: Reason

    enum Reason: String {
        case empty = "no value at all"
        case truncated = "ends inside a value"
        case reservedByte = "byte 0xC1 is not used by MessagePack"
        case trailingBytes = "bytes follow the value"
        case tooDeep = "nested too deep"
        case invalidUTF8 = "str is not valid UTF-8 (send it as bin)"
        case badPid = "a pid extension has 8 bytes"
        case badError = "an error extension holds [kind, message, retryable, details, stack]"
    }

    var description: String { "malformed payload at byte \(offset): \(reason.rawValue)" }
}
