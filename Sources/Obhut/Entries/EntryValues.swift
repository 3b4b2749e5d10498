/// Data of a user's own (`meta:`, `data:`, `input:`), kept as it was written.
enum EntryValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int64)
    case float(Double)
    case string(String)
    case list([EntryValue])
    /// In the order of the file; no key comes twice.
    case map([Pair])

    struct Pair: Hashable, Sendable {
        let key: EntryValue
        let value: EntryValue
    }

    /// The value under a string key of a map.
    subscript(key: String) -> EntryValue? {
        guard case .map(let pairs) = self else { return nil }
        return pairs.first { $0.key == .string(key) }?.value
    }
}
