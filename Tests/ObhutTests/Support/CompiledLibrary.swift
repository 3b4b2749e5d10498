import Foundation
import Glibc

/// Shared libraries of Tests/Native, compiled once each for this test program.
enum CompiledLibrary {
    private static let lock = NSLock()
    nonisolated(unsafe) private static var built: [String: String] = [:]  // guarded by lock

    static let folder: String = {
        let folder = NSTemporaryDirectory() + "obhut-libraries-\(getpid())"
        try! FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        atexit { try? FileManager.default.removeItem(atPath: CompiledLibrary.folder) }
        return folder
    }()

    /// The path of the library.
    static func path(_ source: String, _ options: String...) -> String { path(source, options) }

    static func path(_ source: String, _ options: [String]) -> String {
        let key = ([source] + options).joined(separator: " ")
        return lock.withLock {
            if let known = built[key] { return known }
            let path = "\(folder)/lib\(built.count)-\(source.split(separator: ".")[0]).so"
            compile([ABIBaselineTests.root("Tests/Native/\(source)")] + options, to: path, isShared: true)
            built[key] = path
            return path
        }
    }

    static let values = path("values.c")

    static func compile(_ arguments: [String], to path: String, isShared: Bool) {
        let status = runProgram(
            [arguments.contains { $0.hasSuffix(".cpp") } ? "c++" : "cc", "-Wall", "-Wextra", "-Werror"] + (isShared ? ["-shared", "-fPIC"] : [])
                + ["-I", ABIBaselineTests.root("include")] + arguments + ["-o", path])
        precondition(status == 0, "\(arguments) does not compile")
    }

    /// A copy of a library in which some bytes are others.
    static func changed(_ path: String, at offset: Int, to bytes: [UInt8]) -> String {
        let copy = "\(folder)/changed-\(UUID().uuidString).so"
        var data = try! Data(contentsOf: URL(fileURLWithPath: path))
        data.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
        try! data.write(to: URL(fileURLWithPath: copy))
        return copy
    }
}

/// Runs a program and waits for it. Foundation's Process leaks a little at each run, which the address sanitizer reports.
/// - Returns: its exit status; -1 if it did not exit.
func runProgram(_ arguments: [String]) -> Int32 {
    var words = arguments.map { strdup($0) } + [nil]
    defer { words.forEach { free($0) } }
    var child: pid_t = 0
    guard posix_spawnp(&child, words[0]!, nil, nil, &words, environ) == 0 else { return -1 }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 { if errno != EINTR { return -1 } }
    return status & 0x7f == 0 ? (status >> 8) & 0xff : -1
}
