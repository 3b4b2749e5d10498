import CNative
import Glibc

/// A shared library, read from its file. One thread at a time.
final class LibraryFile: LibraryContents {
    private let file: OpaquePointer

    private init(_ file: OpaquePointer) { self.file = file }

    deinit { obn_file_close(file) }

    /// - Parameter path: of the file.
    static func read(_ path: String) -> LibraryAccess.Reading {
        var file: OpaquePointer?
        let fault = nativeText { text, size in
            file = obn_file_open(path, text, size)
            return file != nil
        }
        if let file { return .contents(LibraryFile(file)) }
        return .unusable(fault ?? "")
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Where the loader finds a soname.
    static func find(_ soname: String) -> String? {
        guard let path = obn_find_library(soname) else { return nil }
        defer { free(path) }
        return String(cString: path)
    }

    func kind(of symbol: String) -> LibrarySymbol? {
        switch obn_file_symbol(file, symbol) {
        case OBN_SYMBOL_FUNCTION: .function
        case OBN_SYMBOL_DATA: .data
        default: nil
        }
    }

    var functions: [String] {
        (0..<obn_file_symbol_count(file)).compactMap { index in
            var kind = OBN_SYMBOL_NONE
            guard let name = obn_file_symbol_at(file, index, &kind), kind == OBN_SYMBOL_FUNCTION else { return nil }
            return String(cString: name)
        }.sorted()
    }

    var plugin: LibraryPlugin {
        var plugin = obn_plugin()
        var answer: Int32 = 0
        let fault = nativeText { text, size in
            answer = obn_file_plugin(file, &plugin, text, size)
            return answer >= 0
        }
        if let fault { return .unusable(fault) }
        if answer == 0 { return .none }
        var entries: [PluginDescription.Entry] = []
        for index in 0..<plugin.entry_count {
            var entry = obn_plugin_entry()
            guard obn_file_plugin_entry(file, &plugin, index, &entry) == 0, let name = entry.name, let symbol = entry.symbol
            else { return .unusable("its descriptor is damaged: entry \(index + 1) has no name or no symbol") }
            guard entry.mode == 0 || entry.mode == 1 else {
                return .unusable("entry \(index + 1) of its descriptor has mode \(entry.mode), which this runtime does not know: upgrade libobhut")
            }
            entries.append(
                .init(
                    name: String(cString: name), symbol: String(cString: symbol),
                    signature: entry.signature.map { String(cString: $0) }, mode: entry.mode == 1 ? .handler : .function))
        }
        return .plugin(
            PluginDescription(
                name: plugin.name.map { String(cString: $0) } ?? "", version: plugin.version.map { String(cString: $0) } ?? "",
                abi: Int(plugin.abi), entries: entries))
    }
}

extension LibraryAccess {
    /// The files of this machine.
    static func system(allowing patterns: [LibraryPattern]) -> LibraryAccess {
        LibraryAccess(patterns: patterns, find: LibraryFile.find, read: LibraryFile.read)
    }
}
