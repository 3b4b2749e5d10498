import ArgumentParser
import ObhutHeader

/// A process's arguments from the command line, as one MessagePack array.
struct Arguments {
    private let payload: [UInt8]

    /// Each text is JSON, or else a string as it stands. One that begins like an object, a list or a quoted string
    /// was meant as JSON: a fault in it is reported instead of being passed on.
    init(_ texts: some Collection<String>) throws {
        var list = "["
        for (index, text) in texts.enumerated() {
            if index > 0 { list += "," }
            do {
                _ = try Arguments.encode(text)
                list += text
            } catch {
                if let start = text.first(where: { !$0.isWhitespace }), "{[\"".contains(start) {
                    throw ValidationError("Argument \(index + 1), '\(text)', is not valid JSON: \(error.text)")
                }
                list += Arguments.quoted(text)
            }
        }
        do {
            payload = try Arguments.encode(list + "]")
        } catch {
            throw ValidationError("The arguments cannot be passed on: \(error.text)")
        }
    }

    func withPayload<Result>(_ body: (UnsafeRawPointer?, Int) -> Result) -> Result {
        payload.withUnsafeBytes { body($0.baseAddress, $0.count) }
    }

    private static func encode(_ json: String) throws(LibraryError) -> [UInt8] {
        var bytes: UnsafeMutableRawPointer?, count = 0
        var json = json
        try attempt { error in
            json.withUTF8 { text in
                text.withMemoryRebound(to: CChar.self) {
                    obhut_payload_from_json($0.baseAddress, $0.count, &bytes, &count, error)
                }
            }
        }
        defer { obhut_bytes_free(bytes) }
        return Array(UnsafeRawBufferPointer(start: bytes, count: count))
    }

    private static func quoted(_ text: String) -> String {
        var json = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": json += "\\\(scalar)"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                json += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: json.unicodeScalars.append(scalar)
            }
        }
        return json + "\""
    }
}
