// Which shared libraries an application may name, and what is in them.
//
// The law of native libraries:
//
// - Nothing of a library runs while an application is loaded: what it exports is read from its file.
// - A library is used only if it is allowed: by the application, `native: { allow: […] }` beside `namespace` in any of
//   its YAML files, or by the host program. Without either, there are none.
// - A pattern is a soname, an absolute path, or, in YAML, `file://` and a path relative to the file that says so; each
//   may have the wildcards of a shell (`*` and `?` match no "/"). A path that ends in "/" is all that lies below it.

import Glibc

/// What exports of a library can be.
enum LibrarySymbol { case function, data }

/// What a library says of itself.
enum LibraryPlugin {
    /// It is no plugin.
    case none
    /// One of another ABI, or damaged: why, and which side to upgrade.
    case unusable(String)
    case plugin(PluginDescription)
}

struct PluginDescription {
    struct Entry {
        let name: String
        let symbol: String
        /// Nil of a handler.
        let signature: String?
        let mode: NativeMode
    }

    let name: String
    let version: String
    let abi: Int
    let entries: [Entry]
}

/// A shared library that was read and not loaded.
protocol LibraryContents: AnyObject {
    /// Nil: it exports nothing under this name.
    func kind(of symbol: String) -> LibrarySymbol?
    /// Sorted.
    var functions: [String] { get }
    var plugin: LibraryPlugin { get }
}

/// What the host program allows, and how libraries are found and read.
struct LibraryAccess: Sendable {
    enum Reading {
        case contents(any LibraryContents)
        case unusable(String)
    }

    var patterns: [LibraryPattern] = []
    /// Where the loader finds a soname; nil: nowhere.
    var find: @Sendable (_ soname: String) -> String? = { _ in nil }
    /// Reads a file.
    var read: @Sendable (_ path: String) -> Reading = { _ in .unusable("libraries cannot be read here") }
}

struct LibraryPattern: Equatable, Sendable {
    /// Nil: of sonames.
    private let isPath: Bool
    private let isFolder: Bool
    private let glob: String

    static let rule = "a soname, such as \"libz.so.1\", or an absolute path; a path that ends in \"/\" is all that lies below it"

    /// Nil for what is neither.
    init?(_ text: String) {
        guard !text.isEmpty, !text.utf8.contains(0), text != "." && text != ".." else { return nil }
        isPath = text.contains("/")
        if isPath && !text.hasPrefix("/") { return nil }
        // Nothing written with these would ever match.
        if isPath && text.split(separator: "/").contains(where: { $0 == "." || $0 == ".." }) { return nil }
        isFolder = isPath && text.hasSuffix("/")
        var glob = text[...]
        while isFolder && glob.hasSuffix("/") && glob.count > 1 { glob.removeLast() }
        self.glob = String(glob)
    }

    /// `path` as it stands, in a folder whose name has no wildcards.
    init?(_ path: String, in folder: String) {
        self.init(LibraryPattern.escaped(folder) + (folder.hasSuffix("/") ? "" : "/") + path)
    }

    func matches(soname: String) -> Bool { !isPath && fnmatch(glob, soname, 0) == 0 }

    /// - Parameter path: absolute.
    func matches(path: String) -> Bool {
        guard isPath else { return false }
        if isFolder && glob == "/" { return true }
        // FNM_LEADING_DIR: what follows a "/" may be anything.
        return fnmatch(glob, path, FNM_PATHNAME | (isFolder ? 1 << 3 : 0)) == 0
            && !(isFolder && fnmatch(glob, path, FNM_PATHNAME) == 0)
    }

    /// With no wildcard in it.
    static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            if "*?[]\\".contains(character) { result.append("\\") }
            result.append(character)
        }
        return result
    }
}
