import CNative
// PLACEHOLDER of the other builder's part.
struct NativeSignature: Sendable { var raw = obn_signature() }
enum NativeIsolation: Sendable { case process, thread }
enum NativeMode: Sendable { case function, handler }
final class NativeProgram: Sendable {
    let id: String, library: String, symbol: String
    let signature: NativeSignature
    let isolation: NativeIsolation
    let mode: NativeMode
    let memoryLimit: Int?
    let cpuLimit: Int64?
    init(id: String, library: String, symbol: String, signature: NativeSignature, isolation: NativeIsolation, mode: NativeMode = .function, memoryLimit: Int? = nil, cpuLimit: Int64? = nil) {
        self.id = id; self.library = library; self.symbol = symbol; self.signature = signature; self.isolation = isolation; self.mode = mode
        self.memoryLimit = memoryLimit; self.cpuLimit = cpuLimit
    }
}
