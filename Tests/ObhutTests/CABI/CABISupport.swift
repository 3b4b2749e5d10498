import Glibc
import ObhutHeader
import Synchronization
import Testing

@testable import Obhut

// The exported functions, called as a C program calls them: through include/obhut.h alone.

/// The place of an `obhut_error **` out-parameter.
typealias ErrorPlace = UnsafeMutablePointer<OpaquePointer?>

/// What a call said when it failed.
struct Refusal: Error, Equatable, CustomStringConvertible {
    var status: obhut_status
    var text: String
    var file: String?
    var line: UInt32
    var column: UInt32
    var offset: Int64

    init(_ status: obhut_status, _ error: OpaquePointer?) {
        self.status = status
        text = String(cString: obhut_error_text(error))
        file = obhut_error_file(error).map { String(cString: $0) }
        line = obhut_error_line(error)
        column = obhut_error_column(error)
        offset = obhut_error_offset(error)
    }

    var description: String { "\(String(cString: obhut_status_name(status))): \(text)" }
}

/// Makes a call that has to succeed; throws what it said otherwise.
func c(_ call: (ErrorPlace) -> obhut_status) throws {
    if let refusal = refusal(call) { throw refusal }
}

/// What a call says, nil when it succeeds. Checks that status and error agree.
func refusal(_ call: (ErrorPlace) -> obhut_status) -> Refusal? {
    // Out-parameters are always written, whatever stood there.
    var error = OpaquePointer(bitPattern: 0xdead)
    let status = call(&error)
    defer { obhut_error_free(error) }
    if status == OBHUT_OK {
        #expect(error == nil, "an error beside OBHUT_OK")
        return nil
    }
    #expect(error != nil && error != OpaquePointer(bitPattern: 0xdead), "a failure without an error")
    #expect(obhut_error_status(error) == status)
    return Refusal(status, error)
}

func status(_ call: (ErrorPlace) -> obhut_status) -> obhut_status { refusal(call)?.status ?? OBHUT_OK }

/// An application of one host and Lua processes, each the body of a `main(...)`.
func application(
    host: String = "{ workers: 2 }", _ processes: [(name: String, body: String)] = [], more: String = ""
) -> String {
    var text = """
        version: "1.0"
        namespace: test
        entries:
          - { name: host, kind: process.host, host: \(host), lifecycle: { auto_start: true } }

        """
    for process in processes {
        text += "  - name: \(process.name)\n    kind: process.lua\n    method: main\n    modules: [time]\n    source: |\n"
        text += "      local function main(...)\n"
        for line in process.body.split(separator: "\n", omittingEmptySubsequences: false) {
            text += "        \(line)\n"
        }
        text += "      end\n      return { main = main }\n"
    }
    return text + more
}

/// A runtime of a test, stopped and freed at its end.
final class CRuntime: @unchecked Sendable {  // immutable
    let handle: OpaquePointer

    /// - Parameter yaml: nil: no application is loaded.
    init(_ yaml: String? = nil, config: OpaquePointer? = nil, start: Bool = true) throws {
        var handle: OpaquePointer?
        try c { obhut_runtime_create(config, &handle, $0) }
        self.handle = try #require(handle)
        if let yaml { try load(yaml) }
        if start { try self.start() }
    }

    deinit {
        #expect(obhut_runtime_stop(handle, 0, nil) == OBHUT_OK)
        obhut_runtime_free(handle)
    }

    func load(_ yaml: String) throws {
        var yaml = yaml
        try yaml.withUTF8 { utf8 in
            try utf8.withMemoryRebound(to: CChar.self) { text in
                try c { obhut_runtime_load_text(handle, text.baseAddress, text.count, $0) }
            }
        }
    }

    func start(_ flags: UInt32 = OBHUT_START_ALL) throws { try c { obhut_runtime_start(handle, flags, $0) } }
    func stop(_ timeout: Int64 = -1) throws { try c { obhut_runtime_stop(handle, timeout, $0) } }

    func spawn(_ entry: String, _ arguments: [UInt8] = [], host: String? = nil) throws -> obhut_pid {
        var pid: obhut_pid = 7
        try c { obhut_spawn(handle, entry, host, arguments, arguments.count, &pid, $0) }
        return pid
    }

    func send(_ pid: obhut_pid, _ topic: String, _ payload: [UInt8] = [0xc0]) throws {
        try c { obhut_send(handle, pid, topic, payload, payload.count, $0) }
    }

    var counters: obhut_counters {
        var counters = obhut_counters()
        counters.struct_size = MemoryLayout<obhut_counters>.size
        #expect(obhut_runtime_counters(handle, &counters, nil) == OBHUT_OK)
        return counters
    }

    func readOutput() throws -> String { try read(obhut_runtime_read_output) }
    func readLog() throws -> String { try read(obhut_runtime_read_log) }

    private func read(
        _ function: (
            OpaquePointer?, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, UnsafeMutablePointer<Int>?,
            ErrorPlace?
        ) -> obhut_status
    ) throws -> String {
        var text: UnsafeMutablePointer<CChar>?, length = -1
        try c { function(handle, &text, &length, $0) }
        defer { obhut_bytes_free(text) }
        #expect((text == nil) == (length == 0))
        return String(
            decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self)
    }

    func text(of pid: obhut_pid) -> String {
        var text = [CChar](repeating: 1, count: Int(OBHUT_PID_TEXT_SIZE)), length = -1
        #expect(obhut_pid_text(handle, pid, &text, text.count, &length) == OBHUT_OK)
        let found = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        #expect(found.utf8.count == length)
        return found
    }
}

/// A message that was received and freed.
struct Received: Equatable {
    var kind: Int32
    var from: obhut_pid
    var topic: String
    var payload: [UInt8]
    /// Of an end: whether it was normal, its value or error, and the error as text.
    var isNormal = false
    var result: [UInt8] = []
    var text: String?
    var origin: obhut_pid = 0
    var hops: UInt32 = 0

    init(_ message: OpaquePointer?) {
        defer { obhut_message_free(message) }
        kind = obhut_message_kind(message)
        from = obhut_message_from(message)
        var length = -1
        let topicText = obhut_message_topic(message, &length)!
        topic = String(cString: topicText)
        #expect(topic.utf8.count == length)
        let bytes = obhut_message_payload(message, &length)
        payload = Array(UnsafeRawBufferPointer(start: bytes, count: length))
        var value: UnsafeRawPointer?, count = -1, said: UnsafePointer<CChar>?
        isNormal = obhut_message_result(message, &value, &count, &said)
        result = Array(UnsafeRawBufferPointer(start: value, count: count))
        text = said.map { String(cString: $0) }
        origin = obhut_message_origin(message)
        hops = obhut_message_hops(message)
    }
}

/// A port of a test, freed at its end.
final class CPort: @unchecked Sendable {  // immutable
    let handle: OpaquePointer
    let runtime: CRuntime

    init(_ runtime: CRuntime) throws {
        var handle: OpaquePointer?
        try c { obhut_port_create(runtime.handle, &handle, $0) }
        self.handle = try #require(handle)
        self.runtime = runtime
    }

    deinit { free() }

    func free() { obhut_port_free(handle) }
    var pid: obhut_pid { obhut_port_pid(handle) }
    var descriptor: Int32 { obhut_port_fd(handle) }

    var isReadable: Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&request, 1, 0) == 1
    }

    func send(_ pid: obhut_pid, _ topic: String, _ payload: [UInt8] = [0xc0]) throws {
        try c { obhut_port_send(handle, pid, topic, payload, payload.count, $0) }
    }

    func spawn(_ entry: String, _ arguments: [UInt8] = [], flags: UInt32 = 0) throws -> obhut_pid {
        var pid: obhut_pid = 7
        try c { obhut_port_spawn(handle, entry, nil, arguments, arguments.count, flags, &pid, $0) }
        return pid
    }

    /// Throws a `Refusal` when nothing comes.
    func receive(_ timeout: Int64 = 20 * oneSecond) throws -> Received {
        var message = OpaquePointer(bitPattern: 0xdead)
        do {
            try c { obhut_port_receive(handle, timeout, &message, $0) }
        } catch {
            #expect(message == nil)
            throw error
        }
        return Received(message)
    }

    /// The status of a receive that is to fail.
    func receiveStatus(_ timeout: Int64 = 0) -> obhut_status {
        do {
            _ = try receive(timeout)
            return OBHUT_OK
        } catch {
            return (error as? Refusal)?.status ?? 1
        }
    }

    func monitor(_ pid: obhut_pid) throws { try c { obhut_port_monitor(handle, pid, $0) } }
    func unmonitor(_ pid: obhut_pid) throws { try c { obhut_port_unmonitor(handle, pid, $0) } }
    func link(_ pid: obhut_pid) throws { try c { obhut_port_link(handle, pid, $0) } }
    func unlink(_ pid: obhut_pid) throws { try c { obhut_port_unlink(handle, pid, $0) } }
}

/// Whether this program runs under the thread sanitizer, which treats forks and faults its own way.
let isThreadSanitized = dlsym(nil, "__tsan_init") != nil

let oneSecond: Int64 = 1_000_000_000
let oneMillisecond: Int64 = 1_000_000

func monotonicNow() -> Int64 { Clock.read(CLOCK_MONOTONIC) }

/// How much longer or shorter tests with many rounds are.
func rounds(_ count: Int, atLeast minimum: Int = 1) -> Int {
    let scale = getenv("OBHUT_TEST_SCALE").flatMap { Double(String(cString: $0)) } ?? 1
    return max(minimum, Int(Double(count) * scale))
}

/// A thread of the program that embeds the library.
final class ProgramThread {
    private var thread = pthread_t()

    init(_ body: @escaping @Sendable () -> Void) {
        final class Start {
            let body: () -> Void
            init(_ body: @escaping () -> Void) { self.body = body }
        }
        let start = Unmanaged.passRetained(Start(body)).toOpaque()
        let status = pthread_create(
            &thread, nil,
            { raw in
                Unmanaged<Start>.fromOpaque(raw!).takeRetainedValue().body()
                return nil
            }, start)
        precondition(status == 0)
    }

    func join() { pthread_join(thread, nil) }
}

/// Runs `count` threads at once and waits for all.
func together(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let threads = (0..<count).map { index in ProgramThread { body(index) } }
    for thread in threads { thread.join() }
}

/// Waits until something holds that other threads bring about.
func eventually(within limit: Int64 = 20 * oneSecond, _ holds: () -> Bool) -> Bool {
    let deadline = monotonicNow() + limit
    while !holds() {
        if monotonicNow() > deadline { return false }
        usleep(500)
    }
    return true
}

/// Counts from any thread.
final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func increment() { add(1) }
    func add(_ count: Int) { value.add(count, ordering: .sequentiallyConsistent) }
    var count: Int { value.load(ordering: .sequentiallyConsistent) }
    /// As the `user` of a callback; this object has to live longer.
    var user: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }
    static func of(_ user: UnsafeMutableRawPointer?) -> Counter {
        Unmanaged<Counter>.fromOpaque(user!).takeUnretainedValue()
    }
}

/// In a child process: leaves with a failure that says why.
func demand(_ holds: Bool, _ what: @autoclosure () -> String, line: Int = #line) {
    if holds { return }
    let text = Array("line \(line): \(what())\n".utf8)
    _ = write(2, text, text.count)
    exit(1)
}
