import Testing

@testable import Obhut

/// What a simulation owes: the same run for the same seed (T2).
@Suite struct SimulationTests {
    private static let listing = """
        local t = {}
        for _, k in ipairs { "b", "a", "ab", "", 3, 1, 2.5, -7, true, false, "\\0" } do t[k] = 1 end
        local keys = {}
        for k in pairs(t) do keys[#keys + 1] = tostring(k) end
        return table.concat(keys, "|")
        """

    @Test func pairsComesInSortedOrder_T2() {
        #expect(LuaHarness().run(Self.listing) == .value("\"-7|1|2.5|3||\\u0000|a|ab|b|false|true\""))
    }

    @Test func pairsPassesOverWhatIsGoneAndTakesNoNewOnes_T2() {
        let program = """
            local t, seen = { a = 1, b = 2, c = 3, d = 4 }, {}
            for k, v in pairs(t) do
                seen[#seen + 1] = k .. v
                t.b, t.c = nil, 30
            end
            return table.concat(seen, " ")
            """
        #expect(LuaHarness().run(program) == .value("\"a1 c30 d4\""))
    }

    @Test func pairsHonoursItsMetamethodAndItsArgument_T2() {
        let program = """
            local t = setmetatable({}, { __pairs = function(t) return function(_, k) if not k then return 1, "x" end end, t, nil end })
            local seen = {}
            for k, v in pairs(t) do seen[#seen + 1] = k .. v end
            local ok, why = pcall(pairs, 5)
            return table.concat(seen) .. " " .. tostring(ok) .. " " .. why .. " " .. tostring(next({}) == nil)
            """
        #expect(
            LuaHarness().run(program)
                == .value("\"1x false bad argument #1 to 'pairs' (table expected, got number) true\""))
    }

    /// Chance, order and what is printed: all the same, whatever address anything has.
    @Test(arguments: [1, 7, 1000] as [Int32])
    func aSeedReplays_T2(interval: Int32) {
        func run(_ seed: UInt64) -> [String] {
            let world = LuaHarness(seed: seed, interruptedEvery: interval)
            world.define(
                "app:child",
                """
                local n = ...
                local t = {}
                for i = 1, 20 do t["k" .. math.random(1000)] = i end
                for k in pairs(t) do print(n, k, os.time()) end
                """)
            _ = world.run(
                """
                for i = 1, 4 do process.spawn_monitored("app:child", "app:processes", i) end
                for i = 1, 4 do process.events():receive() end
                """)
            return world.lines
        }
        let first = run(42)
        #expect(first.count > 40)
        #expect(first == run(42))
        #expect(first != run(43))
    }
}
