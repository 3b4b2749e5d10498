import ArgumentParser
import Glibc
import ObhutHeader

struct CrashesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crashes",
        abstract: "Print the crash reports of a file that --crash-log wrote.",
        discussion: """
            Prints what run or exec reported with --crash-log: for each process that failed its error, where it began \
            and in which line, what its supervisor did, and what the process held.

            A line that is no report, such as one that was cut when a disk was full, is told on standard error with its \
            number and skipped; the command then ends with 1.

            Examples:
              obhut crashes crashes.log
              obhut crashes --last 3 --entry app:worker crashes.log
              obhut crashes --json crashes.log | jq -r .error
            """)

    @Flag(help: "Print the reports as they stand in the file, a JSON object a line.")
    var json = false

    @Option(help: ArgumentHelp("Only those of processes of this entry.", valueName: "ns:name"))
    var entry: String?

    @Option(help: ArgumentHelp("Only the last so many.", valueName: "count"))
    var last: Int?

    @Flag(help: "Then wait for more, until SIGINT or SIGTERM.")
    var follow = false

    @Argument(help: "The file.", completion: .file())
    var file: String

    func validate() throws {
        if let last, last < 0 { throw ValidationError("--last must be 0 or more, not \(last).") }
    }

    func run() throws {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable(errno) }
        var lines = LineReader(descriptor)
        var kept: [String] = []
        var (found, damaged, printed) = (0, 0, 0)
        // What is asked for is printed as it is read; the last ones when the end is known.
        func take(_ line: [UInt8], _ number: Int) {
            guard let text = report(line, number, &damaged) else { return }
            found += 1
            guard matches(text.entry) else { return }
            if let last {
                kept.append(text.shown)
                if kept.count > last { kept.removeFirst() }
            } else {
                show(text.shown, &printed)
            }
        }
        while let line = try next(&lines) { take(line, lines.number) }
        if !follow, let rest = lines.rest() { take(rest, lines.number) }
        for text in kept { show(text, &printed) }
        if found == 0 && damaged == 0 && !follow {
            complain("\(file): no crash reports")
        } else if printed == 0 && damaged == 0 && !follow && last != 0 {
            complain("\(file): no crash reports of \(entry ?? "?")")
        }
        while follow {
            while let line = try next(&lines) {
                guard let text = report(line, lines.number, &damaged), matches(text.entry) else { continue }
                show(text.shown, &printed)
            }
            // A file that is written by others tells nobody; this looks four times a second.
            usleep(250_000)
        }
        if damaged > 0 { throw ExitStatus.abnormal }
    }

    private func unreadable(_ problem: Int32) -> ExitStatus {
        complain("cannot read \(file): \(String(cString: strerror(problem)))")
        return .misuse
    }

    private func next(_ lines: inout LineReader) throws -> [UInt8]? {
        do throws(LineReader.Problem) { return try lines.next() } catch { throw unreadable(error.number) }
    }

    private func matches(_ entry: String) -> Bool { self.entry == nil || self.entry == entry }

    /// Nil, and said on standard error, if the line is no report; nil for an empty line.
    private func report(_ line: [UInt8], _ number: Int, _ damaged: inout Int) -> (entry: String, shown: String)? {
        if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }) { return nil }
        var crash: OpaquePointer?
        do throws(LibraryError) {
            try attempt { error in
                line.withUnsafeBytes {
                    obhut_crash_from_json($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count, &crash, error)
                }
            }
        } catch {
            damaged += 1
            complainPlainly("\(file):\(number): \(error.text)")
            return nil
        }
        defer { obhut_crash_free(crash) }
        var length = 0
        let text = json ? obhut_crash_json(crash, &length) : obhut_crash_text(crash, &length)
        return (
            String(cString: obhut_crash_entry(crash)),
            String(decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self)
        )
    }

    private func show(_ text: String, _ printed: inout Int) {
        // A blank line between reports for people.
        Output.standard.write((printed > 0 && !json ? "\n" : "") + text)
        printed += 1
        if let status = Interruption.status { leave(status) }
    }
}

/// The lines of a file that may still grow.
private struct LineReader {
    struct Problem: Error { let number: Int32 }

    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var start = 0
    /// Of what was answered last, from 1.
    private(set) var number = 0

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// The next whole line, without its line feed; nil if there is none yet.
    mutating func next() throws(Problem) -> [UInt8]? {
        var looked = start
        while true {
            if let end = buffer[looked...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(buffer[start..<end])
                start = end + 1
                number += 1
                return line
            }
            buffer.removeFirst(start)
            start = 0
            looked = buffer.count
            var chunk = [UInt8](repeating: 0, count: 64 << 10)
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 { throw Problem(number: errno) }
            if count == 0 { return nil }
            buffer += chunk[..<count]
        }
    }

    /// What stands behind the last line feed; nil: nothing.
    mutating func rest() -> [UInt8]? {
        guard start < buffer.count else { return nil }
        defer { buffer = []; start = 0 }
        number += 1
        return Array(buffer[start...])
    }
}
