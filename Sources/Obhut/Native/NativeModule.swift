import CNative
import CObhut
import Glibc
import Synchronization

/// The functions of a `library.native` entry: what Lua's `require` gives. Shared by all processes that import it.
final class NativeModule: @unchecked Sendable {  // immutable but for the addresses, see `open`
    /// "namespace:name".
    let id: String
    let functions: [NativeFunction]
    /// Whether its calls run elsewhere.
    let isOffloaded: Bool
    private let library: String
    private let lock = Lock()
    private var isOpen = false  // guarded by lock

    init(_ entry: NativeLibraryEntry, id: String) {
        self.id = id
        library = entry.library
        isOffloaded = entry.isOffloaded
        functions = entry.functions.map {
            NativeFunction(name: $0.name, signature: $0.signature, isOffloaded: entry.isOffloaded)
        }
    }

    /// Loads the library, the first time; whoever has been answered nil may call the functions.
    /// - Returns: what is wrong.
    func open() -> String? {
        lock.with {
            if isOpen { return nil }
            var text: String?
            var addresses: [UnsafeMutableRawPointer] = []
            text = nativeText { text, size in
                guard let library = obn_library_open(library, text, size), obn_library_init(library, text, size) == 0
                else { return false }
                for function in functions {
                    guard let address = obn_library_symbol(library, function.name, text, size) else { return false }
                    addresses.append(address)
                }
                return true
            }
            guard text == nil else { return text }
            for (function, address) in zip(functions, addresses) { function.address = address }
            isOpen = true
            return nil
        }
    }
}

final class NativeFunction: @unchecked Sendable {  // immutable but for `address`
    let name: String
    let isOffloaded: Bool
    private let signature: obn_signature
    /// Written once, under the lock of the module, before anybody can call.
    fileprivate(set) var address: UnsafeMutableRawPointer?

    init(name: String, signature: NativeSignature, isOffloaded: Bool) {
        self.name = name
        self.isOffloaded = isOffloaded
        self.signature = signature.raw
    }

    /// What is wrong with arguments, an encoded array; nil: nothing.
    func fault(of arguments: UnsafeRawBufferPointer) -> String? {
        var signature = signature
        return nativeText { obn_check(&signature, arguments.baseAddress, arguments.count, $0, $1) == 0 }
    }

    /// Calls it on this thread.
    /// - Parameter take: is given the result, one payload, or what was wrong. Called once.
    func call<Answer>(
        _ arguments: UnsafeRawBufferPointer, _ take: (_ result: UnsafeRawBufferPointer, _ fault: String?) -> Answer
    ) -> Answer {
        var signature = signature
        var result: UnsafeMutableRawPointer?
        var length = 0
        let fault = nativeText { text, size in
            obn_call(
                address!, &signature, nil, arguments.baseAddress, arguments.count, &result, &length, text, size) == 0
        }
        defer { free(result) }
        return take(UnsafeRawBufferPointer(start: result, count: length), fault)
    }
}

/// Calls that run on a thread of the native pool while a Lua coroutine waits for the answer.
///
/// A function may never return, and its thread then outlives the runtime: `close` parts the two.
final class NativeCalls: @unchecked Sendable {  // guarded by lock
    private let lock = Lock()
    private var isClosed = false

    /// - Parameters:
    ///   - answer: replies to `pid`; called unless the runtime has gone.
    /// - Returns: false when there is no thread for it.
    func start(
        _ function: NativeFunction, _ arguments: UnsafeRawBufferPointer, on threads: NativeThreads,
        answer: @escaping (_ payload: UnsafeRawBufferPointer, _ isError: Bool) -> Void
    ) -> Bool {
        let copy = Array(arguments)
        let owner = getpid()
        let finish: (UnsafeRawBufferPointer, String?) -> Void = { [self] result, fault in
            // In a child that it has forked nobody waits.
            if obh_fork_is_marked() == 0 && getpid() != owner { _exit(0) }
            lock.with {
                if isClosed { return }
                guard let fault else { return answer(result, false) }
                var writer = PayloadWriter()
                writer.writeString(fault)
                answer(writer.bytes, true)
            }
        }
        return threads.run {
            copy.withUnsafeBytes { bytes in function.call(bytes, finish) }
        } abandoned: {
            finish(UnsafeRawBufferPointer(start: nil, count: 0), "it has ended its thread without returning")
        }
    }

    /// No answer is on its way when this returns, and none will be.
    func close() { lock.with { isClosed = true } }
}
