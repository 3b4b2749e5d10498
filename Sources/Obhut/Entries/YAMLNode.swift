// A YAML document as a tree.
//
// The law of the tree:
//
// - Every node knows where it stands in its file; faults are made from that. A node that
//   came through an alias (`*x`) stands where its anchor (`&x`) stands.
// - A scalar is resolved once, by YAML 1.2's core schema (`YAMLScalar.swift`), when the
//   tree is built: `4` is an integer, `"4"` a string, `yes` a string.
// - The keys of a mapping are scalars, and none comes twice.
// - The tree is bounded, whatever the file says: `maximumHeight` levels, so that whoever
//   walks it may recurse; and aliases, which are shared here but multiply for whoever
//   walks the tree, add at most `maximumAliasWeight` to it ("billion laughs").
//
// Nodes are immutable values: who holds one may read it on any thread.

struct YAMLNode: Sendable {
    static let maximumHeight = 128
    static let maximumAliasWeight = 16 << 20

    enum Content: Sendable {
        case scalar(YAMLScalar)
        case sequence([YAMLNode])
        case mapping([YAMLPair])
    }

    let content: Content
    let position: SourcePosition
    /// Levels below and including this one: 1 for a scalar.
    let height: Int
    /// About how much memory the node takes when its aliases are written out.
    let weight: Int

    var string: String? {
        guard case .scalar(let scalar) = content, case .string(let text) = scalar.value else { return nil }
        return text
    }

    var sequence: [YAMLNode]? {
        guard case .sequence(let nodes) = content else { return nil }
        return nodes
    }

    var mapping: [YAMLPair]? {
        guard case .mapping(let pairs) = content else { return nil }
        return pairs
    }

    /// The value under a string key of a mapping.
    subscript(key: String) -> YAMLNode? {
        mapping?.first { $0.key.string == key }?.value
    }

    /// The node as free data.
    var value: EntryValue {
        switch content {
        case .scalar(let scalar): scalar.value
        case .sequence(let nodes): .list(nodes.map(\.value))
        case .mapping(let pairs):
            .map(pairs.map { EntryValue.Pair(key: $0.key.value, value: $0.value.value) })
        }
    }

    /// The node as a fault shows it after "got".
    var shown: String {
        switch content {
        case .sequence: "a list"
        case .mapping: "a mapping"
        case .scalar(let scalar):
            switch scalar.value {
            case .null: "nothing"
            case .string(let text): quoted(text, by: "\"")
            // Resolved numbers are short and plain, except for a thousand leading zeros.
            default: scalar.text.utf8.count <= 80 ? scalar.text : "a number"
            }
        }
    }
}

extension YAMLNode {
    /// For a plain scalar that YAML takes for something else than the text it was meant
    /// to be (`name: 7`).
    var quotingAdvice: String? {
        guard case .scalar(let scalar) = content, scalar.style == .plain, string == nil, !scalar.text.isEmpty
        else { return nil }
        return "write \"\(scalar.text)\""
    }
}

struct YAMLPair: Sendable {
    /// A scalar.
    let key: YAMLNode
    let value: YAMLNode
}

/// A parsed file.
struct YAMLDocument {
    /// Nil if the file holds no document (empty, or comments only).
    let root: YAMLNode?
    /// What is wrong with it although it could be read (a key given twice, a second
    /// document). It is reported only if the file turns out to be one of ours.
    let faults: [Fault]
}
