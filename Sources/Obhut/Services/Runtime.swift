import CObhut
import Glibc
import Synchronization

/// What a runtime is made with.
struct RuntimeConfiguration {
    typealias Sink = (_ text: UnsafeRawBufferPointer, _ level: Int32) -> Void

    /// Where `print` goes; nil: the last lines are kept.
    var output: Sink?
    /// Where the log goes; nil: the last lines are kept.
    var log: Sink?
    var logFormat = LogFormat.text
    /// Where `io.read` comes from; nil: there is no input. A simulation calls it on its own thread.
    var input: InputQueue.Source?
    /// For `io.args`.
    var arguments: [String] = []
    /// For `env`.
    var environment: [String: [UInt8]] = [:]
    var preemption = Preemption.signal(number: SIGURG)
    var crashes = CrashConfiguration()
    /// Nil: from the system.
    var seed: UInt64?
    /// One thread, virtual time, an order given by the seed (T2).
    var simulated = false

    /// How the VMs of processes are made.
    var cloning = Cloning.fromSecond
    /// Shared libraries that applications may use, beside those that they allow themselves.
    var libraries: [LibraryPattern] = []
    /// The program `obhut-worker`; nil: the one beside the library.
    var worker: String?
    /// How often a stop by force looks at a step that does not end before it leaves it behind. A seam for tests.
    var patience = Runtime.patience

    /// Whether `number` can serve as the preemption signal; 0 means none.
    static func maySignal(_ number: Int32) -> Bool {
        let taken = [SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF]
        return number >= 0 && number <= 64 && !taken.contains(number) && number != 32 && number != 33
    }
}

/// A runtime: an application, its hosts and processes, from load to stop.
///
///     created ──load──▶ loaded ──start──▶ started ──stop──▶ stopping ──▶ stopped
///
/// The law here: the state and what hangs on it change under `lock`; the lock is not held
/// while waiting for anything. Lookups that processes make (`Directory`) read what is
/// constant after the load, or a host's own atomic state.
final class Runtime: @unchecked Sendable {  // guard notes stand on each mutable field
    /// What is said when a call does not fit it.
    enum State: String {
        case created = "the runtime is not started"
        case started = "the runtime is started already"
        case stopping = "the runtime is stopping"
        case stopped = "the runtime is stopped"
    }

    enum Problem: Error {
        case wrongState(String)
        case invalidApplication(ApplicationFaults)
        case system(String)
    }

    let scheduler: Scheduler
    let system: ProcessSystem
    let output: OutputQueue
    let log: Log
    let crashes: CrashReports
    let native: NativeExecution
    private let input: InputQueue?
    /// What the host program may name; empty before the load, constant after it.
    var directory: Directory { directoryLock.with { loadedDirectory } }
    /// Apart from `lock`, because it is taken while a port is held.
    private let directoryLock = Lock()
    private var loadedDirectory = Directory()  // guarded by directoryLock

    let externals = ExternalEntries()
    private let lock = Lock()
    private let stateChanged = Condition()
    private var state = State.created  // guarded by lock
    private var loading = Loading.no  // guarded by lock
    private var startOrder: [Entry] = []  // guarded by lock
    /// Of what is loaded, for whoever asks what it means.
    private var application: Application?  // guarded by lock
    private var supervisor: Pid?  // guarded by lock
    /// Of `supervisor`; definitions outlive the processes that run them.
    private var services: ProcessDefinition?  // guarded by lock
    private var ports: [Pid: Port] = [:]  // guarded by lock
    private let signalNumber: Int32
    private let cloning: Cloning
    private let libraries: [LibraryPattern]
    private let patience: Int
    /// When a stop that is under way ends by force; only brought forward, by any thread.
    private let forceAt = Atomic<Int64>(.max)

    private enum Loading { case no, underWay, done }

    init(_ configuration: RuntimeConfiguration) throws(Problem) {
        cloning = configuration.cloning
        libraries = configuration.libraries
        patience = configuration.patience
        let fault = LuaLibrary.open()
        if let fault { throw .system(fault) }
        var seed: UInt64 = 0
        if let given = configuration.seed { seed = given } else { getentropy(&seed, 8) }
        scheduler = Scheduler(
            clock: Clock(virtual: configuration.simulated), preemption: configuration.preemption,
            seed: seed, simulated: configuration.simulated)
        signalNumber = scheduler.preemptionSignal
        system = ProcessSystem(scheduler: scheduler)
        output = OutputQueue(sink: configuration.output, threaded: !configuration.simulated)
        crashes = CrashReports(configuration.crashes, system: system, threaded: !configuration.simulated)
        system.crashMessages = configuration.crashes.messages
        native = NativeExecution(worker: configuration.worker, scheduler: scheduler)
        system.native = native
        log = Log(
            sink: configuration.log, threaded: !configuration.simulated, clock: scheduler.clock,
            format: configuration.logFormat, crashes: crashes)
        input = configuration.input.map { [unowned system] source in
            // Not called any more after the stop, which closes it.
            InputQueue(source: source, threaded: !configuration.simulated) { request, payload, isError in
                system.reply(from: .none, to: request.pid, request: request.number, payload: payload, isError: isError)
            }
        }
        system.surroundings = Surroundings(
            arguments: configuration.arguments, environment: configuration.environment,
            log: { [log] in log.write($0) }, read: input.map { input in { input.ask($0) } })
        system.writeLine = { [output] in output.write($0, level: Log.Level.info.rawValue) }
        system.abnormalEnd = { [unowned self] process, reason, end in
            let crash = self.crashes.ended(process, reason, end)
            if !end.isSeen { self.log.died(process, reason, crash) }
        }
        system.resolveDefinition = { [externals] in externals.definition($0).map { .found($0) } ?? .notFound }
        scheduler.ticksWereLost = { [unowned self] isAgain in
            let name = "the handler of the preemption signal (\(self.signalNumber))"
            self.log.write(
                isAgain ? .error : .warning,
                isAgain
                    ? "\(name) is not called: processes that compute are not interrupted any more"
                    : "\(name) had been replaced by another that does not call it, and was put back")
        }
    }

    // MARK: Load

    func load(_ sources: [Application.Source]) throws(Problem) {
        try inState(.created) { () throws(Problem) in
            switch loading {
            case .no: loading = .underWay
            case .underWay: throw .wrongState("an application is being loaded")
            case .done: throw .wrongState("an application is loaded already")
            }
        }
        // Files are read without the lock. Who starts meanwhile is refused, who stops is not.
        let compiler = LuaCompiler()
        switch Application.load(sources, checkSyntax: compiler.check, libraries: .system(allowing: libraries)) {
        case .failure(let faults):
            lock.with { loading = .no }
            throw .invalidApplication(faults)
        case .success(let application):
            if let faults = faultsOfPrograms(application) {
                lock.with { loading = .no }
                throw .invalidApplication(faults)
            }
            try inState(.created) { () throws(Problem) in publishLocked(application, compiler) }
        }
    }

    /// What the host program has defined and the application declares as something else; and arguments that do not
    /// fit the C functions that they are for.
    private func faultsOfPrograms(_ application: Application) -> ApplicationFaults? {
        var faults = NativeInputs.faults(application)
        faults += application.entries.compactMap { entry -> Fault? in
            guard entry.kind != .processExternal, externals.definition(entry.id.description) != nil else { return nil }
            return Fault(
                at: entry.position,
                "'\(entry.id)' is a \(entry.kind.rawValue) here, and the host program has defined it as a process of its own")
        }
        return faults.isEmpty ? nil : ApplicationFaults(faults: faults.sorted())
    }

    private func publishLocked(_ application: Application, _ compiler: LuaCompiler) {
        let directory = Directory(
            application, LuaPrograms(application, compiler, cloning: cloning), scheduler: scheduler, log: log, externals: externals)
        loading = .done
        self.application = application
        startOrder = application.startOrder.compactMap { application[$0] }
        directoryLock.with { loadedDirectory = directory }
        system.resolveDefinition = { [externals] in Runtime.lookup($0, directory, externals) }
        system.resolveHost = { directory.hosts[$0] }
        system.resolveSupervisor = { [unowned system] in Supervisor.find($0, in: directory, system) }
    }

    /// What the application that is loaded means for starts, restarts and stops, whether it runs or not.
    func explain() throws(Problem) -> Explanation {
        guard let application = lock.with({ application }) else { throw .wrongState("no application is loaded") }
        return Explanation(application, directory)
    }

    private static func lookup(
        _ id: String, _ directory: Directory, _ externals: ExternalEntries
    ) -> ProcessSystem.DefinitionLookup {
        let found = directory.definition(id)
        if case .notFound = found, let external = externals.definition(id) { return .found(external) }
        return found
    }

    private func inState<Result>(
        _ wanted: State, _ body: () throws(Problem) -> Result
    ) throws(Problem) -> Result {
        try lock.with { () throws(Problem) -> Result in
            guard state == wanted else {
                throw .wrongState(state.rawValue)
            }
            return try body()
        }
    }

    // MARK: Start

    /// - Parameter hostsOnly: starts every process host and nothing else.
    func start(hostsOnly: Bool = false) throws(Problem) {
        let hasThreads = try inState(.created) { () throws(Problem) -> Bool in
            if loading == .underWay { throw .wrongState("an application is being loaded") }
            if signalNumber != 0 && scheduler.simulation == nil {
                guard obh_preempt_install(signalNumber) == 0 else {
                    throw .system("cannot install the handler of signal \(signalNumber)")
                }
            }
            state = .started
            guard output.start(), log.queue.start(), crashes.queue?.start() ?? true, scheduler.start() else { return false }
            system.takesExternals.store(true, ordering: .sequentiallyConsistent)
            guard directory.supervisorHost?.start() ?? true else { return false }
            if hostsOnly { return directory.hosts.values.allSatisfy { $0.start() } }
            return startServicesLocked()
        }
        if hasThreads { return }
        stop(timeout: 0)
        throw .system("the system gives no more threads: the runtime is stopped")
    }

    /// The process that supervises what started with the runtime, alive or not; nil if there is none.
    var servicesPid: Pid? { lock.with { supervisor } }

    /// How the application has failed; nil: it has not. Known before the process can be missed.
    var failure: ExitReason? { directory.services?.verdict.reason }

    /// Hosts at once, so that whoever has started the runtime can spawn on them; services, and hosts
    /// that need some, by their supervisor.
    /// - Returns: false when the system does not give all threads.
    private func startServicesLocked() -> Bool {
        let directory = directory
        let supervised = Set(directory.services?.groups.map(\.name) ?? [])
        for entry in startOrder where !supervised.contains(entry.id.description) {
            guard directory.hosts[entry.id.description]?.start() ?? true else { return false }
        }
        guard let program = directory.services, let host = directory.supervisorHost else { return true }
        let definition = ProcessDefinition(id: SupervisorProgram.rootID, body: Supervisor.table, program: program)
        services = definition
        do throws(ProcessSystem.SpawnFault) {
            let none = UnsafeRawBufferPointer(start: nil, count: 0)
            supervisor = try system.spawn(definition, on: host, arguments: none, parent: nil).pid
        } catch {
            log.write(.error, "the services could not be started: \(error.text)")
        }
        return true
    }

    // MARK: Spawn

    enum SpawnProblem: Error {
        case notFound(String)
        case wrongKind(String)
        case invalidArgument(String)
        case wrongState(String)
        case limit(String)
        case system(String)
    }

    /// Starts a process for the host program.
    /// - Parameter host: nil: the only process host there is.
    func spawn(
        _ entry: String, on hostName: String?, arguments: UnsafeRawBufferPointer,
        parent: ProcessPointer?, options: ProcessSystem.SpawnOptions
    ) throws(SpawnProblem) -> Pid {
        let directory = directory
        let definition: ProcessDefinition
        switch Runtime.lookup(entry, directory, externals) {
        case .found(let found): definition = found
        case .notFound: throw .notFound("entry not found: \(entry)")
        case .notAProcess(let kind):
            throw .wrongKind("\(entry) is a \(kind): it cannot be run as a process")
        }
        let host: Host?
        if let hostName {
            guard let found = directory.hosts[hostName] else {
                throw .notFound("process host not found: \(hostName)")
            }
            host = found
        } else if definition.external != nil && directory.hosts.count != 1 {
            host = nil
        } else {
            guard directory.hosts.count == 1, let only = directory.hosts.values.first else {
                throw .wrongState(
                    directory.hosts.isEmpty
                        ? "the application has no process host: add an entry of kind process.host"
                        : "the application has several process hosts: say which (\(directory.hosts.keys.sorted().joined(separator: ", ")))"
                )
            }
            host = only
        }
        do throws(ProcessSystem.SpawnFault) {
            if let program = definition.external {
                return try system.spawnExternal(
                    definition, program, on: host, arguments: arguments, parent: parent, options: options,
                    context: nil, beforeItRuns: nil
                ).pid
            }
            return try system.spawn(
                definition, on: host.unsafelyUnwrapped, arguments: arguments, parent: parent, options: options
            ).pid
        } catch {
            switch error {
            case .hostNotStarted, .notDefined, .acceptorEnded, .notRunning: throw .wrongState(error.text)
            case .hostFull, .tooManyProcesses, .outOfMemory, .acceptorFull: throw .limit(error.text)
            case .wrongArguments: throw .invalidArgument(error.text)
            case .noDescriptor: throw .system(error.text)
            }
        }
    }

    /// Says which port takes the processes of an entry that the host program runs; the entry is made if the
    /// application does not declare it.
    /// - Parameter port: the acceptor if it is nobody else's: it ends when another takes its place.
    func define(_ id: String, acceptor: Pid, ownedBy port: Port? = nil) throws(SpawnProblem) {
        try checkDefinable(id)
        externals.declare(id).external?.acceptor = acceptor
        if let (old, pid) = externals.replaceOwned(id, by: port.map { ($0, acceptor) }) { endPort(old, pid) }
    }

    func checkDefinable(_ id: String) throws(SpawnProblem) {
        if let kind = directory.kind(id), kind != EntryKind.processExternal.rawValue {
            throw .wrongKind("\(id) is a \(kind) of the application: the host program runs entries of kind process.external")
        }
    }

    // MARK: Ports

    func openPort() throws(Problem) -> (port: Port, pid: Pid) {
        try lock.with { () throws(Problem) in
            guard state == .created || state == .started else { throw .wrongState(state.rawValue) }
            guard let (port, pid) = Port.open(in: system) else {
                throw .system("no descriptor, or no pid, is left for a port")
            }
            ports[pid] = port
            return (port, pid)
        }
    }

    /// Taken and not copied: the dictionary's storage is then nobody else's.
    private func takePortsLocked() -> [Pid: Port] {
        defer { ports = [:] }
        return ports
    }

    /// Ends a port that is no process of an entry.
    func closePort(_ pid: Pid) {
        lock.with { ports.removeValue(forKey: pid) }?.end(pid)
    }

    /// Ends a port, or a process that the host program runs.
    /// - Parameter reason: nil: normally, with nil.
    /// - Returns: false when it had ended already.
    @discardableResult
    func endPort(_ port: Port, _ pid: Pid, _ reason: ExitReason? = nil) -> Bool {
        lock.with { _ = ports.removeValue(forKey: pid) }
        return port.end(pid, reason)
    }

    // MARK: Stop (V4)

    /// What processes that are no service have to end when the runtime stops.
    static let remainderTimeout: Int64 = 5_000_000_000
    /// How often a stop looks whether another one is in more of a hurry.
    private static let forceLook: Int64 = 50_000_000
    /// How often a stop by force looks, nanoseconds.
    private static let look: Int64 = 100_000_000
    /// So many looks in a row at which nothing has ended, and each process that is left is in the same step as at the one before, are
    /// enough: five seconds, many times what a step takes on a busy machine, and no longer than others have for a polite end. Looks are
    /// counted, and not the time: a program that was stopped and goes on, or hardly gets a processor, looks the less often.
    static let patience = 50

    /// Stops in order, and always ends. Not on a thread of the runtime.
    /// - Parameter timeout: nanoseconds for the polite part; nil: what the application says.
    func stop(timeout: Int64? = nil) {
        if let timeout { _ = forceAt.min(instant(after: timeout), ordering: .sequentiallyConsistent) }
        let before = lock.with { () -> State in
            let before = state
            switch state {
            case .created, .started: state = .stopping
            case .stopping, .stopped: while state != .stopped { stateChanged.wait(lock) }
            }
            return before
        }
        // There are no threads, and nothing was handed to a sink.
        if before == .created { finishUnstarted() }
        guard before == .started else { return }

        let hosts = Array(directory.hosts.values) + [directory.supervisorHost].compactMap(\.self)
        if let supervisor = lock.with({ supervisor }) {
            endPolitely([supervisor], within: directory.services?.plan.stopTime)
        }
        for host in hosts { host.beginStop() }
        system.takesExternals.store(false, ordering: .sequentiallyConsistent)
        endPolitely(livingPids(), within: Runtime.remainderTimeout, areAll: true)
        // What was spawned meanwhile, or had no time.
        let left = endByForce(hosts)
        if let left { log.write(.error, left.text) }
        for (pid, port) in lock.with({ takePortsLocked() }) { port.end(pid) }
        for host in hosts { host.stop(leavingHeld: left == nil ? nil : patience) }
        native.close()
        input?.close()
        scheduler.stop()
        // A thread that is left may have blocked the signal, and get it later: then our handler has to be there.
        if left == nil && signalNumber != 0 && scheduler.simulation == nil { obh_preempt_uninstall(signalNumber) }
        // Without the lock: a sink may be in the middle of a call that takes it.
        output.close()
        log.close()
        crashes.queue?.close()
        if left != nil { keepForEver() }
        lock.with { finishLocked() }
    }

    /// Terminate cannot be refused; but what is inside foreign code ends only when that returns, and what never does is left behind.
    /// - Returns: that; nil: nothing.
    private func endByForce(_ hosts: [Host]) -> LeftProcesses? {
        var (alive, before) = (system.aliveCount, Int.max)
        while alive > 0 {
            if scheduler.simulation == nil {
                let left = LeftProcesses.look(at: hosts, longerThan: patience, isAnew: alive < before)
                if left.count >= alive { return left }
            }
            for pid in livingPids() { _ = system.terminate(pid, from: .none) }
            wait(until: scheduler.clock.now + Runtime.look, forAll: true) { system.aliveCount == 0 }
            before = alive
            alive = system.aliveCount
        }
        return nil
    }

    /// A thread that was left behind goes on when its foreign code returns: its process ends then, as any does, and its worker leaves.
    /// So all that these may touch is never given back. What the host program has given, and does not expect to be called any more,
    /// is let go of.
    private func keepForEver() {
        KeptRuntimes.shared.keep(self)
        output.letGo()
        log.queue.letGo()
        crashes.letGo()
        input?.letGo()
    }

    private func finishLocked() {
        state = .stopped
        stateChanged.broadcast()
    }

    /// Whether it is stopped, or was never started and so could be stopped without waiting.
    func stopsAtOnce() -> Bool {
        let wasNeverStarted = lock.with {
            if state != .created { return false }
            state = .stopping
            return true
        }
        if wasNeverStarted { finishUnstarted() }
        return lock.with { state == .stopped }
    }

    /// The end of a runtime that has nothing but ports.
    private func finishUnstarted() {
        for (pid, port) in lock.with({ takePortsLocked() }) { port.end(pid) }
        lock.with { if state == .stopping { finishLocked() } }
    }

    /// - Parameter duration: nanoseconds; however many there are.
    private func instant(after duration: Int64) -> Int64 {
        let (sum, overflow) = scheduler.clock.now.addingReportingOverflow(duration)
        // What is added to it later must not overflow either.
        return overflow ? .max / 2 : min(sum, .max / 2)
    }

    private func livingPids() -> [Pid] {
        var pids: [Pid] = []
        system.table.forEachLiving { slot, pid in
            // A port without an entry ends last.
            if slot.host != nil || slot.pointee.entryID != nil { pids.append(pid) }
        }
        return pids
    }

    /// Cancels all of `pids` and waits until they have ended; the runtime ends by force
    /// what has not ended at its deadline, or when `forceAt` has come.
    /// - Parameter areAll: there are hardly any others, and there will be no new ones.
    private func endPolitely(_ pids: [Pid], within limit: Int64?, areAll: Bool = false) {
        // All before it have ended. Looking from the first one on each time, a stop of many would
        // take the square of their number.
        var firstLeft = 0
        func haveEnded() -> Bool {
            while firstLeft < pids.count, system.table.living(pids[firstLeft]) == nil { firstLeft += 1 }
            return firstLeft == pids.count
        }
        func force() -> Int64 { forceAt.load(ordering: .sequentiallyConsistent) }

        let now = scheduler.clock.now
        let deadline = min(instant(after: limit ?? Runtime.remainderTimeout), force())
        if deadline > now {
            for pid in pids { _ = system.cancel(pid, from: .none, timeout: deadline - now) }
        }
        if scheduler.simulation != nil { wait(until: deadline, haveEnded) }
        while !haveEnded(), scheduler.clock.now < min(deadline, force()) {
            if scheduler.simulation != nil { break }
            // Another call of stop may bring it forward.
            wait(until: min(deadline, force(), scheduler.clock.now + Runtime.forceLook), forAll: areAll, haveEnded)
        }
        if deadline <= now || force() < deadline {
            for pid in pids { _ = system.terminate(pid, from: .none) }
        }
        // Ending by force takes some milliseconds more.
        wait(until: scheduler.clock.now + 2_000_000_000, forAll: areAll, haveEnded)
    }

    /// Waits until `isOver` or until `deadline`. It is looked at whenever a process has ended, or,
    /// `forAll`, when none is left: to be woken at each of a hundred thousand ends costs more than they do.
    private func wait(until deadline: Int64, forAll: Bool = false, _ isOver: () -> Bool) {
        if let simulation = scheduler.simulation {
            while !isOver(), simulation.step(until: deadline) {}
            return
        }
        while !isOver(), scheduler.clock.now < deadline {
            if forAll {
                // One that was spawned just before its host was stopped may still be there.
                let look = min(deadline, scheduler.clock.now + Runtime.forceLook)
                _ = system.waitUntilAlive(atMost: 0, until: look)
            } else {
                system.waitForAnEnd(until: deadline, unless: isOver)
            }
        }
    }

    deinit {
        // The C interface stops a runtime before it lets go of it.
        assert(state == .stopped || state == .created, "a runtime was dropped while it ran")
    }
}
