// Reading the fields of one mapping.
//
// Each reader answers the field's value, or nil if the field is absent *or* wrong; a wrong
// one has been reported by then. So a reader of entries goes straight on with the default,
// and every wrong field of an entry is reported, not only the first.

struct Fields {
    private let pairs: [YAMLPair]
    /// Stands before field names in faults: `lifecycle.restart.`
    private let prefix: String
    private let faults: FaultList

    /// Nil, and a fault, if `node` is no mapping. Fields that are not `known` are reported.
    ///
    /// - Parameter owner: whose fields these are, for the fault of an unknown one.
    init?(_ node: YAMLNode, prefix: String = "", of owner: String, known: [String], faults: FaultList) {
        guard let pairs = node.mapping else {
            faults.report(at: node.position, "\(owner) must be a mapping, got \(node.shown)")
            return nil
        }
        self.pairs = pairs
        self.prefix = prefix
        self.faults = faults
        for pair in pairs {
            if let name = pair.key.string, known.contains(name) { continue }
            guard case .scalar(let key) = pair.key.content else { continue }  // The tree has no others.
            let rest = didYouMean(
                key.text, among: known, otherwise: "; its fields are \(known.joined(separator: ", "))")
            faults.report(at: pair.key.position, "unknown field \(quoted(key.text)) of \(owner)\(rest)")
        }
    }

    /// The field's node, whatever it is.
    subscript(name: String) -> YAMLNode? { pairs.first { $0.key.string == name }?.value }

    /// Where the field's name stands.
    func keyPosition(_ name: String) -> SourcePosition? {
        pairs.first { $0.key.string == name }?.key.position
    }

    func wrong(_ name: String, _ node: YAMLNode, mustBe expected: String, advice: String? = nil) {
        var message = "'\(prefix)\(name)' must be \(expected), got \(node.shown)"
        if let advice { message += ": \(advice)" }
        faults.report(at: node.position, message)
    }

    /// A text; empty ones are refused, for no field has a use for them.
    func string(_ name: String) -> String? {
        guard let node = self[name] else { return nil }
        if let text = node.string, !text.isEmpty { return text }
        wrong(name, node, mustBe: "a string", advice: node.quotingAdvice)
        return nil
    }

    func bool(_ name: String) -> Bool? {
        guard let node = self[name] else { return nil }
        if case .scalar(let scalar) = node.content, case .bool(let value) = scalar.value { return value }
        wrong(name, node, mustBe: "true or false")
        return nil
    }

    func int(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let node = self[name] else { return nil }
        if case .scalar(let scalar) = node.content, case .int(let value) = scalar.value,
            range.contains(Int(value))
        {
            return Int(value)
        }
        let bounds =
            range.upperBound == .max
            ? "\(range.lowerBound) or more" : "from \(range.lowerBound) to \(range.upperBound)"
        wrong(name, node, mustBe: "a whole number \(bounds)")
        return nil
    }

    func number(_ name: String, in range: ClosedRange<Double>) -> Double? {
        guard let node = self[name] else { return nil }
        if case .scalar(let scalar) = node.content {
            switch scalar.value {
            case .float(let value) where range.contains(value): return value
            case .int(let value) where range.contains(Double(value)): return Double(value)
            default: break
            }
        }
        wrong(name, node, mustBe: "a number from \(range.lowerBound) to \(range.upperBound)")
        return nil
    }

    /// Nanoseconds. A bare number is refused: it could be meant in any unit.
    func duration(_ name: String, canBeZero: Bool = false) -> Int64? {
        guard let node = self[name] else { return nil }
        if let text = node.string, let value = parseDuration(text), value > 0 || (value == 0 && canBeZero) {
            return value
        }
        var advice: String?
        if case .scalar(let scalar) = node.content, case .int(let number) = scalar.value, number > 0 {
            advice = "write \"\(number)s\" for seconds"
        }
        let least = canBeZero ? "" : " above 0"
        wrong(name, node, mustBe: "a duration\(least), such as \"5s\" or \"1m30s\"", advice: advice)
        return nil
    }

    /// Bytes.
    func byteSize(_ name: String, from least: Int = 0) -> Int? {
        guard let node = self[name] else { return nil }
        var value: Int?
        if case .scalar(let scalar) = node.content {
            switch scalar.value {
            case .int(let number): value = Int(number)
            case .string(let text): value = parseByteSize(text)
            default: break
            }
        }
        if let value, value >= least { return value }
        let bounds = least == 0 ? "" : " of \(least) or more"
        wrong(name, node, mustBe: "a size\(bounds) in bytes, such as \"64MiB\" or 65536")
        return nil
    }

    func list(_ name: String, of what: String) -> [YAMLNode]? {
        guard let node = self[name] else { return nil }
        if let nodes = node.sequence { return nodes }
        var advice: String?
        if let text = node.string, EntryID(reference: text, in: "") != nil { advice = "write [\(text)]" }
        wrong(name, node, mustBe: "a list of \(what)", advice: advice)
        return nil
    }

    /// One of an enum's texts.
    func choice<T: RawRepresentable & CaseIterable>(_ name: String, _ type: T.Type) -> T?
    where T.RawValue == String {
        guard let node = self[name] else { return nil }
        if let text = node.string, let value = T(rawValue: text) { return value }
        let all = T.allCases.map(\.rawValue)
        wrong(name, node, mustBe: "one of \(all.joined(separator: ", "))")
        return nil
    }

    /// The fields of a mapping inside this one.
    func fields(_ name: String, known: [String]) -> Fields? {
        guard let node = self[name] else { return nil }
        return Fields(node, prefix: prefix + name + ".", of: "'\(prefix)\(name)'", known: known, faults: faults)
    }
}
