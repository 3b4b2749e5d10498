import CObhut
import Testing

@testable import Obhut

/// Lua values to payloads and back (ARCHITECTURE D6, SEMANTICS M1, F1).
@Suite struct ModulesCodecTests {
    @Test func valuesComeBackAsTheyWere() {
        #expect(
            runMain(
                """
                local function same(a, b)
                  if type(a) ~= "table" then return a == b and math.type(a) == math.type(b) end
                  if type(b) ~= "table" then return false end
                  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
                  for k in pairs(b) do if a[k] == nil then return false end end
                  return true
                end
                local values = {0, -1, 127, 128, -32, -33, 1 << 40, math.maxinteger, math.mininteger, 0.5, -0.0, 1e300, 1/0, true, false, "", "ä", "\\xff\\0",
                  ("x"):rep(70000), {}, {1, 2, 3}, {a = 1}, {1, 2, x = 3}, {[1] = 1, [3] = 3}, {[-1] = "n", [1.5] = "f", [true] = "b"},
                  {{{}}, {{1}, {a = {b = {}}}}}, {[2^53] = 1}}
                local sparse = {} sparse[1000000] = 1 values[#values + 1] = sparse
                local reversed = {} for i = 40, 1, -1 do reversed[i] = i end values[#values + 1] = reversed
                for i, v in ipairs(values) do
                  process.send(process.pid(), "t", v)
                  local w = process.inbox():receive():payload():data()
                  if not same(v, w) then return "value " .. i end
                end
                process.send(process.pid(), "t", 0/0)
                local nan = process.inbox():receive():payload():data()
                return nan ~= nan
                """) == .value("true"))
    }

    /// Whether the keys lie in the array of Lua's table, in its hash part or in both; with holes, and with keys that only
    /// look like places.
    @Test func tablesOfScalarsComeBackAsTheyWere_D6() {
        #expect(
            runMain(
                """
                local function same(a, b)
                  for k, v in pairs(a) do if b[k] ~= v or math.type(v) ~= math.type(b[k]) then return false end end
                  for k in pairs(b) do if a[k] == nil then return false end end
                  return true
                end
                local function value(i) return ({i, i + 0.5, "v" .. i, i % 8 < 4, -i * 1000})[i % 5 + 1] end
                local fill = {
                  function(t, n) for i = 1, n do t[i] = value(i) end end,
                  function(t, n) for i = n, 1, -1 do t[i] = value(i) end end,
                  function(t, n) for i = 1, n // 2 do t[i] = value(i) t[n + 1 - i] = value(n) end end,
                }
                local tried = 0
                for _, n in ipairs{1, 2, 3, 4, 5, 8, 15, 16, 31, 32, 33, 63, 64, 65, 200} do
                  for _, how in ipairs(fill) do
                    for _, hole in ipairs{0, 1, 2, n // 2, n - 1, n} do
                      for extra = 1, 6 do
                        local t = {}
                        how(t, n)
                        if hole > 0 then t[hole] = nil end
                        if extra == 2 then t[tostring(hole)] = "text" end
                        if extra == 3 then t[n + 1.5] = 1 end
                        if extra == 4 then t[n + 7] = 1 end
                        if extra == 5 then t[0] = 1 end
                        if extra == 6 then t[true] = 1 end
                        process.send(process.pid(), "t", t)
                        if not same(t, process.inbox():receive():payload():data()) then return {n, hole, extra} end
                        tried = tried + 1
                      end
                    end
                  end
                end
                return tried
                """) == .value("1620"))
    }

    @Test func listOverTheLimitIsRefused_M1() {
        #expect(
            runMain(
                """
                local list = {}
                for i = 1, 2000000 do list[i] = 1e300 end
                local ok, e = process.send(process.pid(), "t", list)
                list[2000001] = print
                local _, f = process.send(process.pid(), "t", {list})
                return {ok == nil, e == f, (e:find("payload is larger than", 1, true))}
                """) == .value("[true,true,1]"))
    }

    @Test func shapesOnTheWire_D6() {
        // As another language sees them.
        #expect(
            runMain("return {{}, {1, 2}, {a = 1}, {[1] = 'x', [2] = 'y'}, {[2] = 1}, setmetatable({5}, {__index = {6}, __pairs = error, __len = error}), 1.0}")
                == .value(#"[[],[1,2],{"a":1},["x","y"],{"2":1},[5],1.0]"#))
    }

    @Test func nothingOfTheProgramRunsWhileEncoding_M1() {
        #expect(
            runMain(
                """
                local trap = setmetatable({x = 1}, {__index = error, __len = error, __pairs = error, __name = "trap", __tostring = error, __eq = error})
                assert(process.send(process.pid(), "t", trap))
                local ok, e = process.send(process.pid(), "t", {[trap] = setmetatable({f = print}, getmetatable(trap))})
                return {process.inbox():receive():payload():data().x, e}
                """) == .value(#"[1,"cannot send a function (at [trap].f)"]"#))
    }

    @Test func runtimesUserdataCannotBeSent_M1() {
        #expect(
            runMain(
                """
                local time, out = require("time"), {}
                process.send(process.pid(), "t", 1)
                for i, v in ipairs{process.inbox(), time.now(), time.parse_duration("1s"), time.timer("1s"), process.inbox():receive()} do
                  out[i] = select(2, process.send(process.pid(), "t", {x = v}))
                end
                return out
                """)
                == .value(
                    #"["cannot send a channel (at .x)","cannot send a time.time (at .x)","cannot send a time.duration (at .x)","#
                        + #""cannot send a time.timer (at .x)","cannot send a process.message (at .x)"]"#))
    }

    @Test func errorWithWhatCannotBeCopiedStillEndsTheProcess_P4() {
        #expect(runMain("error(errors.new{message = 'm', details = {f = print}})") == .error("m"))
        #expect(runMain("error({f = print})") == .error("(error object is a table value)"))
        #expect(runMain("local e = errors.new{message = 'm', details = {}} e:details().e = e return nil, e") == .error("m"))
    }

    @Test func keysThatCannotBeInATableAreDropped_F1() {
        var writer = PayloadWriter()
        writer.writeArrayHeader(1)
        writer.writeMapHeader(3)
        writer.writeNil()
        writer.writeInteger(1)
        writer.writeDouble(.nan)
        writer.writeInteger(2)
        writer.writeString("a")
        writer.writePid(5)
        let world = LuaHarness()
        world.define("app:keys", "local t = ... local n = 0 for k in pairs(t) do n = n + 1 end return {n, t.a}")
        let pid = world.start("app:keys", arguments: writer.bytes)
        world.settle()
        #expect(world.result(of: pid) == .value(#"[1,"{obhut:port|0x00005}"]"#))
    }

    @Test func anyBytesAreDecodedToSomething_F1() {
        // What is malformed becomes nil; nothing may read outside, raise or leave the stack uneven.
        let world = LuaHarness()
        world.define("app:any", "return select('#', ...)")
        var random = RandomSource(seed: 99)
        var pids: [Pid] = []
        for _ in 0..<3000 {
            var bytes = [UInt8]((0..<(1 + random.below(60))).map { _ in UInt8(truncatingIfNeeded: random.next()) })
            // Mostly containers, strings and extensions at the start, so that it goes deep.
            for i in 0..<random.below(bytes.count + 1) {
                bytes[i] = [0x91, 0x92, 0x81, 0x82, 0xdc, 0xc7, 0xd8, 0xa3, 0xc0, 0x93][random.below(10)]
            }
            pids.append(bytes.withUnsafeBytes { world.start("app:any", arguments: $0) })
        }
        world.settle()
        for pid in pids {
            guard case .value = world.result(of: pid) else {
                Issue.record("\(world.result(of: pid))")
                continue
            }
        }
    }

    @Test func hostileDepthAndSizeAreRefused_F1() {
        let world = LuaHarness(memory: 1 << 20)
        world.define("app:any", "return type((...))")
        var deep = [UInt8](repeating: 0x91, count: 100_000)
        deep.append(0xc0)
        let a = deep.withUnsafeBytes { world.start("app:any", arguments: $0) }
        // An array of 4 million nils: 64 MB in Lua.
        let wide = [0x91, 0xdd, 0x00, 0x3d, 0x09, 0x00] + [UInt8](repeating: 0xc0, count: 4_000_000)
        let b = wide.withUnsafeBytes { world.start("app:any", arguments: $0) }
        let ones = [0x91, 0xdd, 0x00, 0x3d, 0x09, 0x00] + [UInt8](repeating: 0x01, count: 4_000_000)
        let c = ones.withUnsafeBytes { world.start("app:any", arguments: $0) }
        world.settle()
        #expect(world.result(of: a) == .value(#""nil""#))
        #expect(world.result(of: b) == .value(#""table""#))
        #expect(world.result(of: c).description.contains("memory limit"))
    }

    @Test func decodingBesideGarbageFitsIntoTheLimit_F4() {
        // 1.8 of 2 MiB are in use when the value is there; the rest of what it takes is garbage of the one before.
        #expect(
            LuaHarness(memory: 2 << 20).run(
                """
                local t, n = {}, 0
                for i = 1, 4000 do t[i] = ("k"):rep(200) .. i end
                process.send(process.pid(), "t", t)
                t = nil
                local message = process.inbox():receive()
                for i = 1, 20 do n = n + #message:payload():data() end
                return n
                """) == .value("80000"))
    }

    @Test func randomValuesSurviveTheRoundTrip() {
        // The program makes random trees, sends them, and compares the text of both.
        let result = LuaHarness(seed: 5).run(
            """
            local function make(depth)
              local r = math.random(12)
              if r == 1 then return math.random(0) elseif r == 2 then return math.random() elseif r == 3 then return math.random(2) == 1
              elseif r == 4 then return string.char(math.random(0, 255), math.random(0, 255)) elseif r == 5 then return ("k"):rep(math.random(0, 300))
              elseif r == 6 or depth > 6 then return math.random(-200, 200) end
              local t = {}
              for i = 1, math.random(0, 5) do
                if r < 10 then t[i] = make(depth + 1) else t["k" .. i] = make(depth + 1) end
              end
              return t
            end
            local function show(v)
              if type(v) ~= "table" then return type(v) .. ":" .. tostring(v) end
              local keys = {} for k in pairs(v) do keys[#keys + 1] = k end
              table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
              for i, k in ipairs(keys) do keys[i] = show(k) .. "=" .. show(v[k]) end
              return "{" .. table.concat(keys, ",") .. "}"
            end
            for i = 1, 500 do
              local v = make(0)
              assert(process.send(process.pid(), "t", v))
              assert(show(process.inbox():receive():payload():data()) == show(v))
            end
            return "same"
            """)
        #expect(result == .value(#""same""#))
    }
}
