// The folder of an application, and the only place of this part that asks the file system.
//
// Nothing outside the folder is read, symbolic links counted: a path is resolved by
// `realpath` and its target must lie below the folder's own. Folders that are links are not
// entered: what they lead to inside the application is read under its own name, and what
// lies outside is not the application's. Files that are links are followed, for some
// deployments (Kubernetes' ConfigMaps) make every file one.

import Glibc

/// What could not be read, and why.
enum FileProblem: Error, Equatable {
    case missing
    case folder
    case outside
    case tooLarge
    /// The system's own words.
    case unreadable(String)

    init(errno code: Int32) {
        self =
            switch code {
            case ENOENT, ENOTDIR: .missing
            case EISDIR: .folder
            default: .unreadable(String(cString: strerror(code)))
            }
    }
}

struct ApplicationFolder: Sendable {
    /// No YAML file and no Lua file is larger.
    static let maximumFileSize = 16 << 20

    /// As the user wrote it.
    let givenPath: String
    /// Absolute, without links.
    private let realPath: String

    init(_ path: String) throws(FileProblem) {
        givenPath = path
        realPath = try resolvePath(path)
        var status = stat()
        guard stat(realPath, &status) == 0 else { throw FileProblem(errno: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw .unreadable("Not a directory") }
    }

    /// Joins a relative path to a directory of the folder, both relative to the folder, and
    /// resolves `.` and `..`. Nil if that leaves the folder.
    static func join(_ directory: String, _ path: String) -> String? {
        let slash = UInt8(ascii: "/")
        if path.utf8.first == slash { return nil }
        var parts: [Substring] = []
        // By bytes, as the system does: a slash before a combining mark is one, too.
        for part in directory.utf8.split(separator: slash) + path.utf8.split(separator: slash) {
            switch Substring(part) {
            case ".": break
            case "..": if parts.popLast() == nil { return nil }
            case let name: parts.append(name)
            }
        }
        return parts.joined(separator: "/")
    }

    /// The real path of something inside the folder: its identity, under whatever name.
    func resolve(_ path: String) throws(FileProblem) -> String {
        if path.utf8.contains(0) { throw .missing }
        let resolved = try resolvePath(realPath + "/" + path)
        // By bytes: `hasPrefix` takes different spellings of a character for the same.
        let inside = realPath == "/" || resolved == realPath || resolved.utf8.starts(with: (realPath + "/").utf8)
        guard inside else { throw .outside }
        return resolved
    }

    /// What the file is called from outside: below the folder's real path, and below its given one if that is absolute.
    func absoluteNames(of path: String) -> [String] {
        [realPath, givenPath].filter { $0.hasPrefix("/") }.map { $0 + ($0.hasSuffix("/") || path.isEmpty ? "" : "/") + path }
    }

    /// Absolute and without links, of anything.
    static func realPath(of path: String) throws(FileProblem) -> String { try resolvePath(path) }

    /// The content of a regular file, by its real path.
    func read(_ resolved: String) throws(FileProblem) -> [UInt8] {
        // Without O_NONBLOCK, opening a named pipe waits for a writer that never comes.
        let file = open(resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw FileProblem(errno: errno) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw FileProblem(errno: errno) }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw .folder
        default: throw .unreadable("Not a regular file")
        }
        // Its size is a hint: it may grow meanwhile, and files of some file systems have none.
        var bytes = [UInt8](repeating: 0, count: min(Int(status.st_size), ApplicationFolder.maximumFileSize) + 1)
        var count = 0
        while true {
            if count == bytes.count { bytes.append(contentsOf: repeatElement(0, count: max(count, 4096))) }
            let got = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress! + count, $0.count - count) }
            if got < 0 {
                let code = errno
                if code == EINTR { continue }
                throw FileProblem(errno: code)
            }
            if got == 0 {
                bytes.removeLast(bytes.count - count)
                return bytes
            }
            count += got
            if count > ApplicationFolder.maximumFileSize { throw .tooLarge }
        }
    }

    /// The `*.yaml` and `*.yml` files below the folder, relative to it, sorted; and the
    /// subfolders that could not be looked into.
    func yamlFiles() -> (files: [String], problems: [(path: String, problem: FileProblem)]) {
        var files: [String] = []
        var problems: [(path: String, problem: FileProblem)] = []
        var waiting = [""]
        while let directory = waiting.popLast() {
            do throws(FileProblem) {
                for item in try list(directory) where !item.name.hasPrefix(".") {
                    let path = directory.isEmpty ? item.name : directory + "/" + item.name
                    if item.isFolder {
                        waiting.append(path)
                    } else if item.name.hasSuffix(".yaml") || item.name.hasSuffix(".yml") {
                        files.append(path)
                    }
                }
            } catch {
                problems.append((directory.isEmpty ? givenPath : directory, error))
            }
        }
        return (files.sorted(), problems)
    }

    /// What to say of a file that is missing: the one in its directory that has nearly its name, or nothing.
    func didYouMean(_ path: String) -> String {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { String(path[..<$0]) } ?? ""
        let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
        let files = ((try? list(directory)) ?? []).filter { !$0.isFolder }.map(\.name).sorted()
        return Obhut.didYouMean(name, among: files)
    }

    private func list(_ directory: String) throws(FileProblem) -> [(name: String, isFolder: Bool)] {
        let path = directory.isEmpty ? realPath : realPath + "/" + directory
        guard let stream = opendir(path) else { throw FileProblem(errno: errno) }
        defer { closedir(stream) }
        var items: [(name: String, isFolder: Bool)] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                let code = errno
                if code != 0 { throw FileProblem(errno: code) }
                return items
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            // `d_type` is optional for file systems; `lstat` is not.
            var status = stat()
            let isFolder = lstat(path + "/" + name, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
            items.append((name, isFolder))
        }
    }
}

private func resolvePath(_ path: String) throws(FileProblem) -> String {
    guard let resolved = realpath(path, nil) else { throw FileProblem(errno: errno) }
    defer { free(resolved) }
    return String(cString: resolved)
}
