// What is asked of a supervisor while it runs: children are added, stopped and started, listed and counted (V6).
//
// A request is a message under a topic that no program can send (`SupervisionTopic`), and its answer the reply to that
// message, as with any request (M7): who asked may wait, give up or end, and the supervisor never notices. It answers
// when what was asked for has happened: a start when the child is ready, a stop when it has ended. An error object says
// why not, of kind NOT_FOUND, ALREADY_EXISTS, INVALID, CONFLICT, UNAVAILABLE or CANCELED; of a child that failed to
// start it has the kind of the child's own error.

/// What a supervisor knows of the children that were added, and of those who wait; its owner's alone.
struct SupervisorRequests {
    struct Asker {
        let pid: Pid
        let number: UInt64
    }

    /// What each child that was added runs.
    var added: [Int: SupervisorProgram.Group] = [:]
    /// Those that were added, by name.
    var names: [String: Int] = [:]
    /// Of each group that was declared, by name, its first child and how many they are; made when it is first needed.
    var declared: [String: (first: Int, count: Int?)] = [:]
    var reader: AddedChildReader?
    /// Who waits until a child is ready, or has ended.
    var starting: [Int: [Asker]] = [:]
    var stopping: [Int: [Asker]] = [:]
}

private struct Refusal: Error {
    let kind: String
    let message: String
}

extension SupervisorState {
    func serve(_ topic: SupervisionTopic, _ signal: SignalPointer, _ now: Int64) {
        guard signal.pointee.a != 0 else { return }
        let asker = SupervisorRequests.Asker(pid: signal.pointee.from, number: signal.pointee.a)
        do throws(Refusal) {
            switch topic {
            case .startChild: try add(signal.payload, asker, now)
            case .stopChild: try stop(signal.payload, asker, now)
            case .restartChild: try restart(signal.payload, asker, now)
            case .children: answer(asker) { self.writeChildren(into: &$0) }
            case .count: answer(asker) { self.writeCount(into: &$0) }
            case .running, .ready: break
            }
        } catch {
            refuse(asker, error.kind, error.message)
        }
    }

    // MARK: Answers

    private func answer(_ asker: SupervisorRequests.Asker, _ write: (inout PayloadWriter) -> Void) {
        var writer = PayloadWriter()
        write(&writer)
        send(asker, writer.bytes, error: 0)
    }

    private func refuse(_ asker: SupervisorRequests.Asker, _ kind: String, _ message: String) {
        var writer = PayloadWriter()
        ErrorValue(kind: kind, message: message).write(into: &writer)
        send(asker, writer.bytes, error: ReplyError.refused)
    }

    private func send(_ asker: SupervisorRequests.Asker, _ payload: UnsafeRawBufferPointer, error: UInt64) {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        _ = process.system.deliver(
            .makeMessage(.reply, from: process.pid, topic: none, payload: payload, a: asker.number, b: error),
            to: asker.pid)
    }

    func answerUp(_ child: Int) {
        let pid = pids[child]
        for asker in requests.starting.removeValue(forKey: child) ?? [] { answer(asker) { $0.writePid(pid.raw) } }
    }

    /// - Parameter failure: nil: it ended normally.
    func answerRefused(_ child: Int, _ failure: ExitReason?) {
        guard let askers = requests.starting.removeValue(forKey: child) else { return }
        let prefix = "child '\(shortName(of: child))' failed to start: "
        let reason =
            failure.map { ExitReason.error($0, after: prefix, of: process.pid) }
            ?? .error(prefix + "it ended before it was ready", of: process.pid)
        reason.payload.withUnsafeBytes { payload in
            // An error object always: the caller can ask for its kind.
            var reader = PayloadReader(payload)
            if case .ext = reader.next() {
                for asker in askers { send(asker, payload, error: ReplyError.failed) }
                return
            }
            var writer = PayloadWriter()
            ErrorValue(kind: "UNKNOWN", message: reason.text).write(into: &writer)
            for asker in askers { send(asker, writer.bytes, error: ReplyError.failed) }
        }
    }

    func answerStopped(_ child: Int) {
        for asker in requests.stopping.removeValue(forKey: child) ?? [] { answer(asker) { $0.writeBool(true) } }
        giveUpStart(child)
    }

    private func giveUpStart(_ child: Int) {
        for asker in requests.starting.removeValue(forKey: child) ?? [] {
            refuse(asker, "CANCELED", "child '\(shortName(of: child))' was stopped before it was ready")
        }
    }

    /// It is no child any more.
    func forget(_ child: Int) {
        giveUpStart(child)
        if let group = requests.added.removeValue(forKey: child) { requests.names[group.name] = nil }
    }

    // MARK: Requests

    private var id: String { program.entry?.description ?? SupervisorProgram.rootID }

    private func requireUp() throws(Refusal) {
        if !supervision.isUp { throw Refusal(kind: "UNAVAILABLE", message: "\(id) is stopping") }
    }

    private func add(
        _ payload: UnsafeRawBufferPointer, _ asker: SupervisorRequests.Asker, _ now: Int64
    ) throws(Refusal) {
        guard let entry = program.entry else {
            throw Refusal(
                kind: "INVALID", message: "\(id) takes no children: name a supervisor of the application")
        }
        try requireUp()
        let reader = requests.reader ?? AddedChildReader(program.world.application)
        requests.reader = reader
        let child: ChildEntry
        let arguments: [UInt8]?
        do throws(ChildFault) {
            (child, arguments) = try reader.read(payload, in: entry.namespace)
        } catch {
            throw Refusal(kind: error.kind, message: error.message)
        }
        readDeclared()
        if let number = requests.names[child.name] ?? requests.declared[child.name]?.first {
            throw Refusal(
                kind: "ALREADY_EXISTS",
                message: "\(id) has a child '\(child.name)' already (\(stateText(number))); give this one another 'name'")
        }
        let number = supervision.add(program.world.policy(of: child), now: now)
        if number == pids.count { pids.append(.none) }
        requests.names[child.name] = number
        requests.added[number] = SupervisorProgram.Group(
            name: child.name,
            work: .process(
                entry: child.process.description, host: program.world.host(of: child), input: child.input),
            isNumbered: false, arguments: arguments)
        requests.starting[number, default: []].append(asker)
    }

    private func stop(
        _ payload: UnsafeRawBufferPointer, _ asker: SupervisorRequests.Asker, _ now: Int64
    ) throws(Refusal) {
        try requireUp()
        let child = try find(payload)
        if case .host = group(of: child).group.work {
            throw Refusal(kind: "INVALID", message: "\(shortName(of: child)) is a host: it stays open until the runtime stops")
        }
        requests.stopping[child, default: []].append(asker)
        supervision.hold(child, now: now)
    }

    private func restart(
        _ payload: UnsafeRawBufferPointer, _ asker: SupervisorRequests.Asker, _ now: Int64
    ) throws(Refusal) {
        try requireUp()
        let child = try find(payload)
        switch supervision.state(of: child) {
        case .running, .overdue, .stopping:
            throw Refusal(
                kind: "CONFLICT",
                message: "child '\(shortName(of: child))' of \(id) is \(stateText(child)): it can be started when it has ended")
        case .waiting, .starting, .backingOff, .done, .stopped:
            requests.starting[child, default: []].append(asker)
            supervision.resume(child, now: now)
        }
    }

    // MARK: Names

    private func readDeclared() {
        guard requests.declared.isEmpty, !program.groups.isEmpty else { return }
        var first = 0
        for (group, plan) in zip(program.groups, program.plan.groups) {
            requests.declared[group.name] = (first, group.isNumbered ? plan.count : nil)
            first += plan.count
        }
    }

    private func find(_ payload: UnsafeRawBufferPointer) throws(Refusal) -> Int {
        var reader = PayloadReader(payload)
        guard case .string(let bytes) = reader.next() else {
            throw Refusal(kind: "INVALID", message: "the name of a child must be a string")
        }
        let name = String(decoding: bytes, as: UTF8.self)
        if let child = requests.names[name] { return child }
        readDeclared()
        let parts = name.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        if let (first, count) = requests.declared[String(parts[0])] {
            switch (count, parts.count) {
            case (nil, 1): return first
            case (let count?, 2):
                if let number = Int(parts[1]), (1...count).contains(number), String(number) == parts[1] {
                    return first + number - 1
                }
            case (let count?, _):
                throw Refusal(
                    kind: "INVALID",
                    message: "\(id) has \(count) children '\(name)': say which, from '\(name)#1' to '\(name)#\(count)'")
            case (nil, _): break
            }
        }
        let near = requests.names.count + requests.declared.count <= 1000
        let known = near ? requests.names.keys.sorted() + requests.declared.keys.sorted() : []
        throw Refusal(
            kind: "NOT_FOUND", message: "\(id) has no child \(quoted(name))\(didYouMean(name, among: known))")
    }

    // MARK: What there is

    private func stateText(_ child: Int) -> String {
        switch supervision.state(of: child) {
        case .waiting: "waiting"
        case .starting: "starting"
        case .running: "running"
        case .overdue, .stopping: "stopping"
        case .backingOff: "backing off"
        case .done: "ended"
        case .stopped: "stopped"
        }
    }

    /// "supervisor", "worker" or "host", and the id of the entry.
    private func kind(of child: Int) -> (type: StaticString, entry: String) {
        let group = group(of: child).group
        guard case .process(let entry, _, _) = group.work else { return ("host", group.name) }
        let isSupervisor = EntryID(entry).flatMap { program.world.application[$0] }?.kind == .supervisor
        return (isSupervisor ? "supervisor" : "worker", entry)
    }

    private func writeChildren(into writer: inout PayloadWriter) {
        let place = writer.reserveHeader()
        var count = 0
        supervision.forEachChild { child in
            count += 1
            let (type, entry) = kind(of: child)
            let hasPid = supervision.state(of: child).hasProcess && pids[child] != .none
            writer.writeMapHeader(hasPid ? 8 : 7)
            writer.writeString("name")
            writer.writeString(shortName(of: child))
            if hasPid {
                writer.writeString("pid")
                writer.writePid(pids[child].raw)
            }
            writer.writeString("state")
            writer.writeString(stateText(child))
            writer.writeString("process")
            writer.writeString(entry)
            writer.writeString("restart")
            switch policy(of: child).restart.policy {
            case .always: writer.writeString("permanent")
            case .onFailure: writer.writeString("transient")
            case .never: writer.writeString("temporary")
            }
            writer.writeString("restarts")
            writer.writeInteger(Int64(restarts[child] ?? 0))
            writer.writeString("type")
            writer.writeString(type)
            writer.writeString("added")
            writer.writeBool(requests.added[child] != nil)
        }
        writer.patchArrayHeader(at: place, count: count)
    }

    private func writeCount(into writer: inout PayloadWriter) {
        var (specifications, active, supervisors, workers) = (Int64(0), Int64(0), Int64(0), Int64(0))
        supervision.forEachChild { child in
            specifications += 1
            if supervision.state(of: child).hasProcess { active += 1 }
            let isSupervisor = kind(of: child).type.utf8CodeUnitCount == 10
            if isSupervisor { supervisors += 1 } else { workers += 1 }
        }
        writer.writeMapHeader(4)
        writer.writeString("specs")
        writer.writeInteger(specifications)
        writer.writeString("active")
        writer.writeInteger(active)
        writer.writeString("supervisors")
        writer.writeInteger(supervisors)
        writer.writeString("workers")
        writer.writeInteger(workers)
    }
}

// MARK: - Who it is

extension Supervisor {
    /// What `text` names: the id of an entry that one process runs, a pid, or a registered name. Any thread.
    static func find(_ text: String, in directory: Directory, _ system: ProcessSystem) -> ProcessSystem.SupervisorLookup {
        if let definition = directory.definitions[text] {
            guard definition.body == table else {
                return .refused(kind: "INVALID", "\(text) is no supervisor")
            }
            let (count, latest) = unsafeDowncast(definition.program, to: SupervisorProgram.self).instances.now
            if count > 1 {
                return .refused(
                    kind: "CONFLICT", "\(count) processes run \(text): say which by its pid or a registered name")
            }
            if system.table.living(latest) != nil { return .found(latest) }
            var found: Pid?
            system.table.forEachLiving { slot, pid in if slot.pointee.entryID == text { found = pid } }
            return found.map { .found($0) } ?? .refused(kind: "NOT_FOUND", "supervisor \(text) is not running")
        }
        var copy = text
        let pid = copy.withUTF8 { system.resolve($0) }
        guard let pid else { return .refused(kind: "NOT_FOUND", "supervisor not found: \(text)") }
        return isSupervisor(pid, system)
            ? .found(pid) : .refused(kind: "INVALID", "\(text) is no supervisor")
    }

    /// Whether `pid` lives and is one. Any thread.
    static func isSupervisor(_ pid: Pid, _ system: ProcessSystem) -> Bool {
        guard let slot = system.table.living(pid),
            let raw = UnsafeRawPointer(bitPattern: slot.pointee.definitionWord.load(ordering: .acquiring))
        else { return false }
        // Definitions outlive the processes that run them.
        return Unmanaged<ProcessDefinition>.fromOpaque(raw).takeUnretainedValue().body == table
    }
}
