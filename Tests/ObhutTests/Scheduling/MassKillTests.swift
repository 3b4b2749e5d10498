import CObhut
import Foundation
import Synchronization
import Testing

@testable import Obhut

/// A great many processes, linked or monitored or both, are killed in random order: each end is told exactly once to each
/// that has to hear of it, and the memory is as it was. On real threads, and each in a process of its own, so that the
/// memory is theirs alone.
///
/// The first round leaves what is kept for later, and is not counted: the table of slots (a slot is never given back), the
/// room that each slot's tables of relations once needed, the ring of free slots, the heap of timers, the queues' buffers.
/// A later round may still need some of it in another place: the tables of the four that are told of 25,000 ends each are
/// kept by other slots than before. A leak would show in every round, so it is enough that one of the next leaves no more
/// than `margin`, a sixth of a byte for each of 100,000.
@Suite(.serialized) struct MassKillTests {
    private static let margin = 16 << 10  // bytes
    private static let rounds = 10

    @Test func everyEndIsToldOnceAndTheMemoryComesBack_S1_L2_P5() async {
        let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent, \.standardErrorContent]) {
            let count = scaled(100_000, atLeast: 1000) / 8 * 8
            let runtime = RealRuntime(workers: 2)
            for round in 0..<MassKillTests.rounds {
                let before = Memory.used()
                let began = Clock.read(CLOCK_MONOTONIC)
                let kill = MassKill(runtime, count: count, seed: UInt64(round))
                kill.spawnAll()
                let spawned = Clock.read(CLOCK_MONOTONIC)
                let height = Memory.used()
                kill.killAll()
                let killed = Clock.read(CLOCK_MONOTONIC)
                kill.finish()
                let after = Memory.used()
                tell(
                    "\(count) scripted processes, round \(round): spawned in \((spawned - began) / Int64(count)) ns each, killed in "
                        + "\((killed - spawned) / Int64(count)) ns each; \(kill.exits) EXIT, \(kill.downs) LINK_DOWN; "
                        + "\((height - before) / count) bytes each, \(after - before) bytes left")
                demand(kill.faults.isEmpty, "\(kill.faults.count) faults: \(kill.faults.prefix(5))")
                demand(kill.exits == kill.expectedExits && kill.downs == kill.expectedDowns, "events")
                if round > 0 && after - before <= MassKillTests.margin { break }
                demand(round < MassKillTests.rounds - 1, "\(after - before) bytes left")
            }
            runtime.close()
        }
        show(run)
    }

    @Test func luaProcessesToo_S1_L2_P5() async {
        let run = await #expect(processExitsWith: .success, observing: [\.standardOutputContent, \.standardErrorContent]) {
            let bosses = 4
            let count = scaled(20_000, atLeast: 400) / (4 * bosses) * 4
            do {
                let world = try ApplicationWorld(.real, files: MassKillTests.luaFiles)
                for round in 0..<MassKillTests.rounds {
                    let before = Memory.used()
                    let began = Clock.read(CLOCK_MONOTONIC)
                    let pids = try (0..<bosses).map { _ in try world.start("app:boss", .int(Int64(count))) }
                    for pid in pids {
                        // In each four: one monitored, one linked, two both, of which one ends by itself.
                        let expected = "[\(count / 4 * 3),\(count / 4 * 2),\(count / 4),0]"
                        let end = try world.end(of: pid)
                        demand(end == .value(expected), "\(end) instead of \(expected)")
                    }
                    let ended = Clock.read(CLOCK_MONOTONIC)
                    demand(eventually { world.runtime.system.aliveCount == 0 }, "alive: \(world.runtime.system.aliveCount)")
                    demand(eventually { world.runtime.directory.hosts["app:host"]!.isAsleep }, "not asleep")
                    let after = Memory.used()
                    tell(
                        "\(bosses * count) Lua processes, round \(round): \((ended - began) / Int64(bosses * count)) ns each to spawn, "
                            + "kill and be told; \(after - before) bytes left")
                    if round > 0 && after - before <= MassKillTests.margin { break }
                    demand(round < MassKillTests.rounds - 1, "\(after - before) bytes left")
                }
                world.close()
                demand(world.runtime.scheduler.timers.count == 0 && world.runtime.system.slotLeftovers() == [], "left over")
            } catch {
                demand(false, "\(error)")
            }
        }
        show(run)
    }

    private static let luaFiles = [
        "app.yaml": """
        namespace: app
        entries:
          - { name: host, kind: process.host, host: { workers: 2 } }
          - { name: boss, kind: process.lua, source: file://boss.lua, modules: [time] }
          - { name: child, kind: process.lua, source: "return { main = function() return process.inbox():receive():topic() end }" }
        """,
        "boss.lua": """
        local function main(count)
          process.set_options{trap_links = true}
          local kinds = {process.spawn_monitored, process.spawn_linked, process.spawn_linked_monitored, process.spawn_linked_monitored}
          local expected, order = {}, {}
          local told = {exit = 0, down = 0, normal = 0, faults = 0}
          for i = 1, count do
            local kind = (i - 1) % 4 + 1
            local pid = assert(kinds[kind]("app:child", "app:host"))
            expected[pid] = {exit = kind ~= 2, down = kind == 2 or kind == 3, normal = kind == 4}
            order[i] = pid
          end
          for i = count, 2, -1 do
            local j = math.random(i)
            order[i], order[j] = order[j], order[i]
          end
          for _, pid in ipairs(order) do
            if expected[pid].normal then assert(process.send(pid, "end")) else assert(process.terminate(pid)) end
          end
          local function take(event)
            local e = expected[event.from]
            local what = event.kind == "pid.exit" and "exit" or event.kind == "pid.link.down" and "down"
            if not e or not e[what] or e.down and e.exit and what == "down" then told.faults = told.faults + 1 return end
            e[what] = nil
            told[what] = told[what] + 1
            if e.normal then
              if event.result.value == "end" then told.normal = told.normal + 1 end
            elseif event.result.error ~= "terminated" then
              told.faults = told.faults + 1
            end
          end
          for _ = 1, count // 4 * 5 do take(process.events():receive()) end
          -- One that is told twice would come now: its process ended before the last that was told.
          require("time").sleep("10ms")
          while true do
            local chosen = channel.select{process.events():case_receive(), default = true}
            if chosen.default then break end
            take(chosen.value)
          end
          return {told.exit, told.down, told.normal, told.faults}
        end
        return { main = main }
        """,
    ]
}

/// One round: four that trap links spawn `count` processes and are told of their ends, eight kinds of them in turn.
private final class MassKill: @unchecked Sendable {  // guarded by lock; a boss's table is its own until `finish`
    private let runtime: RealRuntime
    private let count: Int
    private let seed: UInt64
    private static let bosses = 4

    private let lock = Lock()
    private var pids: [Pid] = []
    private(set) var faults: [String] = []
    private(set) var exits = 0
    private(set) var downs = 0
    private let spawned = Atomic<Int>(0)
    private let told = Atomic<Int>(0)
    private var bossPids: [Pid] = []

    /// Kinds 0 and 1 are monitored, 2 and 3 linked, 4 and 5 both; 6 and 7 are monitored and linked to each other, so that
    /// who of them is killed first takes the other along. Who is of an odd kind is killed by its boss, the others by
    /// the program.
    var expectedExits: Int { count / 8 * 6 }
    var expectedDowns: Int { count / 8 * 4 }

    init(_ runtime: RealRuntime, count: Int, seed: UInt64) {
        (self.runtime, self.count, self.seed) = (runtime, count, seed)
    }

    private func fault(_ text: String) { lock.with { faults.append(text) } }

    func spawnAll() {
        let share = count / 8 / MassKill.bosses * 8
        for boss in 0..<MassKill.bosses {
            let mine = boss == 0 ? count - share * (MassKill.bosses - 1) : share
            var left = mine
            /// What is still to come of each.
            var expected: [Pid: (exit: Bool, down: Bool)] = [:]
            var toKill: [Pid] = []
            var last = Pid.none
            var random = SeededGenerator(seed: seed * 10 + UInt64(boss))
            bossPids.append(
                runtime.spawn { [self] me in
                    if left == mine { me.slot.setTrapLinks(.failures) }
                    for _ in 0..<200 where left > 0 {
                        left -= 1
                        let kind = left % 8
                        let options: ProcessSystem.SpawnOptions =
                            kind < 2 || kind > 5 ? .monitored : kind < 4 ? .linked : [.linked, .monitored]
                        let partner = kind == 6 ? last : Pid.none
                        var isFirst = true
                        let pid = runtime.spawn(by: me, options: options) { me in
                            if isFirst, partner != .none { _ = me.slot.link(partner) }
                            if isFirst { self.spawned.add(1, ordering: .sequentiallyConsistent) }
                            isFirst = false
                            me.drain()
                            return .wait
                        }
                        last = pid
                        expected[pid] = (kind < 2 || kind > 3, kind > 1 && kind < 6)
                        if kind % 2 == 1 { toKill.append(pid) } else { lock.with { pids.append(pid) } }
                    }
                    if left > 0 { return .again }
                    while let signal = me.next() {
                        defer { signal.release() }
                        let from = signal.pointee.from
                        switch signal.pointee.kind {
                        case .message:
                            if !toKill.isEmpty {
                                for pid in toKill.shuffled(using: &random) { _ = runtime.system.terminate(pid, from: me.slot.pid) }
                                toKill = []
                            } else {
                                // The second message: all have been told, and none twice.
                                if !expected.isEmpty { fault("\(expected.count) were not told") }
                                return .end
                            }
                        case .exit:
                            if expected[from]?.exit != true { fault("an EXIT of \(from) too many") }
                            expected[from]?.exit = false
                            lock.with { exits += 1 }
                            if expected[from].map({ !$0.exit && !$0.down }) == true { expected[from] = nil }
                        case .linkDown:
                            if expected[from]?.down != true { fault("a LINK_DOWN of \(from) too many") }
                            if expected[from]?.exit == true, signal.reason.text == "terminated" {
                                fault("LINK_DOWN of \(from) before its EXIT")
                            }
                            expected[from]?.down = false
                            lock.with { downs += 1 }
                            if expected[from].map({ !$0.exit && !$0.down }) == true { expected[from] = nil }
                        default: fault("\(signal.pointee.kind)")
                        }
                        told.add(1, ordering: .sequentiallyConsistent)
                    }
                    return .wait
                })
        }
        let all = eventually(within: 600 * oneSecond) { spawned.load(ordering: .sequentiallyConsistent) == count }
        demand(all, "spawned: \(spawned.load(ordering: .relaxed))")
    }

    /// Until every end has been told.
    func killAll() {
        var random = SeededGenerator(seed: seed)
        send()
        for pid in lock.with({ pids }).shuffled(using: &random) { _ = runtime.system.terminate(pid, from: .none) }
        let events = expectedExits + expectedDowns + MassKill.bosses
        _ = eventually(within: 600 * oneSecond) { told.load(ordering: .sequentiallyConsistent) >= events }
        demand(runtime.system.waitUntilAlive(atMost: MassKill.bosses, until: nil), "alive")
    }

    /// Whatever was told twice is in the mailboxes by now, before this message.
    func finish() {
        send()
        _ = runtime.system.waitUntilAlive(atMost: 0, until: nil)
        demand(eventually { runtime.host.isAsleep }, "not asleep")
        lock.with { pids = [] }
    }

    private func send() {
        for pid in bossPids { _ = runtime.system.sendText(from: .none, to: pid, "now") }
    }
}

private enum Memory {
    /// Bytes that are allocated, of all arenas, what is mapped apart, and the blocks of signals; 0 where malloc is a sanitizer's. (As `mallinfo2`
    /// says, which Swift does not see; here from the totals of `malloc_info`.)
    static func used() -> Int {
        typealias Trim = @convention(c) (Int) -> Int32
        typealias Info = @convention(c) (Int32, UnsafeMutablePointer<FILE>) -> Int32
        guard let trim = dlsym(nil, "malloc_trim"), let info = dlsym(nil, "malloc_info") else { return 0 }
        _ = unsafeBitCast(trim, to: Trim.self)(0)
        var text: UnsafeMutablePointer<CChar>?
        var size = 0
        guard let stream = open_memstream(&text, &size) else { return 0 }
        _ = unsafeBitCast(info, to: Info.self)(0, stream)
        fclose(stream)
        defer { free(text) }
        // What follows the last heap is the sum of all.
        guard let totals = text.map({ String(cString: $0) })?.components(separatedBy: "</heap>").last else { return 0 }
        func bytes(_ element: String) -> Int {
            guard let line = totals.split(separator: "\n").first(where: { $0.hasPrefix("<" + element) }),
                let number = line.components(separatedBy: "size=\"").last?.split(separator: "\"").first
            else { return 0 }
            return Int(number) ?? 0
        }
        return bytes("system type=\"current\"") - bytes("total type=\"fast\"") - bytes("total type=\"rest\"")
            + bytes("total type=\"mmap\"") + BlockDepot.shared.inUse * Blocks.size
    }
}

/// A line for who looks for figures.
private func tell(_ text: String) {
    let bytes = Array("==> \(text)\n".utf8)
    _ = write(1, bytes, bytes.count)
}

/// What a process of its own had to say stands in the log of the tests.
private func show(_ run: ExitTest.Result?) {
    guard let run else { return }
    for text in [run.standardOutputContent, run.standardErrorContent] {
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") where !line.hasPrefix("{") { print(line) }
    }
}
