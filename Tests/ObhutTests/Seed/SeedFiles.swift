import Foundation

/// The folder `Tests/Seed`, found from this file: it is data, not part of the test program.
enum SeedFiles {
    static let root: String = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent()  // Seed
        .deletingLastPathComponent()  // ObhutTests
        .deletingLastPathComponent()  // Tests
        .appendingPathComponent("Seed").path

    static let repository: String = URL(fileURLWithPath: root)
        .deletingLastPathComponent().deletingLastPathComponent().path

    static func text(_ path: String) throws -> String {
        try String(contentsOfFile: root + "/" + path, encoding: .utf8)
    }

    static func lines(_ path: String) throws -> [String] {
        var lines = try text(path).components(separatedBy: "\n")
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    /// `path:line: message`, as Lua tells an `error(message)` of a file of the application. The file has it once.
    static func position(of message: String, in path: String) throws -> String {
        let number = try lines("app/" + path).firstIndex { $0.contains("error(\"\(message)\")") }
        return "\(path):\((number ?? -2) + 1): \(message)"
    }

    /// All files of the application, by their path in it.
    static func application() throws -> [String: String] {
        var files: [String: String] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: root + "/app") {
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: root + "/app/" + path, isDirectory: &isFolder)
            if !isFolder.boolValue { files[path] = try text("app/" + path) }
        }
        return files
    }
}
