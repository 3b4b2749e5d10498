// What is wrong with an application, and where.
//
// The law of faults:
//
// - A fault is a value. Nothing in this folder throws one across a file; readers report
//   it to the load's `FaultList` and go on, so that one load shows *all* faults together.
// - It prints as `path:line:column: message`, the form that editors and compilers use.
//   `path` is relative to the application folder. Lua's compiler knows no columns
//   (`path:line: message`), and a missing file has no line (`path: message`).
// - The message says what was wrong, with the offending value, and what would be right.
//   Text taken from the input goes through `quoted`, so that no input can make a fault
//   run over several lines or be longer than a person reads.
// - One mistake gives one fault. Who meets a consequence of a fault that is already
//   reported (a reference to an entry that is itself faulty) stays silent.
//
// A `FaultList` belongs to one load and one thread.

/// A place in a file of the application. Lines and columns count from 1; columns count
/// characters, not bytes.
struct SourcePosition: Hashable, Sendable {
    let path: String
    let line: Int
    let column: Int
}

/// One thing that is wrong.
struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
    let path: String
    let line: Int?
    let column: Int?
    let message: String

    init(path: String, line: Int? = nil, column: Int? = nil, message: String) {
        self.path = path
        self.line = line
        self.column = column
        self.message = message
    }

    init(at position: SourcePosition, _ message: String) {
        self.init(path: position.path, line: position.line, column: position.column, message: message)
    }

    var description: String {
        var text = path
        if let line { text += ":\(line)" }
        if let column { text += ":\(column)" }
        return text + ": " + message
    }
}

extension Fault: Comparable {
    /// The order in which a person works through them: file by file, from the top.
    static func < (a: Fault, b: Fault) -> Bool {
        if a.path != b.path { return a.path < b.path }
        return (a.line ?? 0, a.column ?? 0, a.message) < (b.line ?? 0, b.column ?? 0, b.message)
    }
}

/// Why an application cannot be loaded: at least one fault, sorted.
struct ApplicationFaults: Error, Sendable, CustomStringConvertible {
    let faults: [Fault]

    var description: String { faults.map(\.description).joined(separator: "\n") }
}

/// Collects the faults of one load.
final class FaultList {
    private var faults: Set<Fault> = []

    var count: Int { faults.count }

    /// Whether it is still worth to search all entries, or a directory, for what a name may
    /// have been meant to be. Bounds the time that a large and thoroughly wrong file takes.
    var isShort: Bool { faults.count < 100 }

    func report(_ fault: Fault) { faults.insert(fault) }

    func report(at position: SourcePosition, _ message: String) { report(Fault(at: position, message)) }

    /// What was reported, sorted. An entry reached twice through a YAML alias has its faults once.
    func sorted() -> [Fault] { faults.sorted() }
}

/// What a Lua compiler says about a source text: the first error only, for the others
/// are mostly its echoes.
struct SyntaxFault: Equatable, Sendable {
    /// Counts from 1.
    let line: Int
    /// Without the `chunk:line:` that Lua puts before it.
    let message: String
}

/// `text` between quotes, on one line and of readable length.
func quoted(_ text: String, by quote: Character = "'") -> String {
    let limit = 80
    var result = String(quote)
    var count = 0
    for scalar in text.unicodeScalars {
        if count == limit {
            result += "…"
            break
        }
        count += 1
        switch scalar {
        case "\n": result += "\\n"
        case "\t": result += "\\t"
        case "\r": result += "\\r"
        default:
            switch scalar.properties.generalCategory {
            // Format characters reorder a line (bidirectional overrides) or vanish in it.
            case .control, .format, .lineSeparator, .paragraphSeparator:
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: result.unicodeScalars.append(scalar)
            }
        }
    }
    result.append(quote)
    return result
}
