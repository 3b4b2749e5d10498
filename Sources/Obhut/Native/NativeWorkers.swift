import CNative
import Glibc

/// The child OS processes of one runtime: a few are kept warm, each runs one function, and is thrown away.
///
/// Three kinds of threads meet here. Whoever starts a native process takes a spare child, and otherwise waits for none: the
/// run stands in `waiting`. One thread, `obhut-launch`, starts children, and is there until the runtime stops: a child dies with
/// the *thread* that started it. One, `obhut-native` (`WorkerReader`), hears what all of them say and how they end.
///
/// Neither thread nor child is there before the first native process needs one.
final class NativeWorkers: @unchecked Sendable {  // guard notes stand on each mutable field
    /// How many are kept warm.
    static let spareCount = 4
    /// How long after one was taken the first spare is started in its place, in nanoseconds: who was just started has the processors.
    private static let pause: Int64 = 2_000_000

    private let program: String?
    private let began: (IdlePoll) -> Void
    private let lock = Lock()
    private let changed = Condition()
    private var spares: [NativeWorker] = []  // guarded by lock
    private var waiting: [WorkerRun] = []  // guarded by lock
    private var launcher: pthread_t?  // guarded by lock
    private var reader: WorkerReader?  // guarded by lock
    /// Whether spares are filled up: not after one died before its time or could not be started, until one is wanted.
    private var refills = false  // guarded by lock
    /// Not before that; the monotonic clock.
    private var refillsAt: Int64 = 0  // guarded by lock
    private var isClosed = false  // guarded by lock
    private var lastNumber: UInt64 = 0  // the launcher's own

    /// - Parameter program: the path of the worker program; nil: it is looked for beside the library.
    /// - Parameter began: called once at most, with what idle workers may wait for from then on.
    init(program: String?, began: @escaping (IdlePoll) -> Void) {
        self.program = program
        self.began = began
    }

    // MARK: Taking one

    /// Runs it on a child, as soon as there is one.
    /// - Returns: nil, or why not.
    func start(_ run: WorkerRun) -> String? {
        lock.lock()
        if isClosed {
            lock.unlock()
            return "the runtime is stopping"
        }
        if let fault = startThreadsLocked() {
            lock.unlock()
            return fault
        }
        let spare = spares.popLast()
        if spare == nil { waiting.append(run) }
        // Of several that are taken one after the other the first counts: so long at most there is none.
        let now = Clock.read(CLOCK_MONOTONIC)
        if !refills || refillsAt < now { refillsAt = now + NativeWorkers.pause }
        refills = true
        lock.unlock()
        // It is its owner who calls: it cannot be over. But the spare may have died.
        if let spare, run.begin(on: spare) == .workerEnded { lock.with { waiting.append(run) } }
        changed.signal()
        return nil
    }

    private func startThreadsLocked() -> String? {
        if launcher != nil { return nil }
        if reader == nil {
            switch WorkerReader.start(spareEnded: { [unowned self] in self.lost($0) }) {
            case .success(let started):
                reader = started
                began(started.poll)
            case .failure(let fault): return fault.text
            }
        }
        launcher = startThread(named: "obhut-launch") { [unowned self] in self.launch() }
        return launcher == nil ? "the system gives no thread to start it from" : nil
    }

    /// It is over before there was a child for it.
    func giveUp(_ run: WorkerRun) { lock.with { waiting.removeAll { $0 === run } } }

    /// A spare one has ended.
    private func lost(_ worker: NativeWorker) {
        lock.with {
            spares.removeAll { $0 === worker }
            refills = false
        }
    }

    // MARK: Starting them

    private func launch() {
        let path = program ?? NativeWorkers.programBesideLibrary()
        lock.lock()
        while true {
            waitLocked()
            if isClosed { break }
            let reader = reader.unsafelyUnwrapped
            lock.unlock()
            let started = start(path, reader)
            lock.lock()
            switch started {
            case .success(let worker): placeLocked(worker)
            case .failure(let fault):
                refills = false
                let refused = waiting.isEmpty ? nil : waiting.removeFirst()
                lock.unlock()
                refused?.ended(.failed(fault.text, traceback: nil))
                lock.lock()
            }
        }
        lock.unlock()
    }

    /// Until there is one to be started, or the end has come.
    private func waitLocked() {
        while !isClosed && waiting.isEmpty {
            if !refills || spares.count >= NativeWorkers.spareCount {
                changed.wait(lock)
            } else if refillsAt > Clock.read(CLOCK_MONOTONIC) {
                changed.wait(lock, until: refillsAt)
            } else {
                return
            }
        }
    }

    /// For the first that waits, if it is not over, or as a spare one.
    private func placeLocked(_ worker: NativeWorker) {
        while !waiting.isEmpty {
            let run = waiting.removeFirst()
            lock.unlock()
            let beginning = run.begin(on: worker)
            if beginning == .workerEnded {
                run.ended(.failed("the program \(program ?? "obhut-worker") (OS process \(worker.osPid)) has ended at once", traceback: nil))
            }
            lock.lock()
            if beginning != .over { return }
        }
        if isClosed || worker.lock.with({ worker.isClosed }) { return }
        spares.append(worker)
    }

    private func start(_ path: String?, _ reader: WorkerReader) -> Result<NativeWorker, NativeFault> {
        guard let path else {
            return .failure(
                NativeFault(
                    "the program obhut-worker is not found beside the library (../libexec/obhut/obhut-worker), or must not be run: "
                        + "install it, or say by obhut_config_set_worker where it is"))
        }
        var process = obn_worker()
        var step: UnsafePointer<CChar>?
        let status = obn_worker_start(path, &process, &step)
        if status != 0 {
            let what = step.map { String(cString: $0) } ?? ""
            return .failure(
                NativeFault("no OS process can be started for it: \(what == "the worker" ? path : what): \(String(cString: strerror(status)))"))
        }
        lastNumber += 1
        let worker = NativeWorker(lastNumber, process, watch: { [unowned reader] in reader.watchChannel($0, forRoom: $1) })
        guard reader.add(worker) else { return .failure(NativeFault("no OS process can be started for it: the system watches no more descriptors")) }
        return .success(worker)
    }

    private static func programBesideLibrary() -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { path in
            obn_worker_find(path.baseAddress, path.count)
            return path[0] == 0 ? nil : String(cString: path.baseAddress!)
        }
    }

    // MARK: The end

    /// Kills all that are left, and waits until they are gone. No native process is left.
    func close() {
        let (launcher, reader) = lock.with { () -> (pthread_t?, WorkerReader?) in
            isClosed = true
            changed.broadcast()
            spares = []
            waiting = []
            return (self.launcher, self.reader)
        }
        // First: with it they would die anyhow, and no more are started.
        if let launcher { pthread_join(launcher, nil) }
        reader?.close()
        lock.with {
            self.launcher = nil
            self.reader = nil
        }
    }

    /// Children that are alive, or not reaped yet; for tests.
    var count: Int { lock.with { reader }?.count ?? 0 }
    /// Spare ones; for tests.
    var sparesNow: Int { lock.with { spares.count } }
}

struct NativeFault: Error {
    let text: String
    init(_ text: String) { self.text = text }
}
