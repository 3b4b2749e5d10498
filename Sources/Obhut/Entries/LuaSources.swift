// Where entries' Lua text comes from.
//
// `source:` is either `file://` and a path relative to the YAML file that says so, or the
// text itself. A file is read once and compiled once for a check, however many entries
// share it, so its syntax fault is reported once.

final class LuaSources {
    private let faults: FaultList
    /// By real path: one file may be reached under several names.
    private var files: [String: LuaSource] = [:]
    /// Every distinct source, in the order of the entries, with what a syntax fault in it looks like.
    private var unchecked: [(source: LuaSource, fault: (SyntaxFault) -> Fault)] = []

    init(faults: FaultList) { self.faults = faults }

    /// The text that the `source:` of an entry names or is; nil if there is none to be had,
    /// and that is reported.
    func read(_ fields: Fields, of declaration: Declaration) -> LuaSource? {
        guard let node = fields["source"] else {
            faults.report(
                at: declaration.node.position,
                "the entry has no 'source': write \"file://name.lua\" or the Lua text itself")
            return nil
        }
        guard let text = fields.string("source"), case .scalar(let scalar) = node.content else { return nil }
        let scheme = "file://"
        if text.hasPrefix(scheme) {
            return readFile(String(text.dropFirst(scheme.count)), node, declaration.origin)
        }
        if text.hasSuffix(".lua"), !text.contains(where: \.isWhitespace) {
            faults.report(
                at: node.position,
                "'source' is neither \"file://…\" nor Lua text, got \(node.shown): write \"file://\(text)\"")
            return nil
        }
        let source = LuaSource(chunkName: declaration.id.description, text: Array(text.utf8))
        unchecked.append((source, { inlineFault($0, scalar, node.position) }))
        return source
    }

    /// Compiles every source that was read.
    func check(_ checkSyntax: (_ source: [UInt8], _ chunkName: String) -> SyntaxFault?) {
        for (source, fault) in unchecked {
            if let problem = checkSyntax(source.text, source.chunkName) { faults.report(fault(problem)) }
        }
        unchecked = []
    }

    private func readFile(_ written: String, _ node: YAMLNode, _ origin: DocumentOrigin) -> LuaSource? {
        func wrong(_ message: String) -> LuaSource? {
            faults.report(at: node.position, message)
            return nil
        }
        guard let folder = origin.folder else {
            return wrong(
                "'source' names a file, got \(node.shown), but this YAML does not come from a folder: "
                    + "write the Lua text itself")
        }
        var outside: String { "'source' leaves the application folder, got \(node.shown): name a file inside it" }
        guard let path = ApplicationFolder.join(origin.directory, written) else { return wrong(outside) }
        var shown: String { quoted(path.isEmpty ? "." : path) }
        do throws(FileProblem) {
            let resolved = try folder.resolve(path)
            if let known = files[resolved] { return known }
            let source = LuaSource(chunkName: path, text: try folder.read(resolved))
            if source.text.isEmpty { return wrong("source file \(shown) is empty") }
            files[resolved] = source
            unchecked.append((source, { Fault(path: path, line: $0.line, message: $0.message) }))
            return source
        } catch {
            switch error {
            case .missing:
                let near = faults.isShort ? folder.didYouMean(path) : ""
                return wrong("source file \(shown) does not exist\(near)")
            case .folder: return wrong("source file \(shown) is a folder: name a file in it")
            case .outside: return wrong(outside)
            case .tooLarge: return wrong("source file \(shown) is larger than 16 MiB")
            case .unreadable(let why): return wrong("source file \(shown) cannot be read: \(why)")
            }
        }
    }
}

/// A syntax fault in Lua text that stands in a YAML file.
private func inlineFault(_ fault: SyntaxFault, _ scalar: YAMLScalar, _ position: SourcePosition) -> Fault {
    switch scalar.style {
    case .literal:
        // `source: |` keeps its lines, and the first is the one below the bar.
        return Fault(path: position.path, line: position.line + fault.line, message: fault.message)
    case .plain, .quoted, .folded:
        // Folding and escapes have moved the lines.
        return Fault(at: position, "line \(fault.line) of the source: \(fault.message)")
    }
}
