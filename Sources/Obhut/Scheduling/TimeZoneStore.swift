import Glibc

/// The zones of the system's time zone database that were asked for, each read once. They are never dropped: there are
/// as many as the database has files. Any thread.
final class TimeZoneStore: @unchecked Sendable {  // guard notes stand on each mutable field
    enum Fault: Error {
        case badName
        case notFound
        case malformed
    }

    private static let folders = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo"]
    private static let largestFile = 1 << 20

    private let lock = Lock()
    private var numbers: [String: Int] = [:]  // guarded by lock
    private var zones: [TimeZoneRules] = []  // guarded by lock

    subscript(number: Int) -> TimeZoneRules { lock.with { zones[number] } }

    /// The number of the zone with this name, such as "Europe/Berlin".
    func load(_ name: String) throws(Fault) -> Int {
        if let known = lock.with({ numbers[name] }) { return known }
        guard TimeZoneStore.isName(name) else { throw .badName }
        guard let bytes = TimeZoneStore.folders.lazy.compactMap({ TimeZoneStore.read("\($0)/\(name)") }).first else {
            throw .notFound
        }
        guard let zone = TimeZoneRules(bytes) else { throw .malformed }
        return lock.with {
            if let known = numbers[name] { return known }
            zones.append(zone)
            numbers[name] = zones.count - 1
            return zones.count - 1
        }
    }

    /// Words between slashes, each beginning with a letter: nothing that leads out of the folder.
    private static func isName(_ name: String) -> Bool {
        let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return name.utf8.count <= 64
            && parts.allSatisfy { part in
                guard let first = part.first, (first | 32) &- UInt8(ascii: "a") < 26 else { return false }
                return part.allSatisfy { byte in
                    (byte | 32) &- UInt8(ascii: "a") < 26 || byte &- UInt8(ascii: "0") < 10
                        || [UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "+")].contains(byte)
                }
            }
    }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_size <= largestFile else {
            return nil
        }
        var bytes = [UInt8](repeating: 0, count: Int(facts.st_size))
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + count, $0.count - count) }
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else { return nil }
            count += got
        }
        return bytes
    }
}
