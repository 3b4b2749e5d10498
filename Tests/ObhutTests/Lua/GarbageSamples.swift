/// Programs that make garbage of one kind each, and ways to have it collected.
enum GarbageSamples {
    static let modes = [
        "",
        "collectgarbage('generational')",
        "collectgarbage('generational', 1, 1)",
        "collectgarbage('incremental', 100, 1000)",
        "collectgarbage('setpause', 0) collectgarbage('setstepmul', 1000)",
        "collectgarbage('incremental', 0, 0, 1)",
        "collectgarbage('stop')",
        "local g = collectgarbage local turn = 0 collect = function() turn = turn + 1 g(turn % 2 == 0 and 'generational' or 'incremental') g() end",
        "collect = collectgarbage",
        "collect = function() for i = 1, 3 do collectgarbage('step', 1) end end",
        "collectgarbage('generational') collect = function() collectgarbage('step') end",
    ]

    /// `collect`, where there is one, is called all the time.
    static let all: [(name: String, code: String)] = [
        (
            "strings",
            """
            local c = collect or function() end
            local kept, sum = {}, 0
            for i = 1, 300 do
              local s = ("s" .. i):rep(i % 50) .. string.format("%d %s", i, i * 2)
              if i % 7 == 0 then kept[#kept + 1] = s end
              sum = sum + #s:gsub("%d", "x"):upper()
              if i % 20 == 0 then c() end
            end
            for i, s in ipairs(kept) do sum = sum + #s c() end
            print(#kept, sum, kept[#kept]:sub(-20), table.concat(kept):byte(1000, 1010))
            """
        ),
        (
            "tables",
            """
            local c = collect or function() end
            local root = {}
            for i = 1, 200 do
              root[i % 20] = {i, next = root[(i + 1) % 20], [i * 1.5] = "f", [tostring(i)] = {i}}
              if i % 10 == 0 then c() end
            end
            for _, t in pairs(root) do t.next = nil end
            c()
            local n = 0
            for k, t in pairs(root) do n = n + t[1] + #tostring(t[1]) c() end
            local by = {} for i = 1, 50 do local k = {} by[k] = i by[i] = k end
            c()
            local m = 0 for i = 1, 50 do m = m + by[by[i]] end
            local weak = setmetatable({}, {__mode = "k"}) for i = 1, 50 do weak[by[i]] = i weak[{}] = i end
            collectgarbage() collectgarbage()
            local w = 0 for k in pairs(weak) do w = w + 1 end
            print(n, m, w)
            """
        ),
        (
            "coroutines",
            """
            local c = collect or function() end
            local all, sum = {}, 0
            for i = 1, 60 do
              local co = coroutine.create(function(a) local t = {a} while true do t[#t + 1] = coroutine.yield(#t) c() end end)
              coroutine.resume(co, i)
              all[i % 10] = co
              if i % 5 == 0 then c() end
            end
            for _ = 1, 5 do for i = 0, 9 do local _, n = coroutine.resume(all[i], "x") sum = sum + n end end
            for i = 0, 9, 2 do coroutine.close(all[i]) all[i] = nil end
            c()
            local function deep(n) if n == 0 then c() return 0 end return 1 + coroutine.wrap(deep)(n - 1) end
            print(sum, deep(30), select(2, coroutine.resume(all[1])))
            local function down(n) if n == 0 then return 0 end local t = {n} c() return t[1] - n + 1 + down(n - 1) end
            print(down(150), coroutine.wrap(down)(150))
            """
        ),
        (
            "closures",
            """
            local c = collect or function() end
            local makers = {}
            for i = 1, 40 do
              local n, t = 0, {}
              makers[i] = {function() n = n + i t[#t + 1] = n return n end, function() return n, #t end}
              if i % 4 == 0 then c() end
            end
            local sum = 0
            for round = 1, 5 do for i, pair in ipairs(makers) do sum = sum + pair[1]() if i % 13 == 0 then c() end end end
            for i = 1, 40, 2 do makers[i] = nil end
            c()
            for i = 2, 40, 2 do local a, b = makers[i][2]() sum = sum + a * b end
            local f = load("local a, b = ... return function(x) a = a + x return a * b end")(2, 3)
            c()
            print(sum, f(1), f(2), (function(...) c() return select("#", ...) end)(1, 2, 3))
            """
        ),
        (
            "everything, and names at last",
            """
            local c = collect or function() end
            for i = 1, 50 do local ok, e = pcall(error, {i}) if not ok and e[1] ~= i then print("bad") end if i % 9 == 0 then c() end end
            local x = 0 do local y <close> = setmetatable({}, {__close = function() x = x + 1 c() end}) end
            c() print(x, utf8.char(228), math.type(1)) c() print(#os.date("!%Y", 0), string.pack("i4", 7):byte()) c()
            print(next({}), rawlen({1}), select(-1, 1, 2), tostring(nil), table.unpack({1, 2}))
            local mt = setmetatable({}, {__index = function(t, k) c() return k .. k end, __add = function(a, b) c() return 5 end})
            print(mt.ab, mt + 1, ("%s"):format(mt.cd))
            """
        ),
    ]
}
