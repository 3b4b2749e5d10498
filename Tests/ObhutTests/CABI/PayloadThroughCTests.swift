import Glibc
import ObhutHeader
import Testing

@testable import Obhut

/// Payloads at the C boundary: any bytes survive, and nothing malformed gets in.
@Suite struct PayloadThroughCTests {
    private func toJSON(_ payload: [UInt8]) throws -> String {
        var json: UnsafeMutablePointer<CChar>?, length = -1
        try c { obhut_payload_to_json(payload, payload.count, &json, &length, $0) }
        defer { obhut_bytes_free(json) }
        #expect(json![length] == 0)
        return String(decoding: UnsafeRawBufferPointer(start: json, count: length), as: UTF8.self)
    }

    private func fromJSON(_ json: String) throws -> [UInt8] {
        var payload: UnsafeMutableRawPointer?, length = -1
        try c { obhut_payload_from_json(json, json.utf8.count, &payload, &length, $0) }
        defer { obhut_bytes_free(payload) }
        return Array(UnsafeRawBufferPointer(start: payload, count: length))
    }

    private func nested(_ depth: Int) -> [UInt8] { [UInt8](repeating: 0x91, count: depth) + [0xc0] }

    @Test func everyPayloadArrivesAsItIs() throws {
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        var payloads: [[UInt8]] = [
            [0xc0], encoded { $0.writeString("") }, encoded { $0.writeString("a\0b\0") },
            [0xc4, 0], [0xc4, 3, 0, 0, 0], nested(128), encoded { $0.writeDouble(.nan) },
            [0x90], [0x80], encoded { $0.writeUnsigned(.max) },
        ]
        for size in [63, 64, 65, 1000, 1 << 16, 64 << 20] {
            let header = [0xc6, UInt8(size >> 24), UInt8(size >> 16 & 255), UInt8(size >> 8 & 255), UInt8(size & 255)]
            payloads.append(
                header
                    + [UInt8](unsafeUninitializedCapacity: size) { bytes, count in
                        for index in 0..<size { bytes.initializeElement(at: index, to: UInt8(truncatingIfNeeded: index &* 31)) }
                        count = size
                    })
        }
        for payload in payloads { try port.send(port.pid, "t", payload) }
        for payload in payloads { #expect(try port.receive(0).payload == payload) }
    }

    @Test(arguments: [
        ([], 0), ([0xc1], 0), ([0x92, 0xc0], 0), ([0xc0, 0xc0], 1), ([0x91, 0xc1], 1), ([0xa2, 0x61], 0),
        ([0xdd, 0xff, 0xff, 0xff, 0xff], 0), ([0xa1, 0xff], 0), ([0xd6, 1, 0, 0, 0, 0], 0),
    ] as [([UInt8], Int64)]) func malformedIsRefusedWithItsOffset(_ payload: [UInt8], _ offset: Int64) throws {
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        for said in [
            refusal { obhut_payload_check(payload, payload.count, $0) },
            refusal { obhut_send(runtime.handle, port.pid, "t", payload, payload.count, $0) },
            refusal { obhut_port_send(port.handle, port.pid, "t", payload, payload.count, $0) },
            refusal {
                var json: UnsafeMutablePointer<CChar>? = .init(bitPattern: 1), length = 3
                let status = obhut_payload_to_json(payload, payload.count, &json, &length, $0)
                #expect(json == nil && length == 0)
                return status
            },
        ] {
            #expect(said?.status == OBHUT_MALFORMED)
            #expect(said?.offset == offset, "\(payload)")
        }
        #expect(port.receiveStatus() == OBHUT_TIMEOUT)
    }

    @Test func depthIsBounded() throws {
        #expect(status { obhut_payload_check(nested(128), 129, $0) } == OBHUT_OK)
        let deep = refusal { obhut_payload_check(nested(129), 130, $0) }
        #expect(deep?.status == OBHUT_MALFORMED)
        #expect(deep?.offset == 128)
        #expect(deep?.text.contains("128") == true)
        #expect(status { obhut_payload_check(nested(1_000_000), 1_000_001, $0) } == OBHUT_MALFORMED)
    }

    @Test func jsonGoesBothWays() throws {
        for json in ["null", "true", "-1", "1.5", "\"a\\u0000b\"", "[1,[2,{}],\"x\"]", "{\"a\":{\"b\":[]},\"c\":\"ä\"}"] {
            #expect(try toJSON(fromJSON(json)) == json)
        }
        #expect(try toJSON(fromJSON(" [1 , 2.0]\n")) == "[1,2.0]")
        #expect(try toJSON([0xc4, 3, 1, 2, 3]) == "\"AQID\"")
        #expect(try toJSON(encoded { $0.writeDouble(.nan) }) == "null")
        #expect(try toJSON(fromJSON(String(repeating: "[", count: 128) + String(repeating: "]", count: 128))).count == 256)
    }

    @Test(arguments: [
        ("", 0), ("[1,", 3), ("{\"a\" 1}", 5), ("tru", 0), ("1 2", 2), ("\"\u{1}\"", 1),
        ("[\n\n  x]", 5),
    ] as [(String, Int64)]) func malformedJSONIsRefusedWithItsPlace(_ json: String, _ offset: Int64) {
        let said = refusal {
            var payload = UnsafeMutableRawPointer(bitPattern: 1), length = 3
            let status = obhut_payload_from_json(json, json.utf8.count, &payload, &length, $0)
            #expect(payload == nil && length == 0)
            return status
        }
        #expect(said?.status == OBHUT_MALFORMED)
        #expect(said?.offset == offset, "\(json): \(said?.text ?? "")")
        #expect((said?.line ?? 0) >= 1)
        if json.contains("\n") { #expect(said?.line == 3 && said?.column == 3) }
    }

    @Test func freeingNoBytesDoesNothing() { obhut_bytes_free(nil) }
}
