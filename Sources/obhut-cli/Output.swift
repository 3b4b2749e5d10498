import Glibc
import Synchronization

/// A descriptor that several threads write whole pieces of text to.
///
/// Unbuffered: what a process printed is out when `print` returns, whatever ends the command afterwards.
/// After the first failed write the rest is dropped. If it was standard output, the command is asked to stop: a
/// supervisor whose output goes nowhere, as in `obhut run | head`, should end like any other program in a pipe.
final class Output: Sendable {
    static let standard = Output(STDOUT_FILENO) { Interruption.outputFailed($0) }
    static let error = Output(STDERR_FILENO) { _ in }

    private struct State {
        var atLineStart = true
        var failed = false
    }

    private let descriptor: Int32
    private let whenFailed: @Sendable (_ problem: Int32) -> Void
    private let state = Mutex(State())

    /// - Parameter whenFailed: called once, with the errno of the write that failed.
    init(_ descriptor: Int32, whenFailed: @escaping @Sendable (_ problem: Int32) -> Void) {
        self.descriptor = descriptor
        self.whenFailed = whenFailed
    }

    func write(_ text: String) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// Writes `text` alone on its line, also after output that did not end its own.
    func writeLine(_ text: String) {
        let atLineStart = state.withLock { $0.atLineStart }
        write((atLineStart ? "" : "\n") + text + "\n")
    }

    func write(_ bytes: UnsafeRawBufferPointer) {
        let problem: Int32? = state.withLock { state in
            guard let last = bytes.last, !state.failed else { return nil }
            if let problem = writeAll(bytes) {
                state.failed = true
                return problem
            }
            state.atLineStart = last == UInt8(ascii: "\n")
            return nil
        }
        if let problem { whenFailed(problem) }
    }

    /// Nil, or the errno of the write that failed.
    private func writeAll(_ bytes: UnsafeRawBufferPointer) -> Int32? {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count >= 0 {
                rest = rest.dropFirst(count)
                continue
            }
            let problem = errno
            switch problem {
            case EINTR: continue
            case EAGAIN:
                // Somebody we share the terminal with made it non-blocking.
                var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&waiting, 1, -1)
            default: return problem
            }
        }
        return nil
    }
}
