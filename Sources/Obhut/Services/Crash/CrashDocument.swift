/// A crash report as a document: an encoded map with the keys of docs/crash-reports.md.
///
/// It is the one form between what was captured and what is read: JSON is this map printed, a stored line of JSON is
/// parsed into it, and the text for people is made of it (`CrashText`), whether the process ended a moment ago or last
/// year. Every text in it is cut so that its JSON has at most so many bytes, which bounds the whole: whatever a process
/// held, a report has at most `mostBytes`; most have one or two thousand.
struct CrashDocument: Sendable {
    /// One encoded map with str keys.
    let map: [UInt8]

    static let mostBytes = 96 << 10
    /// Of an error, of its details, and of a traceback.
    private static let mostText = 4096
    private static let mostName = 320
    /// Of all contents together.
    private static let mostContents = 16 << 10
    /// Names that are listed.
    private static let mostNames = 8

    init(map: [UInt8]) { self.map = map }

    /// One line, with its line feed.
    var json: String { map.withUnsafeBytes { payloadToJSON($0) } + "\n" }

    // MARK: - Of a record

    init(_ record: CrashRecord, in system: ProcessSystem) {
        var map = MapWriter()
        let reason = record.reason
        map.integer("crash", Int64(record.sequence))
        map.text("time", formatRFC3339(unixNanoseconds: record.time))
        map.text("pid", system.text(of: record.pid))
        map.text("entry", record.definition?.id, CrashDocument.mostName)
        map.text("host", system.table.slot(record.pid.slot)?.host?.name, CrashDocument.mostName)
        if !record.names.isEmpty {
            map.list("names", record.names.prefix(CrashDocument.mostNames)) { $0.writeString(cut($1, CrashDocument.mostName)) }
            if record.names.count > CrashDocument.mostNames { map.integer("names_total", Int64(record.names.count)) }
        }
        map.text("kind", reason.kind.name)
        map.text("error", reason.shortText(CrashDocument.mostText), CrashDocument.mostText)
        CrashDocument.writeErrorObject(reason.payload, into: &map)
        map.text("traceback", CrashDocument.traceback(reason), CrashDocument.mostText)
        if reason.actor != .none { map.text("by", system.text(of: reason.actor)) }
        map.integer("uptime_ns", record.uptime)
        if let route = reason.route { CrashDocument.write(route, into: &map, system) }
        CrashDocument.writeRestart(record, into: &map, system)
        map.map("mailbox") { mailbox in
            mailbox.integer("messages", Int64(MailboxLoad.messages(record.load)))
            mailbox.integer("bytes", Int64(MailboxLoad.bytes(record.load)))
            var room = CrashDocument.mostContents
            for (key, messages) in [("received", record.received), ("waiting", record.waiting)] where !messages.isEmpty {
                mailbox.list(key, messages) { CrashDocument.write($1, into: &$0, record.time, &room, system) }
            }
        }
        for (key, sample) in [("links", record.links), ("monitors", record.monitors), ("watchers", record.watchers)]
        where sample.total > 0 {
            map.map(key) {
                $0.integer("total", Int64(sample.total))
                $0.list("pids", sample.pids) { $0.writeString(system.text(of: $1)) }
            }
        }
        if let memory = record.memory {
            map.map("memory") {
                $0.integer("used", Int64(memory.used))
                $0.integer("peak", Int64(memory.peak))
                if memory.limit > 0 { $0.integer("limit", Int64(memory.limit)) }
            }
        }
        self.map = map.finish()
    }

    /// What an error object says beside its message; a text says no more.
    private static func writeErrorObject(_ payload: [UInt8], into map: inout MapWriter) {
        payload.withUnsafeBytes { bytes in
            var reader = PayloadReader(bytes)
            guard case .ext(PayloadExtension.error, let body) = reader.next(), let error = ErrorValue.Parts(body) else { return }
            map.text("error_kind", String(decoding: error.kind, as: UTF8.self), mostName)
            if let retryable = error.retryable { map.value("retryable", [retryable ? PayloadTag.yes : PayloadTag.no]) }
            guard let details = error.details, details.count <= mostText, payloadToJSON(details).utf8.count <= mostText else {
                return
            }
            map.value("details", Array(details))
        }
    }

    /// That of the error that nobody caught, or else that which an error object brings along.
    private static func traceback(_ reason: ExitReason) -> String? {
        if let traceback = reason.traceback { return traceback }
        return reason.payload.withUnsafeBytes { bytes in
            var reader = PayloadReader(bytes)
            guard case .ext(PayloadExtension.error, let body) = reader.next() else { return nil }
            return ErrorValue.Parts(body)?.stack.map { String(decoding: $0, as: UTF8.self) }
        }
    }

    /// Where it began, and what it came through.
    private static func write(_ route: FailureRoute, into map: inout MapWriter, _ system: ProcessSystem) {
        func write(_ stop: FailureRoute.Stop, _ map: inout MapWriter) {
            map.text("pid", system.text(of: stop.process))
            map.text("entry", stop.definition?.id, mostName)
        }
        map.integer("hops", Int64(route.count))
        let known = route.known
        map.map("origin") {
            write(known[0], &$0)
            $0.text("kind", route.first.kind.name)
            $0.text("error", route.first.shortText(mostText), mostText)
            $0.text("traceback", traceback(route.first), mostText)
        }
        if known.count > 1 {
            map.list("chain", known.dropFirst()) { writer, stop in
                var map = MapWriter()
                write(stop, &map)
                writer.append(map)
            }
        }
        if known.count < route.count { map.integer("chain_missing", Int64(route.count - known.count)) }
    }

    private static func writeRestart(_ record: CrashRecord, into map: inout MapWriter, _ system: ProcessSystem) {
        guard record.supervisor != .none else { return }
        map.map("supervision") {
            $0.text("supervisor_pid", system.text(of: record.supervisor))
            // Nil: the supervisor has ended itself before it could decide.
            guard let decision = record.decision else { return }
            $0.text("supervisor", decision.supervisor, mostName)
            $0.text("child", decision.child, mostName)
            $0.text("decision", decision.outcome.rawValue)
            $0.integer("restarts", Int64(decision.restarts))
            if decision.outcome == .restart { $0.integer("delay_ns", decision.delay) }
            $0.text("why", decision.why, mostName)
        }
    }

    private static func write(
        _ message: CrashRecord.Message, into writer: inout MapWriter.Values, _ now: Int64, _ room: inout Int,
        _ system: ProcessSystem
    ) {
        var map = MapWriter()
        map.text(message.isEvent ? "event" : "topic", String(decoding: message.topic, as: UTF8.self), mostName)
        if message.from != .none { map.text("from", system.text(of: message.from)) }
        if !message.isEvent { map.integer("bytes", Int64(message.size)) }
        if message.sentAt > 0 { map.integer("age_ns", max(0, now - message.sentAt)) }
        if let contents = message.contents {
            let text = cut(contents, min(room, CrashMessages.mostContents))
            room = max(0, room - text.utf8.count)
            map.text("contents", text)
        }
        writer.append(map)
    }

    // MARK: - The log

    /// What a record of the log has in its fields, beside what stands in its message.
    static func essentials(_ record: CrashRecord) -> [UInt8] {
        var map = MapWriter()
        if record.sequence > 0 { map.integer("crash", Int64(record.sequence)) }
        if let decision = record.decision { map.text("decision", decision.outcome.rawValue) }
        map.text("kind", record.reason.kind.name)
        map.integer("mailbox", Int64(MailboxLoad.messages(record.load)))
        if let memory = record.memory { map.integer("memory", Int64(memory.used)) }
        map.integer("uptime_ns", record.uptime)
        return map.finish()
    }
}

extension ExitReason.Kind {
    /// As the reports call it.
    var name: String {
        switch self {
        case .error: "error"
        case .linkFailure: "link"
        case .terminated: "terminated"
        case .deadline: "cancel_deadline"
        case .stepLimit: "step_limit"
        case .memoryLimit: "memory_limit"
        case .childFailure: "child"
        }
    }
}

/// The beginning of a text that has at most so many bytes in JSON.
func cut(_ text: String, _ limit: Int) -> String {
    func cost(_ byte: UInt8) -> Int {
        switch byte {
        case 0x22, 0x5c, 0x08...0x0a, 0x0c, 0x0d: 2
        case ..<0x20: 6
        default: 1
        }
    }
    // The longest text that surely fits, without looking at each byte.
    if text.utf8.count * 6 <= limit { return text }
    let mark = 3  // bytes of "…"
    var total = 0
    var kept: String.Index?
    for index in text.unicodeScalars.indices {
        if total <= limit - mark { kept = index }
        total += String(text.unicodeScalars[index]).utf8.reduce(0) { $0 + cost($1) }
        if total > limit { return (kept.map { String(text[..<$0]) } ?? "") + (limit >= mark ? "…" : "") }
    }
    return text
}

/// Writes a map whose count is known at its end.
struct MapWriter: ~Copyable {
    fileprivate var writer = PayloadWriter()
    private var count = 0

    mutating func text(_ key: String, _ text: String?, _ limit: Int = .max) {
        guard let text else { return }
        self.key(key)
        writer.writeString(limit == .max ? text : cut(text, limit))
    }

    mutating func integer(_ key: String, _ value: Int64) {
        self.key(key)
        writer.writeInteger(value)
    }

    mutating func value(_ key: String, _ encoded: [UInt8]) {
        self.key(key)
        encoded.withUnsafeBytes { writer.appendRaw($0) }
    }

    mutating func map(_ key: String, _ body: (inout MapWriter) -> Void) {
        var inner = MapWriter()
        body(&inner)
        value(key, inner.finish())
    }

    mutating func list<Element>(_ key: String, _ elements: some Collection<Element>, _ body: (inout Values, Element) -> Void) {
        count += 1
        writer.writeString(key)
        var values = Values()
        values.writer.writeArrayHeader(elements.count)
        for element in elements { body(&values, element) }
        writer.appendRaw(values.writer.bytes)
    }

    private mutating func key(_ key: String) {
        count += 1
        writer.writeString(key)
    }

    consuming func finish() -> [UInt8] {
        var whole = PayloadWriter()
        whole.writeMapHeader(count)
        whole.appendRaw(writer.bytes)
        return [UInt8](whole.bytes)
    }

    /// The values of a list.
    struct Values: ~Copyable {
        fileprivate var writer = PayloadWriter()

        mutating func writeString(_ text: String) { writer.writeString(text) }
        mutating func append(_ map: consuming MapWriter) {
            map.finish().withUnsafeBytes { writer.appendRaw($0) }
        }
    }
}
