import CObhut

// `time`: points of time, their parts and their text.
//
// A point of time is nanoseconds since 1970, so it lies between 1677 and 2262; what does not is an error. One that
// `now` or a timer gave has the monotonic clock besides, and two such are compared by that (T1). The location is the
// user value of the object; none: UTC. There is no local time: a program behaves alike wherever it runs.

struct Instant {
    var wall: Int64
    /// `noMonotonic`: it was not read from the clock.
    var monotonic: Int64

    static let noMonotonic = Int64.min

    /// Nanoseconds from `other` to this, or as many as there are.
    func since(_ other: Instant) -> Int64 {
        let isMeasured = monotonic != Instant.noMonotonic && other.monotonic != Instant.noMonotonic
        let (a, b) = isMeasured ? (monotonic, other.monotonic) : (wall, other.wall)
        return saturating(a.subtractingReportingOverflow(b), a < 0)
    }
}

private func saturating(_ result: (partialValue: Int64, overflow: Bool), _ negative: Bool) -> Int64 {
    result.overflow ? (negative ? .min : .max) : result.partialValue
}

func pushInstant(_ L: LuaState, wall: Int64, monotonic: Int64) {
    obh_lua_newuserdata(L, Int32(obh_type_instant), 16, 0).unsafelyUnwrapped
        .storeBytes(of: Instant(wall: wall, monotonic: monotonic), as: Instant.self)
}

/// Pushes a point of time in the location at `location`; 0, or nil there: UTC.
private func pushInstant(_ L: LuaState, _ instant: Instant, location: Int32) {
    if location == 0 || isAbsent(L, location) {
        return pushInstant(L, wall: instant.wall, monotonic: instant.monotonic)
    }
    obh_lua_pushvalue(L, location)
    obh_lua_newuserdata(L, Int32(obh_type_instant), 16, 1).unsafelyUnwrapped
        .storeBytes(of: instant, as: Instant.self)
    obh_lua_insert(L, -2)
    obh_lua_setuservalue(L, -2, 1)
}

private func instant(_ L: LuaState, _ index: Int32) -> Instant? {
    obh_lua_touserdata(L, index, Int32(obh_type_instant))?.load(as: Instant.self)
}

private func withInstant(_ vm: VMPointer, _ L: LuaState, _ act: (Instant) -> Int32) -> Int32 {
    guard let time = instant(L, 1) else { return badType(vm, L, 1, "time.time") }
    return act(time)
}

private func outOfRange(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    invalid(vm, L, "the time is out of range: it must lie between the years 1678 and 2261")
}

// MARK: - Locations

/// What a location object holds; its name is its user value.
private struct Location {
    /// Of the store, or -1: the offset holds always.
    var zone: Int32
    /// Seconds east of UTC.
    var offset: Int32
}

private let utc = Location(zone: -1, offset: 0)

private func pushLocation(_ L: LuaState, _ location: Location, _ name: String) {
    obh_lua_newuserdata(L, Int32(obh_type_location), 8, 1).unsafelyUnwrapped.storeBytes(of: location, as: Location.self)
    push(L, name)
    obh_lua_setuservalue(L, -2, 1)
}

private func location(_ L: LuaState, _ index: Int32) -> Location? {
    obh_lua_touserdata(L, index, Int32(obh_type_location))?.load(as: Location.self)
}

private func locationName(_ L: LuaState, _ index: Int32) -> String {
    obh_lua_getuservalue(L, index, 1)
    defer { obh_lua_pop(L, 1) }
    return textArgument(L, -1) ?? ""
}

/// Pushes the location of the point of time at 1, or nil: UTC.
private func pushLocationOfInstant(_ L: LuaState) { obh_lua_getuservalue(L, 1, 1) }

extension Location {
    /// What holds at a time, in seconds since 1970. Of a fixed one the name is that of the location at `index`.
    func offset(_ vm: VMPointer, _ L: LuaState, at seconds: Int64, _ index: Int32) -> TimeZoneRules.Offset {
        if zone >= 0 { return vm.system.surroundings.zones[Int(zone)].offset(at: seconds) }
        return .init(seconds: Int(offset), name: index == 0 ? "UTC" : locationName(L, index))
    }

    /// The point of time at which the clocks there show this; of two the one before the clocks were set back, and of
    /// none the one that lies as far behind the gap.
    func unixSeconds(_ vm: VMPointer, local: Int64) -> Int64 {
        guard zone >= 0 else { return local - Int64(offset) }
        let rules = vm.system.surroundings.zones[Int(zone)]
        // Before any change of this day, and after it.
        let before = local - Int64(rules.offset(at: local - 86_400).seconds)
        if rules.offset(at: before).seconds == Int(local - before) { return before }
        let after = local - Int64(rules.offset(at: local + 86_400).seconds)
        if rules.offset(at: after).seconds == Int(local - after) { return after }
        return before
    }
}

/// What the clocks show at the point of time at 1, and their offset. Leaves its location on top.
private func civil(_ vm: VMPointer, _ L: LuaState, _ time: Instant) -> (CivilTime, TimeZoneRules.Offset) {
    pushLocationOfInstant(L)
    let index = isAbsent(L, -1) ? 0 : obh_lua_gettop(L)
    let place = index == 0 ? utc : location(L, index) ?? utc
    let offset = place.offset(vm, L, at: floorDivide(time.wall, nanosecondsPerSecond).quotient, index)
    return (CivilTime(unixNanoseconds: time.wall, offset: offset.seconds), offset)
}

@_cdecl("obh_call_time_load_location")
func callTimeLoadLocation(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let name = textArgument(L, 1) else { return badType(vm, L, 1, "string") }
    if name == "UTC" {
        pushLocation(L, utc, name)
        return 1
    }
    do throws(TimeZoneStore.Fault) {
        let zone = try vm.system.surroundings.zones.load(name)
        pushLocation(L, Location(zone: Int32(zone), offset: 0), name)
        return 1
    } catch {
        switch error {
        case .badName: return invalid(vm, L, "'\(name)' is no name of a time zone: write it like \"Europe/Berlin\"")
        case .notFound: return refusal(vm, L, "NOT_FOUND", "time zone '\(name)' is not in the system's database")
        case .malformed: return refusal(vm, L, "UNAVAILABLE", "time zone '\(name)' is malformed in the system's database")
        }
    }
}

@_cdecl("obh_call_time_fixed_zone")
func callTimeFixedZone(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let name = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    guard name.count <= 64 else { return invalid(vm, L, "the name of a zone has at most 64 bytes") }
    var isInteger: Int32 = 0
    guard obh_lua_type(L, 2) == Int32(OBH_TNUMBER) else { return badType(vm, L, 2, "number") }
    let seconds = obh_lua_tointeger(L, 2, &isInteger)
    guard isInteger != 0, (-86_400...86_400).contains(seconds) else {
        return invalid(vm, L, "an offset is a whole number of seconds up to a day, not \(describe(L, 2))")
    }
    pushLocation(L, Location(zone: -1, offset: Int32(seconds)), String(decoding: name, as: UTF8.self))
    return 1
}

@_cdecl("obh_call_location_name")
func callLocationName(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard location(L, 1) != nil else { return badType(vm, L, 1, "time.location") }
    obh_lua_getuservalue(L, 1, 1)
    return 1
}

@_cdecl("obh_call_location_tostring")
func callLocationToString(_ vm: VMPointer, _ L: LuaState) -> Int32 { callLocationName(vm, L) }

// MARK: - Making points of time

@_cdecl("obh_call_time_now")
func callTimeNow(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let clock = vm.system.clock
    pushInstant(L, wall: clock.wall, monotonic: clock.now)
    return 1
}

/// Seconds of 1970 and nanoseconds, of any size, as nanoseconds; nil: out of range.
private func nanoseconds(_ seconds: Int64, _ more: Int64) -> Int64? {
    let (carried, fraction) = floorDivide(more, nanosecondsPerSecond)
    let (whole, overflow) = seconds.addingReportingOverflow(carried)
    let (product, again) = whole.multipliedReportingOverflow(by: nanosecondsPerSecond)
    let (sum, more) = product.addingReportingOverflow(fraction)
    return overflow || again || more ? nil : sum
}

@_cdecl("obh_call_time_unix")
func callTimeUnix(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard obh_lua_type(L, 1) == Int32(OBH_TNUMBER) else { return badType(vm, L, 1, "number") }
    var more: Int64 = 0
    if !isAbsent(L, 2) {
        var isInteger: Int32 = 0
        guard obh_lua_type(L, 2) == Int32(OBH_TNUMBER) else { return badType(vm, L, 2, "number") }
        more = obh_lua_tointeger(L, 2, &isInteger)
        guard isInteger != 0 else { return badArgument(vm, L, 2, "number has no integer representation") }
    }
    var isInteger: Int32 = 0
    var seconds = obh_lua_tointeger(L, 1, &isInteger)
    if isInteger == 0 {
        let number = obh_lua_tonumber(L, 1, nil)
        guard number.magnitude < 1e10 else { return outOfRange(vm, L) }
        seconds = Int64(number.rounded(.down))
        let fraction = Int64((number - number.rounded(.down)) * 1e9)
        let (sum, overflow) = more.addingReportingOverflow(fraction)
        if overflow { return outOfRange(vm, L) }
        more = sum
    }
    guard let wall = nanoseconds(seconds, more) else { return outOfRange(vm, L) }
    pushInstant(L, wall: wall, monotonic: Instant.noMonotonic)
    return 1
}

/// The numbers from argument `first` on: those that are absent are as in `missing`. What is no number, or no whole
/// one, is answered.
private func integers(
    _ vm: VMPointer, _ L: LuaState, first: Int32, missing: [Int64?]
) -> (values: [Int64], answer: Int32?) {
    var values: [Int64] = []
    for (place, instead) in missing.enumerated() {
        let index = first + Int32(place)
        if let instead, isAbsent(L, index) {
            values.append(instead)
            continue
        }
        var isInteger: Int32 = 0
        guard obh_lua_type(L, index) == Int32(OBH_TNUMBER) else { return ([], badType(vm, L, index, "number")) }
        values.append(obh_lua_tointeger(L, index, &isInteger))
        guard isInteger != 0 else { return ([], badArgument(vm, L, index, "number has no integer representation")) }
    }
    return (values, nil)
}

/// What is too large for the calendar is moved on: the 32nd of January is the 1st of February.
private func unixNanoseconds(
    _ vm: VMPointer, _ date: [Int64], _ time: [Int64], nanosecond: Int64, in place: Location
) -> Int64? {
    // Far beyond the range, and far from any overflow below.
    guard (date + time).allSatisfy({ $0.magnitude < 100_000_000_000 }) else { return nil }
    let (years, month) = floorDivide(date[1] - 1, 12)
    let first = CivilDate(year: date[0] + years, month: month + 1, day: 1).daysSince1970
    let local = (first + date[2] - 1) * 86_400 + time[0] * 3600 + time[1] * 60 + time[2]
    let (carried, fraction) = floorDivide(nanosecond, nanosecondsPerSecond)
    return nanoseconds(place.unixSeconds(vm, local: local + carried), fraction)
}

/// `time.date(year, month, day, hour, minute, second, nanosecond, location)`
@_cdecl("obh_call_time_date")
func callTimeDate(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let (values, answer) = integers(vm, L, first: 1, missing: [nil, nil, nil, 0, 0, 0, 0])
    if let answer { return answer }
    guard isAbsent(L, 8) || location(L, 8) != nil else { return badType(vm, L, 8, "time.location") }
    guard let wall = unixNanoseconds(
        vm, Array(values[0..<3]), Array(values[3..<6]), nanosecond: values[6], in: location(L, 8) ?? utc)
    else { return outOfRange(vm, L) }
    pushInstant(L, Instant(wall: wall, monotonic: Instant.noMonotonic), location: 8)
    return 1
}

/// `time.parse(layout, text, location)`
@_cdecl("obh_call_time_parse")
func callTimeParse(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let layout = stringArgument(L, 1) else { return badType(vm, L, 1, "string") }
    guard let text = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
    guard isAbsent(L, 3) || location(L, 3) != nil else { return badType(vm, L, 3, "time.location") }
    obh_lua_settop(L, 3)
    guard layout.count <= 1024 else { return invalid(vm, L, "a layout has at most 1024 bytes") }
    let parsed: TimeLayout.Parsed
    do throws(TimeLayout.Fault) {
        parsed = try TimeLayout(layout).parse(text)
    } catch {
        return invalid(
            vm, L, "\"\(String(decoding: text.prefix(64), as: UTF8.self))\" is no time like \"\(describe(L, 1))\": \(error.message)")
    }
    var place = location(L, 3) ?? utc
    if let name = parsed.zone, parsed.offset == nil {
        let rules = place.zone >= 0 ? vm.system.surroundings.zones[Int(place.zone)] : nil
        let own = isAbsent(L, 3) ? "UTC" : locationName(L, 3)
        if let seconds = rules?.offset(named: name) {
            // Of one hour that comes twice, the name says which.
            return answerParsed(vm, L, parsed.time, seconds, keeping: true)
        }
        if rules == nil && own == name { return answerParsed(vm, L, parsed.time, Int(place.offset), keeping: true) }
        guard name == "UTC" || name == "GMT" else {
            return invalid(vm, L, "time zone '\(name)' means nothing in \(own): give the location, or an offset from UTC")
        }
        place = utc
        obh_lua_settop(L, 2)
    }
    if let offset = parsed.offset {
        let seconds = parsed.time.seconds - Int64(offset)
        // One's own offset at that time is one's own zone.
        let keeping = !isAbsent(L, 3) && place.offset(vm, L, at: seconds, 3).seconds == offset
        return answerParsed(vm, L, parsed.time, offset, keeping: keeping)
    }
    guard let wall = nanoseconds(place.unixSeconds(vm, local: parsed.time.seconds), parsed.time.nanosecond) else {
        return outOfRange(vm, L)
    }
    pushInstant(L, Instant(wall: wall, monotonic: Instant.noMonotonic), location: 3)
    return 1
}

/// - Parameter keeping: it is in the location at 3, else in one of this offset.
private func answerParsed(
    _ vm: VMPointer, _ L: LuaState, _ time: CivilTime, _ offset: Int, keeping: Bool
) -> Int32 {
    guard let wall = nanoseconds(time.seconds - Int64(offset), time.nanosecond) else { return outOfRange(vm, L) }
    let result = Instant(wall: wall, monotonic: Instant.noMonotonic)
    if keeping {
        pushInstant(L, result, location: 3)
    } else if offset == 0 {
        pushInstant(L, result, location: 0)
    } else {
        pushLocation(L, Location(zone: -1, offset: Int32(offset)), "")
        pushInstant(L, result, location: obh_lua_gettop(L))
    }
    return 1
}

// MARK: - Reckoning

@_cdecl("obh_call_instant_unix")
func callInstantUnix(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { time in
        // Rounded down, before 1970 too.
        obh_lua_pushinteger(L, floorDivide(time.wall, nanosecondsPerSecond).quotient)
        return 1
    }
}

@_cdecl("obh_call_instant_unix_nano")
func callInstantUnixNano(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { time in
        obh_lua_pushinteger(L, time.wall)
        return 1
    }
}

@_cdecl("obh_call_instant_sub")
func callInstantSub(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { a in
        guard let b = instant(L, 2) else { return badType(vm, L, 2, "time.time") }
        pushDuration(L, a.since(b))
        return 1
    }
}

@_cdecl("obh_call_instant_add")
func callInstantAdd(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { time in
        withDuration(vm, L, 2) { nanoseconds in
            var sum = time
            sum.wall = saturating(time.wall.addingReportingOverflow(nanoseconds), nanoseconds < 0)
            if time.monotonic != Instant.noMonotonic {
                let measured = saturating(time.monotonic.addingReportingOverflow(nanoseconds), nanoseconds < 0)
                sum.monotonic = max(Instant.noMonotonic + 1, measured)
            }
            pushLocationOfInstant(L)
            pushInstant(L, sum, location: obh_lua_gettop(L))
            return 1
        }
    }
}

/// `t:add_date(years, months, days)`, by the calendar of its location.
@_cdecl("obh_call_instant_add_date")
func callInstantAddDate(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { time in
        let (values, answer) = integers(vm, L, first: 2, missing: [0, 0, 0])
        if let answer { return answer }
        guard values.allSatisfy({ $0.magnitude < 10_000_000_000 }) else { return outOfRange(vm, L) }
        obh_lua_settop(L, 1)
        let (civil, _) = civil(vm, L, time)
        guard let wall = unixNanoseconds(
            vm, [civil.year + values[0], civil.month + values[1], civil.day + values[2]],
            [civil.hour, civil.minute, civil.second], nanosecond: civil.nanosecond, in: location(L, 2) ?? utc)
        else { return outOfRange(vm, L) }
        pushInstant(L, Instant(wall: wall, monotonic: Instant.noMonotonic), location: 2)
        return 1
    }
}

private func compareInstants(_ vm: VMPointer, _ L: LuaState, _ compare: (Int64, Int64) -> Bool) -> Int32 {
    guard let a = instant(L, 1) else { return badType(vm, L, 1, "time.time") }
    guard let b = instant(L, 2) else { return badType(vm, L, 2, "time.time") }
    obh_lua_pushboolean(L, compare(a.since(b), 0) ? 1 : 0)
    return 1
}

@_cdecl("obh_call_instant_before")
func callInstantBefore(_ vm: VMPointer, _ L: LuaState) -> Int32 { compareInstants(vm, L, <) }

@_cdecl("obh_call_instant_after")
func callInstantAfter(_ vm: VMPointer, _ L: LuaState) -> Int32 { compareInstants(vm, L, >) }

@_cdecl("obh_call_instant_equal")
func callInstantEqual(_ vm: VMPointer, _ L: LuaState) -> Int32 { compareInstants(vm, L, ==) }

@_cdecl("obh_call_instant_eq")
func callInstantEq(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    // Called for any two userdata.
    guard let a = instant(L, 1), let b = instant(L, 2) else {
        obh_lua_pushboolean(L, 0)
        return 1
    }
    obh_lua_pushboolean(L, a.since(b) == 0 ? 1 : 0)
    return 1
}

@_cdecl("obh_call_instant_lt")
func callInstantLess(_ vm: VMPointer, _ L: LuaState) -> Int32 { compareInstants(vm, L, <) }

@_cdecl("obh_call_instant_le")
func callInstantLessOrEqual(_ vm: VMPointer, _ L: LuaState) -> Int32 { compareInstants(vm, L, <=) }

// MARK: - Parts and text

/// Answers whole numbers.
private func parts(_ vm: VMPointer, _ L: LuaState, _ numbers: (CivilTime) -> [Int64]) -> Int32 {
    withInstant(vm, L) { time in
        let values = numbers(civil(vm, L, time).0)
        for value in values { obh_lua_pushinteger(L, value) }
        return Int32(values.count)
    }
}

@_cdecl("obh_call_instant_date")
func callInstantDate(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [$0.year, $0.month, $0.day] } }

@_cdecl("obh_call_instant_clock")
func callInstantClock(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [$0.hour, $0.minute, $0.second] } }

@_cdecl("obh_call_instant_year")
func callInstantYear(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [$0.year] } }

@_cdecl("obh_call_instant_month")
func callInstantMonth(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [$0.month] } }

@_cdecl("obh_call_instant_day")
func callInstantDay(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [$0.day] } }

@_cdecl("obh_call_instant_hour")
func callInstantHour(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [$0.hour] } }

@_cdecl("obh_call_instant_minute")
func callInstantMinute(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [$0.minute] } }

@_cdecl("obh_call_instant_second")
func callInstantSecond(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [$0.second] } }

@_cdecl("obh_call_instant_nanosecond")
func callInstantNanosecond(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [$0.nanosecond] } }

@_cdecl("obh_call_instant_weekday")
func callInstantWeekday(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [Int64($0.weekday)] } }

@_cdecl("obh_call_instant_year_day")
func callInstantYearDay(_ vm: VMPointer, _ L: LuaState) -> Int32 { parts(vm, L) { [$0.dayOfYear] } }

private func text(_ vm: VMPointer, _ L: LuaState, _ time: Instant, _ layout: TimeLayout) -> Int32 {
    let (civil, offset) = civil(vm, L, time)
    layout.format(civil, offset: offset.seconds, zone: offset.name).withUnsafeBytes { push(L, bytes: $0) }
    return 1
}

@_cdecl("obh_call_instant_format")
func callInstantFormat(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { time in
        guard let layout = stringArgument(L, 2) else { return badType(vm, L, 2, "string") }
        guard layout.count <= 1024 else { return badArgument(vm, L, 2, "a layout has at most 1024 bytes") }
        return text(vm, L, time, TimeLayout(layout))
    }
}

@_cdecl("obh_call_instant_tostring")
func callInstantToString(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { text(vm, L, $0, TimeLayout("2006-01-02T15:04:05.999999999Z07:00")) }
}

@_cdecl("obh_call_instant_utc")
func callInstantUTC(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { time in
        pushInstant(L, time, location: 0)
        return 1
    }
}

@_cdecl("obh_call_instant_in_location")
func callInstantInLocation(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { time in
        guard location(L, 2) != nil else { return badType(vm, L, 2, "time.location") }
        pushInstant(L, time, location: 2)
        return 1
    }
}

@_cdecl("obh_call_instant_location")
func callInstantLocation(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { _ in
        pushLocationOfInstant(L)
        if isAbsent(L, -1) { pushLocation(L, utc, "UTC") }
        return 1
    }
}

/// Its name at that time, "CEST", and its offset in seconds.
@_cdecl("obh_call_instant_zone")
func callInstantZone(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withInstant(vm, L) { time in
        let (_, offset) = civil(vm, L, time)
        push(L, offset.name)
        obh_lua_pushinteger(L, Int64(offset.seconds))
        return 2
    }
}
