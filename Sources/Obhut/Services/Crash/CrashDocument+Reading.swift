// A crash report that was stored as a line of JSON, read back.

extension CrashDocument {
    enum Reading {
        case report(CrashDocument)
        /// The line that stands for so many reports which were dropped.
        case missing(Int64)
        case noReport(String)
        case noJSON(JSONFault)
    }

    static func read(json: UnsafeRawBufferPointer) -> Reading {
        var writer = PayloadWriter()
        if let fault = jsonToPayload(json, into: &writer) { return .noJSON(fault) }
        var reader = PayloadReader(writer.bytes)
        guard case .map = reader.next() else { return .noReport("it is no JSON object") }
        let map = CrashText.Map(writer.bytes)
        if let count = map.integer("missing") { return .missing(count) }
        for key in ["time", "pid", "error"] where map.text(key) == nil {
            return .noReport("it has no \"\(key)\"")
        }
        return .report(CrashDocument(map: [UInt8](writer.bytes)))
    }

    /// What a caller asks for without reading the whole.
    var summary: (sequence: UInt64, pid: Pid, entry: String, error: String) {
        map.withUnsafeBytes { bytes in
            let map = CrashText.Map(bytes)
            return (
                UInt64(max(0, map.integer("crash") ?? 0)), CrashDocument.pid(map.text("pid") ?? ""), map.text("entry") ?? "",
                map.text("error") ?? ""
            )
        }
    }

    /// The number in the text of a pid, `{host|0x00004}`.
    private static func pid(_ text: String) -> Pid {
        guard text.hasSuffix("}"), let x = text.utf8.lastIndex(of: UInt8(ascii: "x")) else { return .none }
        let digits = Array(text.utf8[text.utf8.index(after: x)...].dropLast())
        return digits.withUnsafeBufferPointer { Pid.parseNumber($0) } ?? .none
    }
}
