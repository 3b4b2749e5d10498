import CObhut
import Glibc
import Synchronization

/// What a process does by itself: the calls that its body makes on its behalf.
///
/// Only its owner may call these: a body inside `start` or `step`, or a port under its
/// lock. Calls that drain may find that the process has to end: after each of them the
/// body looks at `isDoomed` and runs no more code of the process if it is.
extension UnsafeMutablePointer where Pointee == ProcessSlot {
    // MARK: Links (L1–L10)

    enum LinkOutcome { case done, notFound, toItself }

    func link(_ peer: Pid) -> LinkOutcome {
        drain()
        if isDoomed { return .done }
        return linkDrained(peer)
    }

    /// `link` without its drain: what may reach the queue between the two is then in the
    /// hands of a test.
    func linkDrained(_ peer: Pid) -> LinkOutcome {
        if peer == pid { return .toItself }
        if let link = pointee.relations.links[peer], link.down == nil { return .done }
        let serial = pointee.relations.nextSerial()
        guard system.deliver(.make(.link, from: pid, a: serial), to: peer) else { return .notFound }
        var link = pointee.relations.links[peer] ?? .init()
        link.mine = serial
        pointee.relations.links[peer] = link
        publishCounts()
        return .done
    }

    func unlink(_ peer: Pid) {
        drain()
        unlinkDrained(peer)
    }

    /// `unlink` without its drain.
    func unlinkDrained(_ peer: Pid) {
        guard let link = pointee.relations.links.removeValue(forKey: peer) else { return }
        publishCounts()
        if let down = link.down {
            pointee.mailbox.revoke(down)
            return
        }
        _ = system.deliver(.make(.unlink, from: pid, a: link.mine, b: link.theirs), to: peer)
    }

    func setTrapLinks(_ choice: TrapLinks) {
        drain()
        pointee.trapLinks = choice
    }

    // MARK: Monitors (S1–S7)

    enum MonitorOutcome { case done, notFound, already }

    /// - Parameter ifDead: with `true` an ended process gives an EXIT with error `noproc` (S6).
    func monitor(_ target: Pid, ifDeadEvent: Bool = false) -> MonitorOutcome {
        drain()
        if isDoomed { return .done }
        if pointee.relations.monitors[target] != nil { return .already }
        let reference = pointee.relations.nextSerial()
        if system.deliver(.make(.monitor, from: pid, a: reference), to: target) {
            pointee.relations.monitors[target] = .init(reference: reference)
            return .done
        }
        guard ifDeadEvent else { return .notFound }
        let event = SignalPointer.makeEnd(
            .exit, from: target, a: reference, reason: .error("noproc", of: target),
            at: system.clock.wall)
        pointee.relations.monitors[target] = .init(reference: reference, exit: event)
        pointee.mailbox.append(event)
        return .done
    }

    /// - Returns: false when it was not monitoring.
    func unmonitor(_ target: Pid) -> Bool {
        drain()
        guard let monitor = pointee.relations.monitors.removeValue(forKey: target) else { return false }
        if let exit = monitor.exit {
            pointee.mailbox.revoke(exit)
        } else {
            _ = system.deliver(.make(.demonitor, from: pid, a: monitor.reference), to: target)
        }
        return true
    }

    // MARK: Requests (M7)

    /// Watches `target` for one request; the answer, or its end, comes to `mailbox.answers`
    /// with this number in `a`. Send the request with it.
    /// - Returns: nil when `target` has ended.
    func beginInquiry(_ target: Pid) -> UInt64? {
        let reference = pointee.relations.nextSerial()
        guard system.deliver(.make(.monitor, from: pid, a: reference), to: target) else { return nil }
        pointee.relations.inquiries[reference] = target
        return reference
    }

    /// A number under which the runtime itself will answer. (Whom it watches is of no matter then: itself.)
    func beginOwnInquiry() -> UInt64 {
        let reference = pointee.relations.nextSerial()
        pointee.relations.inquiries[reference] = pid
        return reference
    }

    /// Gives up: whatever comes for it vanishes.
    func endInquiry(_ reference: UInt64) {
        guard let target = pointee.relations.inquiries.removeValue(forKey: reference) else { return }
        pointee.relations.callees.remove(target)
        _ = system.deliver(.make(.demonitor, from: pid, a: reference), to: target)
    }

    // MARK: Supervision

    /// Nothing happens if nobody supervises it.
    func tellSupervisor(_ topic: SupervisionTopic) {
        guard pointee.supervisor != .none else { return }
        _ = system.sendUnbounded(from: pid, to: pointee.supervisor, topic: topic)
    }

    // MARK: End

    /// Leaves the reason for OBH_STEP_ENDED or a failed start.
    func end(_ reason: ExitReason) { pointee.outcome = reason }
}

/// What a process tells its supervisor, and what any one asks of a supervisor (M7). No program can send under these
/// topics (M1).
enum SupervisionTopic: CaseIterable {
    case running, ready
    /// Payload: the specification of the child, a map. Answer: its pid.
    case startChild
    /// Payload: the child's name. Answer: true.
    case stopChild
    /// Payload: the child's name. Answer: its pid.
    case restartChild
    /// No payload. Answer: a list of maps.
    case children
    /// No payload. Answer: a map.
    case count

    var bytes: UnsafeRawBufferPointer {
        let text: StaticString =
            switch self {
            case .running: "@running"
            case .ready: "@ready"
            case .startChild: "@start_child"
            case .stopChild: "@stop_child"
            case .restartChild: "@restart_child"
            case .children: "@children"
            case .count: "@count"
            }
        return UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    init?(_ topic: UnsafeRawBufferPointer) {
        guard let found = SupervisionTopic.allCases.first(where: { $0.bytes.elementsEqual(topic) }) else { return nil }
        self = found
    }
}

/// Of a reply that is an error: whose it is (`Signal.b`).
enum ReplyError {
    static let refused: UInt64 = 1
    /// What was asked for was tried, and failed.
    static let failed: UInt64 = 2
}

// MARK: Spawn

extension ProcessSystem {
    struct SpawnOptions: OptionSet {
        let rawValue: Int
        static let linked = SpawnOptions(rawValue: 1)
        static let monitored = SpawnOptions(rawValue: 2)
        /// Watched by the runtime's own reference, and cancelled when the parent ends (`call`).
        static let called = SpawnOptions(rawValue: 4)
        /// Tells its parent that it runs, and when it says that it is ready.
        static let supervised = SpawnOptions(rawValue: 8)
    }

    enum SpawnFault: Error, Equatable {
        case hostNotStarted(String)
        case hostFull(String, limit: Int)
        case tooManyProcesses
        case outOfMemory
        /// Of an entry that the host program runs: it has not said who takes its processes, or that port has
        /// ended, or does not read.
        case notDefined(String)
        case acceptorEnded(String)
        case acceptorFull(String)
        case notRunning
        case noDescriptor
        /// They do not fit what the entry takes.
        case wrongArguments(entry: String, String)

        var text: String {
            switch self {
            case .hostNotStarted(let name): "host \(name) is not started"
            case .hostFull(let name, let limit):
                "host \(name) is full: max_processes is \(limit)"
            case .tooManyProcesses: "no more processes: all \(Pid.maxSlot) pids are in use"
            case .outOfMemory: "not enough memory for the arguments"
            case .notDefined(let entry): "\(entry) is run by the host program, which has not defined it"
            case .acceptorEnded(let entry): "\(entry) is run by the host program, and the port that takes it has ended"
            case .acceptorFull(let entry):
                "\(entry) is run by the host program, and the mailbox of the port that takes it is full"
            case .noDescriptor: "no file descriptor is left for the port of the process"
            case .wrongArguments(let entry, let why): "\(entry) takes other arguments: \(why)"
            case .notRunning: "the runtime is not started, or is stopping"
            }
        }
    }

    struct Spawned {
        let pid: Pid
        /// With `.called`: the number under which the end comes to `mailbox.answers`.
        let inquiry: UInt64
    }

    /// Starts a process and returns at once (P2). The relations that `options` name stand
    /// before it can run, so that no end is missed (S5, L7).
    /// - Parameters:
    ///   - arguments: an encoded MessagePack array, copied.
    ///   - parent: whose owner calls; nil: nobody, no options then.
    ///   - context: nil: the parent's.
    ///   - beforeItRuns: called when the process can be named and sent to, and has run nothing.
    func spawn(
        _ definition: ProcessDefinition, on host: Host, arguments: UnsafeRawBufferPointer,
        parent: ProcessPointer?, options: SpawnOptions = [], context: ProcessContext? = nil,
        beforeItRuns: ((Pid) -> Void)? = nil
    ) throws(SpawnFault) -> Spawned {
        if let program = definition.external {
            return try spawnExternal(
                definition, program, on: host, arguments: arguments, parent: parent, options: options, context: context,
                beforeItRuns: beforeItRuns)
        }
        if let fault = definition.argumentFault?(arguments) { throw .wrongArguments(entry: definition.id, fault) }
        // It counts as alive before the host's state is looked at: whoever stops the host
        // changes the state and then waits for all to end, so one sees the other.
        countUp()
        let count = host.processCount.add(1, ordering: .relaxed).newValue
        let limit = host.limits.maxProcesses
        let child: ProcessPointer
        let pid: Pid
        do throws(SpawnFault) {
            guard host.state == .started else { throw .hostNotStarted(host.name) }
            if limit > 0 && count > limit { throw .hostFull(host.name, limit: limit) }
            guard let place = table.acquire(for: host) else { throw .tooManyProcesses }
            (child, pid) = place
        } catch {
            host.processCount.subtract(1, ordering: .relaxed)
            countDown()
            throw error
        }
        child.pointee.pid = pid
        child.pointee.definition = definition
        child.pointee.definitionWord.store(
            UInt(bitPattern: Unmanaged.passUnretained(definition).toOpaque()), ordering: .releasing)
        child.pointee.startedAt = clock.now
        child.pointee.context = context ?? parent?.pointee.context
        child.pointee.isSupervised = parent != nil && options.contains(.supervised)
        child.pointee.parent = options.isDisjoint(with: [.supervised, .linked]) ? .none : parent?.pid ?? .none
        child.pointee.runnable.run = ProcessPointer.runFunction
        child.pointee.runnable.overrun = ProcessPointer.overrunFunction
        child.pointee.runnable.attention.store(false, ordering: .relaxed)
        if arguments.count > 0 {
            let copy = UnsafeMutableRawBufferPointer(
                start: malloc(arguments.count)!, count: arguments.count)
            copy.copyMemory(from: arguments)
            child.pointee.arguments = copy
        }
        let inquiry = parent.map { relate(child, $0, options) } ?? 0
        spawned.wrappingAdd(1, ordering: .relaxed)
        // Published: from here on others may send to it, and a worker may run it.
        child.pointee.signals.open(serial: pid.serial)
        child.pointee.runnable.set(serial: pid.serial, .queued)
        beforeItRuns?(pid)
        host.enqueueNew(child.runnable)
        return Spawned(pid: pid, inquiry: inquiry)
    }

    /// Ties a new process to its parent, before it can run.
    /// - Returns: with `.called`, the number under which its end comes.
    func relate(_ child: ProcessPointer, _ parent: ProcessPointer, _ options: SpawnOptions) -> UInt64 {
        let pid = child.pid
        var inquiry: UInt64 = 0
        if options.contains(.linked) {
            let serial = parent.pointee.relations.nextSerial()
            parent.pointee.relations.links[pid] = .init(mine: serial)
            child.pointee.relations.links[parent.pid] = .init(theirs: serial)
            parent.publishCounts()
        }
        if options.contains(.monitored) {
            let reference = parent.pointee.relations.nextSerial()
            parent.pointee.relations.monitors[pid] = .init(reference: reference)
            child.pointee.relations.watchers[.init(pid: parent.pid, reference: reference)] =
                child.pointee.relations.nextSerial()
        }
        if options.contains(.called) {
            inquiry = parent.pointee.relations.nextSerial()
            parent.pointee.relations.inquiries[inquiry] = pid
            parent.pointee.relations.callees.insert(pid)
            child.pointee.relations.watchers[.init(pid: parent.pid, reference: inquiry)] =
                child.pointee.relations.nextSerial()
        }
        child.publishCounts()
        return inquiry
    }
}
