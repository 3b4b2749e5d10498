import Foundation
import Glibc
import Testing

@testable import Obhut

/// Every way in which a native process cannot begin, and the ways in which it goes wrong at once: what is said, word by
/// word, and that nobody else notices.
///
/// What is found when the application is loaded, with its place in the YAML, is in `NativeEntryTests`; here the same stands in no
/// YAML, or the file has changed since, and it is the process that fails. A signature is parsed once, then: `NativeSignatureTests`.
@Suite struct NativeBadCaseTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let library: String
        let symbol: String
        let text: String
        /// In this address space; nil: it would end the program.
        let inThread: String?

        var testDescription: String { name }

        init(_ name: String, _ library: String, _ symbol: String, _ text: String) {
            self.init(name, library, symbol, text, inThread: text)
        }

        init(_ name: String, _ library: String, _ symbol: String, _ text: String, inThread: String?) {
            (self.name, self.library, self.symbol, self.text, self.inThread) = (name, library, symbol, text, inThread)
        }
    }

    private static let noELF: String = {
        let path = CompiledLibrary.folder + "/no-elf.so"
        try! String(repeating: "no library ", count: 10).write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }()

    #if arch(x86_64)
        private static let (own, other, otherName): (String, UInt8, String) = ("x86-64", 183, "AArch64")
    #else
        private static let (own, other, otherName): (String, UInt8, String) = ("AArch64", 62, "x86-64")
    #endif
    /// With another e_machine.
    private static let elsewhere = CompiledLibrary.changed(CompiledLibrary.values, at: 18, to: [other, 0])
    private static let needy = CompiledLibrary.path("needy.c")
    private static let newer = CompiledLibrary.path("described.c", "-DABI=2")
    private static let values = CompiledLibrary.values

    static let cases = [
        Case("file missing", "/nowhere/libx.so", "f", "/nowhere/libx.so does not exist"),
        Case(
            "soname missing", "libnowhere.so.7", "f",
            "libnowhere.so.7 cannot be loaded: libnowhere.so.7: cannot open shared object file: No such file or directory"),
        Case("not ELF", noELF, "f", "\(noELF) is no shared library: it is not in the format ELF"),
        Case(
            "wrong architecture", elsewhere, "nothing",
            "\(elsewhere) is for another architecture: it is for \(otherName), this program for \(own)"),
        Case("unresolved symbol", needy, "needy", "\(needy) cannot be loaded: \(needy): undefined symbol: not_anywhere"),
        Case("symbol missing", values, "echo_i9", "\(values) has no symbol 'echo_i9'"),
        Case("symbol is data", values, "table", "'table' of \(values) is data, not a function"),
        Case(
            "wrong ABI", newer, "sum",
            "\(newer) cannot be used: it was built for plugin ABI 2 and this runtime has 1: upgrade libobhut"),
        Case(
            "init fails", NativeFixtures.failing, "throws",
            "the plugin devices 1.0 could not be initialized: the device is not there"),
        Case(
            "C++ exception", NativeFixtures.throwing, "throws", "killed by SIGABRT in throws (OS process N)",
            inThread: "a C++ exception has left the function: std::runtime_error: nobody catches this"),
        Case("segfault", NativeFixtures.faulty, "crash_segv", "killed by SIGSEGV in crash_segv (OS process N)", inThread: nil),
        Case("abort", NativeFixtures.faulty, "crash_abort", "killed by SIGABRT in crash_abort (OS process N)", inThread: nil),
        Case(
            "closes all descriptors", NativeFixtures.faulty, "closes_all",
            "killed in closes_all (OS process N): it has closed the channel to the runtime", inThread: nil),
        Case(
            "writes to all descriptors", NativeFixtures.faulty, "writes_everywhere",
            "writes_everywhere (OS process N) wrote what is no frame to its channel", inThread: nil),
    ]

    @Test(arguments: cases) func eachIsTheErrorOfItsProcess(_ bad: Case) {
        withNativeRuntime { native in
            let watching = native.spawn(native.define("t:echo", "echo", "tc"))
            func expectUnharmed() {
                native.send(watching, "n", .int(1))
                #expect(native.next() == .message(watching, "n", "1"))
                #expect(native.isQuiet)
            }
            let inProcess = native.define("t:process", bad.symbol, "v", library: bad.library)
            // Twice: a failure is not remembered as a success, nor anything of it held.
            for _ in 0..<2 {
                #expect(withoutOSPid(native.run(inProcess)) == "error \(bad.text)")
                expectUnharmed()
            }
            guard let expected = bad.inThread else { return }
            let inThread = native.define("t:thread", bad.symbol, "v", .thread, library: bad.library)
            for _ in 0..<2 {
                #expect(native.run(inThread) == "error \(expected)")
                expectUnharmed()
            }
        }
    }

    /// Both export the same symbols, and each calls its own, side by side.
    @Test(arguments: [NativeIsolation.process, .thread]) func twoLibrariesWithTheSameSymbols(_ isolation: NativeIsolation) {
        withNativeRuntime { native in
            let one = native.define("t:one", "who", "s", isolation, library: CompiledLibrary.path("twin.c", "-DNAME=\"one\""))
            let two = native.define("t:two", "who", "s", isolation, library: CompiledLibrary.path("twin.c", "-DNAME=\"two\""))
            for _ in 0..<3 {
                #expect(native.run(one) == "value \"one\"")
                #expect(native.run(two) == "value \"two\"")
            }
        }
    }

    /// The file is there when the application is loaded, and another one, or none, when the process starts.
    @Test func aLibraryThatChangesAfterItWasChecked() throws {
        let folder = NSTemporaryDirectory() + "obhut-changing-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = folder + "/libit.so"
        withNativeRuntime { native in
            let definition = native.define("t:it", "who", "s", library: path)
            #expect(native.run(definition) == "error \(path) does not exist")
            try! FileManager.default.copyItem(atPath: CompiledLibrary.path("twin.c", "-DNAME=\"one\""), toPath: path)
            #expect(native.run(definition) == "value \"one\"")
            try! FileManager.default.removeItem(atPath: path)
            #expect(native.run(definition) == "error \(path) does not exist")
        }
    }
}
