import CObhut
import Glibc

/// The body of a process that runs Lua: what the core calls (ARCHITECTURE D11), and the
/// seams through which a VM asks for time, chance and whether to go on.
///
/// The VM lives from `start` to `stop`, at `ProcessSlot.bodyState`. `stop` drops its memory
/// and runs nothing: whatever closes variables has happened in steps before (P7).
enum LuaBody {
    /// The table of every Lua process; lives for ever.
    nonisolated(unsafe) static let table: UnsafePointer<obh_body> = {  // written once, here
        let table = UnsafeMutablePointer<obh_body>.allocate(capacity: 1)
        table.initialize(
            to: obh_body(
                start: { LuaBody.start(.from($0!)) },
                step: { LuaBody.step(.from($0!)) },
                stop: { LuaBody.stop(.from($0!)) },
                where: { process, text, size in obh_vm_where(LuaBody.vm(.from(process!)), text, size) },
                memory: { process, used, peak, limit in LuaBody.memory(.from(process!), used!, peak!, limit!) }))
        return UnsafePointer(table)
    }()

    private static func start(_ process: ProcessPointer) -> Int32 {
        let definition = process.pointee.definition.unsafelyUnwrapped
        let program = unsafeDowncast(definition.program, to: LuaProgram.self)
        var options = obh_vm_options()
        options.memory_limit = definition.memoryLimit ?? process.host?.limits.processMemory ?? 0
        options.count_interval = process.system.scheduler.instructionsBetweenHooks
        options.sorted_pairs = process.system.scheduler.simulation == nil ? 0 : 1
        options.seed = (random(process), random(process))
        options.code = program.unit.chunk.code
        options.code_size = program.unit.chunk.size
        options.code_name = program.unit.chunk.name
        options.method = program.methodText
        options.complete_tables = program.hasAllNames ? 1 : 0
        guard let vm = obh_vm_create(&options, program.template.take(options)) else {
            process.end(.error("not enough memory", of: process.pid, kind: .memoryLimit))
            return 1
        }
        process.pointee.bodyState = UnsafeMutableRawPointer(vm)
        vm.pointee.process = UnsafeMutableRawPointer(process)
        guard LuaProcess.make(vm: vm) != nil else {
            process.end(memoryExceeded(vm))
            return 1
        }
        return 0
    }

    private static func step(_ process: ProcessPointer) -> Int32 {
        let vm = LuaBody.vm(process)
        let step = vm.lua.runStep()
        process.pointee.memoryUsed.store(vm.pointee.arena.used, ordering: .relaxed)
        switch step {
        case .waiting:
            obh_vm_waits(vm)
            return Int32(OBH_STEP_WAITING)
        case .interrupted: return Int32(OBH_STEP_INTERRUPTED)
        case .unfinished: return Int32(OBH_STEP_UNFINISHED)
        case .ended:
            // The core knows why a process was killed by a lethal signal.
            if Int(vm.pointee.kill) == OBH_KILL_MEMORY { process.end(memoryExceeded(vm)) }
            return Int32(OBH_STEP_ENDED)
        }
    }

    private static func stop(_ process: ProcessPointer) {
        guard process.pointee.bodyState != nil else { return }
        let vm = LuaBody.vm(process)
        if vm.pointee.host != nil { LuaProcess.destroy(vm.lua) }
        obh_vm_destroy(vm)
        process.pointee.bodyState = nil
    }

    private static func memory(
        _ process: ProcessPointer, _ used: UnsafeMutablePointer<Int>, _ peak: UnsafeMutablePointer<Int>,
        _ limit: UnsafeMutablePointer<Int>
    ) {
        guard process.pointee.bodyState != nil else { return }
        let vm = vm(process)
        used.pointee = vm.pointee.arena.used
        peak.pointee = max(vm.pointee.arena.peak, vm.pointee.arena.used)
        limit.pointee = vm.pointee.arena.limit == .max ? 0 : vm.pointee.arena.limit
    }

    private static func vm(_ process: ProcessPointer) -> VMPointer {
        process.pointee.bodyState.unsafelyUnwrapped.assumingMemoryBound(to: obh_vm.self)
    }

    // MARK: - The end (P4)

    /// The process ends with this fiber; its values lie on its stack.
    static func conclude(_ lua: LuaProcessPointer, _ fiber: FiberPointer) {
        let vm = lua.pointee.vm
        let process = ProcessPointer.from(vm.pointee.process.unsafelyUnwrapped)
        let L = fiber.pointee.thread.unsafelyUnwrapped
        let outcome = vm.pointee.outcome
        switch Int(outcome.kind) {
        case OBH_OUTCOME_RETURNED: returned(process, vm, L, outcome)
        case OBH_OUTCOME_NO_TABLE:
            let type = String(cString: obh_lua_typename_of(L, outcome.first))
            fail(process, "source returned \(type), expected a table of functions")
        case OBH_OUTCOME_NO_FUNCTION:
            let type = String(cString: obh_lua_typename_of(L, outcome.first))
            let method = String(cString: vm.pointee.method)
            fail(process, "method \"\(method)\" is a \(type) value, expected a function")
        case OBH_OUTCOME_EXITED:
            // process.exit has left its value before it began to unwind.
            if process.pointee.outcome == nil { end(process, vm) { $0.writeNil() } }
        default:
            let traceback = vm.pointee.traceback.map { String(cString: $0) }
            process.end(
                withPayloadWriter(vm) { writer in
                    encodeError(vm, L, outcome.first, into: &writer)
                    return .error(writer.bytes, of: process.pid, traceback: traceback)
                })
        }
    }

    private static func returned(
        _ process: ProcessPointer, _ vm: VMPointer, _ L: LuaState, _ outcome: obh_outcome
    ) {
        if outcome.count > 1 && isError(L, outcome.first + 1) {
            process.end(
                withPayloadWriter(vm) { writer in
                    encodeError(vm, L, outcome.first + 1, into: &writer)
                    return .error(writer.bytes, of: process.pid)
                })
            return
        }
        if outcome.count == 0 { return end(process, vm) { $0.writeNil() } }
        process.end(
            withPayloadWriter(vm) { writer in
                do throws(EncodeFault) {
                    try encodeValue(vm, L, outcome.first, into: &writer)
                    return .value(writer.bytes, of: process.pid)
                } catch {
                    return .error("the result cannot be copied: \(error.message)", of: process.pid)
                }
            })
    }

    private static func isError(_ L: LuaState, _ index: Int32) -> Bool {
        obh_lua_type(L, index) == Int32(OBH_TSTRING)
            || obh_lua_userdata_type(L, index) == Int32(obh_type_error)
    }

    private static func end(
        _ process: ProcessPointer, _ vm: VMPointer, _ write: (inout PayloadWriter) -> Void
    ) {
        process.end(
            withPayloadWriter(vm) { writer in
                write(&writer)
                return .value(writer.bytes, of: process.pid)
            })
    }

    /// What is wrong with the entry itself names it.
    private static func fail(_ process: ProcessPointer, _ text: String) {
        process.end(.error("\(process.pointee.definition.unsafelyUnwrapped.id): \(text)", of: process.pid))
    }

    private static func memoryExceeded(_ vm: VMPointer) -> ExitReason {
        let process = ProcessPointer.from(vm.pointee.process.unsafelyUnwrapped)
        let limit = vm.pointee.arena.limit
        return .error(
            limit == .max ? "not enough memory" : "memory limit of \(formatByteSize(Int(limit))) exceeded",
            of: process.pid, traceback: vm.pointee.traceback.map { String(cString: $0) }, kind: .memoryLimit)
    }

    // MARK: - The seams (T2)

    fileprivate static func random(_ process: ProcessPointer) -> UInt64 {
        if let worker = WorkerCore.current { return worker.pointee.random.next() }
        return process.system.scheduler.nextSeed()
    }
}

extension Scheduler {
    /// Instructions between two hooks in counted preemption; 0 where a signal interrupts.
    var instructionsBetweenHooks: Int32 {
        if case .counted(let instructions) = preemption { return instructions }
        return 0
    }
}

/// The process of a VM that runs.
private func owner(_ vm: VMPointer) -> ProcessPointer {
    .from(vm.pointee.process.unsafelyUnwrapped)
}

/// A hook came due. Only here does a computing process learn of its end; in counted
/// preemption it also gives way.
@_cdecl("obh_interrupted")
func luaInterrupted(_ vm: VMPointer) -> Int32 {
    luaIsDoomed(vm) != 0 ? 2 : 1
}

/// Also called by the signal handler, in place of a hook that cannot run (`internal.h`).
@_cdecl("obh_is_doomed")
func luaIsDoomed(_ vm: VMPointer) -> Int32 {
    let process = owner(vm)
    if process.pointee.runnable.attention.load(ordering: .relaxed) { process.drain() }
    return process.isDoomed ? 1 : 0
}

@_cdecl("obh_push_arguments")
func luaPushArguments(_ vm: VMPointer, _ L: LuaState) -> Int32 {
    let process = owner(vm)
    guard let arguments = process.pointee.arguments else { return 0 }
    process.pointee.arguments = nil
    defer { free(arguments.baseAddress) }
    return decodeArguments(vm, L, UnsafeRawBufferPointer(arguments))
}

@_cdecl("obh_seam_wall_clock")
func luaWallClock(_ vm: VMPointer) -> Int64 { owner(vm).system.clock.wall }

@_cdecl("obh_seam_cpu_clock")
func luaCPUClock(_ vm: VMPointer) -> Int64 {
    let clock = owner(vm).system.clock
    return clock.isVirtual ? clock.now : Clock.read(CLOCK_PROCESS_CPUTIME_ID)
}

@_cdecl("obh_seam_random")
func luaRandom(_ vm: VMPointer) -> UInt64 { LuaBody.random(owner(vm)) }
