import CObhut
import Glibc

/// liblua, opened once for the whole program.
enum LuaLibrary {
    /// Nil, or why liblua cannot be used.
    static func open() -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
            obh_lua_open(text.baseAddress!, 256) == 0 ? nil : String(cString: text.baseAddress!)
        }
    }
}

/// A compiled source: what each VM loads instead of compiling it again.
final class LuaUnit: @unchecked Sendable {  // immutable; the memory behind the pointers, too
    /// The entry it comes from, "namespace:name".
    let id: String
    /// As Lua wants it: "@src/a.lua".
    let chunkName: UnsafePointer<CChar>
    /// Dumped code with all its debug information.
    let code: UnsafeRawPointer
    let codeSize: Int
    /// What its `require` gives: built-in modules, and libraries by the name they go by.
    let modules: [String]
    let imports: [String: LuaUnit]
    /// Libraries of C functions, likewise.
    let natives: [String: NativeModule]
    /// Environment variables that it may read.
    let environment: [String]

    init(
        id: String, chunkName: String, text: [UInt8], modules: [String] = [],
        imports: [String: LuaUnit] = [:], natives: [String: NativeModule] = [:], environment: [String] = []
    ) throws(SyntaxFault) {
        let name = strdup("@" + chunkName)!
        do throws(SyntaxFault) {
            (code, codeSize) = try LuaUnit.compile(text, name)
        } catch {
            free(name)
            throw error
        }
        self.id = id
        self.chunkName = UnsafePointer(name)
        self.modules = modules
        self.imports = imports
        self.natives = natives
        self.environment = environment
    }

    deinit {
        free(UnsafeMutablePointer(mutating: chunkName))
        free(UnsafeMutableRawPointer(mutating: code))
    }

    /// Malloc'ed code, the caller's.
    private static func compile(
        _ text: [UInt8], _ chunkName: UnsafePointer<CChar>
    ) throws(SyntaxFault) -> (UnsafeRawPointer, Int) {
        var code: UnsafeMutableRawPointer? = nil
        var size = 0
        var message = [CChar](repeating: 0, count: 1024)
        let status = text.withUnsafeBytes { bytes in
            // An empty array may have no address.
            obh_compile(
                bytes.baseAddress?.assumingMemoryBound(to: CChar.self) ?? chunkName, bytes.count,
                chunkName, &code, &size, &message, message.count)
        }
        guard status == 0, let code else {
            throw fault(message.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })
        }
        return (UnsafeRawPointer(code), size)
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

extension SyntaxFault: Error {}

/// What a process of kind Lua runs: a unit and the name of one of its functions.
final class LuaProgram: Sendable {
    let unit: LuaUnit
    let method: String
    /// `method` as C text; lives as long as this.
    nonisolated(unsafe) let methodText: UnsafePointer<CChar>  // immutable
    let template: LuaTemplate
    /// Every name is there from the beginning; for tests.
    let hasAllNames: Bool

    init(unit: LuaUnit, method: String, cloning: Cloning = .fromSecond, hasAllNames: Bool = false) {
        self.unit = unit
        self.method = method
        self.hasAllNames = hasAllNames
        template = LuaTemplate(cloning)
        methodText = UnsafePointer(strdup(method)!)
    }

    deinit { free(UnsafeMutablePointer(mutating: methodText)) }

    /// Nil, or what is wrong with a source; for whoever loads entries.
    static func check(_ text: [UInt8], _ chunkName: String) -> SyntaxFault? {
        do throws(SyntaxFault) {
            _ = try LuaUnit(id: "", chunkName: chunkName, text: text)
            return nil
        } catch {
            return error
        }
    }
}

/// The programs of an application. Each source is compiled once, libraries shared by all
/// that import them.
final class LuaPrograms {
    private let application: Application
    private let cloning: Cloning
    private var libraries: [EntryID: LuaUnit] = [:]
    private var natives: [EntryID: NativeModule] = [:]

    init(_ application: Application, cloning: Cloning) {
        self.application = application
        self.cloning = cloning
    }

    /// - Precondition: the application has been loaded with `LuaProgram.check`, so its sources
    ///   compile, and imports form no cycle.
    func definition(
        _ entry: Entry, _ code: LuaCode, method: String, memoryLimit: Int?
    ) -> ProcessDefinition {
        let id = entry.id.description
        return ProcessDefinition(
            id: id, body: LuaBody.table,
            program: LuaProgram(unit: unit(id, code), method: method, cloning: cloning), memoryLimit: memoryLimit)
    }

    private func unit(_ id: String, _ code: LuaCode) -> LuaUnit {
        var imports: [String: LuaUnit] = [:]
        var natives: [String: NativeModule] = [:]
        for item in code.imports {
            imports[item.name] = library(item.library)
            natives[item.name] = native(item.library)
        }
        do throws(SyntaxFault) {
            return try LuaUnit(
                id: id, chunkName: code.source.chunkName, text: code.source.text,
                modules: code.modules, imports: imports, natives: natives, environment: code.environment)
        } catch {
            fatalError("\(code.source.chunkName):\(error.line): \(error.message)")
        }
    }

    private func native(_ id: EntryID) -> NativeModule? {
        if let known = natives[id] { return known }
        guard case .nativeLibrary(let entry) = application[id]?.definition else { return nil }
        let made = NativeModule(entry, id: id.description)
        natives[id] = made
        return made
    }

    private func library(_ id: EntryID) -> LuaUnit? {
        if let known = libraries[id] { return known }
        guard case .library(let code) = application[id]?.definition else { return nil }
        let made = unit(id.description, code)
        libraries[id] = made
        return made
    }
}
