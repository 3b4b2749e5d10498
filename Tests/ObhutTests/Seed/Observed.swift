import Foundation
import Testing

@testable import Obhut

/// What the observer of `Tests/Seed` tells of one process.
struct Observation: Decodable {
    struct Down: Decodable, Equatable {
        var error: String
        var origin: String
        var hops: Int
    }

    var role: String
    var pid: String
    var ended: String?
    var value: String?
    var error: String?
    var down: Down?
    var surplus: Int

    /// It returned this, or nothing.
    func returned(_ value: String?) -> Bool {
        ended == "value" && self.value == value && error == nil && down == nil && surplus == 0
    }

    /// It ended with this error; EXIT and LINK_DOWN, each once, say the same.
    func failed(_ error: String, origin: String, hops: Int) -> Bool {
        ended == "error" && value == nil && self.error == error && surplus == 0
            && down == Down(error: error, origin: origin, hops: hops)
    }
}

/// A program run under the observer: what became of it and of those around it, and what was printed.
struct Observed {
    let all: [Observation]
    let lines: [String]

    init(_ program: String, _ arguments: EntryValue..., drive: Drive, replacing: [String: String] = [:]) throws {
        let world = try ApplicationWorld(seed: drive, replacing: replacing)
        defer { world.close() }
        let end = try world.end(of: world.start("app.observers:observer", [.string("app.programs:" + program)] + arguments))
        guard !end.isAbnormal else { throw ApplicationWorld.Stuck(description: "the observer: \(end.text); printed: \(world.lines)") }
        all = try JSONDecoder().decode([Observation].self, from: Data(end.text.utf8))
        world.close()
        lines = world.lines
    }

    var program: Observation { all[0] }
    var others: ArraySlice<Observation> { all.dropFirst() }
    /// The only other one.
    var other: Observation {
        get throws {
            try #require(others.count == 1)
            return all[1]
        }
    }
}

extension ApplicationWorld {
    /// The application of `Tests/Seed`; `replacing` gives files of it another text.
    convenience init(seed drive: Drive, replacing: [String: String] = [:], services: Bool = false) throws {
        if replacing.isEmpty {
            try self.init(drive, folder: SeedFiles.root + "/app", services: services)
        } else {
            try self.init(drive, files: SeedFiles.application().merging(replacing) { $1 }, services: services)
        }
    }
}
