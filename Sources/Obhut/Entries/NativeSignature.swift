// What a C function takes and gives, as YAML and the descriptors of plugins write it: `u64(u64, bytes)`.
//
//     signature = result "(" [ parameter { "," parameter } ] ")"
//
// with blanks anywhere between words. `result` is a type but `bytes`, `payload` and `context`; `parameter` a type but
// `void` and `status`, `context` only as the first.

/// In C in the comments; the raw values are the numbers of `native_call.h`.
enum NativeType: UInt8, CaseIterable, Sendable {
    case void, bool, i8, i16, i32, i64, u8, u16, u32, u64
    /// `float` and `double`.
    case f32, f64
    /// `const char *`: UTF-8, ended by its only NUL.
    case string
    /// `const uint8_t *` and `size_t`.
    case bytes
    /// The same: one MessagePack value.
    case payload
    /// `obhut_context *`.
    case context
    /// `obhut_status`.
    case status

    var name: String { "\(self)" }

    init?(name: some StringProtocol) {
        guard let type = NativeType.allCases.first(where: { $0.name == name }) else { return nil }
        self = type
    }
}

struct NativeSignature: Equatable, Sendable, CustomStringConvertible {
    let result: NativeType
    let parameters: [NativeType]

    static let maximumParameters = 16

    /// What is wrong with the text of one, and at which of its characters, counted from 0.
    struct Fault: Error, Equatable {
        let offset: Int
        let message: String
    }

    var description: String { "\(result.name)(\(parameters.map(\.name).joined(separator: ", ")))" }

    var hasContext: Bool { parameters.first == .context }

    init(result: NativeType, parameters: [NativeType]) {
        self.result = result
        self.parameters = parameters
    }

    init(parsing text: String) throws(Fault) {
        var parser = SignatureParser(text)
        self = try parser.signature()
    }
}

private struct SignatureParser {
    private let characters: [Character]
    private var offset = 0

    init(_ text: String) { characters = Array(text) }

    mutating func signature() throws(NativeSignature.Fault) -> NativeSignature {
        let (result, place) = try type(as: "a result")
        if [.bytes, .payload, .context].contains(result) {
            throw fault(place, "'\(result.name)' cannot be a result: C gives one value; send a message, or give a string")
        }
        try expect("(", after: "the result")
        var parameters: [NativeType] = []
        skipBlanks()
        if peek() != ")" {
            repeat {
                let (type, place) = try type(as: "a parameter")
                switch type {
                case .void: throw fault(place, "'void' cannot be a parameter: write () for none")
                case .status: throw fault(place, "'status' can only be a result")
                case .context where !parameters.isEmpty: throw fault(place, "'context' can only be the first parameter")
                default: break
                }
                if parameters.count == NativeSignature.maximumParameters {
                    throw fault(place, "there can be \(NativeSignature.maximumParameters) parameters and no more")
                }
                parameters.append(type)
            } while accept(",")
        }
        try expect(")", after: parameters.isEmpty ? "'('" : "a parameter", orElse: parameters.isEmpty ? nil : ",")
        skipBlanks()
        if offset < characters.count { throw fault(offset, "nothing can follow the last ')', got \(shown)") }
        return NativeSignature(result: result, parameters: parameters)
    }

    private mutating func type(as role: String) throws(NativeSignature.Fault) -> (NativeType, place: Int) {
        skipBlanks()
        let begin = offset
        while let next = peek(), next.isLetter || next.isNumber || next == "_" { offset += 1 }
        let word = String(characters[begin..<offset])
        if let type = NativeType(name: word) { return (type, begin) }
        if word.isEmpty { throw fault(begin, "\(role) must be a type, got \(shown)") }
        let names = NativeType.allCases.map(\.name)
        let rest = didYouMean(word, among: names, otherwise: "; the types are \(names.joined(separator: ", "))")
        throw fault(begin, "unknown type \(quoted(word))\(rest)")
    }

    private mutating func expect(
        _ character: Character, after what: String, orElse other: Character? = nil
    ) throws(NativeSignature.Fault) {
        if accept(character) { return }
        let wanted = other.map { "'\($0)' or '\(character)'" } ?? "'\(character)'"
        throw fault(offset, "\(wanted) must follow \(what), got \(shown)")
    }

    /// After blanks.
    private mutating func accept(_ character: Character) -> Bool {
        skipBlanks()
        guard peek() == character else { return false }
        offset += 1
        return true
    }

    private mutating func skipBlanks() { while let next = peek(), next == " " || next == "\t" { offset += 1 } }

    private func peek() -> Character? { offset < characters.count ? characters[offset] : nil }

    private var shown: String {
        offset < characters.count ? quoted(String(characters[offset])) : "its end (inside { } or [ ] a signature needs quotes)"
    }

    private func fault(_ offset: Int, _ message: String) -> NativeSignature.Fault {
        NativeSignature.Fault(offset: offset, message: message)
    }
}

extension YAMLNode {
    /// Where a character of a text stands; where the text begins if quotes or folding have moved it.
    func position(ofCharacter offset: Int) -> SourcePosition {
        guard case .scalar(let scalar) = content else { return position }
        let before: Int
        switch scalar.style {
        case .plain: before = 0
        case .quoted: before = 1
        case .literal, .folded: return position
        }
        // A text of several lines, or one with escapes, is not told from here.
        if scalar.text.contains(where: { $0.isNewline || $0 == "\\" || $0 == "'" || $0 == "\"" }) { return position }
        return SourcePosition(path: position.path, line: position.line, column: position.column + before + offset)
    }
}
