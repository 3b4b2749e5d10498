import Foundation

@testable import Obhut

/// A temporary application folder: files by their relative path.
final class TemporaryApplication {
    let folder: String

    init(_ files: [String: String]) throws {
        folder = NSTemporaryDirectory() + "obhut-entries-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (path, text) in files { try write(path, text) }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func write(_ path: String, _ text: String) throws {
        let full = folder + "/" + path
        try FileManager.default.createDirectory(
            atPath: (full as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: full))
    }

    func link(_ path: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: folder + "/" + path, withDestinationPath: target)
    }

    func load() -> Result<Application, ApplicationFaults> {
        Application.load(folder: folder, checkSyntax: fakeSyntaxCheck)
    }
}

/// A compiler to whom every line `syntax error` is one.
func fakeSyntaxCheck(_ source: [UInt8], _ chunkName: String) -> SyntaxFault? {
    let lines = String(decoding: source, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    guard let index = lines.firstIndex(of: "syntax error") else { return nil }
    return SyntaxFault(line: index + 1, message: "syntax error in \(chunkName)")
}

func faults(of result: Result<Application, ApplicationFaults>) -> [String] {
    switch result {
    case .success: []
    case .failure(let faults): faults.faults.map(\.description)
    }
}

/// The faults of a folder.
func faults(_ files: [String: String]) throws -> [String] {
    faults(of: try TemporaryApplication(files).load())
}

/// The faults of one file `a.yaml`, beside a file `main.lua`, whose entries these are in
/// namespace `app`. The first line of `entries` is line 3 of the file.
func faults(inEntries entries: String) throws -> [String] {
    try faults(["a.yaml": "namespace: app\nentries:\n" + entries, "main.lua": "return {}"])
}

/// The faults of a process that has these fields as well, of which the first is line 6.
func faults(inProcess fields: String) throws -> [String] {
    let indented = fields.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
    return try faults(inEntries: "- name: p\n  kind: process.lua\n  source: file://main.lua\n" + indented)
}

func application(_ files: [String: String]) throws -> Application {
    try TemporaryApplication(files).load().get()
}

func application(yaml: String) throws -> Application {
    try Application.load(yaml: yaml, checkSyntax: fakeSyntaxCheck).get()
}
