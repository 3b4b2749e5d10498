import Foundation
import Testing

@testable import Obhut

/// What was released does not change: every declaration of the baseline stands in the header as it was.
///
/// `OBHUT_WRITE_ABI_BASELINE=1 swift test --filter ABIBaselineTests` writes the list, at a release. Adding to the header needs no change of it until a release; a
/// test that fails here means a number of the ABI to be raised, and says which programs break.
@Suite struct ABIBaselineTests {
    static func root(_ path: String) -> String {
        URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../" + path).standardized.path
    }

    /// Statements of a header outside comments, spaces made one; and the values of its number macros.
    static func declarations(_ header: String) -> Set<String> {
        var text = header.replacing(try! Regex(#"(?s)/\*.*?\*/"#), with: " ")
        var found: Set<String> = []
        for match in text.matches(of: try! Regex(#"(?m)^#define (OBHUT_[A-Z0-9_]+) (\(?-?[0-9]+u?\)?)$"#)) {
            found.insert("\(match.output[1].substring!) = \(match.output[2].substring!)")
        }
        text = text.replacing(try! Regex(#"(?m)^ *#.*(\\\n.*)*$"#), with: "")
            .replacing("extern \"C\" {", with: "")
        var depth = 0
        var statement = ""
        for character in text {
            if character == "{" { depth += 1 }
            if character == "}" { depth = max(0, depth - 1) }
            if character == ";" && depth == 0 {
                found.insert(statement.split(whereSeparator: \.isWhitespace).joined(separator: " "))
                statement = ""
            } else {
                statement.append(character)
            }
        }
        return found.filter { $0.contains("obhut_") || $0.contains("OBHUT_") }
    }

    /// A struct that begins with its size may get fields at its end: old programs say how much of it they have.
    static func hasGrown(_ declaration: String, in now: Set<String>) -> Bool {
        guard declaration.hasPrefix("typedef struct "), declaration.contains("{ size_t struct_size;"),
            let end = declaration.lastIndex(of: "}")
        else { return false }
        let (fields, name) = (declaration[..<end], declaration[end...])
        return now.contains { $0.hasPrefix(fields) && $0.hasSuffix(name) }
    }

    @Test func whatWasReleasedStandsAsItWas() throws {
        let header = try String(contentsOfFile: Self.root("include/obhut.h"), encoding: .utf8)
        let now = Self.declarations(header)
        let path = Self.root("Tests/abi-baseline.txt")
        if getenv("OBHUT_WRITE_ABI_BASELINE") != nil {
            let list = now.filter { !$0.hasPrefix("OBHUT_VERSION") }.sorted().joined(separator: "\n") + "\n"
            try list.write(toFile: path, atomically: true, encoding: .utf8)
        }
        let released = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
        #expect(released.count > 100)
        for declaration in released where !now.contains(declaration) && !Self.hasGrown(declaration, in: now) {
            Issue.record("changed or gone since it was released: \(declaration)")
        }
    }

    @Test func aChangeIsFound() {
        let before = Self.declarations("/* x; */\n#define OBHUT_A 1\nint obhut_f(int a);\ntypedef struct obhut_s { int a; } obhut_s;\n")
        #expect(before == ["OBHUT_A = 1", "int obhut_f(int a)", "typedef struct obhut_s { int a; } obhut_s"])
        #expect(Self.declarations("int obhut_f(int a,\n    long b);") == ["int obhut_f(int a, long b)"])
    }

    @Test func onlyAStructThatSaysItsSizeMayGrow() {
        let sized = "typedef struct obhut_s { size_t struct_size; int a; } obhut_s"
        let plain = "typedef struct obhut_s { int a; } obhut_s"
        #expect(Self.hasGrown(sized, in: ["typedef struct obhut_s { size_t struct_size; int a; int b; } obhut_s"]))
        for other in [
            "typedef struct obhut_s { size_t struct_size; int b; int a; } obhut_s", "typedef struct obhut_s { size_t struct_size; } obhut_s",
            "typedef struct obhut_s { size_t struct_size; int a; int b; } obhut_t",
        ] { #expect(!Self.hasGrown(sized, in: [other])) }
        #expect(!Self.hasGrown(plain, in: ["typedef struct obhut_s { int a; int b; } obhut_s"]))
    }
}
