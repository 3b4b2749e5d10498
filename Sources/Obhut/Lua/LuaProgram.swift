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

/// What each VM of an entry loads: a compiled source, and what that may `require`.
final class LuaUnit: Sendable {
    /// The entry it comes from, "namespace:name".
    let id: String
    let chunk: LuaChunk
    /// What its `require` gives: built-in modules, and libraries by the name they go by.
    let modules: [String]
    let imports: [String: LuaUnit]
    /// Libraries of C functions, likewise.
    let natives: [String: NativeModule]
    /// Environment variables that it may read.
    let environment: [String]

    init(
        id: String, _ chunk: LuaChunk, modules: [String] = [],
        imports: [String: LuaUnit] = [:], natives: [String: NativeModule] = [:], environment: [String] = []
    ) {
        self.id = id
        self.chunk = chunk
        self.modules = modules
        self.imports = imports
        self.natives = natives
        self.environment = environment
    }
}

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

    /// The ids of the libraries whose C functions it may call in their place, in order.
    var librariesInPlace: [String] {
        var seen: Set<ObjectIdentifier> = [], found: Set<String> = [], units = [unit]
        while let unit = units.popLast() {
            guard seen.insert(ObjectIdentifier(unit)).inserted else { continue }
            found.formUnion(unit.natives.values.filter { !$0.isOffloaded }.map(\.id))
            units += unit.imports.values
        }
        return found.sorted()
    }
}

/// The programs of an application, libraries shared by all that import them.
final class LuaPrograms {
    private let application: Application
    private let compiler: LuaCompiler
    private let cloning: Cloning
    private var libraries: [EntryID: LuaUnit] = [:]
    private var natives: [EntryID: NativeModule] = [:]

    /// - Parameter compiler: has compiled its sources.
    init(_ application: Application, _ compiler: LuaCompiler, cloning: Cloning) {
        self.application = application
        self.compiler = compiler
        self.cloning = cloning
    }

    /// - Precondition: the application has been loaded with `compiler.check`, so its sources
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
            let chunk = try compiler.chunk(code.source.text, code.source.chunkName)
            return LuaUnit(
                id: id, chunk, modules: code.modules, imports: imports, natives: natives, environment: code.environment)
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
