import CObhut
import Glibc

// What every function of the modules needs: reading arguments and answering.
//
// A function of a module is called by its trampoline with its arguments at 1, 2, … and answers as vm.h
// says. Nothing here raises: a wrong argument is an answer (`badType`, `badArgument`) that the trampoline
// turns into Lua's own argument error when no Swift frame is left (ARCHITECTURE D3).

extension UnsafeMutablePointer where Pointee == obh_vm {
    /// The process that this VM runs.
    @inline(__always)
    var process: ProcessPointer { .from(pointee.process.unsafelyUnwrapped) }

    @inline(__always)
    var system: ProcessSystem { process.system }

    /// The same without a reference counted: every worker would count on the one word.
    @inline(__always)
    func withSystem<Result>(_ body: (ProcessSystem) -> Result) -> Result {
        Unmanaged.passUnretained(process.pointee.system)._withUnsafeGuaranteedRef(body)
    }

    /// What the process's definition says of it.
    var program: LuaProgram {
        unsafeDowncast(process.pointee.definition.unsafelyUnwrapped.program, to: LuaProgram.self)
    }
}

/// A literal as C text. (A Swift `String` would be copied to the stack at each call.)
@inline(__always)
func cText(_ text: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}

// MARK: Pushing

@inline(__always)
func push(_ L: LuaState, _ text: StaticString) {
    obh_lua_pushstring(L, cText(text), text.utf8CodeUnitCount)
}

func push(_ L: LuaState, _ text: String) {
    var text = text
    text.withUTF8 { push(L, bytes: UnsafeRawBufferPointer($0)) }
}

@inline(__always)
func push(_ L: LuaState, bytes: UnsafeRawBufferPointer) {
    // An empty buffer may have no address, and Lua wants one.
    guard let base = bytes.baseAddress else { return obh_lua_pushstring(L, cText(""), 0) }
    obh_lua_pushstring(L, base.assumingMemoryBound(to: CChar.self), bytes.count)
}

@inline(__always)
func push(_ L: LuaState, _ pid: Pid, _ system: ProcessSystem) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: ProcessSystem.maximumPidText) { buffer in
        let base = buffer.baseAddress.unsafelyUnwrapped
        let count = system.writeText(of: pid, to: base)
        push(L, bytes: UnsafeRawBufferPointer(start: base, count: count))
    }
}

/// Sets a field of the table below the top to the value on top, which it pops.
@inline(__always)
func setField(_ L: LuaState, _ name: StaticString) { obh_lua_rawsetfield(L, -2, cText(name)) }

// MARK: Answering

/// `nil, text`: how calls of `process` and `channel` fail.
func failure(_ L: LuaState, _ text: String) -> Int32 {
    obh_lua_pushnil(L)
    push(L, text)
    return 2
}

@inline(__always)
func success(_ L: LuaState) -> Int32 {
    obh_lua_pushboolean(L, 1)
    return 1
}

/// "bad argument #1 to 'send' (string expected, got nil)".
func badType(_ vm: VMPointer, _ L: LuaState, _ index: Int32, _ expected: StaticString) -> Int32 {
    // Not OBH_BAD_TYPE: where the argument is missing, the text on top would stand in its place.
    badArgument(vm, L, index, "\(expected) expected, got \(typeName(L, index))")
}

/// "bad argument #1 to 'new' (reason)".
func badArgument(_ vm: VMPointer, _ L: LuaState, _ index: Int32, _ reason: String) -> Int32 {
    vm.pointee.bad_argument = index
    push(L, reason)
    return Int32(OBH_BAD_ARGUMENT)
}

/// Raises `text` with the caller's position before it.
func raise(_ L: LuaState, _ text: String) -> Int32 {
    push(L, text)
    return Int32(OBH_RAISE_WHERE)
}

/// The process has found that it must end: no code of its own runs any more (P7). The trampoline raises.
func die(_ vm: VMPointer) -> Int32 {
    vm.pointee.kill = UInt8(OBH_KILL_LETHAL)
    return 0
}

// MARK: Reading

/// The bytes of a string; nil for anything else, numbers too. They live as long as the value.
@inline(__always)
func stringArgument(_ L: LuaState, _ index: Int32) -> UnsafeRawBufferPointer? {
    var count = 0
    guard let bytes = obh_lua_string(L, index, &count) else { return nil }
    return UnsafeRawBufferPointer(start: UnsafeRawPointer(bytes), count: count)
}

func textArgument(_ L: LuaState, _ index: Int32) -> String? {
    stringArgument(L, index).map { String(decoding: $0, as: UTF8.self) }
}

@inline(__always)
func isAbsent(_ L: LuaState, _ index: Int32) -> Bool { obh_lua_type(L, index) <= Int32(OBH_TNIL) }

/// The name of a value's type as Lua's own messages give it.
func typeName(_ L: LuaState, _ index: Int32) -> String { String(cString: obh_lua_typename_of(L, index)) }

/// A value as text for an error message. Calls no metamethod.
func describe(_ L: LuaState, _ index: Int32) -> String {
    switch obh_lua_type(L, index) {
    case Int32(OBH_TNIL), Int32(OBH_TNONE): return "nil"
    case Int32(OBH_TBOOLEAN): return obh_lua_toboolean(L, index) != 0 ? "true" : "false"
    case Int32(OBH_TSTRING): return textArgument(L, index).unsafelyUnwrapped
    case Int32(OBH_TNUMBER):
        // Of a copy: tostring turns a number into a string in its place.
        obh_lua_pushvalue(L, index)
        defer { obh_lua_pop(L, 1) }
        var count = 0
        guard let bytes = obh_lua_tostring(L, -1, &count) else { return "number" }
        return String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
    default: return typeName(L, index)
    }
}

extension ProcessSystem {
    /// What a `dest` argument names: a pid, alive or not, or a registered name.
    @inline(__always)
    func destination(_ bytes: UnsafeRawBufferPointer) -> Pid? {
        if bytes.first == UInt8(ascii: "{") { return anyPid(fromText: bytes.bindMemory(to: UInt8.self)) }
        return names.lookup(bytes)
    }
}

extension UnsafeMutablePointer where Pointee == obh_vm {
    /// What a `dest` argument names; `bytes` are those of the string itself.
    @inline(__always)
    func destination(_ bytes: UnsafeRawBufferPointer) -> Pid? {
        if bytes.baseAddress == UnsafeRawPointer(pointee.peer_text) { return Pid(raw: pointee.peer) }
        return lookUp(bytes)
    }

    @inline(never)
    private func lookUp(_ bytes: UnsafeRawBufferPointer) -> Pid? { withSystem { $0.destination(bytes) } }
}

func notFound(_ L: LuaState, _ destination: UnsafeRawBufferPointer) -> Int32 {
    failure(L, "process not found: \(String(decoding: destination, as: UTF8.self))")
}
