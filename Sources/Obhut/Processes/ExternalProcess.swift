import CObhut
import Glibc
import Synchronization

/// An entry whose processes the host program runs (ARCHITECTURE D7).
///
/// The law here: *no code of the host program runs on a thread of the library.* A spawn makes a
/// process whose mailbox is a port, and sends START to the *acceptor*, another port. Whoever receives
/// START takes the new port out of it and runs the process wherever it likes:
///
///     spawn ──▶ offered ──take──▶ running ──end or fail──▶ ended
///                  │ START freed, acceptor ended      ▲
///                  └──────────────────────────────────┘ (with an error)
///
/// To all others it is a process from the moment of the spawn: it is watched, linked, cancelled and
/// terminated like any, counts among those of the host that it was spawned on, and lives on no
/// worker. Its pid is that of a port. What ends it by force takes the port from the program, whose
/// calls are then answered by `closed`: the runtime cannot stop a thread that is not its own.
final class ExternalProgram: Sendable {
    /// The table of every such definition: what tells them from others. No worker calls it.
    nonisolated(unsafe) static let table: UnsafePointer<obh_body> = {  // written once, here
        let table = UnsafeMutablePointer<obh_body>.allocate(capacity: 1)
        table.initialize(
            to: obh_body(start: { _ in 1 }, step: { _ in Int32(OBH_STEP_ENDED) }, stop: { _ in }, where: nil, memory: nil))
        return UnsafePointer(table)
    }()

    /// The pid of the port that gets START, 0: none yet. Set by any thread.
    private let acceptorWord = Atomic<UInt64>(0)

    var acceptor: Pid {
        get { Pid(raw: acceptorWord.load(ordering: .acquiring)) }
        set { acceptorWord.store(newValue.raw, ordering: .releasing) }
    }

    static func definition(_ id: String) -> ProcessDefinition {
        ProcessDefinition(id: id, body: table, program: ExternalProgram())
    }

    /// Before the entry's id in the topic of START, which no program can send (M1).
    static let startPrefix = "@start "
}

extension ProcessDefinition {
    /// Nil: a worker runs its processes.
    var external: ExternalProgram? {
        body == ExternalProgram.table ? unsafeDowncast(program, to: ExternalProgram.self) : nil
    }
}

/// Processes whose START nobody has taken yet.
final class OfferedProcesses: @unchecked Sendable {  // guarded by lock
    private let lock = Lock()
    private var offers: [Pid: (port: Port, acceptor: Pid)] = [:]

    func add(_ pid: Pid, _ port: Port, to acceptor: Pid) { lock.with { offers[pid] = (port, acceptor) } }

    /// - Returns: whether nobody had taken it.
    @discardableResult
    func remove(_ pid: Pid) -> Bool { lock.with { offers.removeValue(forKey: pid) != nil } }

    /// Nil: it was taken, or has ended. Who has taken it lets go of it (`Port.letGo`).
    func take(_ pid: Pid) -> Port? { lock.with { offers.removeValue(forKey: pid)?.port } }

    /// Ends one whose START was dropped; not if it was taken.
    func drop(_ pid: Pid) {
        guard let port = take(pid) else { return }
        port.end(pid, .error("not accepted: the host program did not take it", of: pid))
        port.letGo(pid)
    }

    /// Ends all that were offered to a port that has ended.
    func endAll(of acceptor: Pid) {
        let left = lock.with { () -> [(Pid, Port)] in
            if offers.isEmpty { return [] }
            return offers.filter { $0.value.acceptor == acceptor }.map { ($0.key, $0.value.port) }
        }
        for (pid, port) in left {
            port.end(pid, .error("not accepted: the port that was to take it has ended", of: pid))
        }
    }
}

extension ProcessSystem {
    /// As `spawn`, of an entry that the host program runs.
    /// - Parameter host: nil: it is counted nowhere but in the runtime.
    func spawnExternal(
        _ definition: ProcessDefinition, _ program: ExternalProgram, on host: Host?,
        arguments: UnsafeRawBufferPointer, parent: ProcessPointer?, options: SpawnOptions, context: ProcessContext?,
        beforeItRuns: ((Pid) -> Void)?
    ) throws(SpawnFault) -> Spawned {
        // As in `spawn`: counted before it is looked whether there may be one.
        countUp()
        let count = host?.processCount.add(1, ordering: .relaxed).newValue ?? 0
        let port: Port
        let pid: Pid
        let acceptor = program.acceptor
        do throws(SpawnFault) {
            guard takesExternals.load(ordering: .sequentiallyConsistent) else { throw .notRunning }
            if let host {
                guard host.state == .started else { throw .hostNotStarted(host.name) }
                let limit = host.limits.maxProcesses
                if limit > 0 && count > limit { throw .hostFull(host.name, limit: limit) }
            }
            guard acceptor != .none else { throw .notDefined(definition.id) }
            (port, pid) = try Port.acquire(in: self)
            var inquiry: UInt64 = 0
            try port.begin(
                pid, as: .init(host: host),
                prepare: { child in
                    child.pointee.trapLinks = .no
                    child.pointee.definition = definition
                    child.pointee.definitionWord.store(
                        UInt(bitPattern: Unmanaged.passUnretained(definition).toOpaque()), ordering: .releasing)
                    child.pointee.context = context ?? parent?.pointee.context
                    child.pointee.parent = parent?.pid ?? .none
                    child.pointee.isSupervised = parent != nil && options.contains(.supervised)
                },
                offer: {
                    beforeItRuns?(pid)
                    return offer(pid, port, of: definition, to: acceptor, arguments)
                },
                relate: { child in
                    if let parent { inquiry = relate(child, parent, options) }
                    spawned.wrappingAdd(1, ordering: .relaxed)
                })
            return Spawned(pid: pid, inquiry: inquiry)
        } catch {
            host?.processCount.subtract(1, ordering: .relaxed)
            countDown()
            throw error
        }
    }

    private func offer(
        _ pid: Pid, _ port: Port, of definition: ProcessDefinition, to acceptor: Pid,
        _ arguments: UnsafeRawBufferPointer
    ) -> SpawnFault? {
        offers.add(pid, port, to: acceptor)
        let topic = Array((ExternalProgram.startPrefix + definition.id).utf8)
        let none: [UInt8] = [0x90]
        let outcome = topic.withUnsafeBytes { topic in
            none.withUnsafeBytes {
                send(from: pid, to: acceptor, topic: topic, payload: arguments.isEmpty ? $0 : arguments)
            }
        }
        if outcome == .sent { return nil }
        offers.remove(pid)
        return outcome == .full ? .acceptorFull(definition.id) : .acceptorEnded(definition.id)
    }
}
