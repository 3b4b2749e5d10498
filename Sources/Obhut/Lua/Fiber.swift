import CObhut
import Glibc

/// A `lua_State *`. Swift calls Lua only through the wrappers of `lua_api.h`.
typealias LuaState = OpaquePointer
typealias VMPointer = UnsafeMutablePointer<obh_vm>
typealias FiberPointer = UnsafeMutablePointer<Fiber>
typealias LuaProcessPointer = UnsafeMutablePointer<LuaProcess>

/// One of the concurrent lines of a process: `main`, or what `coroutine.spawn` began.
///
/// The law of this file:
/// - A fiber is *ready*, *running*, *parked* or *ended*. Only the process's own step moves
///   it, on the worker that runs the step; nothing here is seen by another thread.
/// - A function that has to wait takes a ticket (`park`), gives it to whatever will wake
///   it, and answers `OBH_BLOCK`. Whoever has the ticket makes the fiber ready with it,
///   once; a spent ticket is refused, so an entry left behind in some list does no harm.
/// - Fiber records are recycled but never freed before their process, so a stale ticket
///   reads a record of the right type.
/// - Coroutines that the program makes itself are no fibers: they run inside one, and a
///   wait inside them parks the whole fiber.
struct Fiber {
    enum State: UInt8 { case ready, running, parked, ended }

    var thread: LuaState?
    var state: State = .ended
    /// Whether it has run at all: one that has not is ended without running.
    var started = false
    /// Counts parks and wakes; a ticket is good for one value of it.
    var ticket: UInt32 = 0
    /// What the modules keep for the wait under way: what it waits for, and what woke it.
    var wait = FiberWait()
    fileprivate var next: FiberPointer? = nil
    /// All records but the main one, to give them back.
    fileprivate var nextMade: FiberPointer? = nil
}

extension UnsafeMutablePointer where Pointee == Fiber {
    /// The memory of a fiber's record holds that of one `WaitNode` behind it: a wait at one channel, what most are, takes no other.
    static let size = MemoryLayout<Fiber>.stride + MemoryLayout<WaitNode>.stride

    /// In the memory of `size` bytes.
    fileprivate static func make(in memory: UnsafeMutableRawPointer, _ fiber: Fiber) -> FiberPointer {
        let record = memory.bindMemory(to: Fiber.self, capacity: 1)
        record.initialize(to: fiber)
        UnsafeMutableRawPointer(record + 1).bindMemory(to: WaitNode.self, capacity: 1)
        return record
    }

    /// In use as long as it is the last of `wait.nodes`, and kept as it is until the fiber waits again.
    @inline(__always)
    var ownNode: WaitNodePointer { UnsafeMutableRawPointer(self + 1).assumingMemoryBound(to: WaitNode.self) }
}

/// The right to make one parked fiber ready, once.
struct FiberTicket {
    let fiber: FiberPointer
    let number: UInt32
}

/// How a step of the whole process ended.
enum LuaStep {
    /// Every fiber waits.
    case waiting
    /// Interrupted while it had more to do.
    case interrupted
    /// It has more to do, and others and signals are to be looked at.
    case unfinished
    /// Over: `LuaBody.conclude` was called, unless the VM was killed (`vm.kill` says why).
    case ended
}

/// The Lua side of one process: its VM and its fibers. Lives from the body's start to its
/// stop, at `obh_vm.host`; used only by the worker that runs the process's step.
struct LuaProcess {
    let vm: VMPointer
    /// What runs now; nil between fibers.
    var current: FiberPointer? = nil
    private(set) var main: FiberPointer
    /// The state of the modules: channels, timers, messages.
    var modules = LuaModules()
    private var concluded = false
    /// The process's end is decided; only `main` still runs, to close its variables (P7).
    private var unwinding = false
    private(set) var fiberCount: Int32 = 1

    private var readyHead: FiberPointer? = nil
    private var readyTail: FiberPointer? = nil
    private var spare: FiberPointer? = nil
    private var made: FiberPointer? = nil

    /// Nil when the memory limit does not even allow the main fiber.
    ///
    /// This and the main fiber live in the VM's own memory: a process that is only started and ends asks for no other.
    static func make(vm: VMPointer) -> LuaProcessPointer? {
        guard let thread = obh_fiber_main(vm) else { return nil }
        let space = UnsafeMutableRawPointer(vm) + MemoryLayout<obh_vm>.offset(of: \.host_space)!
        let lua = space.bindMemory(to: LuaProcess.self, capacity: 1)
        assert(MemoryLayout<LuaProcess>.stride + FiberPointer.size <= OBH_HOST_SPACE)
        let main = FiberPointer.make(in: space + MemoryLayout<LuaProcess>.stride, Fiber(thread: thread, state: .ready))
        lua.initialize(to: LuaProcess(vm: vm, main: main))
        lua.pointee.append(main)
        vm.pointee.host = UnsafeMutableRawPointer(lua)
        return lua
    }

    private init(vm: VMPointer, main: FiberPointer) {
        self.vm = vm
        self.main = main
    }

    /// Gives back everything but the VM. Runs no Lua code.
    static func destroy(_ lua: LuaProcessPointer) {
        lua.pointee.modules.destroy()
        var next = lua.pointee.made
        while let fiber = next {
            next = fiber.pointee.nextMade
            UnsafeMutableRawPointer(fiber).deallocate()
        }
        lua.pointee.vm.pointee.host = nil
        lua.deinitialize(count: 1)
    }

    // MARK: - Waiting

    /// The running fiber is going to wait: it must now answer `OBH_BLOCK`. Ask
    /// `obh_can_block` first.
    mutating func park() -> FiberTicket {
        let fiber = current.unsafelyUnwrapped
        assert(fiber.pointee.state == .running)
        fiber.pointee.state = .parked
        fiber.pointee.ticket &+= 1
        return FiberTicket(fiber: fiber, number: fiber.pointee.ticket)
    }

    /// Makes the fiber of a ticket ready; false if the ticket is spent.
    @discardableResult
    mutating func ready(_ ticket: FiberTicket) -> Bool {
        let fiber = ticket.fiber
        guard isWaiting(ticket) else { return false }
        if unwinding && fiber != main { return false }
        fiber.pointee.ticket &+= 1
        append(fiber)
        return true
    }

    /// Whether the wait that this ticket stands for is still under way.
    func isWaiting(_ ticket: FiberTicket) -> Bool {
        ticket.fiber.pointee.state == .parked && ticket.fiber.pointee.ticket == ticket.number
    }

    var hasReady: Bool { readyHead != nil }

    private mutating func append(_ fiber: FiberPointer) {
        fiber.pointee.state = .ready
        fiber.pointee.next = nil
        if let tail = readyTail { tail.pointee.next = fiber } else { readyHead = fiber }
        readyTail = fiber
    }

    private mutating func takeReady() -> FiberPointer? {
        guard let fiber = readyHead else { return nil }
        readyHead = fiber.pointee.next
        if readyHead == nil { readyTail = nil }
        return fiber
    }

    // MARK: - Beginning and ending

    /// Begins a fiber that calls the function below the top `arguments` values of `L`;
    /// false when there is no room on a stack.
    mutating func spawn(_ L: LuaState, arguments: Int32) -> Bool {
        guard let thread = obh_fiber_spawn(vm, L, arguments) else { return false }
        let fiber: FiberPointer
        if let recycled = spare {
            assert(recycled.pointee.wait.nodes == nil, "a fiber has ended and its node is in a list")
            fiber = recycled
            spare = recycled.pointee.next
        } else {
            fiber = .make(in: .allocate(byteCount: FiberPointer.size, alignment: 16), Fiber())
            fiber.pointee.nextMade = made
            made = fiber
        }
        fiber.pointee.thread = thread
        fiber.pointee.started = false
        fiber.pointee.wait = FiberWait()
        fiberCount += 1
        append(fiber)
        return true
    }

    private mutating func drop(_ fiber: FiberPointer) {
        obh_fiber_drop(vm, fiber.pointee.thread)
        fiber.pointee.thread = nil
        fiber.pointee.state = .ended
        fiber.pointee.ticket &+= 1
        fiber.pointee.next = spare
        spare = fiber
        fiberCount -= 1
    }

    // MARK: - The step

    /// Fibers run in one step before the scheduler is asked whether others wait.
    private static let turnsInStep = 256

    /// Runs ready fibers until all wait, one is interrupted, or the process is over.
    static func step(_ lua: LuaProcessPointer) -> LuaStep {
        let vm = lua.pointee.vm
        vm.pointee.ticked = 0
        var turns = 0
        while let fiber = lua.pointee.takeReady() {
            lua.pointee.current = fiber
            fiber.pointee.state = .running
            fiber.pointee.started = true
            let end = obh_step_fiber(vm, fiber.pointee.thread)
            lua.pointee.current = nil
            switch Int(end) {
            case OBH_FIBER_BLOCKED:
                assert(fiber.pointee.state != .running, "answered OBH_BLOCK without a park")
            case OBH_FIBER_PREEMPTED:
                lua.pointee.append(fiber)
                return .interrupted
            case OBH_FIBER_ENDED:
                if ended(fiber, lua) { return .ended }
            default:
                return .ended
            }
            turns += 1
            if vm.pointee.ticked != 0 || turns == turnsInStep {
                if !lua.pointee.hasReady { return .waiting }
                return vm.pointee.ticked != 0 ? .interrupted : .unfinished
            }
        }
        return .waiting
    }

    /// True when the process is over with it. (Static: `LuaBody.conclude` reaches the same struct.)
    private static func ended(_ fiber: FiberPointer, _ lua: LuaProcessPointer) -> Bool {
        let vm = lua.pointee.vm
        fiber.pointee.state = .ended
        if fiber == lua.pointee.main {
            concludeOnce(fiber, lua)
            return true
        }
        if lua.pointee.unwinding || Int(vm.pointee.outcome.kind) == OBH_OUTCOME_RETURNED {
            lua.pointee.drop(fiber)
            return false
        }
        // An uncaught error, or process.exit: the whole process ends (P4), and main closes
        // its variables first (P7). The other fibers are dropped (P6).
        concludeOnce(fiber, lua)
        if !lua.pointee.main.pointee.started { return true }
        vm.pointee.exiting = 1
        vm.pointee.exit_pending = 1
        lua.pointee.unwind()
        return false
    }

    /// From now on only `main` runs. What the others were loading nobody will finish: a variable that is
    /// closed may require it once more.
    private mutating func unwind() {
        unwinding = true
        let main = main
        modules.loading.removeAll { $0.fiber != main }
        main.pointee.ticket &+= 1
        readyHead = nil
        readyTail = nil
        append(main)
    }

    /// `fiber` is the one whose end is the end of the process, and its values lie on its stack. The first conclusion counts.
    private static func concludeOnce(_ fiber: FiberPointer, _ lua: LuaProcessPointer) {
        if lua.pointee.concluded { return }
        lua.pointee.concluded = true
        let vm = lua.pointee.vm
        obh_host_enter(vm)
        LuaBody.conclude(lua, fiber)
        obh_host_leave(vm)
    }
}

extension UnsafeMutablePointer where Pointee == obh_vm {
    /// The Lua side of the process that this VM belongs to.
    @inline(__always)
    var lua: LuaProcessPointer {
        pointee.host.unsafelyUnwrapped.assumingMemoryBound(to: LuaProcess.self)
    }
}

/// `coroutine.spawn(f, ...)`.
@_cdecl("obh_call_coroutine_spawn")
func callCoroutineSpawn(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    guard obh_lua_type(L, 1) == Int32(OBH_TFUNCTION) else {
        vm.pointee.bad_argument = 1
        obh_lua_pushstring(L, "function", 8)
        return Int32(OBH_BAD_TYPE)
    }
    let arguments = obh_lua_gettop(L) - 1
    guard vm.lua.pointee.spawn(L, arguments: arguments) else {
        obh_lua_pushstring(L, "too many arguments to spawn", 27)
        return Int32(OBH_RAISE_WHERE)
    }
    return 0
}
