/// A crash report as text for people:
///
///     crash 3 at 2026-11-22T21:36:53.618Z
///       process     app:cache {app:processes|0x00004}
///       error       linked process {app:processes|0x00003} failed: no database
///       uptime      1m30s
///       ...
///
/// It is made of the document alone, so that a stored report reads as it did when it was new. What is missing or of
/// another type is left out: the document may come from a file. Control characters are written as escapes, so that no
/// text in a report can send the terminal a command.
struct CrashText {
    private var lines: [String] = []
    private static let column = 12

    static func of(_ document: CrashDocument) -> String {
        document.map.withUnsafeBytes { bytes in
            var text = CrashText()
            text.write(Map(bytes))
            return text.lines.joined(separator: "\n") + "\n"
        }
    }

    private mutating func write(_ map: Map) {
        lines.append("crash \(map.integer("crash").map(String.init) ?? "?") at \(map.text("time") ?? "?")")
        line("process", CrashText.name(map))
        let names = map.texts("names")
        if !names.isEmpty {
            let more = (map.integer("names_total") ?? 0) - Int64(names.count)
            line("names", names.joined(separator: ", ") + (more > 0 ? " and \(more) more" : ""))
        }
        line("error", map.text("error"))
        switch map.text("kind") {
        case "terminated"?: line("by", map.text("by"))
        case "error"?, "link"?, "child"?, nil: break
        case let kind?: line("kind", kind.replacing("_", with: " "))
        }
        line("error kind", map.text("error_kind"))
        if let details = map.value("details") { line("details", payloadToJSON(details)) }
        write(cause: map)
        write(supervision: map.map("supervision"))
        line("uptime", map.integer("uptime_ns").map(CrashText.duration))
        if let memory = map.map("memory") {
            line(
                "memory",
                [("used", " used"), ("peak", " at most"), ("limit", " allowed")].compactMap { key, what in
                    memory.integer(key).map { CrashText.bytes($0) + what }
                }.joined(separator: ", "))
        }
        write(mailbox: map.map("mailbox"))
        for (key, title) in [("links", "linked to"), ("monitors", "monitors"), ("watchers", "watched by")] {
            guard let relation = map.map(key) else { continue }
            let pids = relation.texts("pids")
            let more = (relation.integer("total") ?? 0) - Int64(pids.count)
            line(title, pids.joined(separator: " ") + (more > 0 ? " and \(more) more" : ""))
        }
        write(traceback: map.text("traceback"), nil)
        if map.text("traceback") == nil, let origin = map.map("origin") {
            write(traceback: origin.text("traceback"), CrashText.name(origin))
        }
    }

    /// Where it began, and what it came through, the nearest first: as one asks.
    private mutating func write(cause map: Map) {
        guard let origin = map.map("origin") else { return }
        for stop in map.maps("chain").reversed() { line("caused by", CrashText.name(stop)) }
        if let missing = map.integer("chain_missing"), missing > 0 {
            line("caused by", "\(missing) more \(missing == 1 ? "process" : "processes")")
        }
        let name = CrashText.name(origin) ?? "?"
        line("caused by", origin.text("error").map { "\(name): \($0)" } ?? name)
    }

    private mutating func write(supervision map: Map?) {
        guard let map else { return }
        let supervisor = map.text("supervisor") ?? map.text("supervisor_pid")
        line("child", [map.text("child"), supervisor.map { "of \($0)" }].compactMap { $0 }.joined(separator: " "))
        let restarts = map.integer("restarts") ?? 0
        switch map.text("decision") {
        case "restart"?:
            line("then", "restart \(restarts) in \(CrashText.duration(map.integer("delay_ns") ?? 0))")
        case let decision?:
            let count = restarts > 0 ? " after \(restarts) \(restarts == 1 ? "restart" : "restarts")" : ""
            line("then", decision + count)
        case nil: line("then", "its supervisor ended too")
        }
        line("because", map.text("why"))
    }

    private mutating func write(mailbox: Map?) {
        guard let mailbox, let count = mailbox.integer("messages") else { return }
        let bytes = mailbox.integer("bytes").map { ", \(CrashText.bytes($0))" } ?? ""
        line("mailbox", count == 0 ? "empty" : "\(count) \(count == 1 ? "message" : "messages")\(bytes)")
        for (key, title) in [("received", "received"), ("waiting", "waiting")] {
            for (index, message) in mailbox.maps(key).enumerated() {
                var text = message.text("event").map { "event \($0)" } ?? message.text("topic") ?? "?"
                if let from = message.text("from") { text += " from \(from)" }
                if let size = message.integer("bytes") { text += ", \(CrashText.bytes(size))" }
                if let age = message.integer("age_ns") { text += ", \(CrashText.duration(age)) old" }
                if let contents = message.text("contents") { text += ": \(contents)" }
                line(index == 0 ? "  \(title)" : "", text)
            }
        }
    }

    /// - Parameter whose: of which process, if not of this one.
    private mutating func write(traceback: String?, _ whose: String?) {
        guard let traceback else { return }
        if let whose { lines.append("  in \(LogFormat.text.escaped(whose))") }
        for part in traceback.split(separator: "\n") { lines.append("  " + LogFormat.text.escaped(part, keepingTabs: true)) }
    }

    private mutating func line(_ title: String, _ text: String?) {
        guard let text, !text.isEmpty else { return }
        let blanks = String(repeating: " ", count: max(1, CrashText.column - title.count))
        lines.append("  \(title)\(blanks)\(LogFormat.text.escaped(text))")
    }

    private static func name(_ map: Map) -> String? {
        let parts = [map.text("entry"), map.text("pid")].compactMap { $0 }
        return parts.isEmpty ? nil : parts.joined(separator: " ")
    }

    /// Four digits are enough for people.
    private static func duration(_ nanoseconds: Int64) -> String {
        guard nanoseconds > 0 else { return formatDuration(nanoseconds) }
        var step: Int64 = 1
        while nanoseconds / step >= 10_000 { step *= 10 }
        return formatDuration(nanoseconds / step * step)
    }

    private static func bytes(_ count: Int64) -> String {
        var (unit, value) = (0, count)
        var rest: Int64 = 0
        while value >= 1024, unit < 3 {
            rest = value % 1024
            value /= 1024
            unit += 1
        }
        let units = [count == 1 ? "byte" : "bytes", "KiB", "MiB", "GiB"]
        let tenth = unit > 0 && value < 100 ? ".\(rest * 10 / 1024)" : ""
        return "\(value)\(tenth) \(units[unit])"
    }

    /// An encoded map that is looked up by key; borrowed.
    struct Map {
        private var values: [String: UnsafeRawBufferPointer] = [:]

        init(_ bytes: UnsafeRawBufferPointer) {
            var found: [String: UnsafeRawBufferPointer] = [:]
            forEachPair(bytes) { found[String(decoding: $0, as: UTF8.self)] = $1 }
            values = found
        }

        func value(_ key: String) -> UnsafeRawBufferPointer? { values[key] }

        func text(_ key: String) -> String? { values[key].flatMap(Map.text) }

        func integer(_ key: String) -> Int64? {
            guard let bytes = values[key] else { return nil }
            var reader = PayloadReader(bytes)
            guard case .integer(let value) = reader.next() else { return nil }
            return value
        }

        func map(_ key: String) -> Map? {
            guard let bytes = values[key] else { return nil }
            var reader = PayloadReader(bytes)
            guard case .map = reader.next() else { return nil }
            return Map(bytes)
        }

        func texts(_ key: String) -> [String] { elements(key).compactMap(Map.text) }
        func maps(_ key: String) -> [Map] { elements(key).map { Map($0) } }

        private func elements(_ key: String) -> [UnsafeRawBufferPointer] {
            guard let bytes = values[key] else { return [] }
            var reader = PayloadReader(bytes)
            guard case .array(let count) = reader.next() else { return [] }
            var found: [UnsafeRawBufferPointer] = []
            for _ in 0..<count {
                let start = reader.offset
                guard reader.skip() else { break }
                found.append(UnsafeRawBufferPointer(rebasing: bytes[start..<reader.offset]))
            }
            return found
        }

        private static func text(_ bytes: UnsafeRawBufferPointer) -> String? {
            var reader = PayloadReader(bytes)
            guard case .string(let text) = reader.next() else { return nil }
            return String(decoding: text, as: UTF8.self)
        }
    }
}
