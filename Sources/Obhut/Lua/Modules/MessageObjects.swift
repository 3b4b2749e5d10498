import CObhut
import Glibc

// Messages, payloads and events, as a program gets them.
//
// A Message is a userdata with a copy of topic and payload behind a small header: Lua memory, so that the
// collector frees it and the memory limit counts it. Nothing is decoded before `data()` is called. A small
// payload object holds a copy of its bytes, a large one refers to the Message, which it keeps alive.

/// Begins the memory of a Message; topic and payload follow it.
private struct MessageHeader {
    let from: Pid
    /// The request that it makes, 0: none.
    let request: UInt64
    let payloadLength: UInt32
    let topicLength: UInt16
    var replied: Bool

    static let size = MemoryLayout<MessageHeader>.stride
}

/// Begins the memory of a payload object; the bytes follow it if `address` is 0.
struct PayloadHeader {
    let address: UInt
    let length: UInt32
    /// A `PayloadObjectFormat`.
    var format: UInt8 = 0

    static let size = MemoryLayout<PayloadHeader>.stride
    static let inlineLimit = 512
}

/// Pushes a Message with a copy of what the signal carries.
@inline(__always)
func pushMessage(_ L: LuaState, _ signal: SignalPointer) {
    let topic = signal.topic
    let payload = signal.payload
    let memory = obh_lua_newuserdata(
        L, Int32(obh_type_message), MessageHeader.size &+ topic.count &+ payload.count, 0
    ).unsafelyUnwrapped
    memory.initializeMemory(
        as: MessageHeader.self,
        to: MessageHeader(
            from: signal.pointee.from, request: signal.pointee.a, payloadLength: signal.pointee.payloadLength,
            topicLength: signal.pointee.topicLength, replied: false))
    // One behind the other, as in the signal.
    memcpy(memory + MessageHeader.size, topic.baseAddress.unsafelyUnwrapped, topic.count &+ payload.count)
}

@inline(__always)
private func message(_ L: LuaState) -> UnsafeMutablePointer<MessageHeader>? {
    obh_lua_touserdata(L, 1, Int32(obh_type_message))?.assumingMemoryBound(to: MessageHeader.self)
}

extension UnsafeMutablePointer where Pointee == MessageHeader {
    @inline(__always)
    fileprivate var topic: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: UnsafeRawPointer(self) + MessageHeader.size, count: Int(pointee.topicLength))
    }

    @inline(__always)
    fileprivate var payload: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: UnsafeRawPointer(self) + MessageHeader.size + Int(pointee.topicLength),
            count: Int(pointee.payloadLength))
    }
}

@_cdecl("obh_call_message_topic")
func callMessageTopic(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let message = message(L) else { return badType(vm, L, 1, "process.message") }
    push(L, bytes: message.topic)
    return 1
}

@_cdecl("obh_call_message_from")
func callMessageFrom(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let message = message(L) else { return badType(vm, L, 1, "process.message") }
    let from = message.pointee.from
    if from == .none {
        obh_lua_pushnil(L)
    } else if obh_lua_pushpeer(vm, L, from.raw) == 0 {
        vm.withSystem { push(L, from, $0) }
        obh_lua_keeppeer(vm, L, from.raw)
    }
    return 1
}

@_cdecl("obh_call_message_payload")
func callMessagePayload(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let message = message(L) else { return badType(vm, L, 1, "process.message") }
    let bytes = message.payload
    let isInline = bytes.count <= PayloadHeader.inlineLimit
    let memory = obh_lua_newuserdata(
        L, Int32(obh_type_payload), PayloadHeader.size &+ (isInline ? bytes.count : 0), isInline ? 0 : 1
    ).unsafelyUnwrapped
    memory.initializeMemory(
        as: PayloadHeader.self,
        to: PayloadHeader(address: isInline ? 0 : UInt(bitPattern: bytes.baseAddress), length: UInt32(bytes.count)))
    if isInline {
        memcpy(memory + PayloadHeader.size, bytes.baseAddress.unsafelyUnwrapped, bytes.count)
    } else {
        obh_lua_pushvalue(L, 1)
        obh_lua_setuservalue(L, -2, 1)
    }
    return 1
}

/// The bytes of the payload object at `index`; nil if it is none.
@inline(__always)
func payloadBytes(_ L: LuaState, _ index: Int32) -> UnsafeRawBufferPointer? {
    guard let object = obh_lua_touserdata(L, index, Int32(obh_type_payload)) else { return nil }
    let memory = UnsafeRawPointer(object)
    let header = memory.load(as: PayloadHeader.self)
    let start = header.address == 0 ? memory + PayloadHeader.size : UnsafeRawPointer(bitPattern: header.address)
    return UnsafeRawBufferPointer(start: start, count: Int(header.length))
}

@_cdecl("obh_call_payload_data")
func callPayloadData(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let bytes = payloadBytes(L, 1) else { return badType(vm, L, 1, "payload") }
    decodeValue(vm, L, bytes)
    return 1
}

@_cdecl("obh_call_payload_tostring")
func callPayloadToString(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let bytes = payloadBytes(L, 1) else { return badType(vm, L, 1, "payload") }
    push(L, "payload (\(bytes.count) bytes)")
    return 1
}

@_cdecl("obh_call_message_tostring")
func callMessageToString(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let message = message(L) else { return badType(vm, L, 1, "process.message") }
    push(L, "message (topic \(String(decoding: message.topic, as: UTF8.self)))")
    return 1
}

// MARK: - msg:reply(value), msg:reply(nil, err)

@_cdecl("obh_call_message_reply")
func callMessageReply(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard let message = message(L) else { return badType(vm, L, 1, "process.message") }
    guard message.pointee.request != 0 else {
        return failure(L, "the message is no request: nobody waits for a reply to it")
    }
    if message.pointee.replied { return failure(L, "the request was answered already") }
    let isError = obh_lua_type(L, 2) <= Int32(OBH_TNIL) && obh_lua_type(L, 3) > Int32(OBH_TNIL)
    let reply = SignalPointer.make(.reply, from: vm.process.pid, a: message.pointee.request, b: isError ? 1 : 0)
    var writer = reply.beginText(topic: UnsafeRawBufferPointer(start: nil, count: 0), limit: maxMessage(vm))
    if isError {
        encodeError(vm, L, 3, into: &writer)
    } else {
        if obh_lua_gettop(L) > 2 && obh_lua_type(L, 3) <= Int32(OBH_TNIL) { obh_lua_settop(L, 2) }
        do throws(EncodeFault) {
            try encodePayload(vm, L, from: 2, into: &writer)
        } catch {
            reply.release()
            return failure(L, error.message)
        }
    }
    reply.endText(writer)
    message.pointee.replied = true
    let from = message.pointee.from
    return vm.withSystem { $0.deliver(reply, to: from) }
        ? success(L) : failure(L, "process not found: \(vm.system.text(of: from))")
}

// MARK: - Events

/// Pushes the table of an event.
func pushEvent(_ vm: VMPointer, _ L: LuaState, _ signal: SignalPointer) {
    let system = vm.system
    obh_lua_createtable(L, 0, 6)
    if signal.pointee.from != .none {
        push(L, signal.pointee.from, system)
        setField(L, "from")
    }
    obh_lua_pushnumber(L, Double(signal.pointee.sentAt) / 1e9)
    setField(L, "at")
    if signal.pointee.kind == .cancel {
        push(L, "pid.cancel")
        setField(L, "kind")
        let left = Int64(bitPattern: signal.pointee.a) &- system.clock.now
        let (wall, overflow) = system.clock.wall.addingReportingOverflow(left)
        push(L, formatRFC3339(unixNanoseconds: overflow ? .max : wall))
        setField(L, "deadline")
        return
    }
    let isExit = signal.pointee.kind == .exit
    if isExit { push(L, "pid.exit") } else { push(L, "pid.link.down") }
    setField(L, "kind")
    let reason = signal.reason
    if reason.isAbnormal || !isExit {
        // Where it began: `from` itself, with no link between, or a process further away (L9).
        push(L, reason.origin == .none ? signal.pointee.from : reason.origin, system)
        setField(L, "origin")
        obh_lua_pushinteger(L, Int64(reason.hops))
        setField(L, "hops")
    }
    obh_lua_createtable(L, 0, 1)
    reason.payload.withUnsafeBytes { _ = decodeValue(vm, L, $0) }
    if reason.isAbnormal { setField(L, "error") } else { setField(L, "value") }
    setField(L, "result")
}
