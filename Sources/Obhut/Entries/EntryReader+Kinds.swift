// The fields of each kind.

extension EntryReader {
    /// What an entry of this kind may have beside `name`, `kind` and `meta`.
    static func fieldNames(of kind: EntryKind) -> [String] {
        switch kind {
        case .processHost: ["host", "lifecycle"]
        case .processLua:
            ["source", "method", "modules", "imports", "env", "memory_limit", "host", "input", "lifecycle"]
        case .processExternal: ["host", "input", "lifecycle"]
        case .processService: ["process", "host", "input", "lifecycle"]
        case .supervisor: ["strategy", "intensity", "children", "lifecycle"]
        case .functionLua: ["source", "method", "modules", "imports", "env", "memory_limit"]
        case .libraryLua: ["source", "modules", "imports", "env"]
        case .registryEntry: ["data"]
        case .processNative:
            [
                "library", "symbol", "method", "signature", "entry", "isolation", "mode", "memory_limit", "cpu_limit",
                "host", "input", "lifecycle",
            ]
        case .libraryNative: ["library", "functions", "offload"]
        }
    }

    /// Built-in modules that `modules:` may list in this version.
    static let availableModules = [
        "time", "json", "uuid", "logger", "io", "ctx", "env", "payload", "process", "channel", "errors", "os",
        "supervisor",
    ]
    /// Those that the design has besides.
    static let plannedModules = ["string", "table", "math"]

    func readHost(_ fields: Fields) -> HostEntry {
        var host = HostEntry(workers: cores)
        let known = [
            "workers", "max_processes", "mailbox_limit", "mailbox_bytes", "max_message", "process_memory",
            "spare_workers", "step_limit",
        ]
        guard let part = fields.fields("host", known: known) else { return host }
        if let value = part.int("workers", in: 1...1024) { host.workers = value }
        if let value = part.int("max_processes", in: 0...Int.max) { host.maxProcesses = value }
        if let value = part.int("mailbox_limit", in: 0...Int.max) { host.mailboxLimit = value }
        if let value = part.byteSize("mailbox_bytes") { host.mailboxBytes = value }
        if let value = part.byteSize("max_message", from: 1) { host.maxMessage = value }
        if let value = part.byteSize("process_memory") { host.processMemory = value }
        if let value = part.int("spare_workers", in: 0...1024) { host.spareWorkers = value }
        if let value = part.duration("step_limit") { host.stepLimit = value }
        return host
    }

    func readProcess(_ fields: Fields, _ declaration: Declaration) -> ProcessEntry {
        let code = readCode(fields, declaration)
        let method = fields.string("method") ?? "main"
        let memoryLimit = fields.byteSize("memory_limit")
        let input = fields.list("input", of: "arguments")?.map(\.value) ?? []
        let host = readHostReference(fields, in: declaration.id.namespace, role: "'host'")
        return ProcessEntry(code: code, method: method, memoryLimit: memoryLimit, host: host, input: input)
    }

    func readExternal(_ fields: Fields, _ declaration: Declaration) -> ExternalEntry {
        let input = fields.list("input", of: "arguments")?.map(\.value) ?? []
        return ExternalEntry(host: readHostReference(fields, in: declaration.id.namespace, role: "'host'"), input: input)
    }

    func readHostReference(_ fields: Fields, in namespace: String, role: String) -> EntryID? {
        guard let node = fields["host"] else { return nil }
        return catalogue.resolve(node, in: namespace, role: role, mustBe: "a process.host") {
            $0 == .processHost
        }
    }

    /// Nil without a process to run, and that is reported.
    func readService(_ fields: Fields, _ declaration: Declaration) -> ServiceEntry? {
        let host = readHostReference(fields, in: declaration.id.namespace, role: "'host'")
        let input = fields.list("input", of: "arguments")?.map(\.value) ?? []
        guard let node = fields["process"] else {
            faults.report(at: declaration.node.position, "the service has no 'process': the id of the entry that it runs")
            return nil
        }
        let process = catalogue.resolve(
            node, in: declaration.id.namespace, role: "'process'",
            mustBe: "a process.lua, a process.native, a process.external or a function.lua", \.isRunnable)
        guard let process else { return nil }
        return ServiceEntry(process: process, host: host, input: input)
    }

    func readFunction(_ fields: Fields, _ declaration: Declaration) -> FunctionEntry {
        let code = readCode(fields, declaration)
        let method = fields.string("method") ?? "main"
        let memoryLimit = fields.byteSize("memory_limit")
        return FunctionEntry(code: code, method: method, memoryLimit: memoryLimit)
    }

    /// What all Lua kinds have: a source, and what it may `require`.
    func readCode(_ fields: Fields, _ declaration: Declaration) -> LuaCode {
        let source = sources.read(fields, of: declaration)
        let modules = readModules(fields)
        let imports = readImports(fields, declaration, modules)
        // Without a source the load has failed, but the imports may still be part of a cycle.
        let missing = LuaSource(chunkName: declaration.id.description, text: [])
        return LuaCode(
            source: source ?? missing, modules: modules, imports: imports, environment: readEnvironment(fields))
    }

    /// The environment variables that module `env` shows.
    private func readEnvironment(_ fields: Fields) -> [String] {
        var names: [String] = []
        for node in fields.list("env", of: "names of environment variables") ?? [] {
            guard let name = node.string, !name.isEmpty, !name.utf8.contains(0), !name.utf8.contains(UInt8(ascii: "="))
            else {
                faults.report(at: node.position, "an environment variable must be a name, got \(node.shown)")
                continue
            }
            if !names.contains(name) { names.append(name) }
        }
        return names
    }

    private func readModules(_ fields: Fields) -> [String] {
        var modules: [String] = []
        let available = EntryReader.availableModules
        for node in fields.list("modules", of: "module names") ?? [] {
            guard let name = node.string else {
                faults.report(at: node.position, "a module must be a name, got \(node.shown)")
                continue
            }
            if available.contains(name) {
                if !modules.contains(name) { modules.append(name) }
            } else if EntryReader.plannedModules.contains(name) {
                faults.report(at: node.position, "module '\(name)' is not available in this version")
            } else {
                let rest = didYouMean(
                    name, among: available, otherwise: "; the modules are \(available.joined(separator: ", "))")
                faults.report(at: node.position, "unknown module \(quoted(name))\(rest)")
            }
        }
        return modules
    }

    private func readImports(_ fields: Fields, _ declaration: Declaration, _ modules: [String]) -> [LuaImport] {
        guard let node = fields["imports"] else { return [] }
        guard let pairs = node.mapping else {
            fields.wrong("imports", node, mustBe: "a mapping of names to library ids", advice: "write { name: id }")
            return []
        }
        var imports: [LuaImport] = []
        for pair in pairs {
            guard let name = pair.key.string, !name.isEmpty else {
                faults.report(at: pair.key.position, "the name of an import must be a string, got \(pair.key.shown)")
                continue
            }
            if modules.contains(name) {
                faults.report(
                    at: pair.key.position,
                    "import \(quoted(name)) has the name of a module listed under 'modules': give it another name")
            }
            let library = catalogue.resolve(
                pair.value, in: declaration.id.namespace, role: "import \(quoted(name))",
                mustBe: "a library", \.isImportable)
            if let library { imports.append(LuaImport(name: name, library: library)) }
        }
        return imports
    }
}
