import Testing

@testable import Obhut

/// Names are given at their first use (D1), and no program can tell.
@Suite struct LuaLazyNamesTests {
    /// What a program prints, or how it failed.
    private func outcome(_ code: String, _ cloning: Cloning, hasAllNames: Bool, interval: Int32? = testInstructions) -> LuaEnd {
        let world = LuaWorld(interval: interval, memory: 256 << 20)
        defer { if interval == nil { world.stop() } }
        let program = try! LuaWorld.program(printing(code), cloning: cloning, hasAllNames: hasAllNames)
        // Of copies the second one: the first is compared with its original, but not run.
        let runs = (0..<2).map { _ in world.spawn(program) }
        world.settle(runs)
        return runs[1].end ?? .error("did not end")
    }

    @Test(arguments: LazyNameIdioms.all.map(\.name)) func aTableIsLikeOneWithAllItsNames_D1(_ name: String) {
        let code = LazyNameIdioms.all.first { $0.name == name }!.code
        let expected = outcome(code, .never, hasAllNames: true)
        #expect(!expected.isAbnormal, "\(expected)")
        #expect(outcome(code, .never, hasAllNames: false) == expected)
        #expect(outcome(code, .always, hasAllNames: false) == expected, "as a copy")
        #expect(outcome(code, .always, hasAllNames: true) == expected, "as a copy with all names")
    }
}
