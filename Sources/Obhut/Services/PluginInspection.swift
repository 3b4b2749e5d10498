/// What a shared library offers for native entries, told without loading it.
struct PluginInspection {
    enum Problem: Error {
        case notFound(String)
        case unusable(String)
    }

    private let path: String
    private let plugin: PluginDescription?
    /// Of a library that is no plugin.
    private let functions: [String]

    /// - Parameter name: a path, or a soname that the system's loader finds.
    init(of name: String) throws(Problem) {
        let path: String
        if name.contains("/") || LibraryFile.exists(name) {
            path = name
        } else {
            guard let found = LibraryFile.find(name) else {
                throw .notFound("\(name) does not exist here, nor is it found where the system's loader searches")
            }
            path = found
        }
        if !LibraryFile.exists(path) { throw .notFound("\(path) does not exist") }
        let contents: any LibraryContents
        switch LibraryFile.read(path) {
        case .contents(let read): contents = read
        case .unusable(let why): throw .unusable(why)
        }
        switch contents.plugin {
        case .none: plugin = nil
        case .unusable(let why): throw .unusable("\(path) is a plugin that cannot be used: \(why)")
        case .plugin(let described): plugin = described
        }
        self.path = path
        functions = plugin == nil ? contents.functions : []
    }

    /// For people.
    var text: String {
        guard let plugin else {
            let all = functions.map { "  \($0)\n" }.joined()
            return "\(path): no plugin (it exports no obhut_plugin); an entry needs 'symbol' and 'signature'\n"
                + (functions.isEmpty ? "no functions\n" : "functions (C keeps no types of them):\n\(all)")
        }
        var lines = ["\(path): plugin \(plugin.name) \(plugin.version), ABI \(plugin.abi)"]
        lines.append(plugin.entries.isEmpty ? "no entries" : "entries")
        let widths = plugin.entries.map { ($0.name.count, PluginInspection.shown($0).count) }
        let (first, second) = (widths.map(\.0).max() ?? 0, widths.map(\.1).max() ?? 0)
        for entry in plugin.entries {
            let name = entry.name + String(repeating: " ", count: first - entry.name.count)
            let signature = PluginInspection.shown(entry)
            let symbol = String(repeating: " ", count: second - signature.count) + "  symbol \(entry.symbol)"
            lines.append("  \(name)  \(signature)\(symbol)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func shown(_ entry: PluginDescription.Entry) -> String {
        entry.mode == .handler ? "handler" : entry.signature ?? "?"
    }

    /// For programs; see docs/cli.md.
    var json: String {
        func optional(_ text: String?) -> EntryValue { text.map(EntryValue.string) ?? .null }
        func object(_ pairs: [(String, EntryValue)]) -> EntryValue { .map(pairs.map { .init(key: .string($0), value: $1) }) }
        let described = plugin.map { plugin in
            object([
                ("name", .string(plugin.name)), ("version", .string(plugin.version)), ("abi", .int(Int64(plugin.abi))),
                (
                    "entries",
                    .list(
                        plugin.entries.map {
                            object([
                                ("name", .string($0.name)), ("symbol", .string($0.symbol)), ("mode", .string($0.mode.rawValue)),
                                ("signature", optional($0.signature)),
                            ])
                        })
                ),
            ])
        }
        var writer = PayloadWriter()
        writer.write(
            object([
                ("path", .string(path)), ("plugin", described ?? .null), ("functions", .list(functions.map(EntryValue.string))),
            ]))
        return payloadToJSON(writer.bytes)
    }
}
