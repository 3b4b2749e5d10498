import CObhut
import Glibc
import Synchronization
import Testing

@testable import Obhut

/// One host on real threads, and processes whose every step is one closure, without books,
/// for volume. A closure runs on the worker that has its process, never twice at a time.
final class RealRuntime: @unchecked Sendable {  // immutable
    let scheduler: Scheduler
    let system: ProcessSystem
    let host: Host

    enum Answer {
        case wait, again, end
        case fail(String)
    }

    /// What a step is given.
    struct Me {
        let slot: ProcessPointer

        func drain() { slot.pointee.mailbox.route() }

        /// The oldest of inbox and events, as the caller's own.
        func next() -> SignalPointer? {
            slot.pointee.mailbox.route()
            let message = slot.pointee.mailbox.head(of: .inbox)
            let event = slot.pointee.mailbox.head(of: .events)
            guard let event else { return slot.take(from: .inbox) }
            let isEvent = message.map { $0.pointee.sequence > event.pointee.sequence } ?? true
            return slot.take(from: isEvent ? .events : .inbox)
        }

        func send(_ peer: Pid) {
            _ = slot.system.send(
                from: slot.pid, to: peer, topic: UnsafeRawBufferPointer(start: nil, count: 0),
                payload: UnsafeRawBufferPointer(start: nil, count: 0))
        }
    }

    typealias Step = (Me) -> Answer

    private final class Program {
        let step: Step
        init(_ step: @escaping Step) { self.step = step }
    }

    init(workers: Int, _ change: (inout HostLimits) -> Void = { _ in }) {
        scheduler = Scheduler(
            clock: Clock(virtual: false), preemption: .signal(number: SIGURG), seed: 1, simulated: false)
        system = ProcessSystem(scheduler: scheduler)
        var limits = HostLimits()
        limits.workers = workers
        change(&limits)
        host = scheduler.addHost(named: "app:processes", limits: limits)
        scheduler.start()
        host.start()
    }

    /// Ends its threads, with no process left, and looks that nothing else is.
    func close() {
        host.stop()
        scheduler.stop()
        #expect(system.aliveCount == 0)
        #expect(host.processCount.load(ordering: .relaxed) == 0)
        #expect(scheduler.timers.count == 0)
        #expect(system.names.count == 0)
        #expect(system.spawned.load(ordering: .relaxed) == system.ended.load(ordering: .relaxed))
        #expect(system.slotLeftovers() == [])
    }

    @discardableResult
    func spawn(
        by parent: Me? = nil, on other: Host? = nil, options: ProcessSystem.SpawnOptions = [],
        _ step: @escaping Step
    ) -> Pid {
        let definition = ProcessDefinition(id: "test:real", body: RealRuntime.body, program: Program(step))
        return try! system.spawn(
            definition, on: other ?? host, arguments: UnsafeRawBufferPointer(start: nil, count: 0),
            parent: parent?.slot, options: options
        ).pid
    }

    nonisolated(unsafe) private static let body: UnsafePointer<obh_body> = {
        let table = UnsafeMutablePointer<obh_body>.allocate(capacity: 1)
        table.initialize(
            to: obh_body(
                start: { _ in 0 },
                step: { raw in
                    let slot = ProcessPointer.from(raw!)
                    let program = unsafeDowncast(slot.pointee.definition!.program, to: Program.self)
                    slot.pointee.wakeAt = .max
                    switch program.step(Me(slot: slot)) {
                    case .wait: return Int32(OBH_STEP_WAITING)
                    case .again: return Int32(OBH_STEP_INTERRUPTED)
                    case .end:
                        encoded { $0.writeNil() }.withUnsafeBytes { slot.end(.value($0, of: slot.pid)) }
                    case .fail(let text): slot.end(.error(text, of: slot.pid))
                    }
                    return Int32(OBH_STEP_ENDED)
                },
                stop: { _ in }, where: nil, memory: nil))
        return UnsafePointer(table)
    }()
}
