import CObhut
import Glibc

@testable import Obhut

/// How a process ended, as text.
struct LuaEnd: Equatable, CustomStringConvertible {
    var text: String
    var isAbnormal: Bool
    var traceback: String?

    var description: String { "\(isAbnormal ? "error" : "value") \(text)" }
    static func value(_ text: String) -> LuaEnd { LuaEnd(text: text, isAbnormal: false) }
    static func error(_ text: String) -> LuaEnd { LuaEnd(text: text, isAbnormal: true) }
    static func == (a: LuaEnd, b: LuaEnd) -> Bool { a.text == b.text && a.isAbnormal == b.isAbnormal }
}

/// A runtime with one host that runs Lua from strings: on one thread in virtual time, interrupted every
/// `interval` instructions; or, with `interval` nil, on real workers that are interrupted by a signal.
final class LuaWorld {
    static let opened = LuaLibrary.open()
    let scheduler: Scheduler
    let system: ProcessSystem
    let host: Host
    private let isReal: Bool

    /// - Parameter watched: whether there is a watch that ticks.
    init(interval: Int32?, workers: Int = 1, memory: Int = 64 << 20, spareWorkers: Int = 0, watched: Bool = true) {
        precondition(LuaWorld.opened == nil, LuaWorld.opened ?? "")
        isReal = interval == nil
        scheduler = Scheduler(
            clock: Clock(virtual: !isReal),
            preemption: interval.map { .counted(instructions: $0) } ?? .signal(number: SIGURG), seed: 7,
            simulated: !isReal)
        system = ProcessSystem(scheduler: scheduler)
        var limits = HostLimits()
        limits.workers = workers
        limits.processMemory = memory
        limits.spareWorkers = spareWorkers
        // A program may be in a C function for as long as it takes on a busy machine, under a sanitizer.
        limits.stepLimit = 3_600_000_000_000
        host = scheduler.addHost(named: "app:processes", limits: limits)
        if isReal {
            precondition(obh_preempt_install(SIGURG) == 0)
            if watched { scheduler.start() }
        }
        host.start()
    }

    /// The program that processes of a source have in common.
    static func program(
        _ source: String, method: String = "main", cloning: Cloning = testCloning, hasAllNames: Bool = false
    ) throws(SyntaxFault) -> LuaProgram {
        let unit = try LuaUnit(id: "app:test", chunkName: "test.lua", text: Array(source.utf8), modules: ["time"])
        return LuaProgram(unit: unit, method: method, cloning: cloning, hasAllNames: hasAllNames)
    }

    func spawn(_ source: String, method: String = "main", memory: Int? = nil) -> LuaRun {
        do throws(SyntaxFault) {
            return spawn(try LuaWorld.program(source, method: method), memory: memory)
        } catch {
            let run = LuaRun()
            run.end = .error("test.lua:\(error.line): \(error.message)")
            return run
        }
    }

    func spawn(_ program: LuaProgram, memory: Int? = nil) -> LuaRun {
        let run = LuaRun()
        let definition = ProcessDefinition(id: "app:test", body: LuaRun.body, program: program, memoryLimit: memory)
        run.pid = try! system.spawn(
            definition, on: host, arguments: UnsafeRawBufferPointer(start: nil, count: 0), parent: nil
        ).pid
        LuaRun.table.with { LuaRun.runs[Key(system: ObjectIdentifier(system), pid: run.pid)] = run }
        return run
    }

    /// Runs until nothing can run. In a real world: until `runs` have ended, at most `seconds`.
    func settle(_ runs: [LuaRun], seconds: Double = 20) {
        if !isReal { return scheduler.simulation!.run(until: .max) }
        let deadline = scheduler.clock.now + Int64(seconds * 1e9)
        while runs.contains(where: { $0.end == nil }) && scheduler.clock.now < deadline { usleep(500) }
    }

    func terminate(_ run: LuaRun) { _ = system.deliverUrgently(.make(.terminate, from: .none), to: run.pid) }

    /// Only in a real world; every process has ended before.
    func stop() {
        host.beginStop()
        host.stop()
        scheduler.stop()
        obh_preempt_uninstall(SIGURG)
    }

    struct Key: Hashable {
        let system: ObjectIdentifier
        let pid: Pid
    }
}

/// One process of a test. Its body is Lua's, with a look at the result before it is given back.
final class LuaRun: @unchecked Sendable {  // `pid` is written before others know it, the rest is locked
    var pid = Pid.none
    private let lock = Lock()  // `Mutex` is not seen by ThreadSanitizer
    private var result: (end: LuaEnd?, figures: LuaFigures) = (nil, LuaFigures())
    var end: LuaEnd? {
        get { lock.with { result.end } }
        set { lock.with { result.end = newValue } }
    }
    var figures: LuaFigures { lock.with { result.figures } }

    struct LuaFigures {
        var preemptions = 0
        var peak = 0
    }

    nonisolated(unsafe) static let table = Lock()  // a lock is what it is for
    nonisolated(unsafe) static var runs: [LuaWorld.Key: LuaRun] = [:]  // guarded by table

    nonisolated(unsafe) static let body: UnsafePointer<obh_body> = {
        let table = UnsafeMutablePointer<obh_body>.allocate(capacity: 1)
        table.initialize(
            to: obh_body(
                start: { LuaBody.table.pointee.start($0) },
                step: { CheckedLuaBody.step($0) },
                stop: { raw in
                    let process = ProcessPointer.from(raw!)
                    let key = LuaWorld.Key(system: ObjectIdentifier(process.system), pid: process.pid)
                    let reason = process.pointee.doom ?? process.pointee.outcome
                    var figures = LuaFigures()
                    if let vm = process.pointee.bodyState?.assumingMemoryBound(to: obh_vm.self) {
                        figures.preemptions = Int(vm.pointee.preemptions)
                        figures.peak = vm.pointee.arena.peak
                    }
                    LuaBody.table.pointee.stop(raw)
                    let end = LuaEnd(
                        text: reason?.text ?? "no result", isAbnormal: reason?.isAbnormal ?? true,
                        traceback: reason?.traceback)
                    var run: LuaRun?
                    while run == nil {  // the spawner may not have entered it yet
                        run = LuaRun.table.with { LuaRun.runs.removeValue(forKey: key) }
                    }
                    run!.lock.with { run!.result = (end, figures) }
                }, where: nil, memory: nil))
        return UnsafePointer(table)
    }()
}

/// Runs one source to its end.
func runLua(
    _ source: String, interval: Int32? = testInstructions, method: String = "main", memory: Int = 64 << 20
) -> LuaEnd {
    let world = LuaWorld(interval: interval, memory: memory)
    let run = world.spawn(source, method: method)
    world.settle([run])
    if interval == nil { world.stop() }
    return run.end ?? .error("did not end")
}

/// A source whose `main` runs `code` and answers all that it printed.
func printing(_ code: String) -> String {
    // On one line, so that the lines of `code` keep their numbers, but for the first.
    // What printing needs it keeps, whatever `code` does to the globals.
    """
    return {main = function(...) local lines = {} local print do \
    local pack, concat, tostring, gsub = table.pack, table.concat, tostring, string.gsub \
    function print(...) if ... == lines then return concat(lines, "\\n") end local t = pack(...) \
    for i = 1, t.n do t[i] = gsub(tostring(t[i]), "0x%x+", "ADDRESS") end \
    lines[#lines + 1] = concat(t, " ", 1, t.n) end end
    \(code)
    return print(lines) end}
    """
}

/// What Lua's own interpreter makes of the same source; nil if it is not installed.
/// (Plain descriptors: ThreadSanitizer stumbles over stdio here.)
func stockLua(_ source: String) -> String? {
    let path = "/tmp/obhut-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    defer {
        unlink(path + ".lua")
        unlink(path + ".out")
    }
    let file = open(path + ".lua", O_WRONLY | O_CREAT | O_EXCL, 0o600)
    guard file >= 0 else { return nil }
    let bytes = Array(source.utf8)
    let written = write(file, bytes, bytes.count)
    close(file)
    let command =
        "lua5.4 -e 'local f = assert(io.open(\"\(path).lua\")) "
        + "io.write(assert(load(f:read(\"a\"), \"@test.lua\"))().main())' > \(path).out 2>&1"
    guard written == bytes.count, system(command) == 0 else { return nil }
    let output = open(path + ".out", O_RDONLY)
    defer { close(output) }
    var text = [UInt8](repeating: 0, count: 1 << 20)
    let count = read(output, &text, text.count)
    return count < 0 ? nil : String(decoding: text[..<count], as: UTF8.self)
}
