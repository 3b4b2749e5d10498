// A child that is added to a supervisor while it runs: the same fields as in YAML, out of a payload.
//
// What reads the YAML reads it, so that names, ranges, defaults and faults are the same ones.

/// What is wrong with the specification of a child.
struct ChildFault: Error {
    /// As that of an error object: INVALID, or NOT_FOUND if it names an entry that does not exist.
    let kind: String
    let message: String
}

/// Reads the specifications of children for the supervisors of an application. One thread at a time.
final class AddedChildReader {
    private let application: Application
    private let catalogue: Catalogue
    private let hosts: [EntryID]

    init(_ application: Application) {
        self.application = application
        catalogue = Catalogue(of: application, faults: FaultList())
        hosts = application.entries.filter { $0.kind == .processHost }.map(\.id)
    }

    /// - Parameters:
    ///   - payload: one well-formed MessagePack value.
    ///   - namespace: where bare names stand.
    /// - Returns: the child; a process has its host; and its arguments, an encoded array, if it was given any.
    func read(
        _ payload: UnsafeRawBufferPointer, in namespace: String
    ) throws(ChildFault) -> (child: ChildEntry, arguments: [UInt8]?) {
        let faults = FaultList()
        var reader = PayloadReader(payload)
        let (node, arguments) = AddedChildReader.node(&reader, payload)
        if let name = AddedChildReader.missing(node, in: namespace, of: application) {
            _ = catalogue.reporting(to: faults).resolve(
                name.node, in: namespace, role: "the child's '\(name.field)'", mustBe: "") { _ in true }
            throw ChildFault(kind: "NOT_FOUND", message: AddedChildReader.text(of: faults))
        }
        let entries = EntryReader(
            catalogue: catalogue.reporting(to: faults), sources: LuaSources(faults: faults),
            libraries: NativeLibraries(LibraryAccess(), allowed: [], faults: faults), faults: faults, cores: 1,
            finished: { [application] in application[$0] })
        guard var child = entries.readChild(node, in: namespace, isAdded: true), faults.count == 0 else {
            throw ChildFault(kind: "INVALID", message: AddedChildReader.text(of: faults))
        }
        if child.host == nil, application[child.process]?.kind != .supervisor {
            switch application[child.process]?.definition {
            case .process(let process)?: child.host = process.host
            case .native(let native)?: child.host = native.host
            default: break
            }
            if child.host == nil, hosts.count == 1 { child.host = hosts[0] }
            if child.host == nil {
                let names = hosts.map(\.description).joined(separator: ", ")
                throw ChildFault(
                    kind: "INVALID",
                    message: "child '\(child.name)' is to run "
                        + (hosts.isEmpty
                            ? "but there is no host to run it on: declare a process.host"
                            : "and needs a 'host': there are \(names)"))
            }
        }
        return (child, arguments)
    }

    private static func text(of faults: FaultList) -> String {
        faults.sorted().map(\.message).joined(separator: "; ")
    }

    /// The first reference to an entry that does not exist.
    private static func missing(
        _ node: YAMLNode, in namespace: String, of application: Application
    ) -> (field: String, node: YAMLNode)? {
        for field in ["process", "host"] {
            guard let named = node[field], let text = named.string,
                let id = EntryID(reference: text, in: namespace), application[id] == nil
            else { continue }
            return (field, named)
        }
        return nil
    }

    // MARK: Out of a payload

    private static let position = SourcePosition(path: "", line: 0, column: 0)

    private static func leaf(_ value: EntryValue, _ text: String) -> YAMLNode {
        YAMLNode(
            content: .scalar(YAMLScalar(text: text, value: value, style: .quoted)), position: position, height: 1, weight: 0)
    }

    /// The specification as the tree that the readers of YAML read, and its arguments as they came.
    private static func node(
        _ reader: inout PayloadReader, _ payload: UnsafeRawBufferPointer
    ) -> (YAMLNode, arguments: [UInt8]?) {
        var arguments: [UInt8]?
        var pairs: [YAMLPair] = []
        let count: Int
        switch reader.next() {
        case .map(let n): count = n
        // An empty table of Lua may be either.
        case .array(0): count = 0
        default:
            reader = PayloadReader(payload)
            return (value(&reader), nil)
        }
        for _ in 0..<count {
            let key = value(&reader)
            var ahead = reader
            if key.string == "input", case .array(let n) = ahead.next() {
                // What is in it is the child's own, of whatever type.
                for _ in 0..<n { _ = ahead.skip() }
                arguments = Array(payload[reader.offset..<ahead.offset])
                reader = ahead
                let list = YAMLNode(content: .sequence([]), position: position, height: 1, weight: 0)
                pairs.append(YAMLPair(key: key, value: list))
                continue
            }
            pairs.append(YAMLPair(key: key, value: value(&reader)))
        }
        return (YAMLNode(content: .mapping(pairs), position: position, height: 3, weight: 0), arguments)
    }

    private static func value(_ reader: inout PayloadReader) -> YAMLNode {
        switch reader.next() {
        case .null, .malformed: return leaf(.null, "")
        case .bool(let value): return leaf(.bool(value), value ? "true" : "false")
        case .integer(let value): return leaf(.int(value), String(value))
        case .unsigned(let value): return leaf(.float(Double(value)), String(value))
        case .double(let value): return leaf(.float(value), "\(value)")
        case .string(let bytes), .binary(let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            return leaf(.string(text), text)
        case .ext: return YAMLNode(content: .mapping([]), position: position, height: 1, weight: 0)
        case .array(let count):
            var nodes: [YAMLNode] = []
            for _ in 0..<count { nodes.append(value(&reader)) }
            return YAMLNode(
                content: count == 0 ? .mapping([]) : .sequence(nodes), position: position, height: 2, weight: 0)
        case .map(let count):
            var pairs: [YAMLPair] = []
            for _ in 0..<count {
                let key = value(&reader)
                pairs.append(YAMLPair(key: key, value: value(&reader)))
            }
            return YAMLNode(content: .mapping(pairs), position: position, height: 2, weight: 0)
        }
    }
}
