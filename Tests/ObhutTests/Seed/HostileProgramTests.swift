import Testing

@testable import Obhut

/// Programs that do not want to end, on threads in real time. That they end is asserted, not when.
@Suite struct HostileProgramTests {
    static let programs = [
        ("computes", "while true do end"),
        ("computes in pcall", "while true do pcall(function() while true do end end) end"),
        ("computes in xpcall, and in its handler", "while true do xpcall(error, function() while true do end end) end"),
        ("computes in gsub", "(('x'):rep(100)):gsub('.', function() while true do end end)"),
        ("computes in sort", "table.sort({ 3, 2, 1 }, function() while true do end end)"),
        ("computes in a coroutine", "coroutine.wrap(function() while true do end end)()"),
        (
            "computes in coroutines within coroutines",
            "local function nest(n) if n == 0 then while true do end end coroutine.wrap(nest)(n - 1) end nest(20)"
        ),
        ("makes coroutines without end", "while true do coroutine.wrap(function() coroutine.yield() end)() end"),
        ("computes in a coroutine under pcall", "while true do pcall(coroutine.wrap(function() while true do end end)) end"),
        ("computes in a spawned coroutine", "coroutine.spawn(function() while true do end end) process.inbox():receive()"),
        ("computes in a metamethod", "local t = setmetatable({}, { __index = function() while true do end end }) return t.x"),
        ("computes in a closing variable", "local x <close> = setmetatable({}, { __close = function() while true do end end })"),
        ("searches with an exploding pattern", "string.find(('a'):rep(40), ('a*'):rep(40) .. 'b')"),
        ("the same in pcall", "while true do pcall(string.find, ('a'):rep(40), ('a*'):rep(40) .. 'b') end"),
        ("sends to itself", "while true do process.send(process.pid(), 'x', 1) process.inbox():receive() end"),
        ("raises and catches", "while true do pcall(error, 'x') end"),
        ("catches its own end", "while true do pcall(process.inbox().receive, process.inbox()) end"),
    ]

    private static func world(_ code: String) throws -> ApplicationWorld {
        try ApplicationWorld(
            .real,
            files: [
                "app.yaml": """
                namespace: app
                entries:
                  - { name: processes, kind: process.host, host: { workers: 1 } }
                  - { name: program, kind: process.lua, source: file://program.lua, method: main }
                """,
                "program.lua": "return { main = function() print('ready'); \(code) end }",
            ])
    }

    /// C4
    @Test(arguments: programs) func isTerminated(name: String, code: String) throws {
        let world = try Self.world(code)
        defer { world.close() }
        let pid = try world.start("app:program")
        try world.wait { $0.contains("ready") }
        #expect(world.runtime.system.terminate(pid, from: .none))
        #expect(try world.end(of: pid) == .error("terminated"))
    }

    /// C1, C2
    @Test(arguments: programs) func isEndedAtItsDeadline(name: String, code: String) throws {
        let world = try Self.world(code)
        defer { world.close() }
        let pid = try world.start("app:program")
        try world.wait { $0.contains("ready") }
        #expect(world.runtime.system.cancel(pid, from: .none, timeout: 30_000_000))
        #expect(try world.end(of: pid) == .error("cancelled: deadline exceeded"))
    }

    /// L3: whatever it is doing.
    @Test(arguments: programs) func fallsWithALinkedProcess(name: String, code: String) throws {
        let world = try ApplicationWorld(
            .real,
            files: [
                "app.yaml": """
                namespace: app
                entries:
                  - { name: processes, kind: process.host, host: { workers: 1 } }
                  - { name: others, kind: process.host, host: { workers: 1 } }
                  - { name: program, kind: process.lua, source: file://program.lua, method: main }
                  - { name: failing, kind: process.lua, source: file://main.lua, method: failing }
                  - { name: main, kind: process.lua, source: file://main.lua, method: main }
                """,
                "program.lua": "return { main = function(main) process.send(main, 'ready'); \(code) end }",
                "main.lua": """
                local function failing(pid)
                    assert(process.link(pid))
                    error("LINKED", 0)
                end
                local function main()
                    local program = assert(process.spawn_monitored("app:program", "app:processes", process.pid()))
                    process.inbox():receive()
                    local other = assert(process.spawn("app:failing", "app:others", program))
                    local event = process.events():receive()
                    return event.result.error == "linked process " .. other .. " failed: LINKED" or event.result.error
                end
                return { main = main, failing = failing }
                """,
            ])
        defer { world.close() }
        let pid = try world.start("app:main", on: "app:others", [])
        #expect(try world.end(of: pid) == .value("true"))
    }

    /// H2, C4: one worker, a thousand that compute, and one that answers. Each of the thousand has its first slice of
    /// the worker before the first answer.
    @Test func aThousandSpinnersOnOneWorker() throws {
        let spinners = Int(max(50, 1000 * testScale))
        let world = try ApplicationWorld(
            .real,
            files: [
                "app.yaml": """
                namespace: app
                entries:
                  - { name: driver, kind: process.host, host: { workers: 1 } }
                  - { name: crowded, kind: process.host, host: { workers: 1 } }
                  - { name: spinner, kind: process.lua, source: file://spinner.lua, method: main }
                  - { name: echo, kind: process.lua, source: file://echo.lua, method: main }
                  - { name: main, kind: process.lua, source: file://main.lua, method: main }
                """,
                "spinner.lua": "return { main = function() while true do end end }",
                "echo.lua": """
                return { main = function()
                    while true do
                        local message = process.inbox():receive()
                        message:reply(message:payload():data() + 1)
                    end
                end }
                """,
                "main.lua": """
                local function main()
                    local echo = assert(process.spawn("app:echo", "app:crowded"))
                    local answer = assert(process.request(echo, "add", 0, "60s"))
                    local spinners = {}
                    for i = 1, \(spinners) do
                        spinners[i] = assert(process.spawn_monitored("app:spinner", "app:crowded"))
                    end
                    for i = 1, 20 do answer = assert(process.request(echo, "add", answer, "60s")) end
                    for _, pid in ipairs(spinners) do assert(process.terminate(pid)) end
                    local ended = 0
                    for _ = 1, #spinners do
                        if process.events():receive().result.error == "terminated" then ended = ended + 1 end
                    end
                    answer = assert(process.request(echo, "add", answer, "60s"))
                    return { answer, ended }
                end
                return { main = main }
                """,
            ])
        defer { world.close() }
        let pid = try world.start("app:main", on: "app:driver", [])
        let end = try world.end(of: pid)
        #expect(end == .value("[22,\(spinners)]"))
    }
}
