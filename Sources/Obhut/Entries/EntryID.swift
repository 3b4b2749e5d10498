// Names of entries.

/// What an entry is called: `namespace:name`.
struct EntryID: Hashable, Comparable, Sendable, CustomStringConvertible {
    let namespace: String
    let name: String

    init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    /// Reads a full id, `namespace:name`; nil if either part is not a valid name.
    init?(_ text: String) {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        self.init(
            namespace: String(text[..<colon]),
            name: String(text[text.utf8.index(after: colon)...]))
        guard EntryID.isValidPart(namespace), EntryID.isValidPart(name) else { return nil }
    }

    /// Reads a reference made inside `namespace`: a full id, or a bare name of that namespace.
    init?(reference text: String, in namespace: String) {
        if text.utf8.contains(UInt8(ascii: ":")) {
            self.init(text)
        } else {
            guard EntryID.isValidPart(text) else { return nil }
            self.init(namespace: namespace, name: text)
        }
    }

    var description: String { "\(namespace):\(name)" }

    static func < (a: EntryID, b: EntryID) -> Bool {
        (a.namespace, a.name) < (b.namespace, b.name)
    }

    /// 1–127 ASCII letters, digits, `_`, `-`, `.`: an id stands inside a pid's text
    /// (`{app:processes|0x00004}`), so it may hold none of the characters used there, and a
    /// whole id has at most 255 bytes (`ProcessSystem.maximumPidText`).
    static func isValidPart(_ text: String) -> Bool {
        let bytes = text.utf8
        guard (1...127).contains(bytes.count) else { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }
}
