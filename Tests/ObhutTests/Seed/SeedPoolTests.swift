import Foundation
import Testing

@testable import Obhut

/// The supervised worker pool, unchanged, in virtual time.
@Suite struct SeedPoolTests {
    /// The pids that the pool has told for this worker, oldest first.
    private func pids(of worker: Int, in lines: [String]) -> [String] {
        let prefix = "Worker \(worker) started: "
        return lines.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    }

    private func count(_ line: String, in lines: [String]) -> Int { lines.filter { $0 == line }.count }

    private func expectStarted(_ workers: Int, _ lines: [String]) {
        #expect(lines.count == 2 * workers + 1)
        for worker in 1...workers {
            #expect(pids(of: worker, in: lines).count == 1)
            #expect(count("Task worker \(worker) started", in: lines) == 1)
        }
        #expect(count("Supervisor started with \(workers) workers", in: lines) == 1)
    }

    private func terminate(_ pids: String..., in world: ApplicationWorld) throws {
        for pid in pids { #expect(try world.run("app.observers:terminate", .string(pid)) == .value("true")) }
    }

    /// V1: it starts with the runtime, with the four workers that it has by itself.
    @Test(arguments: Drive.simulated) func startsWithTheRuntime(drive: Drive) throws {
        let world = try ApplicationWorld(seed: drive, services: true)
        defer { world.close() }
        world.advance(to: 0)
        expectStarted(4, world.lines)
    }

    @Test(arguments: Drive.simulated) func takesTheNumberOfWorkers(drive: Drive) throws {
        let world = try ApplicationWorld(seed: drive)
        defer { world.close() }
        _ = try world.start("app.supervisor:pool", .int(7))
        world.advance(to: 0)
        expectStarted(7, world.lines)
    }

    /// Idle every 5 s, and a health check when nothing has happened for 60 s.
    @Test(arguments: Drive.simulated) func idleAndHealthCheck(drive: Drive) throws {
        let world = try ApplicationWorld(seed: drive, services: true)
        defer { world.close() }
        for seconds in [4.9, 5.0, 9.9, 10.0, 59.9, 60.0, 119.9, 120.0] {
            world.advance(to: seconds)
            for worker in 1...4 { #expect(count("Worker \(worker) idle", in: world.lines) == Int(seconds / 5)) }
            #expect(count("Health check: 4 active workers", in: world.lines) == Int(seconds / 60))
        }
    }

    /// A dead worker is replaced after 100 ms; deaths meanwhile wait for their turn.
    @Test(arguments: Drive.simulated) func replacesWorkersThatDie(drive: Drive) throws {
        let world = try ApplicationWorld(seed: drive, services: true)
        defer { world.close() }
        world.advance(to: 12)
        let second = try #require(pids(of: 2, in: world.lines).first)
        try terminate(second, in: world)
        world.advance(to: 12.099)
        #expect(world.lines.last == "Worker 2 died after 12s, restarting")
        #expect(pids(of: 2, in: world.lines).count == 1)
        world.advance(to: 12.1)
        #expect(pids(of: 2, in: world.lines).count == 2)
        #expect(Set(pids(of: 2, in: world.lines)).count == 2)  // P3
        #expect(count("Task worker 2 started", in: world.lines) == 2)

        world.advance(to: 20)
        let first = try #require(pids(of: 1, in: world.lines).first), third = try #require(pids(of: 3, in: world.lines).first)
        try terminate(first, third, in: world)
        world.advance(to: 20.1)
        #expect(pids(of: 1, in: world.lines).count + pids(of: 3, in: world.lines).count == 3)
        world.advance(to: 20.2)
        #expect(pids(of: 1, in: world.lines).count == 2 && pids(of: 3, in: world.lines).count == 2)
        #expect(count("Worker 1 died after 20s, restarting", in: world.lines) == 1)
        #expect(count("Worker 3 died after 20s, restarting", in: world.lines) == 1)
        // The clock of the health check began again with the last event.
        world.advance(to: 80.1)
        #expect(count("Health check: 4 active workers", in: world.lines) == 0)
        world.advance(to: 80.3)
        #expect(count("Health check: 4 active workers", in: world.lines) == 1)
    }

    /// 100 ms for each task, in the order in which they came.
    @Test(arguments: Drive.simulated) func work(drive: Drive) throws {
        let world = try ApplicationWorld(seed: drive, services: true)
        defer { world.close() }
        world.advance(to: 1)
        let worker = try #require(pids(of: 3, in: world.lines).first)
        let start = world.runtime.scheduler.clock.now
        let end = try world.run("app.observers:work", .string(worker), .string("a"), .string("b"))
        #expect(end == .value(#"["completed: a","completed: b"]"#))
        #expect(world.runtime.scheduler.clock.now - start == 200_000_000)
        #expect(world.lines.suffix(2) == ["Worker 3 processing: a", "Worker 3 processing: b"])
    }

    /// C2; L2: a worker that ends normally is not replaced.
    @Test(arguments: Drive.simulated) func cancelOfAWorker(drive: Drive) throws {
        let world = try ApplicationWorld(seed: drive, services: true)
        defer { world.close() }
        world.advance(to: 1)
        let worker = try #require(pids(of: 4, in: world.lines).first)
        let watch = try world.start("app.observers:watch", .string(worker))
        world.advance(to: 1)
        #expect(try world.run("app.observers:cancel", .string(worker), .string("1s")) == .value("true"))
        #expect(try world.end(of: watch) == .value(#"[{"value":"cancelled"}]"#))
        #expect(world.lines.last == "Worker 4 cancelled")
        world.advance(to: 4)
        #expect(pids(of: 4, in: world.lines).count == 1)
    }

    /// The pool hears no CANCEL: at its deadline it is ended, and its workers fall with it.
    @Test(arguments: Drive.simulated) func cancelOfThePool(drive: Drive) throws {
        let world = try ApplicationWorld(seed: drive)
        defer { world.close() }
        let pool = try world.start("app.supervisor:pool")
        let poolText = world.text(of: pool)
        world.advance(to: 1)
        let workers = (1...4).compactMap { pids(of: $0, in: world.lines).first }
        let watch = try world.start("app.observers:watch", workers.map(EntryValue.string))
        world.advance(to: 1)
        #expect(try world.run("app.observers:cancel", .string(poolText), .string("2s")) == .value("true"))
        #expect(try world.end(of: pool) == .error("cancelled: deadline exceeded"))
        #expect(world.runtime.scheduler.clock.now == 3_000_000_000)
        let fallen = #"{"error":"linked process \#(poolText) failed: cancelled: deadline exceeded"}"#
        #expect(try world.end(of: watch) == .value("[" + Array(repeating: fallen, count: 4).joined(separator: ",") + "]"))
        #expect(!world.lines.contains { $0.contains("linked process died") })
    }

    /// The same in short on threads, in real time.
    @Test func onARealRuntime() throws {
        let world = try ApplicationWorld(seed: .real, services: true)
        defer { world.close() }
        try world.wait { lines in lines.count == 9 }
        expectStarted(4, world.lines)
        let second = try #require(pids(of: 2, in: world.lines).first)
        try terminate(second, in: world)
        try world.wait { lines in count("Task worker 2 started", in: lines) == 2 && pids(of: 2, in: lines).count == 2 }
        #expect(world.lines.contains { $0.hasPrefix("Worker 2 died after ") && $0.hasSuffix("s, restarting") })
        let replacement = try #require(pids(of: 2, in: world.lines).last)
        #expect(replacement != second)
        #expect(try world.run("app.observers:work", .string(replacement), .string("a")) == .value(#"["completed: a"]"#))
        let watched = try world.watch(replacement)
        #expect(try world.run("app.observers:cancel", .string(replacement), .string("5m")) == .value("true"))
        #expect(try world.end(of: watched) == .value("\"cancelled\""))
        #expect(try world.run("app.observers:terminate", .string(second)) == .error("process not found: \(second)"))
    }

    /// `examples/worker-pool`: its own count agrees with what it printed.
    @Test(arguments: Drive.simulated) func theExample(drive: Drive) throws {
        struct Summary: Decodable { var deaths, failed, restarts, jobs: Int, pool: String }
        let world = try ApplicationWorld(drive, folder: SeedFiles.repository + "/examples/worker-pool")
        defer { world.close() }
        let end = try world.run("demo:main")
        let summary = try JSONDecoder().decode(Summary.self, from: Data(end.text.utf8))
        #expect(world.runtime.scheduler.clock.now == 9_000_000_000)
        #expect(summary.pool == "cancelled: deadline exceeded")
        let lines = world.lines
        #expect(lines.filter { $0.hasPrefix("Task worker ") }.count == 4 + summary.restarts)
        #expect(lines.filter { $0.contains("FAILED after") }.count == summary.failed)
        #expect(lines.filter { $0.contains("fell with the pool") }.count == summary.deaths - summary.failed)
        #expect(summary.deaths == 4 + summary.restarts)
        #expect(summary.failed >= 7 && summary.jobs > 40)
    }

    /// `examples/star/by-hand`: the ten fall with the one in the middle, and nobody begins again.
    @Test(arguments: Drive.simulated) func theExamplesStarByHand(drive: Drive) throws {
        let world = try ApplicationWorld(drive, folder: SeedFiles.repository + "/examples/star/by-hand")
        defer { world.close() }
        #expect(try world.run("app:parent") == .error("PARENT_STAR_FAILURE"))
        world.advance(to: 3)
        #expect(world.alive.isEmpty)
        #expect(world.lines.sorted() == ((1...10).map { "child \($0) linked" } + ["parent: ten children are linked"]).sorted())
    }

    /// `examples/chain/by-hand`: all nodes fall with the root before their time is over.
    @Test(arguments: Drive.simulated) func theExamplesChainByHand(drive: Drive) throws {
        let world = try ApplicationWorld(drive, folder: SeedFiles.repository + "/examples/chain/by-hand")
        defer { world.close() }
        #expect(try world.run("app:root") == .error("CHAIN_ROOT_FAILURE"))
        world.advance(to: 6)
        #expect(world.alive.isEmpty)
        #expect(world.lines == [4, 3, 2, 1, 0].map { "node \($0) started" })
    }
}
