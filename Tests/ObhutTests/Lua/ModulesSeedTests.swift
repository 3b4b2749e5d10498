import Testing

@testable import Obhut

/// The programs of the seed, as they were asked for.
@Suite struct ModulesSeedTests {
    private func world(_ seed: UInt64) -> LuaHarness {
        let world = LuaHarness(seed: seed)
        world.define(
            "app.workers:task_worker", source: """
                local function main(worker_id)
                  local time = require("time")
                  local events_ch = process.events()
                  local inbox_ch = process.inbox()
                  print("Task worker " .. worker_id .. " started")
                  while true do
                    local timeout = time.after("5s")
                    local result = channel.select { inbox_ch:case_receive(), events_ch:case_receive(), timeout:case_receive() }
                    if result.channel == events_ch then
                      local event = result.value
                      if event.kind == process.event.CANCEL then
                        print("Worker " .. worker_id .. " cancelled")
                        return "cancelled"
                      elseif event.kind == process.event.LINK_DOWN then
                        return nil, "linked_process_died"
                      end
                    elseif result.channel == inbox_ch then
                      local msg = result.value
                      local topic = msg:topic()
                      local payload = msg:payload():data()
                      if topic == "work" then
                        print("Worker " .. worker_id .. " processing: " .. payload)
                        time.sleep("100ms")
                        process.send(msg:from(), "result", "completed: " .. payload)
                      elseif topic == "crash" then error("crashed", 0) end
                    elseif result.channel == timeout then
                      print("Worker " .. worker_id .. " idle")
                    end
                  end
                end
                return { main = main }
                """)
        world.define(
            "app.supervisor:pool", source: """
                local function main(worker_count)
                  local time = require("time")
                  worker_count = worker_count or 2
                  process.set_options({ trap_links = true })
                  local events_ch = process.events()
                  local workers = {}
                  local function start_worker(id)
                    local pid, err = process.spawn_linked("app.workers:task_worker", "app:processes", id)
                    if err then print("Failed to start worker " .. id .. ": " .. tostring(err)) return nil end
                    workers[pid] = {id = id, started_at = os.time()}
                    process.registry.register("worker" .. id, pid)
                  end
                  for i = 1, worker_count do start_worker(i) end
                  while true do
                    local timeout = time.after("60s")
                    local result = channel.select { events_ch:case_receive(), timeout:case_receive() }
                    if result.channel == timeout then
                      local count = 0
                      for _ in pairs(workers) do count = count + 1 end
                      print("Health check: " .. count .. " active workers")
                    elseif result.channel == events_ch then
                      local event = result.value
                      if event.kind == process.event.LINK_DOWN then
                        local dead_worker = workers[event.from]
                        if dead_worker then
                          workers[event.from] = nil
                          print("Worker " .. dead_worker.id .. " died after " .. os.time() - dead_worker.started_at .. "s, restarting")
                          time.sleep("100ms")
                          start_worker(dead_worker.id)
                        end
                      elseif event.kind == process.event.CANCEL then return "stopped" end
                    end
                  end
                end
                return { main = main }
                """)
        world.define("app.workers:child_worker", "error('CHILD_FAILED')")
        world.define(
            "app.workers:linker_child",
            """
            local events_ch, inbox_ch = process.events(), process.inbox()
            local msg = inbox_ch:receive()
            local parent_pid = msg:payload():data()
            process.link(parent_pid)
            process.set_options({ trap_links = true })
            process.send(parent_pid, "linked", process.pid())
            local event = events_ch:receive()
            if event.kind == process.event.LINK_DOWN then print("parent_died") return "parent_died" end
            """)
        return world
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func poolRestartsItsWorkers(_ seed: UInt64) {
        let world = world(seed)
        let result = world.run(
            """
            local time = require("time")
            local pool = process.spawn_monitored("app.supervisor:pool", "app:processes")
            time.sleep("1s")
            process.send("worker1", "work", "a")
            local done = process.inbox():receive():payload():data()
            process.send("worker2", "crash")
            time.sleep("2s")
            process.send("worker2", "work", "b")
            local again = process.inbox():receive():payload():data()
            time.sleep("65s")
            process.cancel(pool, "1s")
            return {done, again, process.events():receive().result.value}
            """, until: 80_000_000_000)
        #expect(result == .value(#"["completed: a","completed: b","stopped"]"#))
        #expect(world.lines.contains("Worker 2 died after 1s, restarting"))
        #expect(world.lines.contains("Health check: 2 active workers"))
        #expect(world.lines.contains("Worker 1 idle"))
    }

    @Test func parentSurvivesItsChild() {
        let world = world(1)
        _ = world.run(
            """
            process.set_options({ trap_links = true })
            local events_ch = process.events()
            local child_pid, err = process.spawn_linked("app.workers:child_worker", "app:processes")
            if err then return nil, "spawn_linked failed: " .. tostring(err) end
            local event = events_ch:receive()
            if event.kind == process.event.LINK_DOWN then print("Child died:", event.from == child_pid) end
            """)
        #expect(world.lines == ["Child died:\ttrue"])
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func starParentTakesAllWithIt(_ seed: UInt64) {
        let world = world(seed)
        let result = world.run(
            """
            process.set_options({ trap_links = true })
            for i = 1, 10 do
              local child_pid, err = process.spawn("app.workers:linker_child", "app:processes")
              process.send(child_pid, "inbox", process.pid())
            end
            for i = 1, 10 do
              local msg = process.inbox():receive()
              if msg:topic() ~= "linked" then error("expected linked confirmation") end
            end
            error("PARENT_STAR_FAILURE", 0)
            """)
        #expect(result == .error("PARENT_STAR_FAILURE"))
        #expect(world.lines == Array(repeating: "parent_died", count: 10))
    }

    @Test func unmonitoredExitDoesNotComeInTheSelect() {
        let world = world(1)
        world.define("app.workers:long_worker", "local e = process.events():receive() return 'done'")
        #expect(
            world.run(
                """
                local time = require("time")
                local events_ch = process.events()
                local worker_pid, err = process.spawn_monitored("app.workers:long_worker", "app:processes")
                time.sleep("5ms")
                local ok, unmon_err = process.unmonitor(worker_pid)
                if unmon_err then return nil, "unmonitor failed: " .. tostring(unmon_err) end
                process.cancel(worker_pid, "100ms")
                local timeout = time.after("200ms")
                local result = channel.select { events_ch:case_receive(), timeout:case_receive() }
                if result.channel == events_ch then return nil, "should not receive event after unmonitor" end
                return process.info(worker_pid) == nil
                """) == .value("true"))
    }
}
