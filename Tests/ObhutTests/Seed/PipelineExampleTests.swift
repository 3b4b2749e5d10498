import Foundation
import Testing

@testable import Obhut

/// `examples/pipeline`: stages that fail, and not one item lost. The example's own check compares what came out with what
/// went in, and a run in which they differ ends abnormally.
@Suite struct PipelineExampleTests {
    struct Summary: Decodable {
        var documents, crashes, restarts, resent, duplicates, peak: Int
        var dead_letters: [Int]
    }

    private static let folder = SeedFiles.repository + "/examples/pipeline"
    private static let seeds = 1...UInt64(max(3, 24 * testScale))

    /// Nothing lost, and set aside only what fails every time.
    private func expectWhole(_ end: ApplicationWorld.End, items: Int, _ lines: [String]) throws -> Summary {
        try #require(!end.isAbnormal, "\(end)")
        let summary = try JSONDecoder().decode(Summary.self, from: Data(end.text.utf8))
        #expect(summary.dead_letters == (1...items).filter { $0 % 23 == 0 || $0 % 31 == 0 })
        #expect(summary.documents + summary.dead_letters.count == items)
        #expect(summary.peak == 8)
        #expect(lines.last == "  nothing is lost, nothing is there twice")
        return summary
    }

    /// Each of the two items that fail a stage every time does so three times.
    @Test(arguments: Drive.simulated) func nothingIsLost(drive: Drive) throws {
        let world = try ApplicationWorld(drive, folder: Self.folder)
        defer { world.close() }
        let end = try world.run("pipeline:main", .int(40), .int(Int64(drive.seed!)))
        let summary = try expectWhole(end, items: 40, world.lines)
        #expect(summary.crashes >= 6)
        #expect(summary.restarts <= summary.crashes && summary.restarts >= summary.crashes - 4)
        #expect(summary.resent > 0)
    }

    /// Stages are ended from outside too, by a process of the example.
    @Test(arguments: seeds) func nothingIsLostWithAMonkey(seed: UInt64) throws {
        let world = try ApplicationWorld(Drive(seed: seed, instructions: 1000), folder: Self.folder)
        defer { world.close() }
        let end = try world.run("pipeline:main", .int(60), .int(Int64(seed)), .int(30))
        let summary = try expectWhole(end, items: 60, world.lines)
        #expect(summary.crashes >= 15)
    }

    /// A random stage is ended between any two steps of the runtime; three times it is the ledger or a supervisor, after
    /// which everything begins again (`rest_for_one`).
    @Test(arguments: seeds) func nothingIsLostWhoeverIsEndedWhenever_V6(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let world = try ApplicationWorld(Drive(seed: seed, instructions: Int32(20 + random.below(200))), folder: Self.folder)
        defer { world.close() }
        let simulation = try #require(world.runtime.scheduler.simulation)
        let main = try world.start("pipeline:main", .int(40), .int(Int64(seed)))
        var (kills, great) = (0, 0)
        var pause = 100 + random.below(200)
        while world.runtime.system.table.living(main) != nil, simulation.step() {
            pause -= 1
            guard pause <= 0, kills < 60 else { continue }
            let isGreat = great < 3 && random.below(12) == 0
            let victims = isGreat
                ? ["pipeline:ledger", "pipeline:stages"]
                : ["pipeline:source", "pipeline:parse", "pipeline:transform", "pipeline:sink"]
            var living: [Pid] = []
            world.runtime.system.table.forEachLiving { slot, pid in
                if let entry = slot.pointee.entryID, victims.contains(entry) { living.append(pid) }
            }
            guard !living.isEmpty else { continue }
            _ = world.runtime.system.terminate(living[random.below(living.count)], from: .none)
            kills += 1
            if isGreat { great += 1 }
            pause = 1 + random.below(100)
        }
        _ = try expectWhole(world.end(of: main), items: 40, world.lines)
        #expect(kills >= 10)
    }

    /// The example's check is no ornament: it notices a stage that acknowledges what it did not keep, and one that keeps
    /// something else.
    @Test(arguments: [
        ("assert(process.request(\"ledger\"", "if number ~= 5 then assert(process.request(\"ledger\"", " end", "not finished in 60s"),
        ("assert(process.request(\"ledger\"", "document.counts.rain = 7 assert(process.request(\"ledger\"", "", "counted wrong"),
    ]) func aFaultOfTheSinkIsNoticed(line: String, faulty: String, closing: String, complaint: String) throws {
        var files: [String: String] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: Self.folder) where path.hasSuffix(".lua") || path.hasSuffix(".yaml") {
            files[path] = try String(contentsOfFile: Self.folder + "/" + path, encoding: .utf8)
        }
        let sink = try #require(files["src/stages/sink.lua"])
        files["src/stages/sink.lua"] = sink.components(separatedBy: "\n").map {
            $0.contains(line) ? $0.replacingOccurrences(of: line, with: faulty) + closing : $0
        }.joined(separator: "\n")
        #expect(files["src/stages/sink.lua"] != sink)
        let world = try ApplicationWorld(Drive(seed: 1, instructions: 1000), files: files)
        defer { world.close() }
        let end = try world.run("pipeline:main", .int(20))
        #expect(end.isAbnormal && end.text.contains(complaint), "\(end)")
    }

    @Test(arguments: [("x", "ITEMS is x"), ("0", "ITEMS is 0")]) func badArgumentsAreRefused(argument: String, complaint: String) throws {
        let world = try ApplicationWorld(Drive(seed: 1, instructions: 1000), folder: Self.folder)
        defer { world.close() }
        let end = try world.run("pipeline:main", Int64(argument).map(EntryValue.int) ?? .string(argument))
        #expect(end.isAbnormal && end.text.hasPrefix(complaint), "\(end)")
    }

    @Test func theApplicationIsRight() {
        #expect(LuaLibrary.open() == nil)
        #expect(faults(of: Application.load(folder: Self.folder, checkSyntax: LuaCompiler().check)) == [])
    }
}
