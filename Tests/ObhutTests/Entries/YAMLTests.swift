import Testing

@testable import Obhut

@Suite struct YAMLTests {
    private func parse(_ text: String) throws -> YAMLDocument { try parseYAML(Array(text.utf8), path: "f.yaml") }

    private func value(_ text: String) throws -> EntryValue? { try parse(text).root?.value }

    private func problem(_ text: String) -> String? {
        do {
            return try parse(text).faults.first?.description
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        ("4", EntryValue.int(4)), ("-4", .int(-4)), ("+4", .int(4)), ("0x1F", .int(31)), ("0o17", .int(15)),
        ("010", .int(10)), ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
        ("4.5", .float(4.5)), ("1e3", .float(1000)), (".5", .float(0.5)), ("5.", .float(5)),
        (".inf", .float(.infinity)), ("-.inf", .float(-.infinity)),
        ("true", .bool(true)), ("False", .bool(false)), ("~", .null), ("null", .null),
        ("yes", .string("yes")), ("on", .string("on")), ("1_000", .string("1_000")), ("0x", .string("0x")),
        ("infinity", .string("infinity")), ("nan", .string("nan")), ("0x1p3", .string("0x1p3")), (".", .string(".")),
        ("\"4\"", .string("4")), ("'true'", .string("true")), ("\"\"", .string("")), ("!!str 4", .string("4")),
        ("! 4", .string("4")), ("!!float 4", .float(4)), ("!!int 4", .int(4)), ("|\n  4\n", .string("4\n")),
        ("1m30s", .string("1m30s")), ("\"a\\0b\"", .string("a\0b")),
    ])
    func scalarsFollowTheCoreSchema(text: String, expected: EntryValue) throws {
        #expect(try value(text) == expected)
        #expect(try parse(text).faults.isEmpty)
    }

    @Test func nodesKnowTheirPlace() throws {
        let root = try #require(try parse("a: 1\nb:\n  - x\n  - é: {ü: z}\n").root)
        #expect(root.position == SourcePosition(path: "f.yaml", line: 1, column: 1))
        let second = try #require(root["b"]?.sequence?[1])
        #expect(second.position == SourcePosition(path: "f.yaml", line: 4, column: 5))
        // Columns count characters, not bytes.
        #expect(second["é"]?["ü"]?.position == SourcePosition(path: "f.yaml", line: 4, column: 12))
    }

    @Test func aliasesStandForTheirAnchor() throws {
        #expect(try value("[&a {x: 1}, *a]") == .list([.map([.init(key: .string("x"), value: .int(1))]), .map([.init(key: .string("x"), value: .int(1))])]))
    }

    @Test(arguments: [
        ("a: b: c", "f.yaml:1:5: malformed YAML: mapping values are not allowed in this context"),
        ("a: 1\nb: [1,\n2\nc: 3", "f.yaml:4:2: malformed YAML: did not find expected ',' or ']' while parsing a flow sequence that begins at line 2"),
        ("a: \"x", "f.yaml:1:6: malformed YAML: found unexpected end of stream while scanning a quoted scalar"),
        ("a:\n\t- b", "f.yaml:2:1: malformed YAML: found character that cannot start any token while scanning for the next token"),
        ("ab: *x", "f.yaml:1:5: malformed YAML: alias '*x' has no anchor before it"),
        ("a: &x [1, *x]", "f.yaml:1:11: malformed YAML: alias '*x' refers to the node it stands in"),
        ("é: 1\nä: x\u{1}", "f.yaml:2:5: malformed YAML: control characters are not allowed"),
        ("a: 1\na: 2", "f.yaml:2:1: key 'a' is given twice: first at line 1, column 1"),
        ("1: 1\n0x1: 2", "f.yaml:2:1: key '0x1' is given twice: first at line 1, column 1"),
        ("? [a]\n: 1", "f.yaml:1:3: a key must be a scalar, got a list"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: a second document begins here: a file holds one, write another file"),
        ("a: 9223372036854775808", "f.yaml:1:4: integer '9223372036854775808' does not fit into 64 bits"),
        ("a: !thing 1", "f.yaml:1:4: unknown tag '!thing'"),
        ("a: !!int x", "f.yaml:1:4: \"x\" is not what its tag 'tag:yaml.org,2002:int' says"),
    ])
    func whatIsWrongIsSaidWithItsPlace(text: String, expected: String) {
        #expect(problem(text) == expected)
    }

    @Test func invalidUTF8IsAFault() {
        #expect(throws: Fault(path: "f.yaml", line: 1, column: 4, message: "malformed YAML: invalid leading UTF-8 octet")) {
            try parseYAML(Array("a: ".utf8) + [0xFF], path: "f.yaml")
        }
    }

    @Test func nestingIsBounded() throws {
        #expect(try parse(String(repeating: "[", count: 127) + String(repeating: "]", count: 127)).root?.height == 127)
        #expect(problem(String(repeating: "[", count: 100_000)) == "f.yaml:1:128: nested deeper than 128 levels")
        // Through aliases: each line wraps the one before 60 times.
        let wrap = { (name: String) in String(repeating: "[", count: 60) + "*\(name) " + String(repeating: "]", count: 60) }
        #expect(problem("a: &a x\nb: &b \(wrap("a"))\nc: &c \(wrap("b"))\nd: \(wrap("c"))") == "f.yaml:4:64: nested deeper than 128 levels")
    }

    @Test func anAliasBombDoesNotExplode() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...20 {
            text += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        #expect(problem(text)?.hasSuffix("aliases make this file larger than 16 MiB: write it without them") == true)
    }

    @Test(arguments: ["", "# only a comment\n", "\n\n"])
    func anEmptyFileHasNoDocument(text: String) throws {
        #expect(try parse(text).root == nil)
    }
}
