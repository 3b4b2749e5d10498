import Synchronization

/// Names of processes; one process may have many, a name has one process.
///
/// A name is free before the end of its process can be observed (P5). The process that
/// ends closes its signal queue, and then, if `hasNames` is set, takes its names out under
/// the lock; whoever registers one, under the same lock, sets `hasNames` and then looks
/// whether the queue is open. These four are sequentially consistent, so that one side
/// sees the other, and no name survives.
///
/// Between the two steps of the end a name still stands here, and nobody can tell: a name
/// whose process has closed its queue counts as free.
final class NameRegistry: @unchecked Sendable {  // all state is guarded by `lock`
    static let maximumLength = 255  // bytes

    /// A name is its bytes: Swift's own strings are equal if they only look the same ("é" has two forms).
    private struct Key: Hashable {
        let name: String

        init(_ name: String) { self.name = name }

        static func == (a: Key, b: Key) -> Bool { a.name.utf8.elementsEqual(b.name.utf8) }

        func hash(into hasher: inout Hasher) {
            var name = name
            name.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    private unowned let table: ProcessTable
    private let lock = Lock()
    private var pids: [Key: Pid] = [:]  // guarded by lock
    private var names: [Pid: [Key]] = [:]  // guarded by lock
    /// Kept for processes that are about to be made.
    private var reserved: Set<Key> = []  // guarded by lock

    init(table: ProcessTable) { self.table = table }

    var count: Int { lock.with { pids.count } }

    enum Outcome { case done, taken, notFound }

    func register(_ name: String, for pid: Pid) -> Outcome {
        let name = Key(name)
        return lock.with { reserved.contains(name) ? .taken : registerLocked(name, pid) }
    }

    private func registerLocked(_ name: Key, _ pid: Pid) -> Outcome {
        // Set in vain where nothing is registered, or even for the slot's next life: the
        // end then looks here once and finds nothing.
        guard let slot = table.living(pid) else { return .notFound }
        slot.pointee.hasNames.store(true, ordering: .sequentiallyConsistent)
        guard table.living(pid) != nil else { return .notFound }
        if let holder = pids[name] {
            if holder == pid { return .done }
            if table.living(holder) != nil { return .taken }
            removeLocked(name, of: holder)
        }
        pids[name] = pid
        names[pid, default: []].append(name)
        return .done
    }

    /// Keeps a name for a process that is about to be made: `settle` follows. False: somebody has it.
    func reserve(_ name: String) -> Bool {
        let name = Key(name)
        return lock.with {
            if let holder = pids[name], table.living(holder) != nil { return false }
            return reserved.insert(name).inserted
        }
    }

    /// Gives a reserved name to the process it was kept for; nil: there is none.
    func settle(_ name: String, for pid: Pid?) {
        let name = Key(name)
        lock.with {
            reserved.remove(name)
            if let pid { _ = registerLocked(name, pid) }
        }
    }

    func lookup(_ name: String) -> Pid? {
        guard let pid = lock.with({ pids[Key(name)] }), table.living(pid) != nil else { return nil }
        return pid
    }

    func unregister(_ name: String) -> Bool {
        let name = Key(name)
        return lock.with {
            guard let pid = pids[name] else { return false }
            removeLocked(name, of: pid)
            return table.living(pid) != nil
        }
    }

    private func removeLocked(_ name: Key, of pid: Pid) {
        pids[name] = nil
        names[pid]?.removeAll { $0 == name }
        if names[pid]?.isEmpty == true { names[pid] = nil }
    }

    /// Takes out all names of a process whose queue is closed.
    /// - Returns: which they were.
    func removeAll(of pid: Pid) -> [String] {
        lock.with {
            let taken = names.removeValue(forKey: pid) ?? []
            for name in taken { pids[name] = nil }
            return taken.map(\.name)
        }
    }

    /// What `bytes` name; nothing if they are no text.
    func lookup(_ bytes: UnsafeRawBufferPointer) -> Pid? {
        isValidUTF8(bytes) ? lookup(String(decoding: bytes, as: UTF8.self)) : nil
    }

    func names(of pid: Pid) -> [String] {
        table.living(pid) == nil ? [] : lock.with { (names[pid] ?? []).map(\.name) }
    }
}

/// A name as text; nil if it can be none (P3), with the reason.
func registeredName(_ bytes: UnsafeRawBufferPointer) -> (String?, fault: String) {
    let text = String(decoding: bytes, as: UTF8.self)
    guard (1...NameRegistry.maximumLength).contains(bytes.count) else {
        return (nil, "a name has 1 to \(NameRegistry.maximumLength) bytes, this one has \(bytes.count)")
    }
    guard bytes[0] != UInt8(ascii: "{"), bytes[0] != UInt8(ascii: "@") else {
        return (nil, "a name does not begin with { or @: \(text)")
    }
    guard isValidUTF8(bytes) else { return (nil, "a name is UTF-8 text") }
    return (text, "")
}
