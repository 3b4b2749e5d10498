import Testing

@testable import Obhut

/// LUA_API, "env" and "io".
@Suite struct ModulesOutsideTests {
    @Test func aSourceSeesTheVariablesThatItsEntryAllows_F6() {
        let world = LuaHarness()
        world.surround(environment: ["HOME": "/h", "SECRET": "s"])
        let library = LuaHarness.unit("app:lib", "return {get = function(n) return require('env').get(n) end}", ["env"], [:], ["SECRET"])
        #expect(
            world.run(
                """
                local env = require("env")
                local none, unset = env.get("UNSET")
                local secret, refused = env.get("SECRET")
                local _, other = require("lib").get("HOME")
                local n = 0
                for k, v in pairs(env.all()) do n = n + 1 end
                return {env.get("HOME"), none == nil, unset:kind(), unset:message(), secret == nil, refused:kind(), refused:message(),
                  n, env.all().HOME, other:message()}
                """, modules: ["env"], imports: ["lib": library], environment: ["HOME", "UNSET"])
                == .value(
                    #"["/h",true,"NOT_FOUND","environment variable 'UNSET' is not set",true,"PERMISSION_DENIED","#
                        + #""environment variable 'SECRET' is not allowed: add it to \"env\" of app:main",1,"/h","#
                        + #""environment variable 'HOME' is not allowed: add it to \"env\" of app:lib"]"#))
    }

    @Test func linesAreReadAsTheyCome() {
        let world = LuaHarness()
        world.surround()
        world.input = ["one\ntw", "o\r\n\n", "rest"]
        #expect(
            world.run(
                """
                local io, got = require("io"), {}
                while true do
                  local line, err = io.readline()
                  if not line then return {got, err:kind(), err:message(), select(2, io.read()):message()} end
                  got[#got + 1] = line
                end
                """, modules: ["io"])
                == .value(#"[["one","two","","rest"],"UNAVAILABLE","end of input","end of input"]"#))
    }

    @Test func bytesAreWhatIsThere() {
        let world = LuaHarness()
        world.surround(arguments: ["a", "b c"])
        world.input = ["12345", "678\n9", nil]
        #expect(
            world.run(
                """
                local io = require("io")
                local a, b, c, d = io.read(2), io.read(), io.readline(), io.read(10)
                local _, err = io.read(1)
                return {a, b, c, d, err:message(), io.args(), pcall(io.read, 0)}
                """, modules: ["io"])
                == .value(
                    #"["12","345","678","9","the input cannot be read: Input/output error",["a","b c"],false,"#
                        + #""bad argument #1 to 'io.read' (a whole number from 1 to 1048576 expected, got 0)"]"#))
    }

    @Test func theDeadAreNotAnswered_P7() {
        let world = LuaHarness()
        // An input that a test feeds by hand.
        var requests: [InputRequest] = []
        world.system.surroundings.read = { requests.append($0) }
        world.define("app:reader", "local line = require('io').readline() return line", modules: ["io"])
        let first = world.start("app:reader"), second = world.start("app:reader")
        world.settle()
        #expect(Set(requests.map(\.pid)) == [first, second])
        _ = world.system.terminate(first, from: .none)
        world.settle()
        var isTaken = true
        for request in requests {
            let text: [UInt8] = [0xa1, 0x78]
            isTaken = text.withUnsafeBytes {
                world.system.reply(from: .none, to: request.pid, request: request.number, payload: $0, isError: false)
            }
            #expect(isTaken == (request.pid == second))
        }
        world.settle()
        #expect(world.result(of: first) == .error("terminated"))
        #expect(world.result(of: second) == .value("\"x\""))
    }

    @Test func outputIsPrintedAndWritten() {
        let world = LuaHarness()
        #expect(
            world.run(
                """
                local io = require("io")
                io.print("a", 1, nil) io.write("b", 2, 1.5) io.flush()
                local none, err = io.readline()
                return {pcall(io.write, {}), err:message(), #io.args()}
                """, modules: ["io"])
                == .value(
                    #"[false,"there is no input",0]"#))
        #expect(world.lines == ["a\t1\tnil", "b21.5"])
    }

    @Test func inputCannotBeWaitedForWhereLuaCannotYield() {
        let world = LuaHarness()
        world.surround()
        #expect(
            world.run(
                "return select(2, pcall(table.sort, {1, 2}, function() require('io').readline() end))", modules: ["io"])
                == .value(#""app:main:1: attempt to block where Lua cannot yield (in io.readline)""#))
    }
}
