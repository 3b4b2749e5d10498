import CObhut

// `channel.select{case, …, default = true}`.
//
// On the stack: the table of cases at 1, then the case objects, each of which holds its channel; so that
// whatever the program does to its table while the select waits, what it waits at stays alive and in place.
// Among several ready cases chance decides, but of the process's own channels only the one whose head
// arrived first counts (M4).

/// Stack index of case `number`, from 1.
@inline(__always)
func caseSlot(_ number: Int32) -> Int32 { number + 1 }

@_cdecl("obh_call_channel_select")
func callChannelSelect(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard obh_lua_type(L, 1) == Int32(OBH_TTABLE) else { return badType(vm, L, 1, "table") }
    obh_lua_settop(L, 1)
    let length = Int(obh_lua_rawlen(L, 1))
    guard length < 100_000, obh_lua_checkstack(L, Int32(length) + 10) != 0 else {
        return badArgument(vm, L, 1, "too many cases")
    }
    for number in 1...Int32(length) + 1 where number <= Int32(length) {
        obh_lua_rawgeti(L, 1, Int64(number))
        guard obh_lua_touserdata(L, -1, Int32(obh_type_channel_case)) != nil else {
            return badArgument(
                vm, L, 1,
                "case \(number) is a \(typeName(L, -1)) value: give ch:case_receive() or ch:case_send(v)")
        }
    }
    return Select(vm: vm, L: L, count: Int32(length)).attempt()
}

@_cdecl("obh_resume_channel_select")
func resumeChannelSelect(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let wait = vm.lua.pointee.current.unsafelyUnwrapped.pointee.wait
    let top = obh_lua_gettop(L)
    switch wait.outcome {
    case .received:
        return Select(vm: vm, L: L, count: top - 2).result(of: wait.caseIndex, ok: true)
    case .sent:
        obh_lua_pushnil(L)
        return Select(vm: vm, L: L, count: top - 1).result(of: wait.caseIndex, ok: true)
    default:
        // Something may be ready: also when a channel was closed.
        return Select(vm: vm, L: L, count: top - 1).attempt()
    }
}

private struct Select {
    let vm: VMPointer
    let L: LuaState
    let count: Int32

    private struct Ready {
        var count = 0
        var chosen: Int32 = 0

        /// Each of n ready cases is chosen with the same chance, without a list of them.
        @inline(__always)
        mutating func add(_ number: Int32) {
            count += 1
            if count == 1 || WorkerCore.current.unsafelyUnwrapped.pointee.random.below(count) == 0 { chosen = number }
        }
    }

    func attempt() -> Int32 {
        let lua = vm.lua
        let process = vm.process
        while true {
            var ready = Ready()
            var own: (number: Int32, sequence: UInt64) = (0, .max)
            var hasOwn = false
            var number: Int32 = 0
            while number < count {
                number += 1
                guard let record = record(of: number) else { continue }
                if isSend(number) {
                    if record.pointee.isClosed || record.pointee.count < record.pointee.capacity
                        || lua.firstWaiting(record.pointee.receivers) != nil
                    {
                        ready.add(number)
                    }
                } else if record.pointee.isOwn {
                    if record.pointee.isClosed {
                        ready.add(number)
                        continue
                    }
                    if !hasOwn { process.pointee.mailbox.route() }
                    hasOwn = true
                    if let head = process.pointee.mailbox.head(of: record.pointee.queue),
                        head.pointee.sequence < own.sequence
                    {
                        own = (number, head.pointee.sequence)
                    }
                } else if record.pointee.kind == .program {
                    if record.pointee.count > 0 || record.pointee.isClosed
                        || lua.firstWaiting(record.pointee.senders) != nil
                    {
                        ready.add(number)
                    }
                } else if lua.hasTick(record) {
                    ready.add(number)
                }
            }
            if own.number != 0 { ready.add(own.number) }
            if ready.count > 0 { return take(ready.chosen) }
            if hasOwn && !process.pointee.signals.isEmpty {
                process.drain()
                if process.isDoomed { return die(vm) }
                continue
            }
            break
        }
        obh_lua_rawgetfield(L, 1, cText("default"))
        let hasDefault = obh_lua_toboolean(L, -1) != 0
        obh_lua_pop(L, 1)
        if hasDefault { return defaultResult() }
        return block()
    }

    private func block() -> Int32 {
        guard obh_can_block(vm, L) != 0 else { return Int32(OBH_CANNOT_BLOCK) }
        let lua = vm.lua
        let ticket = lua.beginWait()
        var number: Int32 = 0
        while number < count {
            number += 1
            guard let record = record(of: number) else { continue }
            lua.addNode(ticket, at: record, isSender: isSend(number), L, caseIndex: number)
        }
        return Int32(OBH_BLOCK)
    }

    private func take(_ number: Int32) -> Int32 {
        let lua = vm.lua
        let record = record(of: number).unsafelyUnwrapped
        obh_lua_getuservalue(L, caseSlot(number), 1)
        let channel = obh_lua_gettop(L)
        if isSend(number) {
            if record.pointee.isClosed { return raise(L, "send on a closed channel") }
            obh_lua_getuservalue(L, caseSlot(number), 2)
            guard lua.trySend(L, record, channel: channel, value: channel + 1) else {
                return raise(L, "cannot send: no room on the Lua stack")
            }
            obh_lua_pushnil(L)
            return result(of: number, ok: true)
        }
        switch lua.tryReceive(L, record, channel: channel) {
        case .value: return result(of: number, ok: true)
        case .doomed: return die(vm)
        case .closed, .nothing:
            obh_lua_pushnil(L)
            return result(of: number, ok: false)
        }
    }

    /// `{channel =, value =, ok =}` with the value on top.
    func result(of number: Int32, ok: Bool) -> Int32 {
        obh_lua_createtable(L, 0, 3)
        obh_lua_rotate(L, -2, 1)
        setField(L, "value")
        obh_lua_getuservalue(L, caseSlot(number), 1)
        setField(L, "channel")
        obh_lua_pushboolean(L, ok ? 1 : 0)
        setField(L, "ok")
        return 1
    }

    private func defaultResult() -> Int32 {
        obh_lua_createtable(L, 0, 2)
        obh_lua_pushboolean(L, 1)
        setField(L, "default")
        obh_lua_pushboolean(L, 1)
        setField(L, "ok")
        return 1
    }

    @inline(__always)
    private func record(of number: Int32) -> ChannelPointer? {
        obh_lua_getuservalue(L, caseSlot(number), 1)
        defer { obh_lua_pop(L, 1) }
        return channelRecord(L, -1)
    }

    @inline(__always)
    private func isSend(_ number: Int32) -> Bool {
        obh_lua_touserdata(L, caseSlot(number), Int32(obh_type_channel_case)).unsafelyUnwrapped.load(as: UInt8.self) != 0
    }
}
