import CObhut
import Glibc
import Testing

@testable import Obhut

/// A process's VM as a copy of a prepared one (D1).
@Suite struct LuaTemplateTests {
    init() { precondition(LuaWorld.opened == nil) }

    // MARK: Numbers that look like addresses

    /// Memory for images whose addresses are known before there is code to put into them.
    private final class Places {
        var free: [UnsafeMutablePointer<CChar>]
        var taken = 0
        let addresses: [UInt]
        static let size = 64 * 1024

        init(_ count: Int) {
            free = (0..<count).map { _ in calloc(1, Places.size)!.assumingMemoryBound(to: CChar.self) }
            addresses = free.map { UInt(bitPattern: $0) }
        }

        deinit { for place in free { Glibc.free(place) } }
    }

    /// A template of the source with its images in `places`, one after the other.
    private func template(_ unit: LuaUnit, _ places: Places) -> OpaquePointer? {
        template(unit.chunk.code, unit.chunk.size, unit.chunk.name, places)
    }

    private func template(
        _ code: UnsafeRawPointer, _ size: Int, _ chunkName: UnsafePointer<CChar>, _ places: Places
    ) -> OpaquePointer? {
        var options = obh_vm_options()
        options.code = code
        options.code_size = size
        options.code_name = chunkName
        return obh_template_create_in(
            &options,
            { context, size in
                let places = Unmanaged<Places>.fromOpaque(context!).takeUnretainedValue()
                guard size == Places.size, !places.free.isEmpty else { return nil }
                places.taken += 1
                return places.free.removeFirst()
            }, Unmanaged.passUnretained(places).toOpaque())
    }

    private func options(of unit: LuaUnit) -> obh_vm_options {
        var options = obh_vm_options()
        options.code = unit.chunk.code
        options.code_size = unit.chunk.size
        options.code_name = unit.chunk.name
        return options
    }

    private func unit(_ text: [UInt8], _ name: String = "test.lua") -> LuaUnit {
        try! LuaUnit(id: "app:test", chunkName: name, text: text)
    }

    /// Code with constants that are addresses of the given places.
    private enum Planted: CaseIterable {
        case integers, floats, alignedStrings, otherStrings, longStrings

        func bytes(_ address: UInt) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: address >> ($0 * 8)) } }
        func escaped(_ bytes: [UInt8]) -> String { bytes.map { "\\x" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

        func source(_ places: [UInt]) -> [UInt8] {
            // Where an image has certainly something, and its end has not been reached.
            let addresses = places.map { $0 + 0x400 }
            func returning(_ constants: [String]) -> [UInt8] { Array("return {\(constants.joined(separator: ", "))}".utf8) }
            switch self {
            case .integers: return returning(addresses.map { "\($0)" })
            case .floats: return returning(addresses.map { "0x\(String($0, radix: 16))p-1074" })
            case .alignedStrings: return returning(addresses.map { "'\(escaped(bytes($0)))'" })
            case .otherStrings: return returning(addresses.map { "'abc\(escaped(bytes($0)))'" })
            case .longStrings: return returning(addresses.map { "'\(String(repeating: "l", count: 80))\(escaped(bytes($0)))'" })
            }
        }
    }

    @Test(arguments: [0, 1, 2, 3]) func aNumberLikeAnAddressMovesTheImage_D1(planted: Int) {
        for kind in Planted.allCases {
            let places = Places(4)
            let unit = unit(kind.source(Array(places.addresses.prefix(planted))))
            let template = template(unit, places)
            if planted == 3 {
                #expect(template == nil, "\(kind)")
                #expect(places.taken == 3, "\(kind)")
            } else {
                #expect(template != nil, "\(kind)")
                #expect(places.taken == planted + 1, "\(kind)")
            }
            obh_template_free(template)
        }
    }

    /// A chunk's name ends with zeros, as addresses do.
    @Test func aNameLikeAnAddressMovesTheImage_D1() {
        for padding in 1..<8 {  // so that it is followed by zeros up to the next block
            let places = Places(2)
            let address = places.addresses[0] + 0x438
            let bytes = (0..<6).map { UInt8(truncatingIfNeeded: address >> ($0 * 8)) }
            guard !bytes.contains(0) && !bytes.contains(10) else { continue }
            let name = Array(("@" + String(repeating: "n", count: padding)).utf8CString.dropLast()) + bytes.map { CChar(bitPattern: $0) } + [0]
            var code: UnsafeMutableRawPointer?
            var size = 0
            var message = [CChar](repeating: 0, count: 100)
            let compiler = obh_compiler_create()
            defer { obh_compiler_destroy(compiler) }
            #expect(obh_compile(compiler, "return 1", 8, name, &code, &size, &message, 100) == 0)
            defer { free(code) }
            let template = template(code!, size, name, places)
            #expect(template != nil && places.taken == 2, "at \(padding): \(places.taken)")
            obh_template_free(template)
        }
    }

    @Test func aProgramOfWhichNoCopyIsRightRunsWithoutOne_D1() {
        // What it returns is checked to be what was written: with a template and without.
        for planted in [0, 2, 3] {
            let places = Places(3)
            let constants = places.addresses.prefix(planted).map { $0 + 0x400 }
            let expected = constants.map { "\($0)" }.joined(separator: " ")
            let unit = unit(Array("return {main = function() return table.concat({\(constants.map { "\($0)" }.joined(separator: ", "))}, ' ') end}".utf8))
            let made = template(unit, places)
            #expect((made == nil) == (planted == 3))
            obh_template_free(made)
            let world = LuaWorld(interval: 1000)
            let runs = (0..<3).map { _ in world.spawn(LuaProgram(unit: unit, method: "main", cloning: .always)) }
            world.settle(runs)
            for run in runs { #expect(run.end == .value(expected)) }
        }
    }

    @Test func noMemoryForAnImage_D1() {
        let places = Places(0)
        #expect(template(unit(Array("return {}".utf8)), places) == nil)
    }

    // MARK: What is copied

    /// Images over the smallest size, with blocks over 2 KB, which a copy can give up.
    @Test(arguments: [Cloning.never, .always]) func largePrograms_D1(cloning: Cloning) {
        for (functions, constants) in [(1, 20_000), (2000, 3), (1, 200)] {
            var source = "local f = {}\n"
            for i in 0..<functions {
                source += "f[\(i + 1)] = function() return {" + (0..<constants).map { "\"\(i)-\($0)\"" }.joined(separator: ",") + "} end\n"
            }
            source += """
                return {main = function()
                  local n, t = 0, nil
                  for i = 1, #f do t = f[i]() n = n + #t for j = 1, #t do if t[j] ~= (i - 1) .. "-" .. (j - 1) then return "bad" end end end
                  f = nil
                  for i = 1, 3 do collectgarbage() end
                  local s = {} for i = 1, 2000 do s[i] = ("x"):rep(i) end
                  for i = 1, 2000 do if #s[i] ~= i then return "bad" end end
                  return n
                end}
                """
            let world = LuaWorld(interval: 1000)
            let program = try! LuaWorld.program(source, cloning: cloning)
            let runs = (0..<3).map { _ in world.spawn(program) }
            world.settle(runs)
            for run in runs { #expect(run.end?.text == "\(functions * constants)") }
        }
    }

    /// Instructions are not copied, but counted with each copy; and not touched by the end of one.
    @Test func instructionsAreTheTemplates_D1() {
        let code = unit(Array("return {main = function(x) \(String(repeating: "x = x + x ", count: 5000)) return x end}".utf8))
        let places = Places(3)
        let template = template(code, places)
        #expect(template != nil)
        defer { obh_template_free(template) }
        var options = self.options(of: code)
        for _ in 0..<3 {
            let copy = obh_vm_create(&options, template)!
            let other = obh_vm_create(&options, template)!
            obh_vm_destroy(other)
            let arena = copy.pointee.arena
            #expect(arena.used > 5000 * 4 && arena.held >= arena.used)
            #expect(arena.image < 5000 * 4)
            obh_vm_destroy(copy)
        }
    }

    /// Whatever the template was made of and then freed would be missing in a million copies. A program that makes Lua's table of
    /// strings grow does have a hole, where that was.
    @Test func copiesHaveNoHoles_D1() {
        let words = (1...8).map { "word\($0)" }
        let text = "local t = {\(words.map { "\($0) = '\($0)'" }.joined(separator: ", "))} return {main = function() return t end}"
        let code = unit(Array(text.utf8))
        var options = self.options(of: code)
        let template = obh_template_create(&options)
        #expect(template != nil)
        defer { obh_template_free(template) }
        let copy = obh_vm_create(&options, template)!
        let arena = copy.pointee.arena
        let unused = arena.held - arena.used - (arena.bump_end - arena.bump) - MemoryLayout<obh_vm>.size
        #expect(unused < arena.used / 6, "\(unused) of \(arena.used)")
        obh_vm_destroy(copy)
    }

    /// A copy that drops its code and has it collected takes nothing from the others.
    @Test func collectedCodeIsStillTheOthers_D1() {
        let many = (1...100).map { "x = x + \($0)" }.joined(separator: " ")
        let world = LuaWorld(interval: 1000)
        let program = try! LuaWorld.program(
            """
            local function work(x) \(many) return x end
            return {main = function()
              local result = work(0)
              work = nil
              for i = 1, 3 do collectgarbage() end
              local t = {} for i = 1, 3000 do t[i] = ("y"):rep(i % 600) end
              return result
            end}
            """, cloning: .always)
        for _ in 0..<2 {
            let runs = (0..<10).map { _ in world.spawn(program) }
            world.settle(runs)
            for run in runs { #expect(run.end == .value("5050")) }
        }
    }

    /// Programs of many kinds, collected in every way; the same without copies, and under Lua itself.
    @Test(arguments: GarbageSamples.modes) func collectedProgramsGiveTheSameResults_D1(mode: String) {
        for (name, code) in GarbageSamples.all {
            let source = printing("\(mode)\n\(code)")
            let expected = stockLua(source)
            for cloning in [Cloning.always, .never] {
                let world = LuaWorld(interval: testInstructions)
                let program = try! LuaWorld.program(source, cloning: cloning)
                let runs = (0..<3).map { _ in world.spawn(program) }
                world.settle(runs)
                for run in runs {
                    #expect(run.end?.isAbnormal == false, "\(name): \(run.end!)")
                    if let expected { #expect(run.end == .value(expected), "\(name), \(cloning)") }
                }
            }
        }
    }

    /// What one copy does to its tables, strings and code, no other one sees.
    @Test func copiesShareNothing_D1() {
        let world = LuaWorld(interval: 1)
        let program = try! LuaWorld.program(
            """
            local count, t = 0, {}
            local function up() count = count + 1 t[count] = count return count end
            return {main = function()
              for i = 1, 50 do up() end
              shared = (shared or 0) + 1
              string.own = (string.own or 0) + 1
              getmetatable("").__len2 = (getmetatable("").__len2 or 0) + 1
              return table.concat({count, #t, shared, string.own, getmetatable("").__len2}, " ")
            end}
            """, cloning: .always)
        let runs = (0..<20).map { _ in world.spawn(program) }
        world.settle(runs)
        for run in runs { #expect(run.end == .value("50 50 1 1 1")) }
    }

    // MARK: Chance

    @Test(arguments: [Cloning.never, .fromSecond, .always]) func copiesHaveTheirOwnChance_T2(cloning: Cloning) {
        func run(_ code: String) -> [String] {
            let world = LuaWorld(interval: 1000)
            let program = try! LuaWorld.program("return {main = function() \(code) end}", cloning: cloning)
            let runs = (0..<50).map { _ in world.spawn(program) }
            world.settle(runs)
            return runs.map { $0.end!.text }
        }
        let drawn = run("return math.random(0) .. ' ' .. math.random(0)")
        #expect(Set(drawn).count == 50)
        #expect(drawn == run("return math.random(0) .. ' ' .. math.random(0)"))  // the same seed
        #expect(Set(run("math.randomseed() return math.random(0)")).count == 50)
        #expect(Set(run("math.randomseed(42) return math.random(1 << 40) .. ' ' .. math.random()")).count == 1)
    }

    @Test func chanceIsTheSameWithCopiesAndWithout_T2() {
        func run(_ cloning: Cloning) -> [String] {
            let world = LuaWorld(interval: 1000)
            let program = try! LuaWorld.program(
                "return {main = function() local a = math.random(0) math.randomseed() return a .. ' ' .. math.random(0) end}", cloning: cloning)
            let runs = (0..<5).map { _ in world.spawn(program) }
            world.settle(runs)
            return runs.map { $0.end!.text }
        }
        #expect(run(.never) == run(.always))
        #expect(run(.never) == run(.fromSecond))
    }

    @Test func seededChanceIsLuas() {
        let source = printing("math.randomseed(42) print(math.random(1 << 40), math.random(), math.random(0)) math.randomseed(1, 2) print(math.random(100))")
        guard let expected = stockLua(source) else { return }
        #expect(runLua(source) == .value(expected))
    }

    // MARK: Memory (F4)

    private static let limited = """
        return {main = function()
          local t = {} for i = 1, 200 do t[i] = {i} end
          local s = ("x"):rep(1000)
          return "done"
        end}
        """

    /// Every limit from none at all to enough: whether it suffices hardly hangs on how the VM was made, and nothing else goes
    /// wrong.
    @Test func anyLimit_F4() {
        func run(_ cloning: Cloning, _ limit: Int) -> LuaRun {
            let world = LuaWorld(interval: 1000)
            let program = try! LuaWorld.program(Self.limited, cloning: cloning)
            let runs = [world.spawn(program, memory: limit), world.spawn(program, memory: limit)]
            world.settle(runs)
            #expect(runs[0].end == runs[1].end, "\(limit)")
            return runs[1]
        }
        var enough: [Int] = []
        for cloning in [Cloning.never, .always] {
            var least = 0
            for limit in stride(from: 1, to: 80 << 10, by: 499) {
                let ended = run(cloning, limit)
                if ended.end == .value("done") {
                    if least == 0 { least = limit }
                    #expect(ended.figures.peak <= limit)
                } else {
                    #expect(ended.end?.text.hasPrefix("memory limit of ") == true, "\(limit): \(ended.end!)")
                    #expect(least == 0, "\(limit) does not suffice, \(least) does")
                }
            }
            #expect(least > 0)
            enough.append(least)
        }
        #expect(abs(enough[0] - enough[1]) < 4096, "\(enough)")
    }

    @Test(arguments: [Cloning.never, .always]) func limitReachedAnywhere_F4(cloning: Cloning) {
        for code in [
            "local s = ('x'):rep(1 << 20)",
            "coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end)()",
            "coroutine.spawn(function() local t = {} while true do t[#t + 1] = 'x' .. #t end end) channel.new():receive()",
            "local co = coroutine.create(function() pcall(function() local s = 'x' while true do s = s .. s end end) return 1 end) print(coroutine.resume(co))",
            "setmetatable(_G, {__index = function() local t = {} while true do t[#t + 1] = t end end}) print(nothing)",
            "for i = 1, 1e7 do _G['g' .. i] = i end",
            "local t = {} for i = 1, 1e7 do t[i] = coroutine.create(print) end",
        ] {
            let world = LuaWorld(interval: 1000)
            let program = try! LuaWorld.program("return {main = function() \(code) return 'survived' end}", cloning: cloning)
            let runs = (0..<3).map { _ in world.spawn(program, memory: 256 << 10) }
            world.settle(runs)
            for run in runs {
                #expect(run.end == .error("memory limit of 256KiB exceeded"), "\(code)")
                #expect(run.figures.peak <= (256 << 10) + (64 << 10), "\(code)")
            }
        }
    }

    /// The room that the first process was seen to need does not count against the limit of one that needs less.
    @Test func roomIsNotCountedAgainstTheLimit_F4() {
        let source = """
            return {main = function()
              local t = {}
              if not process.registry.lookup("large") then
                process.registry.register("large")
                for i = 1, 1000 do t[i] = {i} end
              end
              for i = 1, 10 do t[i] = {i} end
              require("time").sleep("1h")
              return "done"
            end}
            """
        func limitThatSuffices(_ cloning: Cloning) -> Int? {
            stride(from: 1 << 10, through: 64 << 10, by: 256).first { limit in
                let world = LuaWorld(interval: 1000)
                let program = try! LuaWorld.program(source, cloning: cloning)
                let large = world.spawn(program)
                world.scheduler.simulation!.run(until: 1_000_000_000)
                let small = world.spawn(program, memory: limit)
                world.settle([large, small])
                return small.end == .value("done")
            }
        }
        let with = limitThatSuffices(.always)!, without = limitThatSuffices(.never)!
        #expect(abs(with - without) <= 1024, "\(with) as a copy, \(without) else")
    }

    // MARK: Rooms and recycling

    /// Copies made before and after the first one has waited, which are of different sizes, alive and ended in any order.
    @Test func blocksOfDifferentSizesAreRecycled_D1() {
        let world = LuaHarness()
        world.define(
            "app:worker",
            """
            local n = ...
            local t = {} for i = 1, 30 do t[i] = tostring(i) .. "-" .. n end
            while true do
              local message = process.inbox():receive()
              if message:topic() == "end" then return #t end
              for i = 1, 30 do assert(t[i] == tostring(i) .. "-" .. n) end
              message:reply(n)
            end
            """)
        // Most are spawned before any has run.
        #expect(
            world.run(
                """
                local pids, left = {}, 0
                local function spawn(n) pids[#pids + 1] = assert(process.spawn_monitored("app:worker", "app:processes", n)) end
                for round = 1, 6 do
                  for i = 1, 40 do spawn(#pids + 1) end
                  for i = #pids, 1, -3 do
                    assert(math.type(assert(process.request(pids[i], "ask"))) == "integer")
                  end
                  for i = #pids, 1, -2 do process.send(pids[i], "end") table.remove(pids, i) left = left + 1 end
                  for i = 1, left do assert(process.events():receive().result.value == 30) end
                  left = 0
                end
                return #pids
                """) == .value("39"))
    }

    @Test func manyAliveAtOnce_D1_F1() {
        let world = LuaHarness(interruptedEvery: 1000)
        let count = scaled(100_000, atLeast: 500)
        world.define(
            "app:worker",
            """
            local n = ...
            local message = process.inbox():receive()
            process.send(message:from(), "answer", {n, message:payload():data() * n})
            process.inbox():receive()
            """)
        #expect(
            world.run(
                """
                local pids, count = {}, \(count)
                for i = 1, count do pids[i] = assert(process.spawn("app:worker", "app:processes", i)) end
                for i = 1, count do assert(process.send(pids[i], "ask", 3)) end
                local answers, inbox = 0, process.inbox()
                for i = 1, count do
                  local message = inbox:receive()
                  local data = message:payload():data()
                  assert(pids[data[1]] == message:from() and data[2] == 3 * data[1])
                  answers = answers + 1
                end
                local alive = #process.list()
                for i = 1, count do assert(process.send(pids[i], "end")) end
                return {answers, alive}
                """) == .value("[\(count),\(count + 2)]"))  // with main and the port
        #expect(world.system.aliveCount == 0)
        #expect(world.host.processCount.load(ordering: .relaxed) == 0)
        #expect(world.scheduler.timers.count == 0)
    }

    // MARK: Many threads

    /// Copies of a few programs made and ended on many threads at once: the first ones while their template is being made and
    /// their room is being learned.
    @Test func templatesAreUsedByManyThreads_D1() {
        for round in 0..<scaled(20, atLeast: 3) {
            let world = LuaWorld(interval: nil, workers: 4)
            var programs = (0..<3).map { n in
                try! LuaWorld.program(
                    """
                    return {main = function()
                      local t = {} for i = 1, 20 + \(n) do t[i] = string.rep("x", i) end
                      require("time").sleep("1ms")
                      collectgarbage()
                      for i = 1, #t do assert(#t[i] == i) end
                      return #t
                    end}
                    """, cloning: round % 2 == 0 ? .always : .fromSecond)
            }
            let starter = try! LuaWorld.program("return {main = function() for i = 1, 1e4 do end return 'x' end}", cloning: .always)
            var runs: [LuaRun] = []
            for i in 0..<300 { runs.append(world.spawn(i % 4 == 3 ? starter : programs[i % 3])) }
            programs = []  // the last process takes its template along
            world.settle(runs, seconds: 60)
            for (i, run) in runs.enumerated() {
                #expect(run.end?.text == (i % 4 == 3 ? "x" : "\(20 + i % 3)"), "\(run.end.map { "\($0)" } ?? "not ended")")
            }
            world.stop()
        }
    }

    // MARK: Simulation

    @Test func aSeedReplaysWithCopiesAndWithout_T2() {
        func run(_ cloning: Cloning) -> [String] {
            let world = LuaHarness(seed: 11, interruptedEvery: 7)
            world.define(
                "app:child",
                source: """
                    return {main = function(n)
                      local t = {}
                      for i = 1, 10 do t["k" .. math.random(1000)] = i end
                      for k in pairs(t) do print(n, k) end
                      for k in pairs(string) do t[k] = 1 end
                      for k in pairs(t) do print(n, k) end
                    end}
                    """, cloning: cloning)
            _ = world.run(
                """
                for i = 1, 4 do process.spawn_monitored("app:child", "app:processes", i) end
                for i = 1, 4 do process.events():receive() end
                """)
            return world.lines
        }
        let expected = run(.never)
        #expect(expected.count > 80)
        #expect(run(.always) == expected)
        #expect(run(.fromSecond) == expected)
    }
}
