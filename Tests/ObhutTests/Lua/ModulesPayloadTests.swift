import Testing

@testable import Obhut

/// LUA_API, "payload".
@Suite struct ModulesPayloadTests {
    @Test func aPayloadKeepsAValue() {
        #expect(
            runMain(
                """
                local p = payload.new({a = {1, 2}})
                process.send(process.pid(), "t", p)
                local got = process.inbox():receive():payload()
                return {p:get_format(), p:data().a[2], p:unmarshal().a[1], got:get_format() == payload.format.LUA, got:data().a[2], tostring(p)}
                """) == .value(#"["lua/any",2,1,true,2,"payload (6 bytes)"]"#))
    }

    @Test func formsOfTheSameValue() {
        #expect(
            runMain(
                #"""
                local F = payload.format
                local p = payload.new({n = 1, s = "ä"})
                local j = p:transcode(F.JSON)
                local back = j:transcode(F.LUA)
                local text = payload.new("hi"):transcode(F.JSON)
                process.send(process.pid(), "t", j)
                local got = process.inbox():receive():payload()
                return {j:get_format(), j:data(), j:unmarshal().n, back:get_format(), back:data().s, text:data(),
                  text:transcode(F.STRING):data(), payload.new("\xff"):transcode(F.BYTES):get_format(),
                  payload.new('[1,2]', F.JSON):unmarshal()[2], got:get_format(), got:data() == j:data(), j:transcode(F.JSON):data() == j:data()}
                """#)
                == .value(
                    #"["json/plain","{\"n\":1,\"s\":\"ä\"}",1,"lua/any","ä","\"hi\"","hi","bytes/plain",2,"lua/any",true,true]"#))
    }

    @Test(arguments: [
        ("payload.new(print)", "cannot send a function"),
        ("payload.new({}, 'x/y')", "unknown format x/y: see payload.format"),
        ("payload.new({}, payload.format.JSON)", "data of format json/plain is a string, this is a table"),
        (#"payload.new("\xff", payload.format.STRING)"#, "data of format text/plain is UTF-8, this is not"),
        ("payload.new({}):transcode(payload.format.STRING)", "data of format text/plain is a string, this is a table"),
        ("payload.new(0/0):transcode(payload.format.JSON)", "cannot encode NaN"),
        ("payload.new('{', payload.format.JSON):unmarshal()", "no JSON: line 1, column 2: expected a key in double quotes"),
        ("payload.new('{', payload.format.JSON):transcode(payload.format.LUA)", "no JSON: line 1, column 2: expected a key in double quotes"),
    ])
    func whatCannotBeIsAnError_F2(call: String, message: String) {
        #expect(
            runMain("local a, e = \(call) return {a == nil, e:kind(), e:message()}")
                == .value(#"[true,"INVALID","\#(message)"]"#))
    }

    @Test func theGlobalIsAlsoAModule() {
        let world = LuaHarness()
        #expect(
            world.run("return {require('payload') == payload, pcall(payload.new)}", modules: ["payload"])
                == .value(#"[true,false,"bad argument #1 to 'payload.new' (value expected)"]"#))
    }
}
