import Foundation
import Testing

@testable import Obhut

/// `process.native` and `library.native`: what is read, what is refused, and where.
@Suite struct NativeEntryTests {
    /// An application with the libraries of Tests/Native beside it, which the host program allows.
    static func load(
        _ entries: String, root: String = "", allowing patterns: [String]? = nil, in folder: String = ""
    ) throws -> Result<Application, ApplicationFaults> {
        let application = try TemporaryApplication([
            folder + "a.yaml": "namespace: app\n\(root)entries:\n- { name: host, kind: process.host }\n" + entries,
            "text.so": "no library, and no ELF header, which has 64 bytes; this has more of them than that",
        ])
        for (name, source) in [("values", CompiledLibrary.values), ("described", CompiledLibrary.path("described.c")), ("newer", CompiledLibrary.path("described.c", "-DABI=2"))] {
            try FileManager.default.copyItem(atPath: source, toPath: "\(application.folder)/lib\(name).so")
        }
        let real = try ApplicationFolder.realPath(of: application.folder)
        let patterns = (patterns ?? ["/", "lib*.so.*"]).map { LibraryPattern($0.replacing("FOLDER", with: real))! }
        return Application.load(
            folder: application.folder, checkSyntax: fakeSyntaxCheck, libraries: .system(allowing: patterns))
    }

    private static func native(_ application: Application, _ name: String) throws -> NativeEntry {
        guard case .native(let entry)? = application[EntryID(namespace: "app", name: name)]?.definition else {
            throw Missing(name: name)
        }
        return entry
    }

    private struct Missing: Error { let name: String }

    @Test func everyFieldIsRead() throws {
        let app = try Self.load("""
            - name: plain
              kind: process.native
              library: file://libvalues.so
              symbol: echo_i8
              signature: i8(i8)
            - name: full
              kind: process.native
              library: libc.so.6
              method: getpid
              signature: i32()
              isolation: process
              mode: function
              memory_limit: 64MiB
              cpu_limit: 1m30s
              host: host
              input: []
              lifecycle: { auto_start: true }
            - { name: thread, kind: process.native, library: file://libvalues.so, symbol: nothing, signature: void(), isolation: thread }
            - { name: plugin, kind: process.native, library: file://libdescribed.so, entry: sum }
            - { name: handler, kind: process.native, library: file://libdescribed.so, entry: counter }
            - { name: other, kind: process.native, library: file://libdescribed.so, symbol: counter, mode: handler }
            - name: values
              kind: library.native
              library: file://libvalues.so
              offload: true
              functions:
                echo_i8: i8(i8)
                see_bytes: string(bytes)
            """).get()
        let plain = try Self.native(app, "plain")
        #expect(plain.library.hasSuffix("/libvalues.so") && plain.library.hasPrefix("/"))
        #expect(plain.symbol == "echo_i8" && plain.signature == NativeSignature(result: .i8, parameters: [.i8]))
        #expect(plain.isolation == .process && plain.mode == .function && plain.memoryLimit == nil && plain.cpuLimit == nil)
        let full = try Self.native(app, "full")
        #expect(full.library == "libc.so.6" && full.symbol == "getpid" && full.memoryLimit == 64 << 20 && full.cpuLimit == 90_000 * ms)
        #expect(full.host == EntryID(namespace: "app", name: "host"))
        #expect(app.startOrder.map(\.name) == ["host", "full"])
        #expect(try Self.native(app, "thread").isolation == .thread)
        let plugin = try Self.native(app, "plugin")
        #expect(plugin.symbol == "sum" && plugin.signature.description == "u64(bytes)" && plugin.isolation == .process)
        for name in ["handler", "other"] {
            let handler = try Self.native(app, name)
            #expect(handler.symbol == "counter" && handler.mode == .handler && handler.isolation == .thread)
        }
        guard case .nativeLibrary(let library)? = app[EntryID(namespace: "app", name: "values")]?.definition else {
            throw Missing(name: "values")
        }
        #expect(library.isOffloaded && library.functions.map(\.name) == ["echo_i8", "see_bytes"])
    }

    /// The fields of one entry, from line 5 on, and the fault.
    @Test(arguments: [
        ("library: file://libvalues.so, symbol: echo_i9, signature: \"i8(i8)\"", "library 'libvalues.so' has no symbol 'echo_i9'; did you mean 'echo_i8'?"),
        ("library: file://libvalues.so, symbol: table, signature: \"i8(i8)\"", "symbol 'table' of 'libvalues.so' is data, not a function"),
        ("library: file://libvalues.so, symbol: echo_i8, mode: handler", "symbol 'echo_i8' of 'libvalues.so' is a function: a handler is a struct of functions (obhut_handler)"),
        ("library: file://libvalue.so, symbol: echo_i8, signature: \"i8(i8)\"", "library file 'libvalue.so' does not exist; did you mean 'libvalues.so'?"),
        ("library: file://../libvalues.so, symbol: echo_i8, signature: \"i8(i8)\"", "'library' leaves the application folder, got \"file://../libvalues.so\": name a file inside it, or write its absolute path"),
        ("library: file://text.so, symbol: x, signature: \"i8(i8)\"", "the library cannot be used: FOLDER/text.so is no shared library: it is not in the format ELF"),
        ("library: libnowhere.so.7, symbol: x, signature: \"i8(i8)\"", "library 'libnowhere.so.7' is not found where the system's loader searches: install it, or write its path"),
        ("library: libvalues.so, symbol: echo_i8, signature: \"i8(i8)\"", "library 'libvalues.so' is a soname, which is not found where the system's loader searches: for the file beside this YAML write \"file://libvalues.so\""),
        ("library: lib/x.so, symbol: x, signature: \"i8(i8)\"", "'library' must be a soname, an absolute path or \"file://…\", got \"lib/x.so\": write \"file://lib/x.so\""),
        ("library: /usr/../x.so, symbol: x, signature: \"i8(i8)\"", "'library' must be a path without \".\" and \"..\", got \"/usr/../x.so\""),
        ("library: /nowhere/x.so, symbol: x, signature: \"i8(i8)\"", "the library cannot be used: /nowhere/x.so does not exist"),
        ("library: file://libvalues.so, symbol: echo_i8, method: x, signature: \"i8(i8)\"", "'method' and 'symbol' are the same field: give one of them"),
        ("library: file://libvalues.so, symbol: echo_i8, signature: \"i8(i9)\"", "'signature': unknown type 'i9'; did you mean 'i8'?"),
        ("library: file://libvalues.so, symbol: echo_i8, signature: \"i8(i8)\", isolation: proces", "'isolation' must be one of process, thread, got \"proces\""),
        ("library: file://libvalues.so, symbol: echo_i8, signature: \"i8(i8)\", isolation: thread, memory_limit: 1MiB", "'memory_limit' limits a child OS process, so it needs 'isolation: process'"),
        ("library: file://libvalues.so, symbol: echo_i8, signature: \"i8(i8)\", isolation: thread, cpu_limit: 1s", "'cpu_limit' limits a child OS process, so it needs 'isolation: process'"),
        ("library: file://libvalues.so, symbol: echo_i8, signature: \"i8(i8)\", cpu_limit: 5", "'cpu_limit' must be a duration above 0, such as \"5s\" or \"1m30s\", got 5: write \"5s\" for seconds"),
        ("library: file://libvalues.so, symbol: echo_i8, signature: \"i8(i8)\", memory_limit: 0", "'memory_limit' must be a size of 1 or more in bytes, such as \"64MiB\" or 65536, got 0"),
        ("library: file://libdescribed.so, symbol: counter, mode: handler, isolation: process", "'isolation' must be thread of a handler, which runs on the runtime's own workers, got \"process\""),
        ("library: file://libdescribed.so, symbol: counter, mode: handler, signature: \"i8()\"", "a handler has no 'signature': it is a struct of functions (obhut_handler)"),
        ("library: file://libdescribed.so, entry: summ", "plugin 'libdescribed.so' has no entry 'summ'; did you mean 'sum'?"),
        ("library: file://libdescribed.so, entry: other", "plugin 'libdescribed.so' has no entry 'other'; it has sum, counter, broken, missing"),
        ("library: file://libdescribed.so, entry: broken", "entry 'broken' of plugin 'libdescribed.so' has a wrong signature, 'u64(bites)': unknown type 'bites'; did you mean 'bytes'?"),
        ("library: file://libdescribed.so, entry: missing", "library 'libdescribed.so' has no symbol 'nowhere'"),
        ("library: file://libdescribed.so, entry: sum, signature: \"i8()\"", "'signature' is said by the plugin: give 'entry' or 'signature', not both"),
        ("library: file://libvalues.so, entry: sum", "library 'libvalues.so' has no entries: it exports no 'obhut_plugin'; write 'symbol' and 'signature'"),
        ("library: file://libnewer.so, entry: sum", "plugin 'libnewer.so' cannot be used: it was built for plugin ABI 2 and this runtime has 1: upgrade libobhut"),
        ("library: file://libvalues.so, symbol: echo_i8, signature: \"i8(i8)\", mehtod: x", "unknown field 'mehtod' of process.native; did you mean 'method'?"),
    ]) func whatIsWrong(fields: String, fault: String) throws {
        let result = try Self.load("- { name: n, kind: process.native, \(fields) }\n")
        let found = faults(of: result)
        #expect(found.count == 1)
        let text = String(found.first ?? "")
        if let place = fault.range(of: "FOLDER") {
            #expect(text.contains(fault[..<place.lowerBound]) && text.hasSuffix(fault[place.upperBound...]))
        } else {
            #expect(text.hasPrefix("a.yaml:4:") && text.hasSuffix(": " + fault), "\(text)")
        }
    }

    @Test func aSignaturesFaultStandsWhereItIs() throws {
        let found = faults(of: try Self.load("""
            - name: plain
              kind: process.native
              library: file://libvalues.so
              symbol: echo_i8
              signature: i8(i8, u46)
            - name: quoted
              kind: process.native
              library: file://libvalues.so
              symbol: echo_i8
              signature: "i8(context, status)"
            - { name: flow, kind: process.native, library: file://libvalues.so, symbol: echo_i8, signature: i8(i8, i8) }
            - { name: l, kind: library.native, library: file://libvalues.so, functions: { echo_i8: "i8(i8", table: "i8()", nothing: 7, has_context: "bool(context, i32)" } }
            """))
        #expect(found == [
            "a.yaml:8:21: 'signature': unknown type 'u46'; did you mean 'u16'?",
            "a.yaml:13:27: 'signature': 'status' can only be a result",
            "a.yaml:14:102: 'signature': ',' or ')' must follow a parameter, got its end (inside { } or [ ] a signature needs quotes)",
            "a.yaml:14:104: unknown field 'i8)' of process.native; its fields are name, kind, library, symbol, method, signature, entry, isolation, mode, memory_limit, cpu_limit, host, input, lifecycle, meta",
            "a.yaml:15:94: function 'echo_i8': ',' or ')' must follow a parameter, got its end (inside { } or [ ] a signature needs quotes)",
            "a.yaml:15:97: symbol 'table' of 'libvalues.so' is data, not a function",
            "a.yaml:15:121: function 'nothing' must have a signature, such as \"u64(u64, bytes)\", got 7",
            "a.yaml:15:137: function 'has_context' takes a context, which is a process's: Lua calls functions without one",
        ])
    }

    // MARK: What is allowed

    private static let entry = "- { name: n, kind: process.native, library: file://libvalues.so, symbol: nothing, signature: void() }\n"

    @Test func nothingIsAllowedByItself() throws {
        #expect(faults(of: try Application.load(yaml: """
            namespace: app
            entries:
            - { name: n, kind: process.native, library: libc.so.6, symbol: getpid, signature: i32() }
            """, name: "x", checkSyntax: fakeSyntaxCheck, libraries: .system(allowing: []))) == [
            "x:3:45: library 'libc.so.6' is not allowed: add it in this application, native: { allow: [\"libc.so.6\"] } beside 'namespace', or in the host program, obhut_config_allow_native(config, \"libc.so.6\"); with the command: --allow-native libc.so.6",
        ])
        let found = faults(of: try Self.load(Self.entry, allowing: []))
        #expect(found.count == 1)
        #expect(found[0].hasPrefix("a.yaml:4:45: library 'file://libvalues.so' is not allowed: add it in this application, native: { allow: [\"file://libvalues.so\"] } beside 'namespace', or in the host program, obhut_config_allow_native(config, \"/"))
        #expect(found[0].hasSuffix("/libvalues.so"))
    }

    /// Patterns of the host program, and whether they allow the library.
    @Test(arguments: [
        ("FOLDER/", true), ("/", true), ("FOLDER/libvalues.so", true), ("FOLDER/lib*.so", true), ("FOLDER/libvalue?.so", true),
        ("FOLDER", false), ("FOLDER/sub/", false), ("FOLDER/*", true), ("/*", false), ("FOLDERX/", false), ("libvalues.so", false),
        ("*", false), ("FOLDER/libvalues.s", false),
    ]) func patternsOfTheHostProgram(pattern: String, isAllowed: Bool) throws {
        #expect(faults(of: try Self.load(Self.entry, allowing: [pattern])).isEmpty == isAllowed)
    }

    /// Those of the application.
    @Test(arguments: [
        ("[\"file://libvalues.so\"]", true), ("[\"file://*.so\"]", true), ("[\"file://./\"]", true), ("[\"file://libother.so\"]", false),
        ("[libvalues.so]", false), ("[\"/\"]", true), ("[]", false),
    ]) func patternsOfTheApplication(list: String, isAllowed: Bool) throws {
        #expect(faults(of: try Self.load(Self.entry, root: "native: { allow: \(list) }\n", allowing: [])).filter { !$0.contains("a.yaml:5") || !isAllowed }.isEmpty == isAllowed)
    }

    @Test func wrongPatterns() throws {
        let root = "native: { allow: [\"lib/x.so\", 7, \"file://../x\", \"\", \"/a/../b\"], alow: x }\n"
        let found = faults(of: try Self.load("", root: root, allowing: []))
        let rule = "'native.allow' must have a soname, such as \"libz.so.1\", or an absolute path; a path that ends in \"/\" is all that lies below it; or \"file://…\""
        #expect(found == [
            "a.yaml:2:19: \(rule), got \"lib/x.so\"",
            "a.yaml:2:31: \(rule), got 7",
            "a.yaml:2:34: 'native.allow' leaves the application folder, got \"file://../x\": write an absolute path",
            "a.yaml:2:49: \(rule), got \"\"",
            "a.yaml:2:53: \(rule), got \"/a/../b\"",
            "a.yaml:2:65: unknown field 'alow' of 'native'; did you mean 'allow'?",
        ])
    }

    /// A folder whose own name has wildcards in it is itself and no other.
    @Test func aFoldersNameIsNoPattern() {
        let pattern = LibraryPattern("*.so", in: "/a[b]*")!
        #expect(pattern.matches(path: "/a[b]*/x.so"))
        #expect(!pattern.matches(path: "/ab/x.so") && !pattern.matches(path: "/a[b]c/x.so"))
        #expect(LibraryPattern(LibraryPattern.escaped("/a[b]*") + "/")!.matches(path: "/a[b]*/deep/x.so"))
    }
}
