import Testing

@testable import Obhut

/// Each source of an application is compiled once, one after the other in one Lua state.
@Suite struct LuaCompilerTests {
    private let compiler: LuaCompiler

    init() {
        precondition(LuaWorld.opened == nil)
        compiler = LuaCompiler()
    }

    private func chunk(_ text: String, _ name: String = "a.lua") throws(SyntaxFault) -> LuaChunk {
        try compiler.chunk(Array(text.utf8), name)
    }

    private func code(_ chunk: LuaChunk) -> [UInt8] { Array(UnsafeRawBufferPointer(start: chunk.code, count: chunk.size)) }

    @Test func whatWasCheckedIsNotCompiledAgain_F2() throws {
        #expect(compiler.check(Array("return 1".utf8), "a.lua") == nil)
        let (one, two) = (try chunk("return 1"), try chunk("return 1"))
        #expect(one === two)
    }

    @Test func twoSourcesOfOneNameAreTwo_F2() throws {
        let one = try chunk("return 1")
        let two = try chunk("return 2")
        #expect(code(one) != code(two))
        let three = try chunk("return 1")
        #expect(code(three) == code(one))
    }

    @Test func aFaultLeavesNothingBehind_F2() throws {
        let alone = try LuaCompiler().chunk(Array("local a, b = 'x', 1.5; return function() return a, b end".utf8), "a.lua")
        for wrong in ["x = = 1", "return '", "goto nowhere", "x = " + String(repeating: "(", count: 10_000),
            String(repeating: "function f() ", count: 300), "local " + (0..<300).map { "v\($0)" }.joined(separator: ", ")]
        {
            #expect(compiler.check(Array(wrong.utf8), "a.lua") != nil, "\(wrong.prefix(40))")
            let after = try chunk("local a, b = 'x', 1.5; return function() return a, b end", "a.lua")
            #expect(code(after) == code(alone), "after \(wrong.prefix(40))")
        }
        #expect(compiler.check(Array("x = = 1".utf8), "a.lua")?.line == 1)
    }

    @Test func entriesOfOneFileShareItsCode_F2() throws {
        let yaml = """
            version: "1.0"
            namespace: app
            entries:
              - { name: one, kind: process.lua, source: "return { main = print }" }
              - { name: two, kind: process.lua, source: "return { main = print }" }
            """
        let application = try Application.load(yaml: yaml, checkSyntax: compiler.check).get()
        let programs = LuaPrograms(application, compiler, cloning: .never)
        let units = application.entries.compactMap { entry -> LuaUnit? in
            guard case .process(let process) = entry.definition else { return nil }
            // As if both named one file: inline sources are called by their entries.
            let source = LuaSource(chunkName: "a.lua", text: process.code.source.text)
            let code = LuaCode(source: source, modules: [], imports: [])
            let definition = programs.definition(entry, code, method: "main", memoryLimit: nil)
            return unsafeDowncast(definition.program, to: LuaProgram.self).unit
        }
        #expect(units.count == 2 && units[0] !== units[1] && units[0].chunk === units[1].chunk)
    }
}
