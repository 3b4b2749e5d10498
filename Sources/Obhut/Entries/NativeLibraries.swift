// Which library an entry names: allowed, found, and read.
//
// `library:` is a soname, which the system's loader finds, an absolute path, or `file://` and a path relative to the
// YAML file that says so. A file is read once, however many entries share it. See `LibraryAccess` for what is allowed.

final class NativeLibraries {
    /// One that may be used.
    struct Library {
        /// What the loader is given.
        let path: String
        /// As the user wrote it, between quotes.
        let shown: String
        let contents: any LibraryContents
    }

    private let access: LibraryAccess
    private let patterns: [LibraryPattern]
    private let faults: FaultList
    private var read: [String: LibraryAccess.Reading] = [:]

    /// - Parameter allowed: by the application itself.
    init(_ access: LibraryAccess, allowed: [LibraryPattern], faults: FaultList) {
        self.access = access
        patterns = access.patterns + allowed
        self.faults = faults
    }

    /// What the `library:` of an entry names; nil if it cannot be used, which was reported.
    func library(_ fields: Fields, of declaration: Declaration) -> Library? {
        guard let node = fields["library"] else {
            faults.report(
                at: declaration.node.position,
                "the entry has no 'library': write a soname such as \"libz.so.1\", or \"file://libname.so\"")
            return nil
        }
        guard let text = fields.string("library") else { return nil }
        let scheme = "file://"
        if text.hasPrefix(scheme) { return file(String(text.dropFirst(scheme.count)), text, node, declaration.origin) }
        if text.utf8.contains(0) || text.contains("/") && !text.hasPrefix("/") {
            fields.wrong(
                "library", node, mustBe: "a soname, an absolute path or \"file://…\"", advice: "write \"file://\(text)\"")
            return nil
        }
        return text.hasPrefix("/") ? absolute(text, node) : soname(text, node, declaration.origin)
    }

    private func soname(_ name: String, _ node: YAMLNode, _ origin: DocumentOrigin) -> Library? {
        // Whoever has built it beside the YAML means that one.
        if let folder = origin.folder, let path = ApplicationFolder.join(origin.directory, name),
            (try? folder.resolve(path)) != nil, access.find(name) == nil
        {
            faults.report(
                at: node.position,
                "library \(quoted(name)) is a soname, which is not found where the system's loader searches: "
                    + "for the file beside this YAML write \"file://\(name)\"")
            return nil
        }
        guard patterns.contains(where: { $0.matches(soname: name) }) else { return refuse(node, name, name, at: nil) }
        guard let path = access.find(name) else {
            faults.report(
                at: node.position,
                "library \(quoted(name)) is not found where the system's loader searches: install it, or write its path")
            return nil
        }
        return contents(path, node).map { Library(path: name, shown: quoted(name), contents: $0) }
    }

    private func absolute(_ path: String, _ node: YAMLNode) -> Library? {
        if path.split(separator: "/").contains(where: { $0 == "." || $0 == ".." }) {
            faults.report(at: node.position, "'library' must be a path without \".\" and \"..\", got \(node.shown)")
            return nil
        }
        let real = try? ApplicationFolder.realPath(of: path)
        guard isAllowed([path] + (real.map { [$0] } ?? [])) else { return refuse(node, path, path, at: nil) }
        return contents(real ?? path, node).map { Library(path: real ?? path, shown: quoted(path), contents: $0) }
    }

    private func file(_ written: String, _ text: String, _ node: YAMLNode, _ origin: DocumentOrigin) -> Library? {
        func wrong(_ message: String) -> Library? {
            faults.report(at: node.position, message)
            return nil
        }
        guard let folder = origin.folder else {
            return wrong(
                "'library' names a file, got \(node.shown), but this YAML does not come from a folder: "
                    + "write an absolute path")
        }
        let outside = "'library' leaves the application folder, got \(node.shown): name a file inside it, or write its absolute path"
        guard let path = ApplicationFolder.join(origin.directory, written) else { return wrong(outside) }
        do throws(FileProblem) {
            let real = try folder.resolve(path)
            let names = folder.absoluteNames(of: path) + [real]
            guard isAllowed(names) else { return refuse(node, text, real, at: folder) }
            return contents(real, node).map { Library(path: real, shown: quoted(path), contents: $0) }
        } catch {
            switch error {
            case .outside: return wrong(outside)
            case .missing:
                let near = faults.isShort ? folder.didYouMean(path) : ""
                return wrong("library file \(quoted(path)) does not exist\(near)")
            case .unreadable(let why): return wrong("library file \(quoted(path)) cannot be read: \(why)")
            case .folder, .tooLarge: return wrong("library file \(quoted(path)) is no file")
            }
        }
    }

    private func isAllowed(_ paths: [String]) -> Bool {
        patterns.contains { pattern in paths.contains(where: pattern.matches(path:)) }
    }

    /// - Parameters:
    ///   - text: what the application would allow.
    ///   - path: what the host program would.
    private func refuse(_ node: YAMLNode, _ text: String, _ path: String, at folder: ApplicationFolder?) -> Library? {
        faults.report(
            at: node.position,
            "library \(quoted(text)) is not allowed: add it in this application, native: { allow: [\(quoted(text, by: "\""))] } "
                + "beside 'namespace', or in the host program, obhut_config_allow_native(config, \(quoted(path, by: "\""))); "
                + "with the command: --allow-native \(path)")
        return nil
    }

    private func contents(_ path: String, _ node: YAMLNode) -> (any LibraryContents)? {
        let reading = read[path] ?? access.read(path)
        read[path] = reading
        switch reading {
        case .contents(let contents): return contents
        case .unusable(let why):
            faults.report(at: node.position, "the library cannot be used: \(why)")
            return nil
        }
    }
}
