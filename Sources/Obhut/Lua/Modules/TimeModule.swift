import CObhut
import Glibc

// `time`: waiting, timers, durations and points of time. All durations are measured on the monotonic clock
// of the system's one clock (T1, T2). Its errors are error objects.

/// A duration object is its nanoseconds.
func durationObject(_ L: LuaState, _ index: Int32) -> Int64? {
    obh_lua_touserdata(L, index, Int32(obh_type_duration))?.load(as: Int64.self)
}

func pushDuration(_ L: LuaState, _ nanoseconds: Int64) {
    obh_lua_newuserdata(L, Int32(obh_type_duration), 8, 0).unsafelyUnwrapped
        .storeBytes(of: nanoseconds, as: Int64.self)
}

private enum DurationArgument {
    case nanoseconds(Int64)
    case fault(String)
    case wrongType
}

/// A duration of `time`: text, a number of nanoseconds, or a duration object.
private func duration(_ L: LuaState, _ index: Int32) -> DurationArgument {
    switch obh_lua_type(L, index) {
    case Int32(OBH_TSTRING):
        let text = stringArgument(L, index).unsafelyUnwrapped
        if let value = parseDuration(text) { return .nanoseconds(value) }
        return .fault(
            "\"\(String(decoding: text, as: UTF8.self))\" is no duration: write it like \"100ms\", \"5s\" or \"1h30m\"")
    case Int32(OBH_TNUMBER):
        if obh_lua_isinteger(L, index) != 0 { return .nanoseconds(obh_lua_tointeger(L, index, nil)) }
        let number = obh_lua_tonumber(L, index, nil)
        // 0.5 * time.SECOND: a fraction of a nanosecond is dropped.
        guard number > -9.2e18, number < 9.2e18 else {
            return .fault("\(describe(L, index)) nanoseconds are no duration")
        }
        return .nanoseconds(Int64(number))
    default:
        guard let value = durationObject(L, index) else { return .wrongType }
        return .nanoseconds(value)
    }
}

func invalid(_ vm: VMPointer, _ L: LuaState, _ message: String) -> Int32 { refusal(vm, L, "INVALID", message) }

/// Runs `act` with the duration at `index`.
func withDuration(
    _ vm: VMPointer, _ L: LuaState, _ index: Int32, _ act: (Int64) -> Int32
) -> Int32 {
    switch duration(L, index) {
    case .nanoseconds(let value): act(value)
    case .fault(let text): invalid(vm, L, text)
    case .wrongType: badType(vm, L, index, "string, number or duration")
    }
}

// MARK: - sleep

@_cdecl("obh_call_time_sleep")
func callTimeSleep(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDuration(vm, L, 1) { nanoseconds in
        if nanoseconds <= 0 { return success(L) }
        guard obh_can_block(vm, L) != 0 else { return Int32(OBH_CANNOT_BLOCK) }
        let deadline = vm.lua.deadline(after: nanoseconds)
        vm.lua.pause(vm.lua.beginWait(), until: deadline)
        return Int32(OBH_BLOCK)
    }
}

@_cdecl("obh_resume_time_sleep")
func resumeTimeSleep(_ vm: VMPointer, _ L: LuaState) -> Int32 { success(L) }

// MARK: - Timers

/// Pushes the channel of a new timer.
private func pushTimerChannel(_ vm: VMPointer, _ L: LuaState, _ kind: ChannelRecord.Kind, _ nanoseconds: Int64) {
    let lua = vm.lua
    // Timers that nobody can read any more are given back first: a loop with `time.after` in it keeps only
    // as many as the collector has not yet looked at.
    lua.releaseCollected()
    let record = lua.makeRecord(kind)
    if kind == .ticker { record.pointee.period = nanoseconds }
    lua.pointee.modules.timers.add(record, at: lua.deadline(after: max(0, nanoseconds)))
    pushChannel(L, record)
}

@_cdecl("obh_call_time_after")
func callTimeAfter(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDuration(vm, L, 1) { nanoseconds in
        pushTimerChannel(vm, L, .timer, nanoseconds)
        return 1
    }
}

@_cdecl("obh_call_time_timer")
func callTimeTimer(_ vm: VMPointer, _ L: LuaState) -> Int32 { newTimer(vm, L, .timer, obh_type_timer) }

@_cdecl("obh_call_time_ticker")
func callTimeTicker(_ vm: VMPointer, _ L: LuaState) -> Int32 { newTimer(vm, L, .ticker, obh_type_ticker) }

/// A timer object has its channel as its user value, and nothing of its own.
private func newTimer(_ vm: VMPointer, _ L: LuaState, _ kind: ChannelRecord.Kind, _ type: Int) -> Int32 {
    withDuration(vm, L, 1) { nanoseconds in
        guard nanoseconds > 0 else {
            return invalid(vm, L, "a \(kind) of \(formatDuration(nanoseconds)): the duration must be more than 0")
        }
        obh_lua_newuserdata(L, Int32(type), 8, 1)
        pushTimerChannel(vm, L, kind, nanoseconds)
        obh_lua_setuservalue(L, -2, 1)
        return 1
    }
}

/// Pushes the channel of the timer at 1 and runs `act` with its record.
private func withTimer(
    _ vm: VMPointer, _ L: LuaState, _ type: Int, _ name: StaticString, _ act: (ChannelPointer?) -> Int32
) -> Int32 {
    guard obh_lua_touserdata(L, 1, Int32(type)) != nil else { return badType(vm, L, 1, name) }
    obh_lua_getuservalue(L, 1, 1)
    return act(channelRecord(L, -1))
}

private func stop(_ vm: VMPointer, _ L: LuaState, _ record: ChannelPointer?) -> Int32 {
    guard let record else { return answer(L, false) }
    let wasArmed = vm.lua.pointee.modules.timers.remove(record)
    // As in Go since 1.23: nothing that fired before can be received after it was stopped.
    record.pointee.firedAt = 0
    return answer(L, wasArmed)
}

private func answer(_ L: LuaState, _ value: Bool) -> Int32 {
    obh_lua_pushboolean(L, value ? 1 : 0)
    return 1
}

@_cdecl("obh_call_timer_channel")
func callTimerChannel(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withTimer(vm, L, obh_type_timer, "time.timer") { _ in 1 }
}

@_cdecl("obh_call_timer_response")
func callTimerResponse(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withTimer(vm, L, obh_type_timer, "time.timer") { _ in 1 }
}

@_cdecl("obh_call_timer_stop")
func callTimerStop(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withTimer(vm, L, obh_type_timer, "time.timer") { stop(vm, L, $0) }
}

@_cdecl("obh_call_timer_reset")
func callTimerReset(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withTimer(vm, L, obh_type_timer, "time.timer") { record in
        withDuration(vm, L, 2) { nanoseconds in
            guard nanoseconds > 0 else {
                return invalid(vm, L, "a timer of \(formatDuration(nanoseconds)): the duration must be more than 0")
            }
            let code = stop(vm, L, record)
            if let record { vm.lua.pointee.modules.timers.add(record, at: vm.lua.deadline(after: nanoseconds)) }
            return code
        }
    }
}

@_cdecl("obh_call_timer_tostring")
func callTimerToString(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    push(L, "time.timer")
    return 1
}

@_cdecl("obh_call_ticker_channel")
func callTickerChannel(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withTimer(vm, L, obh_type_ticker, "time.ticker") { _ in 1 }
}

@_cdecl("obh_call_ticker_response")
func callTickerResponse(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withTimer(vm, L, obh_type_ticker, "time.ticker") { _ in 1 }
}

@_cdecl("obh_call_ticker_stop")
func callTickerStop(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withTimer(vm, L, obh_type_ticker, "time.ticker") { stop(vm, L, $0) }
}

@_cdecl("obh_call_ticker_tostring")
func callTickerToString(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    push(L, "time.ticker")
    return 1
}

// MARK: - Durations

@_cdecl("obh_call_time_parse_duration")
func callTimeParseDuration(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDuration(vm, L, 1) { nanoseconds in
        pushDuration(L, nanoseconds)
        return 1
    }
}

private func withDurationObject(_ vm: VMPointer, _ L: LuaState, _ act: (Int64) -> Void) -> Int32 {
    guard let nanoseconds = durationObject(L, 1) else { return badType(vm, L, 1, "time.duration") }
    act(nanoseconds)
    return 1
}

@_cdecl("obh_call_duration_hours")
func callDurationHours(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDurationObject(vm, L) { obh_lua_pushnumber(L, Double($0) / 3.6e12) }
}

@_cdecl("obh_call_duration_minutes")
func callDurationMinutes(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDurationObject(vm, L) { obh_lua_pushnumber(L, Double($0) / 6e10) }
}

@_cdecl("obh_call_duration_seconds")
func callDurationSeconds(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDurationObject(vm, L) { obh_lua_pushnumber(L, Double($0) / 1e9) }
}

@_cdecl("obh_call_duration_milliseconds")
func callDurationMilliseconds(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDurationObject(vm, L) { obh_lua_pushinteger(L, $0 / nanosecondsPerMillisecond) }
}

@_cdecl("obh_call_duration_microseconds")
func callDurationMicroseconds(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDurationObject(vm, L) { obh_lua_pushinteger(L, $0 / nanosecondsPerMicrosecond) }
}

@_cdecl("obh_call_duration_nanoseconds")
func callDurationNanoseconds(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDurationObject(vm, L) { obh_lua_pushinteger(L, $0) }
}

@_cdecl("obh_call_duration_tostring")
func callDurationToString(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    withDurationObject(vm, L) { push(L, formatDuration($0)) }
}

private func compareDurations(_ vm: VMPointer, _ L: LuaState, _ compare: (Int64, Int64) -> Bool) -> Int32 {
    guard let a = durationObject(L, 1) else { return badType(vm, L, 1, "time.duration") }
    guard let b = durationObject(L, 2) else { return badType(vm, L, 2, "time.duration") }
    return answer(L, compare(a, b))
}

@_cdecl("obh_call_duration_eq")
func callDurationEqual(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    // Called for any two userdata.
    answer(L, durationObject(L, 1) != nil && durationObject(L, 1) == durationObject(L, 2))
}

@_cdecl("obh_call_duration_lt")
func callDurationLess(_ vm: VMPointer, _ L: LuaState) -> Int32 { compareDurations(vm, L, <) }

@_cdecl("obh_call_duration_le")
func callDurationLessOrEqual(_ vm: VMPointer, _ L: LuaState) -> Int32 { compareDurations(vm, L, <=) }
