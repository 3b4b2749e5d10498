import Testing

@testable import Obhut

/// LUA_API, `process.with_context` and "ctx".
@Suite struct ModulesContextTests {
    private func world() -> LuaHarness {
        let world = LuaHarness()
        world.define("app:all", "return require('ctx').all()", modules: ["ctx"])
        world.define("app:parent", "return (process.call('app:all', 'app:processes'))")
        world.define(
            "app:first",
            """
            local got = {process.registry.lookup("worker") == process.pid()}
            local inbox = process.inbox()
            for i = 1, 3 do local m = inbox:receive() got[#got + 1] = m:topic() got[#got + 1] = m:payload():data() end
            return got
            """)
        return world
    }

    /// Spawns, waits for the end and answers the value.
    private let wait = """
        local function ended(pid, err)
          if not pid then return err end
          local e = process.events():receive()
          return e.result.value or e.result.error
        end

        """

    @Test func childrenInheritTheContextAtAnyDistance() {
        #expect(
            world().run(
                wait + """
                    local s = process.with_context{user = "ann", n = {1, 2}}
                    local all = ended(s:spawn_monitored("app:parent", "app:processes"))
                    return {all.user, all.n}
                    """) == .value(#"["ann",[1,2]]"#))
    }

    @Test func aSpawnerIsNeverChanged() {
        #expect(
            world().run(
                wait + """
                    local s = process.with_context{a = 1, b = 1}
                    local t = s:with_context{b = 2, c = 3}
                    local function all(x) local v = ended(x:spawn_monitored("app:all", "app:processes")) return {v.a, v.b, v.c or 0} end
                    return {all(s), all(t), all(s:with_context{}), tostring(s), next(ended(process.with_context{}:spawn_monitored("app:all", "app:processes"))) == nil}
                    """) == .value(#"[[1,1,0],[1,2,3],[1,1,0],"process.spawner",true]"#))
    }

    @Test func whoIsSpawnedAddsToWhatItInherited() {
        let world = world()
        world.define(
            "app:middle", wait + "return ended(process.with_context{b = 2}:spawn_monitored('app:all', 'app:processes'))")
        #expect(
            world.run(
                wait + """
                    local all = ended(process.with_context{a = 1, b = 1}:spawn_monitored("app:middle", "app:processes"))
                    return {all.a, all.b}
                    """) == .value("[1,2]"))
    }

    @Test func contextIsReadByKey() {
        let world = world()
        world.define(
            "app:reads",
            """
            local ctx = require("ctx")
            local none, err = ctx.get("nobody")
            return {ctx.get("user"), none == nil, err:kind(), err:message(), pcall(ctx.get)}
            """, modules: ["ctx"])
        #expect(
            world.run(wait + "return ended(process.with_context{user = 'ann'}:spawn_monitored('app:reads', 'app:processes'))")
                == .value(
                    #"["ann",true,"NOT_FOUND","the context has no nobody",false,"#
                        + #""bad argument #1 to 'ctx.get' (string expected, got no value)"]"#))
        #expect(world.run("return #require('ctx').all()", modules: ["ctx"]) == .value("0"))
    }

    @Test func nameAndMessagesAreThereBeforeItRuns_M2() {
        #expect(
            world().run(
                wait + """
                    local s = process.with_context{}:with_name("worker"):with_message("a", 1):with_message("b", 1, "x"):with_message("c")
                    return ended(s:spawn_monitored("app:first", "app:processes"))
                    """) == .value(#"[true,"a",1,"b",[1,"x"],"c"]"#))
    }

    @Test func aNameThatIsTakenSpawnsNobody_P2() {
        #expect(
            world().run(
                """
                process.registry.register("worker")
                local s = process.with_context{}:with_name("worker")
                local before = #process.list()
                local pid, err = s:spawn("app:first", "app:processes")
                local p2, err2 = process.with_context{}:with_name("free"):spawn("app:nobody", "app:processes")
                return {pid == nil, err, #process.list() - before, p2 == nil, err2, process.registry.register("free"), (process.registry.lookup("worker")) == process.pid()}
                """)
                == .value(
                    #"[true,"name already registered",0,true,"entry not found: app:nobody",true,true]"#))
    }

    @Test func messagesBeyondTheMailboxSpawnNobody_M5() {
        let world = LuaHarness { $0.mailboxMessages = 2 }
        world.define("app:idle", "process.inbox():receive()")
        #expect(
            world.run(
                """
                local s = process.with_context{}:with_message("a"):with_message("b")
                local ok = s:spawn("app:idle", "app:processes")
                local pid, err = s:with_message("c"):spawn("app:idle", "app:processes")
                return {ok ~= nil, pid == nil, err}
                """)
                == .value(#"[true,true,"mailbox full: 3 messages are more than a process of app:processes takes"]"#))
    }

    @Test func linkedAndMonitoredLikeTheOthers_L7_S5() {
        let world = world()
        world.define("app:fails", "error('no', 0)")
        #expect(
            world.run(
                """
                process.set_options{trap_links = true}
                local s, kinds = process.with_context{x = 1}, {}
                s:spawn_linked("app:fails", "app:processes")
                kinds[1] = process.events():receive().kind
                s:spawn_linked_monitored("app:fails", "app:processes")
                kinds[2] = process.events():receive().kind
                kinds[3] = process.events():receive().kind
                return kinds
                """) == .value(#"["pid.link.down","pid.exit","pid.link.down"]"#))
    }

    @Test(arguments: [
        ("process.with_context()", "bad argument #1 to 'with_context' (table expected, got no value)"),
        ("process.with_context{1}", "bad argument #1 to 'with_context' (a key of the context is a string, got number)"),
        ("process.with_context{f = print}", "bad argument #1 to 'with_context' (cannot send a function (at .f))"),
        ("process.with_context{}:with_name('@x')", "bad argument #1 to 'with_name' (a name does not begin with { or @: @x)"),
        ("process.with_context{}:with_message('')", "bad argument #1 to 'with_message' (the topic is empty)"),
        ("process.with_context{}:with_message('t', print)", "bad argument #2 to 'with_message' (cannot send a function)"),
        ("process.with_context{}:spawn(1)", "bad argument #1 to 'spawn' (string expected, got number)"),
        ("process.with_context{}.spawn(1)", "bad argument #1 to 'spawn' (process.spawner expected, got number)"),
    ])
    func wrongArgumentsRaise_F2(call: String, message: String) {
        #expect(runMain("local ok, e = pcall(function() local x = \(call) end) return e:gsub('^.-: ', '', 1)") == .value("\"\(message)\""))
    }
}
