import CObhut
import Synchronization

typealias ProcessPointer = UnsafeMutablePointer<ProcessSlot>

/// What runs as a process: an entry of the application, as far as the core knows it.
final class ProcessDefinition: @unchecked Sendable {  // immutable
    /// "namespace:name".
    let id: String
    /// The kind of body; a table that lives for ever.
    let body: UnsafePointer<obh_body>
    /// What the body needs to know of the entry; the core does not look at it.
    let program: AnyObject
    /// Bytes; nil: the host's, 0: no limit.
    let memoryLimit: Int?

    /// What is wrong with the arguments of a spawn, an encoded array, nil: nothing. Nil: any will do.
    let argumentFault: (@Sendable (UnsafeRawBufferPointer) -> String?)?

    init(
        id: String, body: UnsafePointer<obh_body>, program: AnyObject, memoryLimit: Int? = nil,
        argumentFault: (@Sendable (UnsafeRawBufferPointer) -> String?)? = nil
    ) {
        self.argumentFault = argumentFault
        self.id = id
        self.body = body
        self.program = program
        self.memoryLimit = memoryLimit
    }
}

/// What `set_options{trap_links = …}` chose (L3, L4, L10).
enum TrapLinks: UInt8 {
    case no, failures, all
}

/// A slot of the pid table: one process at a time, many in the course of time.
///
/// The law of this folder: *change only your own state, and send the peer a signal.*
/// The fields fall into three groups.
///
/// - `runnable`, `signals`, `load` and the figures below them are atomics for any thread.
/// - What identifies the present life (`pid`, `definition`, …) is written before the slot
///   is published and constant until it is freed.
/// - All else belongs to the owner: the worker that has the process in phase `running`
///   (for a port: the thread that holds the port's lock).
///
/// A slot is never given back while the runtime lives, so that whoever holds a stale pid
/// reads words of the right type, and finds by the serial that they are another's.
struct ProcessSlot: ~Copyable {
    // MARK: Any thread

    /// First, so that a pointer to it is a pointer to the slot.
    var runnable = Runnable()
    let signals = SignalQueue()
    /// What its mailbox holds; senders add, the owner removes.
    let load = MailboxLoad()
    /// Figures for `process.info`, stored by the owner, read by anybody.
    let memoryUsed = Atomic<Int>(0)
    let linkCount = Atomic<Int>(0)
    let watcherCount = Atomic<Int>(0)

    /// The definition of the present life, for others to read its id: unretained.
    let definitionWord = Atomic<UInt>(0)

    /// What runs here; any thread. Definitions outlive the processes that run them (see
    /// `ProcessSystem.resolveDefinition`). Nil for a port.
    var presentDefinition: ProcessDefinition? {
        guard let raw = UnsafeRawPointer(bitPattern: definitionWord.load(ordering: .acquiring)) else { return nil }
        return Unmanaged<ProcessDefinition>.fromOpaque(raw).takeUnretainedValue()
    }
    /// The id of its entry.
    var entryID: String? { presentDefinition?.id }

    // MARK: Constant

    /// The `Port` of this slot, retained; nil in a slot of a host.
    var port: UnsafeMutableRawPointer? = nil

    // MARK: Constant for a life

    var pid = Pid.none
    unowned(unsafe) var system: ProcessSystem
    var definition: ProcessDefinition? = nil
    /// What its children inherit; nil: nothing.
    var context: ProcessContext? = nil
    /// Nanoseconds on the monotonic clock.
    var startedAt: Int64 = 0
    /// Who started it, if that process supervises it or was linked to it from the beginning.
    var parent = Pid.none
    /// Who is told that it runs and is ready; `none` if nobody supervises it.
    var supervisor: Pid { isSupervised ? parent : .none }

    // MARK: Owner only

    /// Encoded MessagePack array; taken by the body's start.
    var arguments: UnsafeMutableRawBufferPointer? = nil
    /// The body's own.
    var bodyState: UnsafeMutableRawPointer? = nil
    /// Set by the body before it answers OBH_STEP_ENDED.
    var outcome: ExitReason? = nil
    /// Why it has to end now; set by a lethal signal. It runs no more code then (P7).
    var doom: ExitReason? = nil
    var mailbox = Mailbox()
    /// What was taken from it; others may read it (`loadNow`).
    let taken = MailboxTaken()
    var relations = Relations()
    /// When the body wants to be woken, Int64.max: not by time. Set by the body's step.
    var wakeAt = Int64.max
    /// The timer that is armed for it.
    var wakeTimer = Timers.ID.none
    var wakeTimerAt = Int64.max

    // MARK: Small ones, together so that they take one word

    /// Timers that were replaced after they had fired: their signals are still to come. The owner's.
    var staleTimers: Int32 = 0
    /// The owner's.
    var hasStarted = false
    /// Constant for a life.
    var isSupervised = false
    /// The owner's.
    var trapLinks = TrapLinks.no
    /// Whether the name registry has a name of this process; any thread, written under its lock.
    let hasNames = Atomic<Bool>(false)

    init(system: ProcessSystem) { self.system = system }
}

extension UnsafeMutablePointer where Pointee == ProcessSlot {
    @inline(__always)
    var runnable: RunnablePointer {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: Runnable.self)
    }

    @inline(__always)
    static func from(_ raw: UnsafeMutableRawPointer) -> ProcessPointer {
        raw.assumingMemoryBound(to: ProcessSlot.self)
    }

    @inline(__always) var pid: Pid { pointee.pid }
    @inline(__always) var system: ProcessSystem { pointee.system }
    /// What its mailbox holds; any thread.
    var loadNow: UInt64 { pointee.load.now(pointee.taken) }
    @inline(__always) var isDoomed: Bool { pointee.doom != nil }

    /// Its host; a port has none.
    @inline(__always)
    var host: Host? { pointee.runnable.host?.takeUnretainedValue() }

    /// Its pid as text.
    var pidText: String { system.text(of: pid) }
}
