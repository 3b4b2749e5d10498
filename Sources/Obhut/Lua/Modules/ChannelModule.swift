import CObhut

// `channel` and its objects, with Go's rules: a send to an unbuffered channel meets a receive; a buffered one
// takes as many values as it has room for; a closed one gives what is left in it and then `nil, false`;
// who waits is served in the order in which it came.

/// The record of a channel; nil when the value is no channel, or one that the collector has found dead.
@inline(__always)
func channelRecord(_ L: LuaState, _ index: Int32) -> ChannelPointer? {
    guard let handle = obh_lua_touserdata(L, index, Int32(obh_type_channel)) else { return nil }
    return ChannelPointer(bitPattern: handle.load(as: UInt.self))
}

/// Pushes the userdata of a new record. It has a user value, nil at first, if it is a topic's, which keeps its name there, or
/// has a buffer.
@inline(__always)
func pushChannel(_ L: LuaState, _ record: ChannelPointer) {
    let kind = record.pointee.kind
    let userValues: Int32 = kind == .topic || (kind == .program && record.pointee.capacity > 0) ? 1 : 0
    let handle = obh_lua_newuserdata(L, Int32(obh_type_channel), MemoryLayout<UInt>.size, userValues)
    handle.unsafelyUnwrapped.storeBytes(of: UInt(bitPattern: record), as: UInt.self)
}

private func noChannel(_ vm: VMPointer, _ L: LuaState, _ index: Int32) -> Int32 {
    if obh_lua_touserdata(L, index, Int32(obh_type_channel)) != nil {
        return badArgument(vm, L, index, "the channel was collected")
    }
    return badType(vm, L, index, "channel")
}

/// What an attempt to receive came to; with `value` it lies on top of the stack.
enum Received { case value, closed, nothing, doomed }

extension UnsafeMutablePointer where Pointee == LuaProcess {
    // MARK: Receiving

    /// - Parameter channel: stack index of its userdata.
    @inline(__always)
    func tryReceive(_ L: LuaState, _ record: ChannelPointer, channel: Int32) -> Received {
        if record.pointee.isOwn { return tryReceiveOwn(L, record) }
        if record.pointee.kind == .program { return tryReceiveValue(L, record, channel) }
        return tryReceiveTick(L, record)
    }

    @inline(__always)
    private func tryReceiveOwn(_ L: LuaState, _ record: ChannelPointer) -> Received {
        if record.pointee.isClosed { return .closed }
        let process = pointee.vm.process
        while true {
            process.pointee.mailbox.route()
            if let signal = process.take(from: record.pointee.queue) {
                pushReceived(L, signal, record)
                return .value
            }
            if process.pointee.signals.isEmpty { return .nothing }
            process.drain()
            if process.isDoomed { return .doomed }
        }
    }

    /// Pushes what was taken from an own queue, and gives the signal back.
    @inline(__always)
    private func pushReceived(_ L: LuaState, _ signal: SignalPointer, _ record: ChannelPointer) {
        if signal.pointee.kind != .message {
            pushEvent(pointee.vm, L, signal)
        } else if record.pointee.kind == .inbox || record.pointee.givesMessages {
            pushMessage(L, signal)
        } else {
            decodeValue(pointee.vm, L, signal.payload)
        }
        signal.release()
    }

    private func tryReceiveValue(_ L: LuaState, _ record: ChannelPointer, _ channel: Int32) -> Received {
        if record.pointee.count > 0 {
            let channel = obh_lua_absindex(L, channel)
            obh_lua_getuservalue(L, channel, 1)  // the buffer
            let place = Int64(record.pointee.head) + 1
            obh_lua_rawgeti(L, -1, place)
            obh_lua_pushnil(L)
            obh_lua_rawseti(L, -3, place)
            record.pointee.head = (record.pointee.head + 1) % record.pointee.capacity
            record.pointee.count -= 1
            if let sender = firstWaiting(record.pointee.senders), pushSent(L, sender) {
                putIntoBuffer(L, record, buffer: -3)
                wake(sender, .sent)
            }
            obh_lua_remove(L, -2)
            return .value
        }
        if let sender = firstWaiting(record.pointee.senders), pushSent(L, sender) {
            wake(sender, .sent)
            return .value
        }
        return record.pointee.isClosed ? .closed : .nothing
    }

    /// Pushes the value that a waiting sender has, onto `L`.
    private func pushSent(_ L: LuaState, _ sender: WaitNodePointer) -> Bool {
        let other = sender.pointee.L
        guard obh_lua_checkstack(L, 2) != 0, obh_lua_checkstack(other, 2) != 0 else { return false }
        if sender.pointee.caseIndex == 0 {
            obh_lua_pushvalue(other, 2)
        } else {
            obh_lua_getuservalue(other, caseSlot(sender.pointee.caseIndex), 2)
        }
        if other != L { obh_lua_xmove(other, L, 1) }
        return true
    }

    /// Pops the value on top into the buffer at stack index `buffer`.
    private func putIntoBuffer(_ L: LuaState, _ record: ChannelPointer, buffer: Int32) {
        let tail = (Int64(record.pointee.head) + Int64(record.pointee.count)) % Int64(record.pointee.capacity)
        obh_lua_rawseti(L, buffer, tail + 1)
        record.pointee.count += 1
    }

    private func tryReceiveTick(_ L: LuaState, _ record: ChannelPointer) -> Received {
        guard hasTick(record) else { return .nothing }
        pushInstant(L, wall: record.pointee.firedAt, monotonic: record.pointee.firedAtMonotonic)
        record.pointee.firedAt = 0
        return .value
    }

    /// Whether a timer has fired; looks at the clock itself, for a program that never waits.
    func hasTick(_ record: ChannelPointer) -> Bool {
        if record.pointee.firedAt != 0 { return true }
        guard record.pointee.heapPosition >= 0 else { return false }
        fireDueTimers()
        return record.pointee.firedAt != 0
    }

    // MARK: Sending

    /// Sends the value at stack index `value`; false when nobody takes it and there is no room. Not closed.
    func trySend(_ L: LuaState, _ record: ChannelPointer, channel: Int32, value: Int32) -> Bool {
        if let receiver = firstWaiting(record.pointee.receivers), obh_lua_checkstack(receiver.pointee.L, 4) != 0 {
            obh_lua_pushvalue(L, value)
            if receiver.pointee.L != L { obh_lua_xmove(L, receiver.pointee.L, 1) }
            wake(receiver, .received)
            return true
        }
        guard record.pointee.count < record.pointee.capacity else { return false }
        let value = obh_lua_absindex(L, value)
        obh_lua_getuservalue(L, channel, 1)
        obh_lua_pushvalue(L, value)
        putIntoBuffer(L, record, buffer: -2)
        obh_lua_pop(L, 1)
        return true
    }

    /// Wakes all who wait, to find the channel closed.
    func close(_ record: ChannelPointer) {
        record.pointee.isClosed = true
        while let node = firstWaiting(record.pointee.receivers) { wake(node, .closed) }
        while let node = firstWaiting(record.pointee.senders) { wake(node, .closed) }
    }
}

// MARK: - channel.new

@_cdecl("obh_call_channel_new")
func callChannelNew(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    var capacity: Int64 = 0
    if !isAbsent(L, 1) {
        guard obh_lua_type(L, 1) == Int32(OBH_TNUMBER) else { return badType(vm, L, 1, "number") }
        var isInteger: Int32 = 0
        capacity = obh_lua_tointeger(L, 1, &isInteger)
        guard isInteger != 0, capacity >= 0, capacity <= Int64(Int32.max) else {
            return badArgument(vm, L, 1, "the size of the buffer is a whole number from 0 to 2147483647")
        }
    }
    vm.lua.releaseCollected()
    let record = vm.lua.makeRecord(.program)
    record.pointee.capacity = Int32(capacity)
    pushChannel(L, record)
    if capacity > 0 {
        obh_lua_createtable(L, Int32(min(capacity, 16)), 0)
        obh_lua_setuservalue(L, -2, 1)
    }
    return 1
}

// MARK: - ch:receive()

@_cdecl("obh_call_channel_receive")
func callChannelReceive(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let record = channelRecord(L, 1) else { return noChannel(vm, L, 1) }
    return receive(vm, L, record)
}

/// - Parameter record: of the channel that is the first argument.
@inline(never)
private func receive(_ vm: VMPointer, _ L: LuaState, _ record: ChannelPointer) -> Int32 {
    switch vm.lua.tryReceive(L, record, channel: 1) {
    case .value:
        obh_lua_pushboolean(L, 1)
        return 2
    case .closed: return closedResult(L)
    case .doomed: return die(vm)
    case .nothing: break
    }
    guard obh_can_block(vm, L) != 0 else { return Int32(OBH_CANNOT_BLOCK) }
    let lua = vm.lua
    let ticket = lua.beginWait()
    lua.addNode(ticket, at: record, isSender: false, L, caseIndex: 0)
    return Int32(OBH_BLOCK)
}

@_cdecl("obh_resume_channel_receive")
func resumeChannelReceive(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let fiber = vm.lua.pointee.current.unsafelyUnwrapped
    switch fiber.pointee.wait.outcome {
    case .received:
        obh_lua_pushboolean(L, 1)
        return 2
    case .closed: return closedResult(L)
    // Where it has waited; the argument keeps it alive.
    default: return receive(vm, L, fiber.ownNode.pointee.channel)
    }
}

private func closedResult(_ L: LuaState) -> Int32 {
    obh_lua_pushnil(L)
    obh_lua_pushboolean(L, 0)
    return 2
}

// MARK: - ch:send(v)

@_cdecl("obh_call_channel_send")
func callChannelSend(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let record = channelRecord(L, 1) else { return noChannel(vm, L, 1) }
    obh_lua_settop(L, 2)
    guard record.pointee.kind == .program else { return raise(L, readOnly(record)) }
    if record.pointee.isClosed { return raise(L, "send on a closed channel") }
    let lua = vm.lua
    if lua.trySend(L, record, channel: 1, value: 2) { return success(L) }
    guard obh_can_block(vm, L) != 0 else { return Int32(OBH_CANNOT_BLOCK) }
    let ticket = lua.beginWait()
    lua.addNode(ticket, at: record, isSender: true, L, caseIndex: 0)
    return Int32(OBH_BLOCK)
}

@_cdecl("obh_resume_channel_send")
func resumeChannelSend(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    switch vm.lua.pointee.current.unsafelyUnwrapped.pointee.wait.outcome {
    case .sent: return success(L)
    case .closed: return raise(L, "send on a closed channel")
    default: return callChannelSend(vm, L)
    }
}

func readOnly(_ record: ChannelPointer) -> String {
    switch record.pointee.kind {
    case .timer, .ticker: "this channel belongs to a timer: it can only be received from"
    default: "this channel belongs to the process's mailbox: it can only be received from"
    }
}

// MARK: - ch:close(), cases

@_cdecl("obh_call_channel_close")
func callChannelClose(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let record = channelRecord(L, 1) else { return noChannel(vm, L, 1) }
    guard record.pointee.kind == .program else { return raise(L, readOnly(record)) }
    if record.pointee.isClosed { return raise(L, "close of a closed channel") }
    vm.lua.close(record)
    return 0
}

@_cdecl("obh_call_channel_case_receive")
func callChannelCaseReceive(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard channelRecord(L, 1) != nil else { return noChannel(vm, L, 1) }
    pushCase(L, isSend: false)
    return 1
}

@_cdecl("obh_call_channel_case_send")
func callChannelCaseSend(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let record = channelRecord(L, 1) else { return noChannel(vm, L, 1) }
    guard record.pointee.kind == .program else { return raise(L, readOnly(record)) }
    obh_lua_settop(L, 2)
    pushCase(L, isSend: true)
    obh_lua_pushvalue(L, 2)
    obh_lua_setuservalue(L, -2, 2)
    return 1
}

/// A case: whether it sends; user values are the channel and the value to send.
private func pushCase(_ L: LuaState, isSend: Bool) {
    let block = obh_lua_newuserdata(L, Int32(obh_type_channel_case), 1, isSend ? 2 : 1)
    block.unsafelyUnwrapped.storeBytes(of: isSend ? 1 : 0, as: UInt8.self)
    obh_lua_pushvalue(L, 1)
    obh_lua_setuservalue(L, -2, 1)
}

@_cdecl("obh_call_channel_tostring")
func callChannelToString(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let record = channelRecord(L, 1) else {
        push(L, "channel (dead)")
        return 1
    }
    let address = String(UInt(bitPattern: record), radix: 16)
    switch record.pointee.kind {
    case .program: push(L, "channel: 0x\(address)")
    case .topic:
        obh_lua_getuservalue(L, 1, 1)
        push(L, "channel (topic \(describe(L, -1)))")
    default: push(L, "channel (\(record.pointee.kind))")
    }
    return 1
}
