import Testing

@testable import Obhut

@Suite struct PayloadReaderTests {
    @Test func everyFormRoundTrips() {
        let payload = PayloadSamples.everything.payload
        #expect(Value.read(payload) == PayloadSamples.everything)
        #expect(payload.withUnsafeBytes { validatePayload($0) } == nil)
        let skipped = payload.withUnsafeBytes { bytes in
            var reader = PayloadReader(bytes)
            return reader.skip() && reader.isAtEnd
        }
        #expect(skipped)
    }

    /// Whatever is cut off, the rest is malformed, and no byte behind the cut is looked at.
    @Test func truncationAtEveryByteIsMalformed() {
        let payload = PayloadSamples.everything.payload
        let memory = GuardedMemory(atLeast: payload.count)
        for length in 0..<payload.count {
            memory.with(payload[..<length]) { bytes in
                #expect(validatePayload(bytes) != nil)
                var reader = PayloadReader(bytes)
                let skipped = reader.skip()
                #expect(!skipped && reader.offset <= length)
                var walker = PayloadReader(bytes)
                walk: while true { if case .malformed = walker.next() { break walk } }
            }
        }
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededGenerator(seed: 1)
        let memory = GuardedMemory(atLeast: 64)
        var valid = 0
        for _ in 0..<60_000 {
            let length = Int.random(in: 0...40, using: &random)
            var bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            // Half of them begin with something that has a body, else most end at the first byte.
            if length > 0, Bool.random(using: &random) { bytes[0] = UInt8.random(in: 0x80...0xdf, using: &random) }
            memory.with(bytes[...]) { raw in
                let fault = validatePayload(raw)
                if fault == nil { valid += 1 }
                var skipper = PayloadReader(raw)
                let skipped = skipper.skip()
                if fault == nil { #expect(skipped && skipper.isAtEnd) }
                var walker = PayloadReader(raw)
                walk: while true { if case .malformed = walker.next() { break walk } }
                #expect(walker.offset <= length)
                _ = ErrorValue.read(from: raw)
            }
        }
        #expect(valid > 500)
    }

    /// What is valid and one byte of it changed is either valid or refused, never a crash.
    @Test func changedBytesNeverTrap() {
        var random = SeededGenerator(seed: 2)
        let payload = PayloadSamples.everything.payload
        let memory = GuardedMemory(atLeast: payload.count)
        for _ in 0..<3_000 {
            var bytes = payload
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            memory.with(bytes[...]) { raw in
                if validatePayload(raw) == nil {
                    var reader = PayloadReader(raw)
                    let value = Value.read(from: &reader)
                    #expect(value != nil)
                }
            }
        }
    }

    @Test(arguments: [
        [0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0],  // four billion elements in one byte
        [0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0],
        [0xdc, 0x00, 0x02, 0xc0], [0x92, 0xc0], [0x81, 0xc0], [0xde, 0x00, 0x01, 0xc0],
        [0xdb, 0xff, 0xff, 0xff, 0xff], [0xc6, 0xff, 0xff, 0xff, 0xff], [0xc9, 0xff, 0xff, 0xff, 0xff, 0x01],
        [0xc1], [0xa1], [0xd4, 0x01], [0xc7, 0x00], [],
    ] as [[UInt8]])
    func aClaimBeyondTheBytesIsMalformedAtOnce(bytes: [UInt8]) {
        bytes.withUnsafeBytes { raw in
            var reader = PayloadReader(raw)
            guard case .malformed = reader.next() else { Issue.record("accepted \(bytes)"); return }
            #expect(reader.offset == 0)
        }
    }

    @Test func skipNeedsNoStack() {
        let deep = [UInt8](repeating: 0x91, count: 2_000_000) + [0xc0]
        deep.withUnsafeBytes { raw in
            var reader = PayloadReader(raw)
            let skipped = reader.skip()
            #expect(skipped && reader.isAtEnd)
        }
    }

    @Test func skipPassesExactlyOneValue() {
        let bytes: [UInt8] = [0x82, 1, 0x91, 2, 3, 0xa1, 0x61, 0x2a]
        bytes.withUnsafeBytes { raw in
            var reader = PayloadReader(raw)
            let first = reader.skip()
            #expect(first && reader.offset == 7)
            guard case .integer(42) = reader.next() else { Issue.record("wrong value"); return }
            let second = reader.skip()
            #expect(!second)
        }
    }
}

@Suite struct PayloadValidationTests {
    private func fault(_ bytes: [UInt8]) -> PayloadFault? { bytes.withUnsafeBytes { validatePayload($0) } }

    @Test(arguments: [
        ([], 0, .empty), ([0xc1], 0, .reservedByte), ([0x92, 1, 0xc1], 2, .reservedByte), ([1, 2], 1, .trailingBytes),
        ([0x92, 1, 0xcd, 0], 2, .truncated), ([0x91, 0xa1, 0xff], 1, .invalidUTF8),
        ([0xd6, 1, 0, 0, 0, 4], 0, .badPid), ([0xd4, 2, 0x90], 0, .badError), ([0x92, 1, 0xc7, 0, 2], 2, .badError),
        ([0x91, 0x92, 1, 0xd9], 3, .truncated),
    ] as [([UInt8], Int, PayloadFault.Reason)])
    func theFaultSaysWhereAndWhy(bytes: [UInt8], offset: Int, reason: PayloadFault.Reason) {
        #expect(fault(bytes) == PayloadFault(offset: offset, reason: reason))
    }

    @Test func M1_nestingOver128IsRefused() {
        func nested(_ header: [UInt8], _ depth: Int) -> [UInt8] { [[UInt8]](repeating: header, count: depth).flatMap { $0 } + [0xc0] }
        #expect(fault(nested([0x91], 128)) == nil)
        #expect(fault(nested([0x91], 129)) == PayloadFault(offset: 128, reason: .tooDeep))
        #expect(fault(nested([0x81, 0x01], 128)) == nil)
        #expect(fault(nested([0x81, 0x01], 129))?.reason == .tooDeep)
        #expect(fault(nested([0x91], 1_000_000))?.reason == .tooDeep)
        // An error inside an error inside … is bounded the same way.
        func errors(_ depth: Int) -> [UInt8] {
            (0..<depth).reduce([0xc0]) { inner, _ in
                encoded { ErrorValue(kind: "K", message: "m", details: inner).write(into: &$0) }
            }
        }
        #expect(fault(errors(128)) == nil)
        #expect(fault(errors(129))?.reason == .tooDeep)
    }

    @Test func insideAnErrorObjectEverythingIsChecked() {
        let bytes = encoded { ErrorValue(kind: "K", message: "m", details: [0xa1, 0xff]).write(into: &$0) }
        #expect(fault(bytes)?.reason == .invalidUTF8)
        #expect(fault(encoded { ErrorValue(kind: "K", message: "m", details: [0xc1]).write(into: &$0) })?.reason == .badError)
    }

    @Test(arguments: [
        ("", true), ("plain ascii text, longer than eight", true), ("é", true), ("日本語テキスト", true), ("🙂🙂", true),
        ("\u{0}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}", true),
    ])
    func wellFormedUTF8(text: String, valid: Bool) {
        #expect([UInt8](text.utf8).withUnsafeBytes { isValidUTF8($0) } == valid)
    }

    /// Words and halves of words are looked at together: wherever the one byte stands that is wrong, it is found.
    @Test func oneWrongByteIsFoundInTextsOfEveryLength() {
        let memory = GuardedMemory(atLeast: 24)
        for length in 1...24 {
            var bytes = [UInt8](repeating: 0x61, count: length)
            #expect(memory.with(bytes[...]) { isValidUTF8($0) })
            for place in 0..<length {
                bytes[place] = 0xff
                #expect(!memory.with(bytes[...]) { isValidUTF8($0) })
                bytes[place] = 0x61
            }
        }
    }

    /// Of numbers, nil and booleans the first byte says how long they are: one byte less or more is found.
    @Test func scalarsAreOfTheirLength() {
        for tag in UInt8.min...UInt8.max {
            for length in 1...10 {
                let bytes = [tag] + [UInt8](repeating: 0, count: length - 1)
                var reader: (isWhole: Bool, isScalar: Bool) = (false, false)
                bytes.withUnsafeBytes { raw in
                    var walker = PayloadReader(raw)
                    switch walker.next() {
                    case .null, .bool, .integer, .unsigned, .double: reader = (walker.isAtEnd, true)
                    default: break
                    }
                }
                if reader.isScalar { #expect((fault(bytes) == nil) == reader.isWhole, "\(tag), \(length)") }
            }
        }
    }

    /// Every sequence of up to three bytes over the bytes that matter, against the standard library.
    @Test func UTF8AgreesWithTheStandardLibrary() {
        let edges: [UInt8] = [
            0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
            0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff,
        ]
        var wrong = 0
        let memory = GuardedMemory(atLeast: 16)
        func check(_ bytes: [UInt8]) {
            let expected = String(validating: bytes, as: UTF8.self) != nil
            if memory.with(bytes[...], { isValidUTF8($0) }) != expected { wrong += 1 }
        }
        for a in edges {
            check([a])
            for b in edges {
                check([a, b])
                for c in edges {
                    check([a, b, c])
                    for d: UInt8 in [0x41, 0x80, 0xbf, 0xc2] { check([a, b, c, d]) }
                }
            }
        }
        for position in 0...16 {
            var bytes = [UInt8](repeating: 0x61, count: 17)
            bytes[position] = 0xff
            check(bytes)
        }
        #expect(wrong == 0)
    }
}
