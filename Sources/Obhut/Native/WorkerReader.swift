import CNative
import CObhut
import Glibc

/// Hears what the children of a runtime ask, write and how they end: on the thread `obhut-native`, or on an idle worker (`WorkerPoll`), one at
/// a time.
///
/// The law here. A child has ended when its pidfd says so, and by nothing else; but what it had still sent is read before that is told: a
/// function that returned and a process that then died has returned. An end of the channel alone (the function has closed it) gives
/// the child a moment to die of something that has a name; then it is killed.
///
/// No child has to be honest. An event reads so much and no more, so that one which writes without end delays the others by no more
/// than that. And who has asked has nothing to say until it is answered: one that goes on all the same is killed, so that
/// the runtime never keeps more for it than one frame each way.
final class WorkerReader: @unchecked Sendable {  // guard notes stand on each mutable field
    private enum Source: UInt64 {
        case channel = 0, end, output, errors
    }

    /// How long a child lives without its channel, in nanoseconds.
    private static let lostTime: Int64 = 1_000_000_000
    /// How long `close` waits for children that were killed: one in the middle of a call of the system that cannot be interrupted dies later.
    private static let closingTime: Int64 = 5_000_000_000
    private static let lastLines = 10
    /// One read hardly ever leaves anything.
    private static let watched = Int32(OBN_POLL_EDGE)
    /// How often the rest of what an ended child has written is read: more than the largest pipe, and socket, have room for.
    private static let restReads = 256
    /// OBN_MOST_BYTES, which Swift reads as another number.
    private static let mostBytes = 1 << 31
    /// Bytes of a payload that a frame has room for.
    static let mostPayload = mostBytes - 2 * Int(OBN_FRAME_ROOM)

    /// What one of the runtime's idle workers waits for, too.
    let poll: WorkerPoll
    private let lock = Lock()
    private var workers: [UInt64: NativeWorker] = [:]  // guarded by lock
    private var isClosing = false  // guarded by lock
    private let spareEnded: (NativeWorker) -> Void
    private var thread: pthread_t?  // start and close only
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)  // the handler's own
    /// For lines, which are read while a frame still lies in `buffer`. The handler's own.
    private let lineBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)
    /// Children without a channel, the handler's own.
    private var lost: [NativeWorker] = []
    /// When the first of them is killed; the thread's own.
    private var nextKill = Int64.max

    private init(_ poll: WorkerPoll, spareEnded: @escaping (NativeWorker) -> Void) {
        self.poll = poll
        self.spareEnded = spareEnded
        poll.handler = { [unowned self] in handle($0) }
    }

    deinit {
        buffer.deallocate()
        lineBuffer.deallocate()
    }

    static func start(spareEnded: @escaping (NativeWorker) -> Void) -> Result<WorkerReader, NativeFault> {
        guard let poll = WorkerPoll.open() else { return .failure(NativeFault("no descriptor is left for native processes")) }
        let reader = WorkerReader(poll, spareEnded: spareEnded)
        reader.thread = startThread(named: "obhut-native") { [unowned reader] in reader.main() }
        guard reader.thread != nil else {
            poll.close()
            return .failure(NativeFault("the system gives no thread for native processes"))
        }
        return .success(reader)
    }

    var count: Int { lock.with { workers.count } }

    /// Begins to hear a child; any thread. Children are numbered from 1.
    /// - Returns: false: the system watches no more descriptors; it was killed.
    func add(_ worker: NativeWorker) -> Bool {
        lock.with { workers[worker.number] = worker }
        let descriptors = worker.descriptors
        let first = worker.number << 2
        let places: [(Int32, Source)] = [
            (descriptors.channel, .channel), (descriptors.output, .output), (descriptors.errors, .errors), (descriptors.end, .end),
        ]
        // Its end last: from then on the reader may close them all.
        for (descriptor, source) in places
        where poll.add(descriptor, token: first | source.rawValue, watching: WorkerReader.watched) != 0 {
            worker.kill()
            for (added, _) in places { poll.remove(added) }
            lock.with { _ = workers.removeValue(forKey: worker.number) }
            var tries = 0
            while worker.reap() == nil && tries < 1000 {
                usleep(1000)
                tries += 1
            }
            worker.close()
            return false
        }
        return true
    }

    /// With the worker's lock held: from now on its channel is watched for room, or no more. What there is to tell of it is told anew.
    func watchChannel(_ worker: NativeWorker, forRoom: Bool) {
        poll.change(
            worker.descriptors.channel, token: worker.number << 2 | Source.channel.rawValue,
            watching: WorkerReader.watched | (forRoom ? Int32(OBN_POLL_ROOM) : 0))
    }

    /// Kills all, and ends when they are gone.
    func close() {
        let all = lock.with { () -> [NativeWorker] in
            isClosing = true
            return Array(workers.values)
        }
        for worker in all { worker.kill() }
        poll.interruptThread()
        if let thread { pthread_join(thread, nil) }
        thread = nil
        poll.close()
    }

    // MARK: The thread

    private func main() {
        var deadline = Int64.max
        while true {
            let (isClosing, isEmpty) = lock.with { (self.isClosing, workers.isEmpty) }
            let now = Clock.read(CLOCK_MONOTONIC)
            if isClosing {
                if deadline == .max { deadline = now + WorkerReader.closingTime }
                if isEmpty || now >= deadline { break }
            }
            let next = min(deadline, nextKill)
            let timeout = next == .max ? -1 : Int32(clamping: max(0, (next - now + 999_999) / 1_000_000))
            poll.waitAsThread(timeout: timeout) {
                if !lost.isEmpty { killLost() }
                nextKill = lost.map(\.killAt).min() ?? .max
            }
        }
        // What could not be waited for dies with the thread that has started it; its descriptors are given back.
        for worker in lock.with({ Array(workers.values) }) { forget(worker) }
    }

    private func handle(_ event: obn_poll_event) {
        // What was closed by an earlier event of the same look is not found.
        guard let worker = lock.with({ workers[event.token >> 2] }), let source = Source(rawValue: event.token & 3) else { return }
        switch source {
        case .channel:
            if event.what & UInt32(OBN_POLL_WRITE) != 0 { worker.writePending() }
            if event.what & UInt32(OBN_POLL_READ | OBN_POLL_GONE) != 0 {
                let isRead = readChannel(worker)
                // The rest, or the end behind it, is told after what the others have to say.
                if worker.hasChannel && (!isRead || event.what & UInt32(OBN_POLL_GONE) != 0) { worker.watchAgain() }
            }
        case .output, .errors:
            let isRead = readLines(worker, isError: source == .errors)
            if !isRead || event.what & UInt32(OBN_POLL_GONE) != 0 {
                let descriptor = source == .errors ? worker.descriptors.errors : worker.descriptors.output
                poll.change(descriptor, token: event.token, watching: WorkerReader.watched)
            }
        case .end:
            if !finish(worker) { poll.change(worker.descriptors.end, token: event.token, watching: WorkerReader.watched) }
        }
    }

    private func killLost() {
        let now = Clock.read(CLOCK_MONOTONIC)
        for worker in lost where now >= worker.killAt {
            worker.isLost = true
            worker.kill()
        }
        lost.removeAll { now >= $0.killAt }
    }

    // MARK: Requests

    /// - Returns: whether nothing is left that was there when it was called.
    @discardableResult
    private func readChannel(_ worker: NativeWorker, reads: Int = 1) -> Bool {
        for _ in 0..<reads where worker.hasChannel {
            let count = obn_read_some(worker.descriptors.channel, buffer.baseAddress, buffer.count)
            if count == -Int64(EAGAIN) { return true }
            guard count > 0 else {
                loseChannel(worker)
                return true
            }
            if !worker.hasEnded { take(UnsafeRawBufferPointer(rebasing: buffer[..<Int(count)]), of: worker) }
            if count < buffer.count { return true }
        }
        return false
    }

    private func take(_ bytes: UnsafeRawBufferPointer, of worker: NativeWorker) {
        if worker.isUnanswered { return refuse(worker, "asked before it was answered") }
        let isRest: Bool
        if worker.input.isEmpty {
            // Hardly ever more or less than one frame.
            let used = takeFrame(bytes, of: worker)
            if used == 0 { worker.input.append(contentsOf: bytes) }
            isRest = used > 0 && used < bytes.count
        } else {
            worker.input.append(contentsOf: bytes)
            var input: [UInt8] = []
            swap(&input, &worker.input)
            let used = input.withUnsafeBytes { takeFrame($0, of: worker) }
            if used == 0 { swap(&input, &worker.input) }
            isRest = used > 0 && used < input.count
        }
        if isRest && !worker.hasEnded { refuse(worker, "asked before it was answered") }
    }

    /// - Returns: how many bytes the frame has; 0: it is not whole yet.
    private func takeFrame(_ bytes: UnsafeRawBufferPointer, of worker: NativeWorker) -> Int {
        guard bytes.count >= 4 else { return 0 }
        let size = Int(bytes.loadUnaligned(as: UInt32.self))
        guard let run = worker.lock.with({ worker.run }), size <= min(run.mostBytes, WorkerReader.mostPayload) + 2 * Int(OBN_FRAME_ROOM) else {
            refuse(worker, "wrote what is no frame to its channel")
            return bytes.count
        }
        guard bytes.count - 4 >= size else { return 0 }
        serve(UnsafeRawBufferPointer(rebasing: bytes[4..<(4 + size)]), run, worker)
        return 4 + size
    }

    /// No program of ours does that: something else does, on a descriptor that is not its own.
    private func refuse(_ worker: NativeWorker, _ what: String) {
        guard let run = worker.lock.with({ worker.run }) else { return worker.kill() }
        end(worker, .failed("\(run.program.symbol) (OS process \(worker.osPid)) \(what)", traceback: nil))
        worker.kill()
    }

    private func serve(_ frame: UnsafeRawBufferPointer, _ run: WorkerRun, _ worker: NativeWorker) {
        var reader = NativeRequests.Reader(frame)
        guard reader.operation == OBN_END else {
            worker.asks()
            return run.serve(frame, of: worker)
        }
        let status = reader.integer()
        guard let bytes = reader.bytes() else { return refuse(worker, "wrote what is no frame to its channel") }
        readLines(worker, isError: false, reads: WorkerReader.restReads)
        readLines(worker, isError: true, reads: WorkerReader.restReads)
        if status != 0 {
            end(worker, .failed(String(decoding: bytes, as: UTF8.self), traceback: nil))
        } else if validatePayload(bytes) != nil {
            end(worker, .failed("the result of \(run.program.symbol) is malformed", traceback: nil))
        } else {
            end(worker, .returned(Array(bytes)))
        }
        // It has nothing more to say; what it has forked goes with it.
        worker.kill()
    }

    /// The first end stands.
    private func end(_ worker: NativeWorker, _ how: NativeEnd) {
        if worker.hasEnded { return }
        worker.hasEnded = true
        worker.output.finish { line in write(line, of: worker, isError: false) }
        worker.errors.finish { line in write(line, of: worker, isError: true) }
        worker.lock.with { worker.run }?.ended(how)
    }

    private func loseChannel(_ worker: NativeWorker) {
        worker.hasChannel = false
        poll.remove(worker.descriptors.channel)
        if worker.hasEnded { return }
        worker.killAt = Clock.read(CLOCK_MONOTONIC) + WorkerReader.lostTime
        lost.append(worker)
        // It is the thread that has to wait no longer than until then.
        poll.interruptThread()
    }

    // MARK: Lines

    /// - Returns: whether nothing is left that was there when it was called.
    @discardableResult
    private func readLines(_ worker: NativeWorker, isError: Bool, reads: Int = 1) -> Bool {
        let descriptor = isError ? worker.descriptors.errors : worker.descriptors.output
        for _ in 0..<reads {
            let count = obn_read_some(descriptor, lineBuffer.baseAddress, lineBuffer.count)
            if count == 0 { poll.remove(descriptor) }
            guard count > 0 else { return true }
            let bytes = UnsafeRawBufferPointer(rebasing: lineBuffer[..<Int(count)])
            if isError {
                worker.errors.add(bytes) { write($0, of: worker, isError: true) }
            } else {
                worker.output.add(bytes) { write($0, of: worker, isError: false) }
            }
            if count < lineBuffer.count { return true }
        }
        return false
    }

    /// What goes to stdout is printed, as Lua's `print`; what goes to stderr is logged.
    private func write(_ line: UnsafeRawBufferPointer, of worker: NativeWorker, isError: Bool) {
        guard let run = worker.lock.with({ worker.run }) else { return }
        if !isError { return run.write { $0.writeLine?(line) } }
        let text = String(decoding: line.dropLast(), as: UTF8.self)
        worker.lastErrors.append(text)
        if worker.lastErrors.count > WorkerReader.lastLines { worker.lastErrors.removeFirst() }
        run.write { system in
            var record = LogRecord(level: .warning, message: text)
            record.entry = run.entry
            record.pid = system.text(of: run.pid)
            system.surroundings.log?(record)
        }
    }

    // MARK: The end of a child

    /// - Returns: false: it has not ended.
    private func finish(_ worker: NativeWorker) -> Bool {
        guard let (how, errno) = worker.reap() else { return false }
        readChannel(worker, reads: WorkerReader.restReads)
        readLines(worker, isError: false, reads: WorkerReader.restReads)
        readLines(worker, isError: true, reads: WorkerReader.restReads)
        if let run = worker.lastRun() {
            let text = describe(how, errno, worker, run.program)
            worker.errors.finish { line in write(line, of: worker, isError: true) }
            let said = worker.lastErrors.isEmpty ? nil : "last lines on stderr:\n" + worker.lastErrors.map { "\t\($0)" }.joined(separator: "\n")
            end(worker, .failed(text, traceback: said))
        } else {
            spareEnded(worker)
        }
        forget(worker)
        return true
    }

    private func forget(_ worker: NativeWorker) {
        let descriptors = worker.descriptors
        for descriptor in [descriptors.channel, descriptors.end, descriptors.output, descriptors.errors] {
            poll.remove(descriptor)
        }
        lost.removeAll { $0 === worker }
        let isClosing = lock.with { () -> Bool in
            workers.removeValue(forKey: worker.number)
            return self.isClosing
        }
        worker.close()
        if isClosing { poll.interruptThread() }
    }

    /// Why a process ended whose function has not returned: with signal, symbol and OS pid.
    private func describe(_ end: obn_worker_end, _ errno: Int32, _ worker: NativeWorker, _ program: NativeProgram) -> String {
        let place = "in \(program.symbol) (OS process \(worker.osPid))"
        if errno != 0 {
            return "ended \(place) without returning; how is not known: this program ignores SIGCHLD, or has itself waited for it"
        }
        if worker.isLost || end.code == Int32(OBN_EXIT_CHANNEL) {
            return "killed \(place): it has closed the channel to the runtime"
        }
        if end.code == Int32(OBN_EXIT_PROTOCOL) {
            return "the program obhut-worker is of another version than the library: install both from one build"
        }
        if end.code == Int32(OBN_EXIT_MEMORY) {
            let limit = program.memoryLimit.map { "its memory_limit of \(formatByteSize($0))" } ?? "the system"
            return "ended \(place): \(limit) has left no memory for a message to it"
        }
        if end.code >= 0 { return "exited with status \(end.code) \(place) without returning" }
        let signal = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { room in
            String(cString: obn_signal_name(end.signal, room.baseAddress, room.count))
        }
        var text = "killed by \(signal) \(place)"
        // The kernel's own limit, behind ours, is a SIGKILL; one from elsewhere, as of the system when memory runs out, is none.
        if let limit = program.cpuLimit, limit > 0, end.signal == SIGXCPU || end.signal == SIGKILL && end.cpu >= limit {
            text += ": its cpu_limit is \(formatDuration(limit))"
        } else if let limit = program.memoryLimit, limit > 0, worker.wasRefused {
            text += ", after its memory_limit of \(formatByteSize(limit)) refused it memory"
        }
        return end.core != 0 ? text + " (core dumped)" : text
    }
}
