import Testing

@testable import Obhut

/// LUA_API, "time": points of time, their parts and their text.
@Suite struct ModulesCalendarTests {
    private func run(_ body: String) -> LuaResult { runMain("local time = require('time') " + body) }

    @Test func pointsOfTimeAreMadeFromTheirParts() {
        #expect(
            run(
                """
                local t = time.date(2024, time.FEBRUARY, 29, 23, 59, 58, 500)
                return {tostring(t), t:year(), t:month(), t:day(), t:hour(), t:minute(), t:second(), t:nanosecond(),
                  t:weekday() == time.THURSDAY, t:year_day(), {t:date()}, {t:clock()}, {t:zone()}, tostring(t:location()),
                  tostring(time.date(2024, 14, 31)), tostring(time.date(2024, 1, 0, -1, 0, 0, -1)),
                  tostring(time.unix(0)), tostring(time.unix(-1, 500000000)), time.unix(1.5):nanosecond(), time.unix(3):unix()}
                """)
                == .value(
                    #"["2024-02-29T23:59:58.0000005Z",2024,2,29,23,59,58,500,true,60,[2024,2,29],[23,59,58],["UTC",0],"UTC","#
                        + #""2025-03-03T00:00:00Z","2023-12-30T22:59:59.999999999Z","1970-01-01T00:00:00Z","#
                        + #""1969-12-31T23:59:59.5Z",500000000,3]"#))
    }

    @Test func whatIsOutOfRangeIsAnError_F2() {
        #expect(
            run(
                """
                local a, e = time.date(3000, 1, 1)
                local b, f = time.unix(1e30)
                local c, g = time.date(math.maxinteger, math.mininteger, 1)
                local d, h = time.unix(math.maxinteger, math.maxinteger)
                local i, j = time.now():add_date(1e9 // 1 | 0)
                return {a == nil, e:kind(), e:message(), f:kind(), g:kind(), h:kind(), j:kind(), pcall(time.date, 2024, "x", 1)}
                """)
                == .value(
                    #"[true,"INVALID","the time is out of range: it must lie between the years 1678 and 2261","INVALID","INVALID","#
                        + #""INVALID","INVALID",false,"bad argument #2 to 'time.date' (number expected, got string)"]"#))
    }

    @Test(arguments: [
        ("2006-01-02 15:04:05", "2026-03-07 04:05:06"), ("Mon Jan _2 3:04:05PM 06", "Sat Mar  7 4:05:06AM 26"),
        ("Monday, January 2; 002 __2", "Saturday, March 7; 066  66"), ("1/2/06 03h04 pm", "3/7/26 04h05 am"),
        (".000 .999 ,000000 .000000000", ".012 .012 ,012000 .012000000"), ("05.9999 .99x", "06.012 .01x"),
        ("Z07:00 -07:00 -0700 Z0700 -07 Z07 -07:00:00 MST", "+05:30 +05:30 +0530 +0530 +05 +05 +05:30:00 IST"),
        ("Janus Monster 2006th _2006", "Janus Monster 2026th _2026"), ("", ""),
    ])
    func timesAreWrittenByAnExample(layout: String, text: String) {
        #expect(
            run(
                """
                local t = time.date(2026, 3, 7, 4, 5, 6, 12000000, time.fixed_zone("IST", 19800))
                return t:format("\(layout)")
                """) == .value("\"\(text)\""))
    }

    @Test(arguments: [
        ("time.RFC3339", "2026-03-07T04:05:06+05:30", "2026-03-07T04:05:06+05:30"),
        ("time.RFC3339", "2026-03-07T04:05:06.25Z", "2026-03-07T04:05:06.25Z"),
        ("time.DATE_ONLY", "2024-02-29", "2024-02-29T00:00:00Z"), ("time.KITCHEN", "12:30AM", "1970-01-01T00:30:00Z"),
        ("time.KITCHEN", "12:30PM", "1970-01-01T12:30:00Z"), ("time.RFC1123", "Sat, 07 Mar 2026 04:05:06 GMT", "2026-03-07T04:05:06Z"),
        ("time.RFC850", "Saturday, 07-mar-26 04:05:06 UTC", "2026-03-07T04:05:06Z"), ("time.ANSIC", "Sat Mar  7 04:05:06 2026", "2026-03-07T04:05:06Z"),
        ("'2006-002'", "2024-366", "2024-12-31T00:00:00Z"), ("time.STAMP_MILLI", "Mar  7 04:05:06.789", "1970-03-07T04:05:06.789Z"),
    ])
    func timesAreRead(layout: String, text: String, result: String) {
        #expect(run("return tostring((time.parse(\(layout), \"\(text)\")))") == .value("\"\(result)\""))
    }

    @Test(arguments: [
        ("time.DATE_ONLY", "2023-02-29", "the day is out of range"), ("time.DATE_ONLY", "2023-13-01", "the month is out of range"),
        ("time.DATE_ONLY", "2023-1-01", "expected a month at \\\"1-01\\\""), ("time.DATE_ONLY", "2023-01-01x", "text is left: \\\"x\\\""),
        ("time.TIME_ONLY", "24:00:00", "expected an hour up to 23 at \\\"24:00:00\\\""), ("time.KITCHEN", "1:00XX", "expected AM or PM at \\\"XX\\\""),
        ("'Jan'", "Foo", "expected the name of a month at \\\"Foo\\\""), ("'15:04'", "12", "expected \\\":\\\", found the end"),
        ("time.RFC3339", "2026-03-07T04:05:06", "expected an offset from UTC such as +02:00, found the end"),
    ])
    func whatIsNoTimeIsAnError_F2(layout: String, text: String, why: String) {
        let result = run("local a, e = time.parse(\(layout), \"\(text)\") return {a == nil, e:kind(), e:message()}")
        guard case .value(let json) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(json.hasPrefix(#"[true,"INVALID","\"\#(text)\" is no time like "#) && json.hasSuffix(": \(why)\"]"), "\(json)")
    }

    @Test func pointsInPlaces() {
        #expect(
            run(
                """
                local berlin = assert(time.load_location("Europe/Berlin"))
                local t = time.date(2026, 7, 1, 12, 0, 0, 0, berlin)
                local winter = time.date(2050, 1, 1, 12, 0, 0, 0, berlin)
                local u = t:utc()
                return {tostring(t), {t:zone()}, tostring(winter), {winter:zone()}, tostring(u), t == u, u:in_location(berlin):hour(),
                  tostring(t:location()), tostring(t:add("4320h")), tostring(t:add_date(0, 6)), tostring(time.date(1900, 1, 1, 0, 0, 0, 0, berlin):utc()),
                  tostring(time.parse(time.DATE_TIME, "2026-07-01 12:00:00", berlin)), time.parse(time.RFC822, "01 Jul 26 12:00 CEST", berlin) == t,
                  tostring(time.parse(time.RFC3339, "2026-07-01T12:00:00+02:00", berlin):location()),
                  select(2, time.parse(time.RFC822, "01 Jul 26 12:00 CEST")):message()}
                """)
                == .value(
                    #"["2026-07-01T12:00:00+02:00",["CEST",7200],"2050-01-01T12:00:00+01:00",["CET",3600],"2026-07-01T10:00:00Z",true,12,"#
                        + #""Europe/Berlin","2026-12-28T11:00:00+01:00","2027-01-01T12:00:00+01:00","1899-12-31T23:00:00Z","#
                        + #""2026-07-01T12:00:00+02:00",true,"Europe/Berlin","#
                        + #""time zone 'CEST' means nothing in UTC: give the location, or an offset from UTC"]"#))
    }

    @Test func clocksThatAreSet() {
        // In 2026 on 29 March at 2:00 to 3:00, on 25 October at 3:00 back to 2:00.
        #expect(
            run(
                """
                local berlin = assert(time.load_location("Europe/Berlin"))
                local function at(m, d, h, min) return tostring(time.date(2026, m, d, h, min, 0, 0, berlin)) end
                return {at(3, 29, 1, 59), at(3, 29, 2, 30), at(3, 29, 3, 0), at(10, 25, 1, 59), at(10, 25, 2, 30), at(10, 25, 3, 0),
                  tostring(time.date(2026, 3, 29, 1, 30, 0, 0, berlin):add("1h")), tostring(time.date(2026, 3, 28, 2, 30, 0, 0, berlin):add_date(0, 0, 1))}
                """)
                == .value(
                    #"["2026-03-29T01:59:00+01:00","2026-03-29T03:30:00+02:00","2026-03-29T03:00:00+02:00","2026-10-25T01:59:00+02:00","#
                        + #""2026-10-25T02:30:00+02:00","2026-10-25T03:00:00+01:00","2026-03-29T03:30:00+02:00","2026-03-29T03:30:00+02:00"]"#))
    }

    @Test func zonesAreNamesAndNoPaths_F6() {
        #expect(
            run(
                """
                local out = {}
                for _, name in ipairs{"../etc/passwd", "/etc/passwd", "Europe/../Europe/Berlin", "", "Europe/Nowhere", "Europe", "zone.tab"} do
                  local a, e = time.load_location(name)
                  out[#out + 1] = a == nil and e:kind()
                end
                out[#out + 1] = select(2, time.load_location("..")):message()
                out[#out + 1] = select(2, time.fixed_zone("x", 1e6)):message()
                return out
                """)
                == .value(
                    #"["INVALID","INVALID","INVALID","INVALID","NOT_FOUND","NOT_FOUND","INVALID","#
                        + #""'..' is no name of a time zone: write it like \"Europe/Berlin\"","#
                        + #""an offset is a whole number of seconds up to a day, not 1000000.0"]"#))
    }

    @Test func clocksReadingsAreComparedByTheMonotonicClockAndOthersByTheWall_T1() {
        let world = LuaHarness()
        world.define(
            "app:main",
            """
            local time = require("time")
            local a = time.now()
            process.inbox():receive()
            local b = time.now()
            return {b > a, b:sub(a):seconds(), b > time.unix(a:unix()), b:utc() > a}
            """)
        let pid = world.start("app:main")
        world.settle()
        world.scheduler.clock.moveWall(by: -3_600_000_000_000)
        world.scheduler.clock.advance(to: world.scheduler.clock.now + 1_000_000_000)
        let topic = Array("t".utf8), payload: [UInt8] = [0xc0]
        topic.withUnsafeBytes { topic in
            payload.withUnsafeBytes { _ = world.system.send(from: .none, to: pid, topic: topic, payload: $0) }
        }
        world.settle()
        #expect(world.result(of: pid) == .value("[true,1.0,false,true]"))
    }
}

/// Zones of POSIX's notation and files of the database that are none.
@Suite struct TimeZoneRulesTests {
    private func unix(_ year: Int64, _ month: Int64, _ day: Int64, _ hour: Int64 = 0) -> Int64 {
        CivilDate(year: year, month: month, day: day).daysSince1970 * 86_400 + hour * 3600
    }

    @Test func rules() throws {
        let fixed = try #require(PosixZone("<+0330>-3:30"))
        #expect(fixed.offset(at: 0) == .init(seconds: 12_600, name: "+0330"))
        let berlin = try #require(PosixZone("CET-1CEST,M3.5.0,M10.5.0/3"))
        #expect(berlin.offset(at: unix(2026, 3, 29, 1) - 1).name == "CET")
        #expect(berlin.offset(at: unix(2026, 3, 29, 1)) == .init(seconds: 7200, name: "CEST"))
        #expect(berlin.offset(at: unix(2026, 10, 25, 1) - 1).name == "CEST")
        #expect(berlin.offset(at: unix(2026, 10, 25, 1)).name == "CET")
        // The summer of the south lies over the new year.
        let sydney = try #require(PosixZone("AEST-10AEDT,M10.1.0,M4.1.0/3"))
        #expect(sydney.offset(at: unix(2026, 1, 1)).name == "AEDT")
        #expect(sydney.offset(at: unix(2026, 7, 1)).name == "AEST")
        let days = try #require(PosixZone("AAA0BBB,J60/0,300/0"))
        #expect(days.offset(at: unix(2024, 3, 1) - 1).name == "AAA" && days.offset(at: unix(2024, 3, 1)).name == "BBB")
        #expect(days.offset(at: unix(2023, 3, 1) - 1).name == "AAA" && days.offset(at: unix(2023, 3, 1)).name == "BBB")
    }

    @Test(arguments: ["", "A", "CET", "CET-1CEST,M13.1.0,M10.5.0", "CET-1CEST,M3.5.0", "CET-200", "CET-1CEST,M3.5.0,M10.5.0x", "<abc-1"])
    func brokenRules_F1(text: String) { #expect(PosixZone(text) == nil) }

    @Test func filesThatAreNone_F1() {
        #expect(TimeZoneRules([]) == nil)
        #expect(TimeZoneRules(Array("TZif2".utf8)) == nil)
        var random = RandomSource(seed: 1)
        for _ in 0..<2000 {
            var bytes = Array("TZif\(random.below(4))".utf8) + [UInt8](repeating: 0, count: 15)
            for _ in 0..<6 { bytes += [0, 0, 0, UInt8(random.below(8))] }
            for _ in 0..<random.below(400) { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
            if let zone = TimeZoneRules(bytes) { for time in [Int64.min / 4, -1, 0, 1 << 40] { _ = zone.offset(at: time) } }
        }
    }
}
