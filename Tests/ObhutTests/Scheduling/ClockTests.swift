import Glibc
import Testing

@testable import Obhut

/// Every duration is measured on the monotonic clock, and the wall is only reported (T1).
@Suite struct ClockTests {
    @Test func realClocksAreThoseOfTheSystem_T1() {
        let clock = Clock(virtual: false)
        let monotonic = (Clock.read(CLOCK_MONOTONIC), clock.now, Clock.read(CLOCK_MONOTONIC))
        #expect(monotonic.0 <= monotonic.1 && monotonic.1 <= monotonic.2)
        let wall = (Clock.read(CLOCK_REALTIME), clock.wall, Clock.read(CLOCK_REALTIME))
        #expect(wall.0 <= wall.1 && wall.1 <= wall.2)
    }

    /// On the wall clock the deadline would lie decades back, and the wait would be over before it.
    @Test func aConditionWaitsOnTheMonotonicClock_T1() {
        let lock = Lock()
        let condition = Condition()
        let deadline = Clock.read(CLOCK_MONOTONIC) + 20 * ms
        lock.with { while condition.wait(lock, until: deadline) {} }
        #expect(Clock.read(CLOCK_MONOTONIC) >= deadline)
    }

    /// The wall is set back by ten years, forward by twenty, and so on, while everything that has a duration is under
    /// way. Nothing comes sooner or later.
    @Test(arguments: [0, -10, 20, -200]) func nobodyMindsWhereTheWallStands_T1(years: Int64) {
        let world = LuaHarness(interruptedEvery: 1)
        world.define("app:deaf", "while true do process.inbox():receive() end")
        world.define(
            "app:sleeper",
            """
            local time = require("time")
            print("sleeps", time.now():unix(), os.time())
            time.sleep("10s")
            print("slept")
            time.after("10s"):receive()
            print("waited")
            local ticker = time.ticker("5s")
            ticker:channel():receive() ticker:channel():receive()
            print("ticked", time.now():unix(), os.time())
            """)
        world.define(
            "app:canceller",
            """
            local deaf = process.spawn_monitored("app:deaf", "app:processes")
            process.cancel(deaf, "12s")
            print(process.events():receive().result.error)
            local silent = process.spawn("app:deaf", "app:processes")
            print(process.request(silent, "?", 1, "10s"))
            """)
        let pids = [world.start("app:sleeper"), world.start("app:canceller")]
        world.settle(until: 5000 * ms)
        world.scheduler.clock.moveWall(by: years * 365 * 86_400_000 * ms)
        let told = { (seconds: Int64) in
            world.settle(until: seconds * 1000 * ms)
            return world.lines.count
        }
        #expect([9, 10, 11, 12, 19, 20, 21, 22, 29, 30].map(told) == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6])
        let start: Int64 = 1_767_225_600
        let end = start + 30 + years * 365 * 86400
        #expect(
            world.lines.map { $0.split(separator: "{")[0] } == [
                "sleeps\t\(start)\t\(start)", "slept", "cancelled: deadline exceeded", "waited",
                "nil\ttimeout: no reply from ", "ticked\t\(end)\t\(end)",
            ])
        for pid in pids { #expect(world.result(of: pid) == .value("null")) }
    }
}
