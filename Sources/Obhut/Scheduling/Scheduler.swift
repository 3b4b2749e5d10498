import CObhut
import Glibc
import Synchronization

/// How a process that computes is interrupted (ARCHITECTURE D2).
enum Preemption: Equatable, Sendable {
    /// The watch signals the worker's thread when somebody waits.
    case signal(number: Int32)
    /// Every so many instructions, whoever waits.
    case counted(instructions: Int32)
}

/// What hosts share: the clock, chance, the timers, and the watch over the workers.
final class Scheduler: @unchecked Sendable {  // guard notes stand on each mutable field
    let clock: Clock
    let timers = Timers()
    let preemption: Preemption
    /// Set when the runtime is simulated: one thread, virtual time, a seeded order.
    let simulation: Simulation?

    /// Told when ticks do not reach the workers (D2): another handler stood in the place of ours, which
    /// was put back; `isAgain`: they stay away all the same. On the watch's thread. Set before the start.
    var ticksWereLost: ((_ isAgain: Bool) -> Void)? = nil

    /// An unmanaged `IdlePoll`, or 0; written once.
    private let idlePollWord = Atomic<UInt>(0)

    private let lock = Lock()
    private var random: RandomSource  // guarded by lock
    private(set) var hosts: [Host] = []  // guarded by lock
    private var watch: Watch?  // guarded by lock

    init(clock: Clock, preemption: Preemption, seed: UInt64, simulated: Bool) {
        self.clock = clock
        self.preemption = preemption
        random = RandomSource(seed: seed)
        simulation = simulated ? Simulation(clock: clock, timers: timers, seed: seed ^ 0x5117) : nil
        if !simulated {
            let watch = Watch(scheduler: self)
            self.watch = watch
            timers.becameNearer = { [unowned watch] in watch.look() }
        }
    }

    // Whoever has signals has the scheduler too, so all of them are free by now.
    deinit {
        BlockDepot.shared.trimIfWorthwhile()
        if let raw = UnsafeRawPointer(bitPattern: idlePollWord.load(ordering: .relaxed)) {
            Unmanaged<IdlePoll>.fromOpaque(raw).release()
        }
    }

    var preemptionSignal: Int32 {
        if case .signal(let number) = preemption { return number }
        return 0
    }

    /// What one of the idle workers waits for; nil: nothing.
    var idlePoll: IdlePoll? {
        // acquiring: whoever sees it sees what it consists of.
        UnsafeRawPointer(bitPattern: idlePollWord.load(ordering: .acquiring)).map {
            Unmanaged<IdlePoll>.fromOpaque($0).takeUnretainedValue()
        }
    }

    /// Once at most; from now on until all workers have ended, whose next sleep it is.
    func setIdlePoll(_ poll: IdlePoll) {
        let before = idlePollWord.exchange(UInt(bitPattern: Unmanaged.passRetained(poll).toOpaque()), ordering: .acquiringAndReleasing)
        precondition(before == 0)
    }

    func nextSeed() -> UInt64 { lock.with { random.next() } }

    func addHost(named name: String, limits: HostLimits) -> Host {
        lock.with {
            let host = Host(name: name, index: hosts.count + 1, limits: limits, scheduler: self)
            hosts.append(host)
            return host
        }
    }

    func hostsNow() -> [Host] { lock.with { hosts } }

    /// Threads that a stop has left to themselves, and that have not come back.
    var strandedThreads: Int { hostsNow().reduce(0) { $0 + $1.strandedCount.load(ordering: .relaxed) } }

    /// - Returns: false when the system gives no thread.
    @discardableResult
    func start() -> Bool { watch?.start() ?? true }

    /// Ends the watch; every host has stopped before.
    func stop() { watch?.stop() }

    /// A worker found work after every worker had slept: the watch begins to tick again.
    @inline(__always)
    func workersAwake() { watch?.workersAwake() }
}
