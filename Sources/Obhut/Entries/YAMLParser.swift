// From the bytes of a file to its tree, with libyaml's events.
//
// libyaml is used for events only: its own document API knows no limits, keeps aliases as
// indices and loses the style of scalars. The tree is built with a stack of its own, so
// that no nesting in the file is a nesting of calls.

import CYAML

/// Parses the first document of a file.
///
/// Throws when there is no tree to speak of: text that is not YAML, an alias without its
/// anchor, a bound of `YAMLNode` passed. All else that is wrong is in the answer's `faults`.
func parseYAML(_ bytes: [UInt8], path: String) throws(Fault) -> YAMLDocument {
    let result: Result<YAMLDocument, Fault> = bytes.withUnsafeBufferPointer { buffer in
        var builder = YAMLTreeBuilder(path: path)
        let events = YAMLEventStream(buffer, path: path)
        do throws(Fault) {
            return .success(try builder.build(from: events))
        } catch {
            return .failure(error)
        }
    }
    return try result.get()
}

/// Owns one libyaml parser. It reads from a buffer that its creator keeps alive.
private struct YAMLEventStream: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let bytes: UnsafeBufferPointer<UInt8>
    private let path: String

    init(_ bytes: UnsafeBufferPointer<UInt8>, path: String) {
        // The parser holds pointers into itself and must not move.
        parser = .allocate(capacity: 1)
        self.bytes = bytes
        self.path = path
        guard yaml_parser_initialize(parser) == 1 else { fatalError("out of memory") }
        yaml_parser_set_input_string(parser, bytes.baseAddress ?? UnsafePointer(bitPattern: 1), bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// Hands the next event to `body`; the event is freed when `body` is done.
    func next<T>(_ body: (yaml_event_t) throws(Fault) -> T) throws(Fault) -> T {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw malformed() }
        defer { yaml_event_delete(&event) }
        return try body(event)
    }

    private func malformed() -> Fault {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "it cannot be parsed"
        var message = "malformed YAML: \(problem)"
        if parser.pointee.error == YAML_READER_ERROR {
            // The reader works ahead of the marks: it knows a byte offset only.
            let read = bytes.prefix(Int(parser.pointee.problem_offset))
            let line = read.count { $0 == UInt8(ascii: "\n") } + 1
            let lineStart = read.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            let column = String(decoding: read[lineStart...], as: UTF8.self).unicodeScalars.count + 1
            return Fault(path: path, line: line, column: column, message: message)
        }
        let mark = parser.pointee.problem_mark
        if let context = parser.pointee.context {
            message += " \(String(cString: context))"
            let start = parser.pointee.context_mark
            if start.line != mark.line { message += " that begins at line \(start.line + 1)" }
        }
        return Fault(path: path, line: Int(mark.line) + 1, column: Int(mark.column) + 1, message: message)
    }
}

/// Builds the tree from the events.
private struct YAMLTreeBuilder {
    let path: String
    /// Sequences and mappings that have begun and not ended.
    private var open: [OpenNode] = []
    private var anchors: [String: YAMLNode] = [:]
    private var aliasWeight = 0
    private var root: YAMLNode?
    private var faults: [Fault] = []
    private var isDone = false
    private var documents = 0

    private struct OpenNode {
        let isMapping: Bool
        let position: SourcePosition
        let anchor: String?
        var nodes: [YAMLNode] = []
        var pairs: [YAMLPair] = []
        var keys: [EntryValue: SourcePosition] = [:]
        /// A mapping's key whose value has not come yet.
        var key: YAMLNode?
        var height = 0
        var weight = 16
    }

    init(path: String) { self.path = path }

    mutating func build(from events: borrowing YAMLEventStream) throws(Fault) -> YAMLDocument {
        while !isDone {
            try events.next { (event) throws(Fault) in try handle(event) }
        }
        return YAMLDocument(root: root, faults: faults)
    }

    private mutating func handle(_ event: yaml_event_t) throws(Fault) {
        let position = SourcePosition(
            path: path, line: Int(event.start_mark.line) + 1, column: Int(event.start_mark.column) + 1)
        switch event.type {
        case YAML_DOCUMENT_START_EVENT:
            documents += 1
            if documents > 1 {
                faults.append(
                    Fault(at: position, "a second document begins here: a file holds one, write another file"))
                isDone = true
            }
        case YAML_STREAM_END_EVENT, YAML_NO_EVENT:
            isDone = true
        case YAML_ALIAS_EVENT:
            try addAlias(text(event.data.alias.anchor) ?? "", at: position)
        case YAML_SCALAR_EVENT:
            try addScalar(event, at: position)
        case YAML_SEQUENCE_START_EVENT:
            let start = event.data.sequence_start
            checkTag(text(start.tag), is: YAML_SEQ_TAG, at: position)
            try begin(isMapping: false, anchor: text(start.anchor), at: position)
        case YAML_MAPPING_START_EVENT:
            let start = event.data.mapping_start
            checkTag(text(start.tag), is: YAML_MAP_TAG, at: position)
            try begin(isMapping: true, anchor: text(start.anchor), at: position)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
            let ended = open.removeLast()
            let node = YAMLNode(
                content: ended.isMapping ? .mapping(ended.pairs) : .sequence(ended.nodes),
                position: ended.position, height: ended.height + 1, weight: ended.weight)
            add(node, anchor: ended.anchor)
        default:
            break
        }
    }

    private mutating func begin(isMapping: Bool, anchor: String?, at position: SourcePosition) throws(Fault) {
        guard open.count < YAMLNode.maximumHeight - 1 else { throw tooDeep(position) }
        open.append(OpenNode(isMapping: isMapping, position: position, anchor: anchor))
    }

    private mutating func addScalar(_ event: yaml_event_t, at position: SourcePosition) throws(Fault) {
        let scalar = event.data.scalar
        let content = String(
            decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
        let style: YAMLScalar.Style =
            switch scalar.style {
            case YAML_LITERAL_SCALAR_STYLE: .literal
            case YAML_FOLDED_SCALAR_STYLE: .folded
            case YAML_PLAIN_SCALAR_STYLE: .plain
            default: .quoted
            }
        let node = YAMLNode(
            content: .scalar(
                YAMLScalar(
                    text: content,
                    value: resolve(content, tag: text(scalar.tag), isPlain: style == .plain, at: position),
                    style: style)),
            position: position, height: 1, weight: 16 + content.utf8.count)
        add(node, anchor: text(scalar.anchor))
    }

    private mutating func addAlias(_ name: String, at position: SourcePosition) throws(Fault) {
        // An anchor is known once its node has ended, so no node can contain itself.
        guard let node = anchors[name] else {
            let cause =
                open.contains { $0.anchor == name } ? "refers to the node it stands in" : "has no anchor before it"
            throw Fault(at: position, "malformed YAML: alias \(quoted("*" + name)) \(cause)")
        }
        guard open.count + node.height <= YAMLNode.maximumHeight else { throw tooDeep(position) }
        aliasWeight += node.weight
        guard aliasWeight <= YAMLNode.maximumAliasWeight else {
            throw Fault(at: position, "aliases make this file larger than 16 MiB: write it without them")
        }
        add(node, anchor: nil)
    }

    /// Puts a finished node where it belongs.
    private mutating func add(_ node: YAMLNode, anchor: String?) {
        if let anchor { anchors[anchor] = node }
        guard var parent = open.popLast() else {
            root = node
            return
        }
        parent.height = max(parent.height, node.height)
        parent.weight += node.weight
        if !parent.isMapping {
            parent.nodes.append(node)
        } else if let key = parent.key {
            parent.key = nil
            addPair(YAMLPair(key: key, value: node), to: &parent)
        } else {
            parent.key = node
        }
        open.append(parent)
    }

    private mutating func addPair(_ pair: YAMLPair, to parent: inout OpenNode) {
        guard case .scalar(let scalar) = pair.key.content else {
            faults.append(Fault(at: pair.key.position, "a key must be a scalar, got \(pair.key.shown)"))
            return
        }
        if let first = parent.keys.updateValue(pair.key.position, forKey: scalar.value) {
            parent.keys[scalar.value] = first
            faults.append(
                Fault(
                    at: pair.key.position,
                    "key \(quoted(scalar.text)) is given twice: first at line \(first.line), column \(first.column)"))
            return
        }
        parent.pairs.append(pair)
    }

    private mutating func resolve(
        _ text: String, tag: String?, isPlain: Bool, at position: SourcePosition
    ) -> EntryValue {
        let plain = EntryValue(plainYAML: text)
        switch tag {
        case nil:
            if !isPlain { return .string(text) }
            if plain == nil {
                faults.append(Fault(at: position, "integer \(quoted(text)) does not fit into 64 bits"))
            }
            return plain ?? .string(text)
        case "!", YAML_STR_TAG: return .string(text)
        case YAML_NULL_TAG: if case .null = plain { return .null }
        case YAML_BOOL_TAG: if case .bool = plain { return plain! }
        case YAML_INT_TAG: if case .int = plain { return plain! }
        case YAML_FLOAT_TAG:
            if case .float = plain { return plain! }
            if case .int(let number) = plain { return .float(Double(number)) }
        case let tag?:
            faults.append(Fault(at: position, "unknown tag \(quoted(tag))"))
            return .string(text)
        }
        faults.append(Fault(at: position, "\(quoted(text, by: "\"")) is not what its tag \(quoted(tag!)) says"))
        return .string(text)
    }

    private mutating func checkTag(_ tag: String?, is expected: String, at position: SourcePosition) {
        guard let tag, tag != expected, tag != "!" else { return }
        faults.append(Fault(at: position, "unknown tag \(quoted(tag))"))
    }

    private func tooDeep(_ position: SourcePosition) -> Fault {
        Fault(at: position, "nested deeper than \(YAMLNode.maximumHeight) levels")
    }

    private func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: $0) }
    }
}
