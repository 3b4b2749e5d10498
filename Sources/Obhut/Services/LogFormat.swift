/// How a record of the log becomes a line.
///
///   text     2026-11-22T17:38:21.09Z info: app:shop {app:processes|0x00001} opened door=front count=2
///   json     {"time":"2026-…","level":"info","entry":"app:shop","pid":"{…}","message":"opened","fields":{…}}
///
/// One record is one line, whatever its texts hold: control characters are written as escapes, so that no program
/// can forge a line or send the terminal a command. Only in text a traceback follows on lines of its own, each behind
/// a tab or as Lua begins it.
enum LogFormat: Int32 {
    case text = 0
    /// As text, with the colours of a terminal.
    case colored
    case json

    func line(_ record: LogRecord, at wall: Int64) -> String {
        let time = formatRFC3339(unixNanoseconds: wall)
        return self == .json ? json(record, time) : text(record, time)
    }

    // MARK: Text

    private func text(_ record: LogRecord, _ time: String) -> String {
        var line = "\(painted(time, "2")) \(painted("\(record.level.text):", record.level.color))"
        if let entry = record.entry { line += " \(entry)" }
        if let pid = record.pid { line += " \(painted(pid, "2"))" }
        if let logger = record.logger { line += " \(escaped(logger)):" }
        line += " \(escaped(record.message))"
        record.fields.withUnsafeBytes { fields in
            forEachPair(fields) { key, value in
                let name = painted(word(String(decoding: key, as: UTF8.self)), "36")
                line += " \(name)=\(shown(value))"
            }
        }
        line += "\n"
        if let traceback = record.traceback {
            line += traceback.split(separator: "\n").map { escaped($0, keepingTabs: true) + "\n" }.joined()
        }
        return line
    }

    private func painted(_ text: String, _ color: String) -> String {
        self == .colored ? "\u{1b}[\(color)m\(text)\u{1b}[0m" : text
    }

    /// A field's value: a string as a word, an error object as its message, all else as JSON.
    private func shown(_ value: UnsafeRawBufferPointer) -> String {
        var reader = PayloadReader(value)
        switch reader.next() {
        case .string(let bytes): return word(String(decoding: bytes, as: UTF8.self))
        case .ext(PayloadExtension.error, _): return word(describeError(value))
        default: return escaped(payloadToJSON(value))
        }
    }

    /// In quotes unless it reads as one word without them.
    private func word(_ text: String) -> String {
        let isPlain =
            !text.isEmpty
            && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "=") }
        return isPlain ? escaped(text) : quoted(text)
    }

    private func quoted(_ text: String) -> String {
        var json: [UInt8] = []
        var text = text
        text.withUTF8 { appendJSONString(UnsafeRawBufferPointer($0), to: &json) }
        return escaped(String(decoding: json, as: UTF8.self))
    }

    /// Without control characters, C1 included, and without the two line separators of Unicode.
    func escaped(_ text: some StringProtocol, keepingTabs: Bool = false) -> String {
        func isControl(_ scalar: Unicode.Scalar) -> Bool {
            if scalar == "\t" && keepingTabs { return false }
            return scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) || scalar.value == 0x2028
                || scalar.value == 0x2029
        }
        guard text.unicodeScalars.contains(where: isControl) else { return String(text) }
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case _ where !isControl(scalar): out.unicodeScalars.append(scalar)
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            default:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return out
    }

    // MARK: JSON

    private func json(_ record: LogRecord, _ time: String) -> String {
        var out: [UInt8] = []
        func member(_ name: String, _ text: String?) {
            guard var text else { return }
            out.append(contentsOf: (out.isEmpty ? "{\"" : ",\"").utf8)
            out.append(contentsOf: "\(name)\":".utf8)
            text.withUTF8 { appendJSONString(UnsafeRawBufferPointer($0), to: &out) }
        }
        member("time", time)
        member("level", record.level.text)
        member("entry", record.entry ?? record.said?.entry)
        member("pid", record.pid ?? record.said?.pid)
        member("logger", record.logger)
        member("message", record.message)
        let own = record.fields.isEmpty ? record.said?.fields ?? [] : record.fields
        let fields =
            record.essentials.isEmpty
            ? own : own.withUnsafeBytes { own in record.essentials.withUnsafeBytes { mergeMaps(own, $0) } }
        if !fields.isEmpty {
            out.append(contentsOf: ",\"fields\":".utf8)
            out.append(contentsOf: fields.withUnsafeBytes { payloadToJSON($0) }.utf8)
        }
        member("traceback", record.traceback)
        out.append(contentsOf: "}\n".utf8)
        return String(decoding: out, as: UTF8.self)
    }
}

extension LogRecord.Level {
    /// Of a terminal (SGR).
    fileprivate var color: String {
        switch self {
        case .debug: "2"
        case .info: "32"
        case .warning: "33"
        case .error: "1;31"
        }
    }
}
