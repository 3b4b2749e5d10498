import Glibc
import ObhutHeader

// What can be looked at from outside: processes, hosts, entries. A look is a copy, of one moment.

/// What an `obhut_info *` stands for: records of texts and numbers. Immutable.
final class InfoObject: @unchecked Sendable {
    struct Record {
        var texts: [Int32: UnsafeMutablePointer<CChar>] = [:]
        var numbers: [Int32: Int64] = [:]

        mutating func set(_ field: Int32, _ text: String) { texts[field] = strdup(text) }
        mutating func set(_ field: Int32, _ number: Int) { numbers[field] = Int64(number) }
        mutating func set(_ field: Int32, _ number: Int64) { numbers[field] = number }
    }

    let records: [Record]

    init(_ records: [Record]) { self.records = records }

    deinit { for record in records { record.texts.values.forEach { free($0) } } }
}

private func json(_ value: EntryValue) -> String {
    var writer = PayloadWriter()
    writer.write(value)
    return payloadToJSON(writer.bytes)
}

extension Runtime {
    /// Nil: it has ended. Each figure is right by itself, at some moment meanwhile.
    fileprivate func record(of pid: Pid) -> InfoObject.Record? {
        guard let slot = system.table.living(pid) else { return nil }
        var record = InfoObject.Record()
        let load = slot.loadNow
        record.set(OBHUT_INFO_MAILBOX, MailboxLoad.messages(load))
        record.set(OBHUT_INFO_MAILBOX_BYTES, MailboxLoad.bytes(load))
        record.set(OBHUT_INFO_MEMORY, slot.pointee.memoryUsed.load(ordering: .relaxed))
        record.set(OBHUT_INFO_LINKS, slot.pointee.linkCount.load(ordering: .relaxed))
        record.set(OBHUT_INFO_MONITORS, slot.pointee.watcherCount.load(ordering: .relaxed))
        let (phase, startedAt, entry) = (slot.pointee.runnable.phase, slot.pointee.startedAt, slot.pointee.entryID)
        let names = EntryValue.list(system.names.names(of: pid).sorted().map { .string($0) })
        // Still the same life: what was read is its own.
        guard system.table.living(pid) != nil else { return nil }
        record.set(OBHUT_INFO_PID, Int64(bitPattern: pid.raw))
        record.set(OBHUT_INFO_UPTIME, max(0, scheduler.clock.now - startedAt))
        switch phase {
        case .running: record.set(OBHUT_INFO_STATE, "running")
        case .queued: record.set(OBHUT_INFO_STATE, "queued")
        case .idle, .free: record.set(OBHUT_INFO_STATE, "waiting")
        }
        if let entry { record.set(OBHUT_INFO_ENTRY, entry) }
        record.set(OBHUT_INFO_HOST, slot.host?.name ?? ProcessSystem.portHost)
        record.set(OBHUT_INFO_NAMES, json(names))
        return record
    }

    fileprivate var livingRecords: [InfoObject.Record] {
        var pids: [Pid] = []
        system.table.forEachLiving { _, pid in pids.append(pid) }
        return pids.compactMap { record(of: $0) }
    }

    fileprivate var hostRecords: [InfoObject.Record] {
        directory.hosts.values.sorted { $0.name < $1.name }.map { host in
            var record = InfoObject.Record()
            record.set(OBHUT_INFO_ENTRY, host.name)
            record.set(OBHUT_INFO_STATE, "\(host.state)")
            record.set(OBHUT_INFO_WORKERS, host.limits.workers)
            record.set(OBHUT_INFO_PROCESSES, host.processCount.load(ordering: .relaxed))
            record.set(OBHUT_INFO_RUN_QUEUE, host.queuedCount)
            return record
        }
    }

    fileprivate var entryRecords: [InfoObject.Record] {
        let directory = directory
        var records = directory.entries.map { entry in
            var record = InfoObject.Record()
            record.set(OBHUT_INFO_ENTRY, entry.id)
            record.set(OBHUT_INFO_KIND, entry.kind)
            record.set(OBHUT_INFO_META, json(entry.meta))
            record.set(OBHUT_INFO_FILE, entry.position.path)
            record.set(OBHUT_INFO_LINE, entry.position.line)
            return record
        }
        for id in externals.ids where directory.kind(id) == nil {
            var record = InfoObject.Record()
            record.set(OBHUT_INFO_ENTRY, id)
            record.set(OBHUT_INFO_KIND, EntryKind.processExternal.rawValue)
            record.set(OBHUT_INFO_META, "null")
            records.append(record)
        }
        return records
    }
}

@_cdecl("obhut_runtime_pids") @implementation
public func obhut_runtime_pids(
    _ runtime: OpaquePointer!, _ pids: UnsafeMutablePointer<obhut_pid>!, _ capacity: Int,
    _ count: UnsafeMutablePointer<Int>!, _ error: ErrorOut
) -> obhut_status {
    count?.pointee = 0
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let count else { throw .argument("count must not be NULL") }
        guard capacity >= 0, pids != nil || capacity == 0 else {
            throw .argument("pids must have room for capacity, which is \(capacity)")
        }
        var found = 0
        runtime.system.table.forEachLiving { _, pid in
            if found < capacity { pids[found] = pid.raw }
            found += 1
        }
        count.pointee = found
    }
}

@_cdecl("obhut_runtime_info") @implementation
public func obhut_runtime_info(
    _ runtime: OpaquePointer!, _ what: Int32, _ info: UnsafeMutablePointer<OpaquePointer?>!, _ error: ErrorOut
) -> obhut_status {
    info?.pointee = nil
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let info else { throw .argument("info must not be NULL") }
        let records: [InfoObject.Record]
        switch what {
        case OBHUT_INFO_OF_PROCESSES: records = runtime.livingRecords
        case OBHUT_INFO_OF_HOSTS: records = runtime.hostRecords
        case OBHUT_INFO_OF_ENTRIES: records = runtime.entryRecords
        default: throw .argument("what: \(what) is no OBHUT_INFO_OF_…")
        }
        info.pointee = HandleTable.shared.insert(InfoObject(records), .info)
    }
}

@_cdecl("obhut_process_info") @implementation
public func obhut_process_info(
    _ runtime: OpaquePointer!, _ pid: obhut_pid, _ info: UnsafeMutablePointer<OpaquePointer?>!, _ error: ErrorOut
) -> obhut_status {
    info?.pointee = nil
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let info else { throw .argument("info must not be NULL") }
        guard let record = runtime.record(of: Pid(raw: pid)) else { throw notFound(runtime, Pid(raw: pid)) }
        info.pointee = HandleTable.shared.insert(InfoObject([record]), .info)
    }
}

private func find(info: OpaquePointer?) -> InfoObject? {
    HandleTable.shared.object(info, .info, as: InfoObject.self)
}

@_cdecl("obhut_info_count") @implementation
public func obhut_info_count(_ info: OpaquePointer!) -> Int { find(info: info)?.records.count ?? 0 }

@_cdecl("obhut_info_text") @implementation
public func obhut_info_text(_ info: OpaquePointer!, _ index: Int, _ field: Int32) -> UnsafePointer<CChar>! {
    guard let records = find(info: info)?.records, records.indices.contains(index),
        let text = records[index].texts[field]
    else { return obhut_error_text(nil) }
    return UnsafePointer(text)
}

@_cdecl("obhut_info_number") @implementation
public func obhut_info_number(_ info: OpaquePointer!, _ index: Int, _ field: Int32) -> Int64 {
    guard let records = find(info: info)?.records, records.indices.contains(index) else { return -1 }
    return records[index].numbers[field] ?? -1
}

@_cdecl("obhut_info_free") @implementation
public func obhut_info_free(_ info: OpaquePointer!) {
    _ = HandleTable.shared.remove(info, .info, as: InfoObject.self)
}
