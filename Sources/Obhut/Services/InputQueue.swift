import Glibc

/// Input of the host program on its way to the processes that ask for it.
///
/// The law here: *who waits for input holds no worker.* Requests are served in the order in which they came. One thread
/// of the library, `obhut-input`, made at the first request, calls the source, and only while somebody waits: what
/// nobody asked for is not read. What was read beyond a request is kept for the next one. An answer whose process has
/// ended goes to the next that asks.
///
/// A source may never return. So `close` does not wait for it: the thread lets go of everything when it comes back.
final class InputQueue: @unchecked Sendable {  // all mutable state is guarded by `lock`
    /// Reads what is there into the buffer, at least one byte; 0 at the end of the input, negative: an errno.
    typealias Source = (UnsafeMutableRawBufferPointer) -> Int
    /// Answers one request; false if its process has ended.
    typealias Deliver = (_ request: InputRequest, _ payload: UnsafeRawBufferPointer, _ isError: Bool) -> Bool

    private enum Ending {
        case end
        case failed(String)
    }

    private var source: Source?  // nil once let go of; threaded, guarded by lock
    private let isThreaded: Bool
    private let lock = Lock()
    private let changed = Condition()
    private var deliver: Deliver?  // guarded by lock; nil once closed
    private var requests: [InputRequest] = []  // guarded by lock
    private var kept: [UInt8] = []  // guarded by lock; read, and given to nobody yet
    private var searched = 0  // guarded by lock; so many bytes of `kept` hold no line feed
    private var ending: Ending?  // guarded by lock
    private var hasThread = false  // guarded by lock

    /// - Parameter threaded: false in simulation: the source is called by whoever asks.
    init(source: @escaping Source, threaded: Bool, deliver: @escaping Deliver) {
        self.source = source
        self.deliver = deliver
        isThreaded = threaded
    }

    /// Any thread; never waits.
    func ask(_ request: InputRequest) {
        lock.with {
            guard deliver != nil else { return }
            requests.append(request)
            if isThreaded && !hasThread {
                guard let thread = startThread(named: "obhut-input", { self.main() }) else {
                    return refuseLocked("the input cannot be read: no thread is left for it")
                }
                hasThread = true
                pthread_detach(thread)
            }
            changed.signal()
        }
        if !isThreaded, let source { while serve() { read(source) } }
    }

    /// Answers all who wait; the next who asks may have more luck.
    private func refuseLocked(_ why: String) {
        guard let deliver else { return }
        for request in requests { _ = send(.failed(why), request, deliver) }
        requests = []
    }

    /// Nobody is answered any more.
    func close() {
        lock.with {
            deliver = nil
            requests = []
            changed.broadcast()
        }
    }

    /// After `close`: of a queue that is there for ever nobody else would.
    func letGo() {
        let source = lock.with { () -> Source? in
            defer { self.source = nil }
            return self.source
        }
        // Its last act may call this library.
        withExtendedLifetime(source) {}
    }

    private func main() {
        while true {
            let source = lock.with {
                while requests.isEmpty && deliver != nil { changed.wait(lock) }
                return deliver == nil ? nil : self.source
            }
            guard let source else { return }
            if serve() { read(source) }
        }
    }

    /// Answers who can be answered.
    /// - Returns: whether somebody waits for more.
    private func serve() -> Bool {
        lock.with {
            while let request = requests.first, let deliver {
                guard let answer = nextLocked(request.amount) else { return true }
                requests.removeFirst()
                if send(answer, request, deliver) { dropLocked(answer) }
            }
            return false
        }
    }

    private enum Answer {
        /// So many bytes of `kept`, and how many more stand behind them that are dropped.
        case bytes([UInt8], rest: Int)
        case end
        case failed(String)
    }

    private func nextLocked(_ amount: InputRequest.Amount) -> Answer? {
        switch amount {
        case .bytes(let most):
            if !kept.isEmpty { return .bytes(Array(kept.prefix(most)), rest: 0) }
        case .line:
            if let feed = kept[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let end = feed > 0 && kept[feed - 1] == UInt8(ascii: "\r") ? feed - 1 : feed
                return .bytes(Array(kept[..<end]), rest: feed + 1 - end)
            }
            searched = kept.count
            // The last line may have no feed, and one without end is given in pieces.
            if kept.count >= InputRequest.mostBytes || (ending != nil && !kept.isEmpty) {
                return .bytes(Array(kept.prefix(InputRequest.mostBytes)), rest: 0)
            }
        }
        switch ending {
        case .end: return .end
        case .failed(let why): return .failed(why)
        case nil: return nil
        }
    }

    private func send(_ answer: Answer, _ request: InputRequest, _ deliver: Deliver) -> Bool {
        var writer = PayloadWriter()
        var isError = false
        switch answer {
        case .bytes(let bytes, _): bytes.withUnsafeBytes { writer.writeString($0) }
        case .end: writer.writeNil()
        case .failed(let why):
            writer.writeString(why)
            isError = true
        }
        return deliver(request, writer.bytes, isError)
    }

    private func dropLocked(_ answer: Answer) {
        guard case .bytes(let bytes, let rest) = answer else { return }
        kept.removeFirst(bytes.count + rest)
        searched = 0
    }

    /// Calls the source, without the lock.
    private func read(_ source: Source) {
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { buffer in
            let count = source(buffer)
            lock.with {
                if count > 0 {
                    kept.append(contentsOf: buffer.prefix(min(count, buffer.count)))
                } else if count == 0 {
                    ending = .end
                } else {
                    ending = .failed("the input cannot be read: \(String(cString: strerror(Int32(clamping: -count))))")
                }
            }
        }
    }
}
