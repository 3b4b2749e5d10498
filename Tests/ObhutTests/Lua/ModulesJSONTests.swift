import Testing

@testable import Obhut

/// LUA_API, "json" and "uuid".
@Suite struct ModulesJSONTests {
    private func run(_ body: String, seed: UInt64 = 1) -> LuaResult {
        LuaHarness(seed: seed).run(
            "local json, uuid = require('json'), require('uuid') " + body, modules: ["json", "uuid", "time"])
    }

    @Test func valuesGoThereAndBack() {
        #expect(
            run(
                #"""
                local v = {list = {1, 2.5, "x", true}, empty = {}, text = "ä\n\"\0", deep = {{{}}}, big = math.mininteger}
                local text = json.encode(v)
                local w = json.decode(text)
                return {text, w.list[2], math.type(w.list[1]), w.text == v.text, w.big == v.big, json.decode("null") == nil,
                  json.decode(" [1e2, null, \"\\u00e4\"] ")[3], json.encode(2^53), json.encode(nil)}
                """#)
                == .value(
                    #"["{\"big\":-9223372036854775808,\"deep\":[[[]]],\"empty\":[],\"list\":[1,2.5,\"x\",true],"#
                        + #"\"text\":\"ä\\n\\\"\\u0000\"}",2.5,"integer",true,true,true,"ä","9007199254740992.0","null"]"#))
    }

    @Test func keysAreSortedAndNumbersBecomeText_T2() {
        #expect(
            run("return json.encode({b = 1, a = 2, [10] = 3, [9] = 4, [1.5] = 5})")
                == .value(#""{\"1.5\":5,\"10\":3,\"9\":4,\"a\":2,\"b\":1}""#))
        #expect(
            run("return json.encode({1, 2, x = 3})") == .value(#""{\"1\":1,\"2\":2,\"x\":3}""#), "a mixed table is a map")
    }

    @Test func errorAndPayloadObjectsHaveTheirJSON() {
        #expect(
            run(
                """
                process.send(process.pid(), "t", {a = 1})
                return json.encode({errors.new{kind = "TIMEOUT", message = "late", details = {n = 1}},
                  process.inbox():receive():payload()})
                """)
                == .value(#""[{\"kind\":\"TIMEOUT\",\"message\":\"late\",\"details\":{\"n\":1}},{\"a\":1}]""#))
    }

    @Test(arguments: [
        ("function() end", "cannot encode a function"),
        ("{a = {print}}", "cannot encode a function (at .a[1])"),
        ("0/0", "cannot encode NaN"),
        ("{x = 1e999}", "cannot encode an infinite number (at .x)"),
        (#""\xff""#, "cannot encode a string that is not UTF-8"),
        (#"{["\xff"] = 1}"#, "cannot encode a string that is not UTF-8 (at (a key))"),
        ("{[true] = 1}", "cannot encode a table with a boolean as a key"),
        (#"{[1] = 1, ["1"] = 2, x = 3}"#, "cannot encode a table with the key 1 as a number and as a string"),
        ("(function() local t = {} t.t = {t} return t end)()", "cannot encode a table that contains itself (at .t[1])"),
        (
            "(function() local t = {} for i = 1, 200 do t = {t} end return t end)()",
            "cannot encode a value that is nested over 128 deep (at [1][1][1][1][1][1] … [1][1][1][1][1])"
        ),
    ])
    func whatHasNoJSONIsRefused_F2(value: String, message: String) {
        let world = LuaHarness()
        #expect(
            world.run(
                "local a, e = require('json').encode(\(value)) return {a == nil, e:kind(), e:message()}", modules: ["json"])
                == .value(#"[true,"INVALID","\#(message)"]"#))
    }

    @Test func malformedTextIsAnErrorWithItsPlace_F2() {
        #expect(
            run(
                #"""
                local a, e = json.decode('{"a": 1,\n  b}')
                local ok, f = pcall(json.decode, 7)
                local ok2, g = pcall(json.encode)
                return {a == nil, e:kind(), e:message(), f, g}
                """#)
                == .value(
                    #"[true,"INVALID","no JSON: line 2, column 3: expected a key in double quotes","#
                        + #""bad argument #1 to 'json.decode' (string expected, got number)","#
                        + #""bad argument #1 to 'json.encode' (value expected)"]"#))
    }

    @Test func bothDirectionsEndAtMaxMessage_F1() {
        let world = LuaHarness { $0.maxMessage = 100_000 }
        #expect(
            world.run(
                """
                local json = require("json")
                local t = {1, 2, 3}
                for i = 1, 60 do t = {t, t} end
                local _, e = json.encode(t)
                local _, f = json.encode(string.rep("x", 200000))
                local _, g = json.decode("[" .. string.rep("1,", 200000) .. "1]")
                return {e:message(), f:message(), g:message()}
                """, modules: ["json"])
                == .value(
                    #"["the text is larger than 100000B (max_message)","the text is larger than 100000B (max_message)","#
                        + #""the value is larger than 100000B (max_message)"]"#))
    }

    @Test func uuidsHaveTheirFormAndDiffer() {
        #expect(
            run(
                """
                local four, seven = "^%x+%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-(%x+)$", "^%x+%-%x%x%x%x%-7%x%x%x%-[89ab]%x%x%x%-%x+$"
                local seen, last, sorted = {}, "", true
                for i = 1, 1000 do
                  local a, b = uuid.v4(), uuid.v7()
                  assert(#a == 36 and #b == 36 and a:match(four) and b:match(seven) and not seen[a] and not seen[b])
                  seen[a], seen[b] = true, true
                  sorted, last = sorted and b > last, b
                end
                return {sorted, uuid.v7():sub(1, 13)}
                """) == .value(#"[true,"019b76da-a800"]"#))
    }

    @Test func aSeedGivesTheSameUUIDs_T2() {
        let body = "return {uuid.v4(), uuid.v7()}"
        #expect(run(body, seed: 7) == run(body, seed: 7))
        #expect(run(body, seed: 7) != run(body, seed: 8))
    }
}
