import CNative
import Glibc

/// One child OS process, `obhut-worker`: spare, or with the run that it has, once.
///
/// The descriptors belong to the reader (`WorkerReader`), which opens nothing and closes all; whoever else writes to the
/// channel, or kills, does so under `lock`, and not after `isClosed`.
final class NativeWorker: @unchecked Sendable {  // guard notes stand on each mutable field
    let number: UInt64
    let lock = Lock()
    private var process: obn_worker  // guarded by lock, the descriptors are constant until it is closed
    private(set) var run: WorkerRun?  // guarded by lock
    /// What there was no room for in the socket: the frame, and how much of it has gone.
    private var pending: [UInt8] = []  // guarded by lock
    private var sent = 0  // guarded by lock
    private(set) var isClosed = false  // guarded by lock
    /// It has asked, and the answer is not written yet.
    private var isAsking = false  // guarded by lock
    /// Called with `lock` held: its channel is to be watched for room, or no more; what there is to tell of it is told anew.
    private let watch: (NativeWorker, _ forRoom: Bool) -> Void

    // MARK: The reader's own
    var input: [UInt8] = []
    var output = LineBuffer()
    var errors = LineBuffer()
    /// The last lines of stderr, for the report of its end.
    var lastErrors: [String] = []
    /// When it is killed because its channel is gone and it has not ended.
    var killAt = Int64.max
    /// It was killed for that.
    var isLost = false
    var hasChannel = true
    /// It has said how its function ended.
    var hasEnded = false

    init(_ number: UInt64, _ process: obn_worker, watch: @escaping (NativeWorker, _ forRoom: Bool) -> Void) {
        self.number = number
        self.process = process
        self.watch = watch
    }

    var descriptors: (channel: Int32, end: Int32, output: Int32, errors: Int32) {
        (process.channel, process.descriptor, process.output, process.errors)
    }
    var osPid: Int32 { process.pid }
    /// Whether the system has refused it memory, for its limit.
    var wasRefused: Bool { lock.with { !isClosed && obn_control_refused(process.control) } }

    /// Gives it what it has to run.
    /// - Returns: false: it has ended already, before its time.
    func begin(_ run: WorkerRun, _ frame: UnsafeRawBufferPointer) -> Bool {
        lock.with {
            if isClosed { return false }
            self.run = run
            writeLocked(frame)
            return true
        }
    }

    func write(_ frame: UnsafeRawBufferPointer) { lock.with { writeLocked(frame) } }

    /// The reader has a request of its.
    func asks() { lock.with { isAsking = true } }

    /// Whether what it was sent is not all gone, or what it has asked not answered: until then it has nothing to say.
    var isUnanswered: Bool { lock.with { isAsking || !pending.isEmpty } }

    private func writeLocked(_ frame: UnsafeRawBufferPointer) {
        if isClosed { return }
        isAsking = false
        let now = obn_frame_send(process.channel, frame.baseAddress, frame.count, 0)
        // It has ended: that is told by its descriptor.
        guard now >= 0, now < frame.count + 4 else { return }
        pending = Array(frame)
        sent = Int(now)
        watch(self, true)
    }

    /// The reader has not read all that is there.
    func watchAgain() { lock.with { if !isClosed { watch(self, !pending.isEmpty) } } }

    /// There is room in the socket.
    func writePending() {
        lock.with {
            if isClosed { return }
            if pending.isEmpty { return watch(self, false) }
            let now = pending.withUnsafeBytes { obn_frame_send(process.channel, $0.baseAddress, $0.count, sent) }
            if now >= 0 && now < pending.count + 4 {
                sent = Int(now)
                return
            }
            pending = []
            watch(self, false)
        }
    }

    func requestStop() { lock.with { if !isClosed { obn_control_stop(process.control) } } }

    func kill() { lock.with { if !isClosed { obn_worker_kill(&process) } } }

    /// The reader's. Nil: it has not ended.
    func reap() -> (end: obn_worker_end, errno: Int32)? {
        lock.with {
            var end = obn_worker_end()
            let status = obn_worker_reap(&process, &end)
            return status == EAGAIN ? nil : (end, status)
        }
    }

    /// The reader's, when it has been reaped: what it has run. One that has run nothing is given nothing any more: whoever is
    /// about to is told (`begin`), because its end is told to nobody else.
    func lastRun() -> WorkerRun? {
        lock.with {
            if run == nil { isClosed = true }
            return run
        }
    }

    /// The reader's, when it has been reaped.
    func close() {
        lock.with {
            isClosed = true
            obn_worker_close(&process)
            run = nil
        }
    }
}

/// Bytes that come in pieces, as lines.
struct LineBuffer {
    /// A longer line is cut into several.
    private static let longest = 16 << 10
    private var bytes: [UInt8] = []

    /// - Parameter line: gets each with its line feed.
    mutating func add(_ more: UnsafeRawBufferPointer, _ line: (UnsafeRawBufferPointer) -> Void) {
        bytes.append(contentsOf: more)
        var first = 0
        while let end = bytes[first...].firstIndex(of: UInt8(ascii: "\n")) {
            bytes.withUnsafeBytes { line(UnsafeRawBufferPointer(rebasing: $0[first...end])) }
            first = end + 1
        }
        bytes.removeFirst(first)
        if bytes.count > LineBuffer.longest { finish(line) }
    }

    /// What is left without a line feed gets one.
    mutating func finish(_ line: (UnsafeRawBufferPointer) -> Void) {
        if bytes.isEmpty { return }
        bytes.append(UInt8(ascii: "\n"))
        bytes.withUnsafeBytes { line($0) }
        bytes = []
    }
}

/// The code of a process in a child OS process.
final class WorkerRun: NativeRun, @unchecked Sendable {
    private let workers: NativeWorkers
    private var worker: NativeWorker?  // guarded by lock
    private var isStopRequested = false  // guarded by lock

    init(_ process: ProcessPointer, _ program: NativeProgram, _ workers: NativeWorkers) {
        self.workers = workers
        super.init(process, program)
    }

    enum Beginning {
        case begun
        /// It is over; the child is as it was.
        case over
        case workerEnded
    }

    /// A child is there for it.
    func begin(on worker: NativeWorker) -> Beginning {
        lock.with {
            if isOver { return .over }
            if isStopRequested { worker.requestStop() }
            let frame = startFrame()
            guard worker.begin(self, frame.bytes) else { return .workerEnded }
            self.worker = worker
            return .begun
        }
    }

    private func startFrame() -> PayloadWriter {
        var frame = PayloadWriter(reserving: arguments.count + 512)
        let signature = program.signature.raw
        frame.writeArrayHeader(Int(OBN_START_FIELDS) - 1)
        frame.writeString(program.library)
        frame.writeString(program.symbol)
        frame.writeInteger(Int64(signature.result))
        frame.writeArrayHeader(Int(signature.count))
        withUnsafeBytes(of: signature.parameters) { types in
            for type in types.prefix(Int(signature.count)) { frame.writeInteger(Int64(type)) }
        }
        arguments.withUnsafeBytes { frame.writeBinary($0) }
        frame.writeUnsigned(pid.raw)
        frame.writeString(entry)
        frame.writeInteger(Int64(program.memoryLimit ?? 0))
        frame.writeInteger(program.cpuLimit ?? 0)
        frame.writeUnsigned(UInt64(min(mostBytes, WorkerReader.mostPayload)))
        return frame
    }

    /// A request of the child's, on the reader's thread.
    func serve(_ request: UnsafeRawBufferPointer, of worker: NativeWorker) {
        // Of one that is over nothing is answered: it is being killed.
        _ = take(request) { worker.write($0.bytes) }
    }

    override func answer(_ bytes: UnsafeRawBufferPointer) { lock.with { worker }?.write(bytes) }

    override func requestStop() {
        lock.with {
            isStopRequested = true
            worker?.requestStop()
        }
    }

    override func letGo() {
        if let worker = lock.with({ worker }) { worker.kill() } else { workers.giveUp(self) }
    }
}
