import CObhut
import Glibc

/// Compiles what an application's entries have for sources, each once: what has been checked is there when it is wanted.
///
/// Not for several threads at a time. It holds what it has compiled, and a Lua state.
final class LuaCompiler {
    /// Made with the first source; nil without memory for it, too.
    private var state: OpaquePointer?
    private var known: [String: (text: [UInt8], chunk: LuaChunk)] = [:]

    deinit { obh_compiler_destroy(state) }

    /// Nil, or what is wrong with a source; for whoever loads entries.
    func check(_ text: [UInt8], _ chunkName: String) -> SyntaxFault? {
        do throws(SyntaxFault) {
            _ = try chunk(text, chunkName)
            return nil
        } catch {
            return error
        }
    }

    func chunk(_ text: [UInt8], _ chunkName: String) throws(SyntaxFault) -> LuaChunk {
        // Of two folders that are one application, two files may have one name.
        if let known = known[chunkName], known.text == text { return known.chunk }
        let made = try compile(text, chunkName)
        known[chunkName] = (text, made)
        return made
    }

    private func compile(_ text: [UInt8], _ chunkName: String) throws(SyntaxFault) -> LuaChunk {
        if state == nil {
            if let fault = LuaLibrary.open() { throw SyntaxFault(line: 1, message: fault) }
            state = obh_compiler_create()
        }
        let name = strdup("@" + chunkName)!
        var code: UnsafeMutableRawPointer? = nil
        var size = 0
        let problem = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { message -> String? in
            let status = text.withUnsafeBytes { bytes in
                // An empty array may have no address.
                obh_compile(
                    state, bytes.baseAddress?.assumingMemoryBound(to: CChar.self) ?? UnsafePointer(name), bytes.count,
                    name, &code, &size, message.baseAddress!, message.count)
            }
            return status == 0 ? nil : String(cString: message.baseAddress!)
        }
        guard let code else {
            free(name)
            throw LuaCompiler.fault(problem ?? "")
        }
        return LuaChunk(name: name, code: code, size: size)
    }

    /// Takes "src/a.lua:3: ..." apart. The chunk's name may itself hold a colon, so the first
    /// number between two of them is taken for the line.
    private static func fault(_ text: String) -> SyntaxFault {
        var rest = Substring(text)
        while let colon = rest.firstIndex(of: ":") {
            rest = rest[rest.index(after: colon)...]
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            let after = rest[digits.endIndex...]
            if let line = Int(digits), after.hasPrefix(": ") {
                return SyntaxFault(line: line, message: String(after.dropFirst(2)))
            }
        }
        return SyntaxFault(line: 1, message: text)
    }
}

/// A compiled source: what each VM loads instead of compiling it again. Entries that have their source from one file share it.
final class LuaChunk: @unchecked Sendable {  // immutable; the memory behind the pointers, too
    /// As Lua wants it: "@src/a.lua".
    let name: UnsafePointer<CChar>
    /// Dumped code with all its debug information.
    let code: UnsafeRawPointer
    let size: Int  // bytes

    /// - Parameters name, code: malloc'ed; this one's from now on.
    fileprivate init(name: UnsafeMutablePointer<CChar>, code: UnsafeMutableRawPointer, size: Int) {
        self.name = UnsafePointer(name)
        self.code = UnsafeRawPointer(code)
        self.size = size
    }

    deinit {
        free(UnsafeMutablePointer(mutating: name))
        free(UnsafeMutableRawPointer(mutating: code))
    }
}

extension SyntaxFault: Error {}
