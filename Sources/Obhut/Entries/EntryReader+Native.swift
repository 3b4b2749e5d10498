// The fields of the kinds whose code is in shared libraries.

extension EntryReader {
    /// Nil if it cannot be run, and that is reported.
    func readNative(_ fields: Fields, _ declaration: Declaration) -> NativeEntry? {
        let library = libraries.library(fields, of: declaration)
        let host = readHostReference(fields, in: declaration.id.namespace, role: "'host'")
        let input = fields.list("input", of: "arguments")?.map(\.value) ?? []
        let memoryLimit = fields.byteSize("memory_limit", from: 1)
        let cpuLimit = fields.duration("cpu_limit")
        let isolation = fields.choice("isolation", NativeIsolation.self)
        let code = fields["entry"] == nil ? readSymbol(fields, declaration, library) : readPluginEntry(fields, library)
        guard let code else { return nil }
        if code.mode == .handler, isolation == .process, let node = fields["isolation"] {
            faults.report(
                at: node.position,
                "'isolation' must be thread of a handler, which runs on the runtime's own workers, got \(node.shown)")
        }
        if code.mode == .handler || isolation == .thread {
            for name in ["memory_limit", "cpu_limit"] {
                guard let place = fields.keyPosition(name) else { continue }
                faults.report(at: place, "'\(name)' limits a child OS process, so it needs 'isolation: process'")
            }
        }
        guard let library else { return nil }
        return NativeEntry(
            library: library.path, symbol: code.symbol, signature: code.signature,
            isolation: code.mode == .handler ? .thread : isolation ?? .process, mode: code.mode, memoryLimit: memoryLimit,
            cpuLimit: cpuLimit, host: host, input: input)
    }

    private typealias Code = (symbol: String, signature: NativeSignature, mode: NativeMode)

    /// What handlers have, which take what they are given.
    private static let anyArguments = NativeSignature(result: .status, parameters: [])

    /// What the entry says itself.
    private func readSymbol(
        _ fields: Fields, _ declaration: Declaration, _ library: NativeLibraries.Library?
    ) -> Code? {
        let mode = fields.choice("mode", NativeMode.self) ?? .function
        if fields["symbol"] != nil, let second = fields.keyPosition("method") {
            faults.report(at: second, "'method' and 'symbol' are the same field: give one of them")
        }
        let field = fields["symbol"] == nil ? "method" : "symbol"
        let symbol = fields.string(field)
        if symbol == nil && fields[field] == nil {
            faults.report(
                at: declaration.node.position, "the entry has no 'symbol': the name of the C function, or an 'entry' of a plugin")
        }
        if let symbol, let library, let node = fields[field] {
            check(symbol, of: library, as: mode == .handler ? .data : .function, at: node.position)
        }
        var signature: NativeSignature? = EntryReader.anyArguments
        if mode == .handler {
            if let place = fields.keyPosition("signature") {
                faults.report(at: place, "a handler has no 'signature': it is a struct of functions (obhut_handler)")
            }
        } else if let node = fields["signature"] {
            signature = fields.string("signature").flatMap { readSignature($0, node, "'signature'") }
        } else {
            faults.report(
                at: declaration.node.position,
                "the entry has no 'signature': what the C function gives and takes, such as \"u64(u64, bytes)\"")
            signature = nil
        }
        guard let symbol, let signature else { return nil }
        return (symbol, signature, mode)
    }

    /// What the descriptor of the plugin says.
    private func readPluginEntry(_ fields: Fields, _ library: NativeLibraries.Library?) -> Code? {
        for name in ["symbol", "method", "signature", "mode"] {
            guard let place = fields.keyPosition(name) else { continue }
            faults.report(at: place, "'\(name)' is said by the plugin: give 'entry' or '\(name)', not both")
        }
        guard let name = fields.string("entry"), let node = fields["entry"], let library else { return nil }
        func wrong(_ message: String) -> Code? {
            faults.report(at: node.position, message)
            return nil
        }
        switch library.contents.plugin {
        case .none:
            return wrong(
                "library \(library.shown) has no entries: it exports no 'obhut_plugin'; write 'symbol' and 'signature'")
        case .unusable(let why): return wrong("plugin \(library.shown) cannot be used: \(why)")
        case .plugin(let plugin):
            guard let entry = plugin.entries.first(where: { $0.name == name }) else {
                let names = plugin.entries.map(\.name)
                let all = names.isEmpty ? "; it has none" : "; it has \(names.joined(separator: ", "))"
                return wrong(
                    "plugin \(library.shown) has no entry \(quoted(name))\(didYouMean(name, among: names, otherwise: all))")
            }
            let kind: LibrarySymbol = entry.mode == .handler ? .data : .function
            check(entry.symbol, of: library, as: kind, at: node.position)
            if entry.mode == .handler { return (entry.symbol, EntryReader.anyArguments, .handler) }
            do throws(NativeSignature.Fault) {
                return (entry.symbol, try NativeSignature(parsing: entry.signature ?? ""), .function)
            } catch {
                return wrong(
                    "entry \(quoted(name)) of plugin \(library.shown) has a wrong signature, "
                        + "\(quoted(entry.signature ?? "")): \(error.message)")
            }
        }
    }

    private func readSignature(_ text: String, _ node: YAMLNode, _ role: String) -> NativeSignature? {
        do throws(NativeSignature.Fault) {
            return try NativeSignature(parsing: text)
        } catch {
            faults.report(at: node.position(ofCharacter: error.offset), "\(role): \(error.message)")
            return nil
        }
    }

    private func check(
        _ symbol: String, of library: NativeLibraries.Library, as wanted: LibrarySymbol, at position: SourcePosition
    ) {
        switch library.contents.kind(of: symbol) {
        case wanted: return
        case nil:
            let near = faults.isShort ? didYouMean(symbol, among: library.contents.functions) : ""
            faults.report(at: position, "library \(library.shown) has no symbol \(quoted(symbol))\(near)")
        case .data: faults.report(at: position, "symbol \(quoted(symbol)) of \(library.shown) is data, not a function")
        case .function:
            faults.report(
                at: position,
                "symbol \(quoted(symbol)) of \(library.shown) is a function: a handler is a struct of functions (obhut_handler)")
        }
    }

    /// Nil if nothing of it can be required, and that is reported.
    func readNativeLibrary(_ fields: Fields, _ declaration: Declaration) -> NativeLibraryEntry? {
        let library = libraries.library(fields, of: declaration)
        let isOffloaded = fields.bool("offload") ?? false
        guard let node = fields["functions"] else {
            faults.report(
                at: declaration.node.position,
                "the entry has no 'functions': names and signatures, such as { crc32: \"u64(u64, bytes)\" }")
            return nil
        }
        guard let pairs = node.mapping else {
            fields.wrong("functions", node, mustBe: "a mapping of names to signatures", advice: "write { name: \"void()\" }")
            return nil
        }
        var functions: [NativeLibraryEntry.Function] = []
        for pair in pairs {
            guard let name = pair.key.string, !name.isEmpty, !name.utf8.contains(0) else {
                faults.report(at: pair.key.position, "the name of a function must be a string, got \(pair.key.shown)")
                continue
            }
            if let library { check(name, of: library, as: .function, at: pair.key.position) }
            guard let text = pair.value.string, !text.isEmpty else {
                faults.report(
                    at: pair.value.position,
                    "function \(quoted(name)) must have a signature, such as \"u64(u64, bytes)\", got \(pair.value.shown)")
                continue
            }
            guard let signature = readSignature(text, pair.value, "function \(quoted(name))") else { continue }
            if signature.hasContext {
                faults.report(
                    at: pair.value.position,
                    "function \(quoted(name)) takes a context, which is a process's: Lua calls functions without one")
                continue
            }
            functions.append(.init(name: name, signature: signature))
        }
        guard let library else { return nil }
        return NativeLibraryEntry(library: library.path, functions: functions, isOffloaded: isOffloaded)
    }
}
