// First pass over the documents: which entries there are.
//
// References are checked against *declarations*, not against finished entries. So entries
// may refer to each other in any order and across files, and a reference to an entry that
// has faults of its own is not a second fault.

/// Where a document came from: what `file://` is relative to.
struct DocumentOrigin {
    /// Nil for YAML that was handed over as a text.
    let folder: ApplicationFolder?
    /// Of the file, relative to the folder; "" is the folder itself.
    let directory: String
    /// The file's path as faults show it.
    let path: String
}

/// An entry as far as its `name` and `kind` go.
struct Declaration {
    let id: EntryID
    /// Nil if YAML names none, or one that does not exist; that is reported.
    let kind: EntryKind?
    let node: YAMLNode
    let origin: DocumentOrigin
}

/// All declarations of a load.
struct Catalogue {
    private(set) var declarations: [Declaration] = []
    /// Those without a name of their own, or with one that is taken. They are read for
    /// their other faults only; nothing can refer to them.
    private(set) var misnamed: [Declaration] = []
    private var indices: [EntryID: Int] = [:]
    /// Shared libraries that the application lets itself use.
    private(set) var allowedLibraries: [LibraryPattern] = []
    private var faults: FaultList

    init(faults: FaultList) { self.faults = faults }

    /// Of an application that was loaded: what a reference can name, without the YAML.
    init(of application: Application, faults: FaultList) {
        self.init(faults: faults)
        for entry in application.entries {
            let node = YAMLNode(content: .mapping([]), position: entry.position, height: 1, weight: 0)
            let origin = DocumentOrigin(folder: nil, directory: "", path: entry.position.path)
            indices[entry.id] = declarations.count
            declarations.append(Declaration(id: entry.id, kind: entry.kind, node: node, origin: origin))
        }
    }

    /// The same, with another place for what is wrong.
    func reporting(to faults: FaultList) -> Catalogue {
        var copy = self
        copy.faults = faults
        return copy
    }

    subscript(id: EntryID) -> Declaration? { indices[id].map { declarations[$0] } }

    /// Takes over what a document declares. One without `namespace` and `entries` is some
    /// other program's YAML file: nothing in it is a fault.
    mutating func read(_ document: YAMLDocument, from origin: DocumentOrigin) {
        guard let root = document.root, let namespaceNode = root["namespace"], root["entries"] != nil
        else { return }
        document.faults.forEach(faults.report)
        let known = ["version", "namespace", "entries", "native", "meta"]
        guard let fields = Fields(root, of: "the file", known: known, faults: faults) else { return }

        // `1.0` without quotes is a number to YAML and the same version to a person.
        if let version = fields["version"], version.shown != "1.0", version.string != "1.0" {
            fields.wrong("version", version, mustBe: "\"1.0\"")
        }
        readAllowedLibraries(fields, origin)
        let entries = fields.list("entries", of: "entries") ?? []
        var namespace = "?"
        if let text = fields.string("namespace") {
            let isValid = EntryID.isValidPart(text)
            if !isValid { fields.wrong("namespace", namespaceNode, mustBe: Catalogue.nameRule) }
            namespace = isValid ? text : quoted(text)
        }
        // Entries of a wrong namespace are read too: their bare references still hold.
        for entry in entries { declare(entry, in: namespace, origin) }
    }

    /// `native: { allow: […] }`.
    private mutating func readAllowedLibraries(_ fields: Fields, _ origin: DocumentOrigin) {
        guard let part = fields.fields("native", known: ["allow"]) else { return }
        for node in part.list("allow", of: "libraries") ?? [] {
            let scheme = "file://"
            guard let text = node.string, text.hasPrefix(scheme) else {
                if let pattern = node.string.flatMap({ LibraryPattern($0) }) {
                    allowedLibraries.append(pattern)
                } else {
                    faults.report(
                        at: node.position, "'native.allow' must have \(LibraryPattern.rule); or \"file://…\", got \(node.shown)")
                }
                continue
            }
            guard let folder = origin.folder else {
                faults.report(
                    at: node.position,
                    "'native.allow' names a file, got \(node.shown), but this YAML does not come from a folder: "
                        + "write an absolute path")
                continue
            }
            guard let path = ApplicationFolder.join(origin.directory, String(text.dropFirst(scheme.count))) else {
                faults.report(at: node.position, "'native.allow' leaves the application folder, got \(node.shown): write an absolute path")
                continue
            }
            if let pattern = LibraryPattern(path + (text.hasSuffix("/") && !path.isEmpty ? "/" : ""), in: folder.absoluteNames(of: "")[0]) {
                allowedLibraries.append(pattern)
            }
        }
    }

    private static let nameRule = "1 to 127 letters, digits, '_', '-' or '.'"

    private mutating func declare(_ node: YAMLNode, in namespace: String, _ origin: DocumentOrigin) {
        guard node.mapping != nil else {
            faults.report(at: node.position, "an entry must be a mapping, got \(node.shown)")
            return
        }
        let name = readName(node)
        let id = EntryID(namespace: namespace, name: name ?? "?")
        let declaration = Declaration(id: id, kind: readKind(node), node: node, origin: origin)
        if name != nil, let first = self[id]?.node.position {
            faults.report(
                at: node["name"]!.position,
                "entry '\(id)' is declared twice: first at \(first.path):\(first.line):\(first.column)")
        }
        if name == nil || indices[id] != nil {
            misnamed.append(declaration)
        } else {
            indices[id] = declarations.count
            declarations.append(declaration)
        }
    }

    private func readName(_ node: YAMLNode) -> String? {
        guard let nameNode = node["name"] else {
            faults.report(at: node.position, "the entry has no 'name'")
            return nil
        }
        if let name = nameNode.string, EntryID.isValidPart(name) { return name }
        let advice = nameNode.quotingAdvice.map { ": " + $0 } ?? ""
        faults.report(
            at: nameNode.position, "'name' must be \(Catalogue.nameRule), got \(nameNode.shown)\(advice)")
        return nil
    }

    private func readKind(_ node: YAMLNode) -> EntryKind? {
        guard let kindNode = node["kind"] else {
            faults.report(at: node.position, "the entry has no 'kind'")
            return nil
        }
        guard let text = kindNode.string else {
            faults.report(at: kindNode.position, "'kind' must be a string, got \(kindNode.shown)")
            return nil
        }
        let kinds = EntryKind.allCases.map(\.rawValue)
        guard let kind = EntryKind(rawValue: text) else {
            let rest = didYouMean(
                text, among: kinds, otherwise: "; the kinds are \(kinds.joined(separator: ", "))")
            faults.report(at: kindNode.position, "unknown kind \(quoted(text))\(rest)")
            return nil
        }
        return kind
    }

    /// The entry that a reference made inside `namespace` means; nil if there is none of a
    /// fitting kind, and that is reported.
    ///
    /// - Parameter role: what refers, for the fault: `'host'`.
    func resolve(
        _ node: YAMLNode, in namespace: String, role: String, mustBe expected: String, _ fits: (EntryKind) -> Bool
    ) -> EntryID? {
        guard let text = node.string, let id = EntryID(reference: text, in: namespace) else {
            faults.report(
                at: node.position,
                "\(role) must be an entry's id, \"namespace:name\", or a name of this namespace, got \(node.shown)")
            return nil
        }
        guard let target = self[id] else {
            let rest = nearest(to: id, fits)
            faults.report(at: node.position, "\(role) refers to '\(id)', which does not exist\(rest)")
            return nil
        }
        guard let kind = target.kind else { return nil }
        guard fits(kind) else {
            faults.report(
                at: node.position, "\(role) refers to '\(id)', which is a \(kind.rawValue); it must be \(expected)")
            return nil
        }
        return id
    }

    private func nearest(to id: EntryID, _ fits: (EntryKind) -> Bool) -> String {
        guard faults.isShort else { return "" }
        let fitting = declarations.filter { $0.kind.map(fits) ?? false }.map(\.id)
        // Right name, other namespace: the commonest slip, and far in edits.
        if let same = fitting.first(where: { $0.name == id.name }) {
            return "; did you mean '\(same)'?"
        }
        return didYouMean(id.description, among: fitting.lazy.map(\.description))
    }
}
