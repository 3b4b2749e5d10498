import Glibc
import Testing

@testable import Obhut

@Suite struct PayloadWriterTests {
    @Test(arguments: [
        (0, [0x00]), (127, [0x7f]), (128, [0xcc, 0x80]), (255, [0xcc, 0xff]), (256, [0xcd, 1, 0]),
        (65535, [0xcd, 0xff, 0xff]), (65536, [0xce, 0, 1, 0, 0]),
        (4_294_967_295, [0xce, 0xff, 0xff, 0xff, 0xff]), (4_294_967_296, [0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
        (Int64.max, [0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (-1, [0xff]), (-32, [0xe0]), (-33, [0xd0, 0xdf]), (-128, [0xd0, 0x80]), (-129, [0xd1, 0xff, 0x7f]),
        (-32768, [0xd1, 0x80, 0]), (-32769, [0xd2, 0xff, 0xff, 0x7f, 0xff]),
        (-2_147_483_648, [0xd2, 0x80, 0, 0, 0]),
        (-2_147_483_649, [0xd3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]),
        (Int64.min, [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
    ] as [(Int64, [UInt8])])
    func integersTakeTheSmallestForm(value: Int64, bytes: [UInt8]) {
        #expect(encoded { $0.writeInteger(value) } == bytes)
        #expect(Value.read(bytes) == .integer(value))
    }

    @Test func unsignedAboveInt64StaysExact() {
        #expect(Value.read(encoded { $0.writeUnsigned(.max) }) == .unsigned(.max))
        #expect(Value.read(encoded { $0.writeUnsigned(1 << 63) }) == .unsigned(1 << 63))
        #expect(Value.read(encoded { $0.writeUnsigned(1 << 63 - 1) }) == .integer(.max))
    }

    @Test(arguments: [0, -0.0, 1, 0.1, .pi, .infinity, -.infinity, .nan, .leastNonzeroMagnitude, .greatestFiniteMagnitude])
    func doublesKeepEveryBit(value: Double) {
        let bytes = encoded { $0.writeDouble(value) }
        #expect(bytes.count == 9)
        #expect(Value.read(bytes) == .double(value.bitPattern))
    }

    @Test func float32IsRead() {
        #expect(Value.read([0xca, 0x3f, 0xc0, 0, 0]) == .double((1.5).bitPattern))
    }

    @Test(arguments: [(0, 1), (1, 1), (31, 1), (32, 2), (255, 2), (256, 3), (65535, 3), (65536, 5)])
    func stringsTakeTheSmallestHeader(length: Int, header: Int) {
        let text = [UInt8](repeating: 0x61, count: length)
        let bytes = Value.string(text).payload
        #expect(bytes.count == header + length)
        #expect(Value.read(bytes) == .string(text))
    }

    @Test(arguments: [(0, 2), (255, 2), (256, 3), (65535, 3), (65536, 5)])
    func binariesTakeTheSmallestHeader(length: Int, header: Int) {
        let data = [UInt8](repeating: 0xff, count: length)
        let bytes = Value.binary(data).payload
        #expect(bytes.count == header + length)
        #expect(Value.read(bytes) == .binary(data))
    }

    @Test(arguments: [(0, 1), (15, 1), (16, 3), (65535, 3), (65536, 5)])
    func containersTakeTheSmallestHeader(count: Int, header: Int) {
        let array = Value.array(Array(repeating: .null, count: count))
        #expect(array.payload.count == header + count)
        #expect(Value.read(array.payload) == array)
        let map = Value.map(Array(repeating: .bool(true), count: 2 * count))
        #expect(map.payload.count == header + 2 * count)
        #expect(Value.read(map.payload) == map)
    }

    @Test(arguments: [0, 1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 255, 256, 65535, 65536])
    func extensionsOfEveryLength(length: Int) {
        let value = Value.ext(-7, [UInt8](repeating: 0x5a, count: length))
        #expect(Value.read(value.payload) == value)
    }

    @Test func aPidIsEightBigEndianBytes() {
        #expect(encoded { $0.writePid(0x0001_0203_0405_0607) } == [0xd7, 1, 0, 1, 2, 3, 4, 5, 6, 7])
    }

    @Test func swiftTextsAreStr() {
        #expect(encoded { $0.writeString("é") } == [0xa2, 0xc3, 0xa9])
        #expect(encoded { $0.writeString("id" as StaticString) } == [0xa2, 0x69, 0x64])
        #expect(encoded { $0.writeString(String(repeating: "ä", count: 20)) }.prefix(2) == [0xd9, 40])
    }

    @Test func D6_bytesThatAreNoUTF8TravelAsBin() {
        #expect(Value.string([0xff, 0xfe]).payload == [0xc4, 2, 0xff, 0xfe])
        #expect(Value.string([]).payload == [0xa0])
    }

    @Test func reservedHeadersArePatched() {
        let bytes = encoded { writer in
            let outer = writer.reserveHeader()
            writer.writeInteger(7)
            let inner = writer.reserveHeader()
            writer.writeString("k")
            writer.writeBool(true)
            writer.patchMapHeader(at: inner, count: 1)
            writer.patchArrayHeader(at: outer, count: 2)
        }
        #expect(Value.read(bytes) == .array([.integer(7), .map([.string([0x6b]), .bool(true)])]))
    }

    @Test func anExtensionWrittenInPieces() {
        let bytes = encoded { writer in
            let place = writer.reserveExtension(type: 9)
            writer.writeInteger(1)
            writer.writeNil()
            writer.patchExtension(at: place)
        }
        #expect(Value.read(bytes) == .ext(9, [1, 0xc0]))
    }

    @Test func M1_theWriterStopsAtItsLimit() {
        var writer = PayloadWriter(limit: 10)
        writer.writeString("12345678")
        #expect(writer.count == 9 && !writer.overflowed)
        writer.writeNil()
        #expect(writer.count == 10 && !writer.overflowed)
        writer.writeNil()
        #expect(writer.count == 10 && writer.overflowed)
        // Nothing after it is written, not even what would fit a higher limit.
        writer.limit = 100
        writer.writeInteger(1)
        writer.patchArrayHeader(at: 50, count: 1)
        #expect(writer.count == 10 && writer.overflowed)
        writer.removeAll()
        writer.writeInteger(1)
        #expect(writer.count == 1 && !writer.overflowed && writer.limit == 100)
    }

    @Test func everyLimitHoldsWhateverIsWritten() {
        let everything = PayloadSamples.everything
        let whole = everything.payload
        for limit in 0..<whole.count {
            var writer = PayloadWriter(limit: limit, reserving: limit / 2)
            everything.write(into: &writer)
            #expect(writer.overflowed && writer.count <= limit)
        }
        #expect(encoded(limit: whole.count) { everything.write(into: &$0) } == whole)
    }

    @Test func aHeaderThatHasNoFormOverflows() {
        var writer = PayloadWriter()
        writer.writeArrayHeader(1 << 32)
        #expect(writer.overflowed && writer.count == 0)
        writer.removeAll()
        writer.writeMapHeader(-1)
        #expect(writer.overflowed && writer.count == 0)
    }

    @Test func aWriterIsUsedAgain() {
        var writer = PayloadWriter(reserving: 0)
        #expect(writer.bytes.isEmpty)
        for size in [10, 3 << 20, 10] {
            writer.removeAll()
            [UInt8](repeating: 1, count: size).withUnsafeBytes { writer.appendRaw($0) }
            #expect(writer.bytes.count == size && writer.bytes.allSatisfy { $0 == 1 })
        }
    }

    @Test func truncateTakesBackAHalfWrittenValue() {
        var writer = PayloadWriter()
        writer.writeInteger(1)
        let mark = writer.count
        writer.writeString("half")
        writer.truncate(to: mark)
        #expect([UInt8](writer.bytes) == [1])
    }

    @Test func rewoundItTakesMoreThanItsLimit() {
        var writer = PayloadWriter(limit: 8)
        writer.writeInteger(1)
        writer.writeString("much too long")
        #expect(writer.overflowed && writer.count <= 8)
        writer.rewind(to: 1, room: 9)
        writer.writeString("12345678")
        #expect(!writer.overflowed && [UInt8](writer.bytes) == [1] + Value.string(Array("12345678".utf8)).payload)
        writer.writeNil()
        #expect(writer.overflowed && writer.count == 10)
    }

    /// What fits stays where it was borrowed; what does not is given away, and is nobody else's.
    @Test func itGivesAwayWhatItHasGrownInto() {
        for size in [0, 1, 64, 65, 100, 1000] {
            var place = [UInt8](repeating: 0, count: 64)
            place.withUnsafeMutableBytes { place in
                var writer = PayloadWriter(limit: 2000, borrowing: place)
                [UInt8](repeating: 7, count: size).withUnsafeBytes { writer.appendRaw($0) }
                let grown = writer.give()
                #expect((grown == nil) == (size <= 64), "\(size)")
                let bytes = UnsafeRawBufferPointer(start: grown ?? place.baseAddress!, count: size)
                #expect(bytes.allSatisfy { $0 == 7 }, "\(size)")
                free(grown)
            }
        }
    }
}
