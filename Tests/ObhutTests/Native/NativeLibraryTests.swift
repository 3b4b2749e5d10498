import CNative
import Foundation
import Testing

@testable import Obhut

/// Libraries, read from their files and opened: what is wrong with one is told apart.
@Suite struct NativeLibraryTests {
    private static func open(_ path: String) -> (library: UnsafeMutableRawPointer?, text: String) {
        var text = [CChar](repeating: 0, count: 1024)
        let library = obn_library_open(path, &text, text.count)
        return (library, read(text))
    }

    /// What C has left in `text`.
    private static func read(_ text: [CChar]) -> String { text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) } }

    private static func read(_ path: String) throws -> any LibraryContents {
        switch LibraryFile.read(path) {
        case .contents(let contents): return contents
        case .unusable(let why): throw Problem(text: why)
        }
    }

    private struct Problem: Error { let text: String }

    /// The same words from who reads the file and who loads it.
    private static func expectUnusable(_ path: String, _ expected: String) {
        #expect(open(path) == (nil, expected))
        guard case .unusable(expected) = LibraryFile.read(path) else {
            Issue.record("\(path) can be read")
            return
        }
    }

    // MARK: Files that are no libraries

    @Test func aFileThatIsMissing() { Self.expectUnusable("/nowhere/libx.so", "/nowhere/libx.so does not exist") }

    @Test func aFileThatIsNoELF() throws {
        let path = CompiledLibrary.folder + "/text.so"
        try "not a library, but long enough to be one: it has more bytes than an ELF header has, which is 64".write(toFile: path, atomically: true, encoding: .utf8)
        Self.expectUnusable(path, "\(path) is no shared library: it is not in the format ELF")
        let empty = CompiledLibrary.folder + "/empty.so"
        try "".write(toFile: empty, atomically: true, encoding: .utf8)
        Self.expectUnusable(empty, "\(empty) is no shared library: it is not in the format ELF")
        let cut = CompiledLibrary.folder + "/cut.so"
        try Data(contentsOf: URL(fileURLWithPath: CompiledLibrary.values)).prefix(40).write(to: URL(fileURLWithPath: cut))
        Self.expectUnusable(cut, "\(cut) is cut off: its ELF header is not whole")
        Self.expectUnusable(CompiledLibrary.folder, "\(CompiledLibrary.folder) is no file")
    }

    @Test func anotherArchitecture() {
        #if arch(x86_64)
            let (own, other, name): (String, UInt8, String) = ("x86-64", 183, "AArch64")
        #else
            let (own, other, name): (String, UInt8, String) = ("AArch64", 62, "x86-64")
        #endif
        // e_machine, at 18.
        let path = CompiledLibrary.changed(CompiledLibrary.values, at: 18, to: [other, 0])
        Self.expectUnusable(path, "\(path) is for another architecture: it is for \(name), this program for \(own)")
        let narrow = CompiledLibrary.changed(CompiledLibrary.values, at: 4, to: [1])
        Self.expectUnusable(narrow, "\(narrow) is for another architecture: it is for \(own) (32 bits), this program for \(own)")
        let order = CompiledLibrary.changed(CompiledLibrary.values, at: 5, to: [2])
        Self.expectUnusable(order, "\(order) is for another architecture: its byte order is another than this machine's")
    }

    @Test func anObjectFile() {
        let path = CompiledLibrary.folder + "/object.o"
        CompiledLibrary.compile(["-c", ABIBaselineTests.root("Tests/Native/twin.c"), "-DNAME=\"x\""], to: path, isShared: false)
        Self.expectUnusable(path, "\(path) is no shared library: it is an object file")
    }

    @Test func aSymbolThatNoLibraryHas() {
        let path = CompiledLibrary.path("needy.c")
        let (library, text) = Self.open(path)
        #expect(library == nil)
        #expect(text == "\(path) cannot be loaded: \(path): undefined symbol: not_anywhere")
    }

    @Test func aSonameThatIsNowhere() {
        #expect(LibraryFile.find("libnowhere.so.7") == nil)
        let text = Self.open("libnowhere.so.7").text
        #expect(text.hasPrefix("libnowhere.so.7 cannot be loaded: libnowhere.so.7: cannot open shared object file"))
    }

    @Test func aSonameIsFound() throws {
        let path = try #require(LibraryFile.find("libc.so.6"))
        #expect(try Self.read(path).kind(of: "getpid") == .function)
        #expect(LibraryFile.find("../libc.so.6") == nil)
    }

    /// Whatever bytes a library has: an answer (under the address sanitizer).
    @Test(arguments: 1...8 as ClosedRange<UInt64>) func damagedLibraries(seed: UInt64) throws {
        let path = CompiledLibrary.path("described.c")
        let good = try Data(contentsOf: URL(fileURLWithPath: path))
        var state = seed
        func next(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(count))
        }
        let copy = CompiledLibrary.folder + "/damaged-\(seed).so"
        var read = 0
        for round in 0..<120 {
            var bytes = good
            // In the headers, where it hurts most, and anywhere; or cut.
            let tables = [64 + next(64 * 8), bytes.count - 1 - next(64 * 28), next(bytes.count)]
            for place in tables { bytes[place] = UInt8(next(256)) }
            if round % 4 == 0 { bytes = bytes.prefix(64 + next(bytes.count - 64)) }
            try bytes.write(to: URL(fileURLWithPath: copy))
            if case .contents(let contents) = LibraryFile.read(copy) {
                read += 1
                _ = contents.functions
                _ = contents.plugin
                _ = contents.kind(of: "sum")
            }
        }
        #expect(read > 0)
    }

    /// The second table of dynamic symbols, which no linker makes, lies nowhere: the first one stands.
    @Test func aSecondTableOfSymbols() throws {
        let path = CompiledLibrary.path("described.c")
        let good = try Data(contentsOf: URL(fileURLWithPath: path))
        func number(_ place: Int, _ bytes: Int) -> Int { (0..<bytes).reduce(0) { $0 | Int(good[place + $1]) << (8 * $1) } }
        let (sections, count) = (number(0x28, 8), number(0x3c, 2))
        let table = try #require((0..<count).map { sections + 64 * $0 }.first { number($0 + 4, 4) == 2 })  // SHT_SYMTAB
        for offset in [good.count * 2, 8, number(table + 24, 8)] {
            var bytes = good
            bytes[table + 4] = 11  // SHT_DYNSYM
            for index in 0..<8 { bytes[table + 24 + index] = UInt8(truncatingIfNeeded: offset >> (8 * index)) }
            let copy = CompiledLibrary.folder + "/two-tables.so"
            try bytes.write(to: URL(fileURLWithPath: copy))
            guard case .contents(let contents) = LibraryFile.read(copy) else { continue }
            _ = contents.functions
            _ = contents.plugin
            if offset > good.count { #expect(contents.kind(of: "sum") == .function) }
        }
    }

    // MARK: Symbols

    @Test func symbolsAreFunctionsOrData() throws {
        let contents = try Self.read(CompiledLibrary.values)
        #expect(contents.kind(of: "echo_i8") == .function)
        #expect(contents.kind(of: "table") == .data && contents.kind(of: "counter") == .data)
        #expect(contents.kind(of: "calls") == nil && contents.kind(of: "") == nil && contents.kind(of: "printf") == nil)
        #expect(contents.functions.contains("sixteen") && !contents.functions.contains("table"))

        let path = CompiledLibrary.values
        let library = try #require(Self.open(path).library)
        var text = [CChar](repeating: 0, count: 1024)
        #expect(obn_library_symbol(library, "echo_i8", &text, text.count) != nil)
        #expect(obn_library_data(library, "table", &text, text.count) != nil)
        #expect(obn_library_symbol(library, "echo_i9", &text, text.count) == nil)
        #expect(Self.read(text) == "\(path) has no symbol 'echo_i9'")
        #expect(obn_library_symbol(library, "table", &text, text.count) == nil)
        #expect(Self.read(text) == "'table' of \(path) is data, not a function")
        #expect(obn_library_data(library, "echo_i8", &text, text.count) == nil)
        #expect(Self.read(text) == "'echo_i8' of \(path) is a function, not data")
    }

    /// Both export `helper`, `name`, `state`: each uses its own.
    @Test func twoLibrariesWithTheSameSymbols() throws {
        var text = [CChar](repeating: 0, count: 1024)
        func call(_ path: String, _ symbol: String, _ signature: String) throws -> [UInt8] {
            let library = try #require(Self.open(path).library)
            let function = try #require(obn_library_symbol(library, symbol, &text, text.count))
            var raw = try NativeSignature(parsing: signature).raw
            var result: UnsafeMutableRawPointer?
            var length = 0
            #expect(obn_call(function, &raw, nil, nil, 0, &result, &length, &text, text.count) == 0)
            defer { free(result) }
            return Array(UnsafeRawBufferPointer(start: result, count: length))
        }
        let one = CompiledLibrary.path("twin.c", "-DNAME=\"one\"")
        let two = CompiledLibrary.path("twin.c", "-DNAME=\"two\"")
        #expect(try call(one, "who", "string()") == encoded { $0.writeString("one") })
        #expect(try call(two, "who", "string()") == encoded { $0.writeString("two") })
        #expect(try call(one, "count", "i32()") == [1])
        #expect(try call(two, "count", "i32()") == [1])
        // One file is one library, by whatever name it is opened.
        let link = CompiledLibrary.folder + "/another-name.so"
        try? FileManager.default.removeItem(atPath: link)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: one)
        #expect(try call(link, "count", "i32()") == [2])
        #expect(Self.open(link).library == Self.open(one).library)
    }

    // MARK: Descriptors

    @Test(arguments: [[], ["-DEXPORTED=extern"], ["-O2", "-Wl,-z,relro,-z,now"], ["-g", "-Wl,--gc-sections"]])
    func aDescriptorIsReadFromTheFile(options: [String]) throws {
        let path = CompiledLibrary.folder + "/described\(options.joined().hashValue).so"
        let declared = options == ["-DEXPORTED=extern"] ? ["-DEXPORTED="] : options
        CompiledLibrary.compile([ABIBaselineTests.root("Tests/Native/described.c")] + declared, to: path, isShared: true)
        let contents = try Self.read(path)
        guard case .plugin(let plugin) = contents.plugin else {
            Issue.record("\(contents.plugin)")
            return
        }
        #expect((plugin.name, plugin.version, plugin.abi) == ("described", "1.2.3", 1))
        #expect(plugin.entries.map(\.name) == ["sum", "counter", "broken", "missing"])
        #expect(plugin.entries.map(\.symbol) == ["sum", "counter", "sum", "nowhere"])
        #expect(plugin.entries.map(\.signature) == ["u64(bytes)", nil, "u64(bites)", "void()"])
        #expect(plugin.entries.map(\.mode) == [.function, .handler, .function, .function])

        // And what the loader makes of it.
        let library = try #require(Self.open(path).library)
        var text = [CChar](repeating: 0, count: 1024)
        let descriptor = try #require(obn_library_plugin(library, &text, text.count))
        #expect(String(cString: descriptor.pointee.name) == "described" && descriptor.pointee.entry_count == 4)
    }

    @Test func aLibraryWithoutADescriptor() throws {
        guard case .none = try Self.read(CompiledLibrary.values).plugin else {
            Issue.record("values.c is no plugin")
            return
        }
        var text = [CChar](repeating: 0, count: 1024)
        #expect(obn_library_plugin(Self.open(CompiledLibrary.values).library, &text, text.count) == nil)
        #expect(text[0] == 0)
    }

    @Test(arguments: [
        ("-DABI=2", "it was built for plugin ABI 2 and this runtime has 1: upgrade libobhut"),
        ("-DABI=0", "it was built for plugin ABI 0 and this runtime has 1: build the plugin again, with the obhut_plugin.h of this version"),
        ("-DPOINTER=4", "its pointers have 4 bytes and those of this runtime 8: build the plugin for this architecture"),
        ("-DFUNCTIONS=4096", "it was built with a newer obhut_plugin.h (4096 bytes of functions, this runtime has \(MemoryLayout<obhut_context_functions>.size)): upgrade libobhut"),
        ("-DENTRY=8", "its descriptor is damaged (\(MemoryLayout<obhut_plugin_descriptor>.size) bytes, entries of 8; this runtime has \(MemoryLayout<obhut_plugin_descriptor>.size) and 32): build the plugin again, with the obhut_plugin.h of this version"),
    ]) func aDescriptorOfAnotherABI(option: String, expected: String) throws {
        let path = CompiledLibrary.path("described.c", option)
        guard case .unusable(expected) = try Self.read(path).plugin else {
            Issue.record("\(try Self.read(path).plugin)")
            return
        }
        var text = [CChar](repeating: 0, count: 1024)
        let library = try #require(Self.open(path).library)
        #expect(obn_library_plugin(library, &text, text.count) == nil)
        #expect(Self.read(text) == "\(path) cannot be used: \(expected)")
        // And none of its code is run: `init` of a process says the same.
        #expect(obn_library_init(library, &text, text.count) != 0)
        #expect(Self.read(text) == "\(path) cannot be used: \(expected)")
    }
}
