/// A dictionary that keeps its only entry in place.
///
/// Most processes are linked to one other and watched by one other. As dictionaries these two
/// took 270 bytes of each process, and two allocations of each spawn. From the second entry on
/// it is a dictionary, and stays one until it is empty.
struct SmallMap<Key: Hashable, Value>: Sequence {
    typealias Element = (key: Key, value: Value)

    /// Nil while there is a dictionary.
    private var only: Element? = nil
    private var many: [Key: Value]? = nil

    /// A dictionary that grew beyond this is given back when it is empty.
    private static var keptCapacity: Int { 64 }

    var count: Int { many?.count ?? (only == nil ? 0 : 1) }
    @inline(__always)
    var isEmpty: Bool { only == nil && (many?.isEmpty ?? true) }
    var keys: [Key] { map(\.key) }

    subscript(key: Key) -> Value? {
        get {
            if let only { return only.key == key ? only.value : nil }
            return many?[key]
        }
        set {
            guard let newValue else {
                _ = removeValue(forKey: key)
                return
            }
            if many != nil {
                many![key] = newValue
            } else if only == nil || only!.key == key {
                only = (key, newValue)
            } else {
                many = [only!.key: only!.value, key: newValue]
                only = nil
            }
        }
    }

    @discardableResult
    mutating func removeValue(forKey key: Key) -> Value? {
        if many != nil {
            let value = many!.removeValue(forKey: key)
            if many!.isEmpty && many!.capacity > Self.keptCapacity { many = nil }
            return value
        }
        guard let only, only.key == key else { return nil }
        self.only = nil
        return only.value
    }

    /// Calls `body` with each entry, in the order of what `rank` says of it.
    @inline(__always)
    func forEach<Rank: Comparable>(by rank: (Element) -> Rank, _ body: (Element) -> Void) {
        if let only { return body(only) }
        guard let many, !many.isEmpty else { return }
        many.sorted { rank($0) < rank($1) }.forEach(body)
    }

    /// The same with the keys alone, in no order. Iterating copies the map first; this looks at it in its place.
    @inline(__always)
    func forEachKey(_ body: (Key) -> Void) {
        if let only { return body(only.key) }
        guard let many, !many.isEmpty else { return }
        for key in many.keys { body(key) }
    }

    func makeIterator() -> Iterator { Iterator(only: only, many: many?.makeIterator()) }

    struct Iterator: IteratorProtocol {
        fileprivate var only: Element?
        fileprivate var many: [Key: Value].Iterator?

        mutating func next() -> Element? {
            if let only {
                self.only = nil
                return only
            }
            return many?.next()
        }
    }
}
