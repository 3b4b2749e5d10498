import CObhut
import Glibc
import Synchronization

@testable import Obhut

/// Many processes that do to each other whatever can be done, at random, and keep books
/// of what they must be told for it; what does not agree is a violation.
///
/// The books of one process are its own, so they hold on real threads as well. In
/// simulation acts do not overlap, and a `LifeModel` also knows who has to die of what.
final class Chaos: @unchecked Sendable {  // guard notes stand on each mutable field
    let scheduler: Scheduler
    let system: ProcessSystem
    let hosts: [Host]
    let model: LifeModel?  // simulation only, so one thread
    let label: String

    private let lock = Lock()
    private var pids: [Pid] = []  // guarded by lock; some of them have ended
    private var violations: [String] = []  // guarded by lock
    /// Steps that processes may still act in; afterwards they only read.
    let budget: Atomic<Int>
    let isWindingDown = Atomic<Bool>(false)
    let accepted = Atomic<Int>(0)  // messages sent
    let read = Atomic<Int>(0)  // messages taken
    let seed: UInt64

    /// - Parameter workers: nil for a simulation.
    init(seed: UInt64, budget: Int, workers: [Int]? = nil) {
        self.seed = seed
        self.budget = Atomic(budget)
        label = workers.map { "\($0) workers, " } ?? ""
        scheduler = Scheduler(
            clock: Clock(virtual: workers == nil),
            preemption: workers == nil ? .counted(instructions: 1) : .signal(number: SIGURG),
            seed: seed, simulated: workers == nil)
        system = ProcessSystem(scheduler: scheduler)
        model = workers == nil ? LifeModel(system: system) : nil
        let scheduler = scheduler
        hosts = (workers ?? [1, 1]).enumerated().map { i, count in
            var limits = HostLimits()
            limits.workers = count
            return scheduler.addHost(named: "app:host\(i)", limits: limits)
        }
        if let model {
            system.abnormalEnd = { [unowned self] process, reason, _ in
                model.ended(process.pid, reason, self.fault)
            }
        }
    }

    func fault(_ text: String) { lock.with { violations.append("\(label)seed \(seed): \(text)") } }
    func faults() -> [String] { lock.with { violations } }

    /// Some process; perhaps one that has ended long ago.
    func anyone(_ random: inout RandomSource) -> Pid? {
        lock.with {
            if pids.isEmpty { return nil }
            // Mostly one of the youngest, so that acts meet.
            let span = random.below(4) == 0 ? pids.count : min(pids.count, 24)
            return pids[pids.count - 1 - random.below(span)]
        }
    }

    @discardableResult
    func spawn(
        on host: Host, seed: UInt64, by parent: ChaosProcess? = nil,
        options: ProcessSystem.SpawnOptions = []
    ) -> Pid? {
        let process = ChaosProcess(self, host: host, seed: seed)
        let definition = ProcessDefinition(id: "test:chaos", body: ChaosProcess.body, program: process)
        guard
            let spawned = try? system.spawn(
                definition, on: host, arguments: UnsafeRawBufferPointer(start: nil, count: 0),
                parent: parent?.pointer, options: options)
        else { return nil }
        lock.with { pids.append(spawned.pid) }
        return spawned.pid
    }

    /// All that live; nothing may run meanwhile.
    func living() -> [ProcessPointer] {
        var found: [ProcessPointer] = []
        system.table.forEachLiving { slot, _ in found.append(slot) }
        return found
    }

    /// With nothing left to handle: whoever lives has been told all that it had to be told.
    func checkBooks() {
        for slot in living() {
            let process = ChaosProcess.of(slot)
            for pid in process.monitors where system.table.living(pid) == nil {
                fault("\(slot.pid) was not told the end of \(pid) (S1)")
            }
            for (_, pid) in process.inquiries where system.table.living(pid) == nil {
                fault("\(slot.pid) was not told the end of \(pid), which it asks (M7)")
            }
            for (peer, link) in slot.pointee.relations.links {
                guard let other = system.table.living(peer) else {
                    fault("\(slot.pid) has a link to \(peer), which has ended (L2)")
                    continue
                }
                let back = other.pointee.relations.links[slot.pid]
                if back == nil || back?.mine != link.theirs || back?.theirs != link.mine {
                    fault("\(slot.pid) and \(peer) do not agree about their link (L1)")
                }
            }
            for watcher in slot.pointee.relations.watchers.keys
            where system.table.living(watcher.pid) == nil {
                fault("\(slot.pid) is watched by \(watcher.pid), which has ended")
            }
            model?.check(process, fault)
        }
        model?.checkAll(fault)
    }

    func checkNothingIsLeft() {
        func check(_ what: String, _ count: Int) { if count != 0 { fault("left over: \(what) \(count)") } }
        check("alive", system.aliveCount)
        for host in hosts { check("on a host", host.processCount.load(ordering: .relaxed)) }
        check("timers", scheduler.timers.count)
        check("names", system.names.count)
        check(
            "not ended",
            Int(system.spawned.load(ordering: .relaxed)) - Int(system.ended.load(ordering: .relaxed)))
        for text in system.slotLeftovers() { fault("left over: \(text)") }
        check(
            "messages neither read nor dead letters",
            accepted.load(ordering: .relaxed) - read.load(ordering: .relaxed)
                - Int(system.deadLetters.load(ordering: .relaxed)))
        model?.checkEnds(fault)
    }
}

/// One of them.
final class ChaosProcess {
    let chaos: Chaos
    private let host: Host
    private var random: RandomSource
    fileprivate(set) var pointer: ProcessPointer! = nil
    private var isOver = false
    private var names = 0

    // Its books.
    fileprivate var monitors: Set<Pid> = []  // accepted, and no EXIT taken
    fileprivate var inquiries: [UInt64: Pid] = [:]
    private var askedIfDead: Set<Pid> = []  // monitored with if_dead: may come after the end
    private var gone: Set<Pid> = []  // whose EXIT was read
    private var sent: [Pid: Int] = [:]
    private var received: [Pid: Int] = [:]
    fileprivate var cancels = 0

    var pid: Pid { pointer.pid }
    private var system: ProcessSystem { chaos.system }

    init(_ chaos: Chaos, host: Host, seed: UInt64) {
        self.chaos = chaos
        self.host = host
        random = RandomSource(seed: seed)
    }

    static func of(_ slot: ProcessPointer) -> ChaosProcess {
        unsafeDowncast(slot.pointee.definition!.program, to: ChaosProcess.self)
    }

    nonisolated(unsafe) static let body: UnsafePointer<obh_body> = {
        let table = UnsafeMutablePointer<obh_body>.allocate(capacity: 1)
        table.initialize(
            to: obh_body(
                start: { raw in
                    let slot = ProcessPointer.from(raw!)
                    ChaosProcess.of(slot).pointer = slot
                    return 0
                },
                step: { raw in ChaosProcess.of(ProcessPointer.from(raw!)).step() },
                stop: { raw in
                    let slot = ProcessPointer.from(raw!)
                    let process = ChaosProcess.of(slot)
                    if slot.pointee.doom == nil, let outcome = slot.pointee.outcome, !outcome.isAbnormal {
                        process.chaos.model?.ended(slot.pid, outcome, process.chaos.fault)
                    }
                }, where: nil, memory: nil))
        return UnsafePointer(table)
    }()

    // MARK: Step

    private func step() -> Int32 {
        chaos.model?.mayRun(pid, chaos.fault)
        pointer.pointee.wakeAt = .max
        if chaos.isWindingDown.load(ordering: .sequentiallyConsistent) {
            readAll(.max)
            return Int32(OBH_STEP_WAITING)
        }
        readAll(random.below(3) == 0 ? .max : random.below(4))
        guard chaos.budget.subtract(1, ordering: .relaxed).newValue >= 0 else {
            return Int32(OBH_STEP_WAITING)
        }
        for _ in 0..<random.below(4) {
            act()
            if isOver { return Int32(OBH_STEP_ENDED) }
            if pointer.isDoomed { return Int32(OBH_STEP_WAITING) }
            if isSelfTerminated { return Int32(OBH_STEP_WAITING) }
        }
        if random.below(3) == 0 { return Int32(OBH_STEP_INTERRUPTED) }
        pointer.pointee.wakeAt = system.clock.now + Int64(random.below(300_000))
        return Int32(OBH_STEP_WAITING)
    }

    private var isSelfTerminated = false

    private func act() {
        guard let other = chaos.anyone(&random) else { return }
        switch random.below(24) {
        case 0, 1, 2: monitor(other)
        case 3, 4: unmonitor(random.below(2) == 0 ? monitors.sorted().randomElement(using: &random) ?? other : other)
        case 5, 6: link(other)
        case 7: unlink(other)
        case 8: setTrap()
        case 9, 10, 11, 12: send(other, request: 0)
        case 13: ask(other)
        case 14: giveUp()
        case 15: cancel(other)
        case 16: if random.below(3) == 0 { terminate(other) }
        case 17:
            names += 1
            _ = system.names.register("\(pid.raw).\(names)", for: random.below(2) == 0 ? pid : other)
        case 18: if random.below(6) == 0 { finish() }
        case 19: if random.below(6) == 0 { fail() }
        default: spawn()
        }
    }

    private func monitor(_ other: Pid) {
        let ifDead = random.below(8) == 0
        let outcome = pointer.monitor(other, ifDeadEvent: ifDead)
        if pointer.isDoomed { return }
        switch outcome {
        case .done:
            if !monitors.insert(other).inserted { chaos.fault("\(pid) monitors \(other) twice (S3)") }
            if ifDead { askedIfDead.insert(other) } else { chaos.model?.mustLive(other, "monitor", chaos.fault) }
        case .already:
            if !monitors.contains(other) { chaos.fault("\(pid) does not monitor \(other) (S3)") }
        case .notFound:
            if monitors.contains(other) { chaos.fault("\(pid) monitors \(other) already (S3)") }
            chaos.model?.mustBeDead(other, "monitor", chaos.fault)
        }
    }

    private func unmonitor(_ other: Pid) {
        let outcome = pointer.unmonitor(other)
        if outcome != (monitors.remove(other) != nil) {
            chaos.fault("\(pid): unmonitor \(other) answers \(outcome) (S4)")
        }
    }

    private func link(_ other: Pid) {
        let outcome = pointer.link(other)
        if pointer.isDoomed { return }
        if (outcome == .toItself) != (other == pid) { chaos.fault("\(pid): link \(other): \(outcome)") }
        guard let model = chaos.model, other != pid else { return }
        if outcome == .done {
            model.mustLive(other, "link", chaos.fault)
            model.link(pid, other)
        } else {
            model.mustBeDead(other, "link", chaos.fault)
        }
    }

    private func unlink(_ other: Pid) {
        pointer.unlink(other)
        chaos.model?.unlink(pid, other)
    }

    private func setTrap() {
        let choice = TrapLinks(rawValue: UInt8(random.below(3)))!
        pointer.setTrapLinks(choice)
        if !pointer.isDoomed { chaos.model?.trap[pid] = choice }
    }

    private func send(_ other: Pid, request: UInt64) {
        let number = sent[other, default: 0] + 1
        let payload = encoded {
            $0.writeArrayHeader(2)
            $0.writeInteger(Int64(number))
            // Now and then too large for the signal's own block.
            $0.writeString(random.below(4) == 0 ? String(repeating: "p", count: 100) : "")
        }
        let outcome = payload.withUnsafeBytes {
            system.send(
                from: pid, to: other, topic: UnsafeRawBufferPointer(start: nil, count: 0), payload: $0,
                request: request)
        }
        switch outcome {
        case .sent:
            chaos.accepted.add(1, ordering: .relaxed)
            sent[other] = number
            chaos.model?.mustLive(other, "send", chaos.fault)
        case .notFound: chaos.model?.mustBeDead(other, "send", chaos.fault)
        case .full: chaos.fault("\(other): mailbox full (M5)")
        }
    }

    private func ask(_ other: Pid) {
        guard let number = pointer.beginInquiry(other) else {
            chaos.model?.mustBeDead(other, "request", chaos.fault)
            return
        }
        inquiries[number] = other
        send(other, request: number)
    }

    private func giveUp() {
        pointer.drain()
        readAnswers()
        guard let number = inquiries.keys.sorted().randomElement(using: &random) else { return }
        pointer.endInquiry(number)
        inquiries[number] = nil
    }

    private func cancel(_ other: Pid) {
        let timeout = Int64(1 + random.below(400_000))
        if system.cancel(other, from: pid, timeout: timeout) {
            chaos.model?.cancelled(other, at: system.clock.now + timeout)
        } else {
            chaos.model?.mustBeDead(other, "cancel", chaos.fault)
        }
    }

    private func terminate(_ other: Pid) {
        if system.terminate(other, from: pid) {
            chaos.model?.condemn(other, "terminated")
            if other == pid { isSelfTerminated = true }
        } else {
            chaos.model?.mustBeDead(other, "terminate", chaos.fault)
        }
    }

    private func finish() {
        encoded { $0.writeString("value \(pid.raw)") }.withUnsafeBytes {
            pointer.end(.value($0, of: pid))
        }
        isOver = true
    }

    private func fail() {
        pointer.end(.error("error \(pid.raw)", of: pid))
        isOver = true
    }

    private func spawn() {
        // As many as are alive hold each other in balance around a few dozen.
        guard system.aliveCount < 16 + random.below(32) else { return }
        let options = ProcessSystem.SpawnOptions(rawValue: random.below(4))
        let hosts = chaos.hosts
        guard
            let child = chaos.spawn(
                on: hosts[random.below(hosts.count)], seed: random.next(), by: self, options: options)
        else { return chaos.fault("\(pid) cannot spawn") }
        if options.contains(.linked) { chaos.model?.link(pid, child) }
        if options.contains(.monitored) { monitors.insert(child) }
    }

    // MARK: Reading

    private func readAll(_ count: Int) {
        readAnswers()
        pointer.pointee.mailbox.route()
        for _ in 0..<count {
            let heads = [Mailbox.Queue.inbox, .events].compactMap { queue in
                pointer.pointee.mailbox.head(of: queue).map { (queue, $0.pointee.sequence) }
            }
            guard let oldest = heads.min(by: { $0.1 < $1.1 }),
                let signal = pointer.take(from: oldest.0)
            else { return }
            note(signal)
            signal.release()
        }
    }

    private func readAnswers() {
        while let answer = pointer.pointee.mailbox.answers.removeFirst() {
            if inquiries.removeValue(forKey: answer.pointee.a) == nil {
                chaos.fault("\(pid): an answer to nothing (M7)")
            }
            answer.release()
        }
    }

    private func note(_ signal: SignalPointer) {
        let from = signal.pointee.from
        switch signal.pointee.kind {
        case .message:
            chaos.read.add(1, ordering: .relaxed)
            var reader = PayloadReader(signal.payload)
            guard case .array(2) = reader.next(), case .integer(let number) = reader.next() else {
                return chaos.fault("\(pid): a message from \(from) is broken")
            }
            let expected = received[from, default: 0] + 1
            if Int(number) != expected {
                chaos.fault("\(pid): message \(number) from \(from) instead of \(expected) (M2)")
            }
            received[from] = Int(number)
            if gone.contains(from) { chaos.fault("\(pid): a message from \(from) after its EXIT (M2)") }
            if signal.pointee.a != 0, random.below(2) == 0 {
                _ = system.reply(
                    from: pid, to: from, request: signal.pointee.a, payload: signal.payload,
                    isError: false)
            }
        case .exit:
            if monitors.remove(from) == nil { chaos.fault("\(pid): an EXIT of \(from) too many (S1, S4)") }
            gone.insert(from)
            if system.table.living(from) != nil { chaos.fault("\(pid): EXIT of \(from), which lives") }
            if !system.names.names(of: from).isEmpty {
                chaos.fault("\(pid): EXIT of \(from), which has names (P5)")
            }
            if signal.reason.text != "noproc" {
                chaos.model?.mustHaveEnded(from, with: signal.reason, chaos.fault)
            }
        case .linkDown:
            if monitors.contains(from), !askedIfDead.contains(from) { chaos.fault("\(pid): LINK_DOWN of \(from) before its EXIT (L8)") }
            chaos.model?.mustHaveEnded(from, with: signal.reason, chaos.fault)
            chaos.model?.tookDown(pid, of: from, chaos.fault)
        case .cancel: cancels += 1
        default: chaos.fault("\(pid): a \(signal.pointee.kind) to read")
        }
    }
}

/// Who has to die of what, where acts do not overlap (simulation).
final class LifeModel {
    private unowned let system: ProcessSystem
    private var links: [Pid: Set<Pid>] = [:]
    var trap: [Pid: TrapLinks] = [:]
    private var fates: [Pid: (text: String, at: Int64)] = [:]
    private var deadlines: [Pid: Int64] = [:]
    private var cancels: [Pid: Int] = [:]
    private var ends: [Pid: ExitReason] = [:]
    private var downs: [Pid: Set<Pid>] = [:]

    init(system: ProcessSystem) { self.system = system }

    typealias Fault = (String) -> Void

    func link(_ a: Pid, _ b: Pid) {
        links[a, default: []].insert(b)
        links[b, default: []].insert(a)
    }

    func unlink(_ a: Pid, _ b: Pid) {
        links[a]?.remove(b)
        links[b]?.remove(a)
        downs[a]?.remove(b)
    }

    func condemn(_ pid: Pid, _ text: String) {
        if fates[pid] == nil { fates[pid] = (text, system.clock.now) }
    }

    func cancelled(_ pid: Pid, at deadline: Int64) {
        deadlines[pid] = min(deadlines[pid] ?? .max, deadline)
        cancels[pid, default: 0] += 1
    }

    func mayRun(_ pid: Pid, _ fault: Fault) {
        if let fate = fates[pid] { fault("\(pid) runs, and has to die: \(fate.text) (P7)") }
        if ends[pid] != nil { fault("\(pid) runs, and has ended (P4)") }
    }

    func ended(_ pid: Pid, _ reason: ExitReason, _ fault: Fault) {
        if ends.updateValue(reason, forKey: pid) != nil { fault("\(pid) ends twice (P4)") }
        let now = system.clock.now
        let fate = fates.removeValue(forKey: pid)
        if reason.text == "cancelled: deadline exceeded" {
            if deadlines[pid] ?? .max > now { fault("\(pid) ended before its deadline (C1)") }
            if let fate, fate.at < now { fault("\(pid) outlived: \(fate.text)") }
        } else if let fate, fate.text != reason.text {
            fault("\(pid) ended with \(reason.text), not with \(fate.text) (P4)")
        } else if fate == nil, !["error \(pid.raw)", "value \(pid.raw)"].contains(reason.text) {
            fault("\(pid) ended with \(reason.text), of nothing (P4)")
        }
        if (deadlines.removeValue(forKey: pid) ?? .max) < now { fault("\(pid) outlived its deadline (C1)") }
        for peer in links.removeValue(forKey: pid) ?? [] {
            links[peer]?.remove(pid)
            let choice = trap[peer] ?? .no
            if choice == .all || (choice == .failures && reason.isAbnormal) {
                downs[peer, default: []].insert(pid)
            } else if reason.isAbnormal {
                let cause = reason.cause.withUnsafeBytes { describeError($0) }
                condemn(peer, "linked process \(system.text(of: pid)) failed: \(cause)")
            }
        }
        downs[pid] = nil
    }

    func tookDown(_ pid: Pid, of peer: Pid, _ fault: Fault) {
        if downs[pid]?.remove(peer) == nil { fault("\(pid): a LINK_DOWN of \(peer) too many (L6)") }
    }

    func mustHaveEnded(_ pid: Pid, with reason: ExitReason, _ fault: Fault) {
        if ends[pid] !== reason { fault("\(pid) did not end with \(reason.text)") }
    }

    func mustLive(_ pid: Pid, _ what: String, _ fault: Fault) {
        if ends[pid] != nil { fault("\(what) to \(pid), which has ended, is accepted") }
    }

    func mustBeDead(_ pid: Pid, _ what: String, _ fault: Fault) {
        if ends[pid] == nil { fault("\(what) to \(pid), which lives, is refused") }
    }

    /// With nothing left to handle.
    func check(_ process: ChaosProcess, _ fault: Fault) {
        for peer in downs[process.pid] ?? [] { fault("\(process.pid) was not told that \(peer) failed (L2)") }
        if links[process.pid] ?? [] != Set(process.pointer.pointee.relations.links.keys) {
            fault("\(process.pid) has other links than it should (L1)")
        }
        if process.cancels != cancels[process.pid] ?? 0 {
            fault("\(process.pid) has read \(process.cancels) CANCEL of \(cancels[process.pid] ?? 0) (C1)")
        }
    }

    func checkAll(_ fault: Fault) {
        for (pid, fate) in fates { fault("\(pid) survives: \(fate.text)") }
        for (pid, deadline) in deadlines where deadline < system.clock.now {
            fault("\(pid) survives its deadline (C1)")
        }
    }

    func checkEnds(_ fault: Fault) {
        if ends.count != Int(system.ended.load(ordering: .relaxed)) {
            fault("\(ends.count) ends known of \(system.ended.load(ordering: .relaxed)) (P4)")
        }
    }
}
