// An application: all entries of a folder, checked, in the order in which they start.
//
// The law of loading:
//
// - All or nothing. There is an application, or there are all of its faults; nothing of
//   an application with a fault is ever seen by who runs it.
// - The steps, each a file of this folder: bytes → tree (`YAMLParser`) → which entries there
//   are (`Declaration`) → their fields and references (`EntryReader`) → order and cycles
//   (`EntryGraph`). A step goes on after faults as far as it can.
// - A load is a function of the files: entries and faults come in the same order whatever
//   order the file system lists its names in.
// - Entries know nothing of Lua and of what is in shared libraries. Who loads passes the
//   compiler in as `checkSyntax`, and who reads libraries as `libraries`.
// - A load happens on the caller's thread and blocks it for the time of reading.
//
// An application is immutable and may be shared by all threads.

import Glibc

struct Application: Sendable {
    /// As the loader was given it; nil if the entries came as a text.
    let folder: String?
    /// In the order of the files (sorted by path) and of the entries in each.
    let entries: [Entry]
    let entriesByID: [EntryID: Entry]
    /// What starts with the runtime, each entry after those that it needs; stopping goes
    /// the other way. It holds every entry with `auto_start`, and what those need even if
    /// it has no `auto_start` of its own. Hosts come as early as their own needs allow: a
    /// script may spawn on a host that its entry does not name.
    let startOrder: [EntryID]
    /// Of each in `startOrder`, which others of it must be ready before it starts.
    let startNeeds: [EntryID: [EntryID]]

    /// Where YAML comes from that an embedding program hands over.
    enum Source {
        /// Every `*.yaml` and `*.yml` below it.
        case folder(String)
        /// One file's content. `name` stands for its path in faults.
        case yaml(String, name: String)
    }

    typealias SyntaxCheck = (_ source: [UInt8], _ chunkName: String) -> SyntaxFault?

    static func load(
        folder: String, checkSyntax: SyntaxCheck, libraries: LibraryAccess = LibraryAccess()
    ) -> Result<Application, ApplicationFaults> {
        load([.folder(folder)], checkSyntax: checkSyntax, libraries: libraries)
    }

    static func load(
        yaml: String, name: String = "<yaml>", checkSyntax: SyntaxCheck, libraries: LibraryAccess = LibraryAccess()
    ) -> Result<Application, ApplicationFaults> {
        load([.yaml(yaml, name: name)], checkSyntax: checkSyntax, libraries: libraries)
    }

    /// Loads several sources as one application: entries of one may refer to another's.
    /// - Parameter libraries: the shared libraries that it may name; none if nothing is given.
    static func load(
        _ sources: [Source], checkSyntax: SyntaxCheck, libraries: LibraryAccess = LibraryAccess()
    ) -> Result<Application, ApplicationFaults> {
        let faults = FaultList()
        var catalogue = Catalogue(faults: faults)
        for source in sources { catalogue.read(source, faults) }

        let texts = LuaSources(faults: faults)
        let reader = EntryReader(
            catalogue: catalogue, sources: texts,
            libraries: NativeLibraries(libraries, allowed: catalogue.allowedLibraries, faults: faults), faults: faults,
            cores: onlineCores())
        var linker = EntryLinker(entries: catalogue.declarations.compactMap(reader.read), catalogue: catalogue)
        catalogue.misnamed.forEach { _ = reader.read($0) }
        texts.check(checkSyntax)
        linker.checkImports(faults)
        linker.checkOrderOfChildren(faults)
        let start = linker.orderStart(faults)

        guard faults.count == 0 else { return .failure(ApplicationFaults(faults: faults.sorted())) }
        var folder: String?
        for case .folder(let path) in sources where folder == nil { folder = path }
        return .success(
            Application(
                folder: folder, entries: linker.entries,
                entriesByID: Dictionary(uniqueKeysWithValues: linker.entries.map { ($0.id, $0) }),
                startOrder: start.order, startNeeds: start.needs))
    }

    subscript(id: EntryID) -> Entry? { entriesByID[id] }
}

extension Catalogue {
    fileprivate mutating func read(_ source: Application.Source, _ faults: FaultList) {
        let before = (declarations.count, faults.count)
        let name: String
        switch source {
        case .folder(let path):
            name = path
            read(folder: path, faults)
        case .yaml(let text, let path):
            name = path
            read(Array(text.utf8), from: DocumentOrigin(folder: nil, directory: "", path: path), faults)
        }
        if (declarations.count, faults.count) == before {
            faults.report(
                Fault(
                    path: name,
                    message: "no entries found: a YAML file with \"namespace\" and \"entries\" is needed"))
        }
    }

    private mutating func read(folder path: String, _ faults: FaultList) {
        let folder: ApplicationFolder
        do throws(FileProblem) {
            folder = try ApplicationFolder(path)
        } catch {
            let message =
                switch error {
                case .unreadable(let why): "the application folder cannot be read: \(why)"
                default: "the application folder does not exist"
                }
            faults.report(Fault(path: path, message: message))
            return
        }
        let (files, problems) = folder.yamlFiles()
        for (path, problem) in problems { faults.report(Fault(path: path, message: problem.ofYAML)) }
        var seen: Set<String> = []
        for file in files {
            do throws(FileProblem) {
                let resolved = try folder.resolve(file)
                guard seen.insert(resolved).inserted else { continue }
                let directory = file.lastIndex(of: "/").map { String(file[..<$0]) } ?? ""
                read(
                    try folder.read(resolved),
                    from: DocumentOrigin(folder: folder, directory: directory, path: file), faults)
            } catch {
                faults.report(Fault(path: file, message: error.ofYAML))
            }
        }
    }

    private mutating func read(_ bytes: [UInt8], from origin: DocumentOrigin, _ faults: FaultList) {
        do throws(Fault) {
            read(try parseYAML(bytes, path: origin.path), from: origin)
        } catch {
            faults.report(error)
        }
    }
}

extension FileProblem {
    /// The problem as a fault about a YAML file or a folder of them.
    fileprivate var ofYAML: String {
        switch self {
        case .missing: "cannot be read: No such file or directory"
        case .folder: "cannot be read: Is a directory"
        case .outside: "is a link that leaves the application folder"
        case .tooLarge: "is larger than 16 MiB"
        case .unreadable(let why): "cannot be read: \(why)"
        }
    }
}

private func onlineCores() -> Int {
    min(max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1), 1024)
}
