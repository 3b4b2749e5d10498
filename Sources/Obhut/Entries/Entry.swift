// What an application consists of, checked.
//
// The law of entries:
//
// - An entry that exists is right: every reference in it names an entry of a fitting
//   kind, every number is in its range, its Lua text compiles. Nobody checks again.
// - Entries are immutable values, read by any thread, and know nothing of what runs.
// - Durations are nanoseconds (`Int64`), sizes bytes (`Int`). A limit of 0 is "no limit",
//   as in YAML; nil is "not given", and then whoever asks for the limit says whose default
//   holds.
// - A new kind is: a case in `EntryKind` and in `EntryDefinition`, and its fields in
//   `EntryReader+Kinds.swift`.

enum EntryKind: String, CaseIterable, Sendable {
    case processHost = "process.host"
    case processLua = "process.lua"
    case processNative = "process.native"
    case processExternal = "process.external"
    case processService = "process.service"
    case supervisor = "supervisor"
    case functionLua = "function.lua"
    case libraryLua = "library.lua"
    case libraryNative = "library.native"
    case registryEntry = "registry.entry"

    /// May have a `lifecycle`, and may be named in another's `depends_on`.
    var isStartable: Bool {
        switch self {
        case .processHost, .processLua, .processNative, .processExternal, .processService, .supervisor: true
        case .functionLua, .libraryLua, .libraryNative, .registryEntry: false
        }
    }

    /// May be named as `process:` of a service.
    var isRunnable: Bool {
        self == .processLua || self == .processNative || self == .processExternal || self == .functionLua
    }

    /// May be named as `process:` of a supervisor's child.
    var isSupervisable: Bool { isRunnable || self == .processService || self == .supervisor }

    /// May be named under `imports`.
    var isImportable: Bool { self == .libraryLua || self == .libraryNative }
}

struct Entry: Sendable {
    let id: EntryID
    let kind: EntryKind
    var definition: EntryDefinition
    /// The user's own, kept and shown; `.null` if there is none.
    let meta: EntryValue
    /// Where the entry begins in its YAML file.
    let position: SourcePosition
    /// Of every startable kind, with its defaults where YAML says nothing.
    let lifecycle: Lifecycle?
}

enum EntryDefinition: Sendable {
    case host(HostEntry)
    case process(ProcessEntry)
    case native(NativeEntry)
    case external(ExternalEntry)
    case service(ServiceEntry)
    case supervisor(SupervisorEntry)
    case function(FunctionEntry)
    case library(LuaCode)
    case nativeLibrary(NativeLibraryEntry)
    case data(EntryValue)
}

/// `process.host`: a pool of workers.
struct HostEntry: Equatable, Sendable {
    /// OS threads.
    var workers: Int
    var maxProcesses = 0
    /// Messages in one mailbox.
    var mailboxLimit = 1_000_000
    /// Bytes in one mailbox.
    var mailboxBytes = 256 << 20
    /// Bytes of one encoded payload; never 0.
    var maxMessage = 16 << 20
    /// The `memory_limit` of processes that have none of their own.
    var processMemory = 256 << 20
    var spareWorkers = 4
    var stepLimit: Int64 = 5 * second
}

/// `process.lua`.
struct ProcessEntry: Sendable {
    let code: LuaCode
    /// The function of the table that the source returns.
    let method: String
    /// Nil: the host's.
    let memoryLimit: Int?
    /// Where it runs as a service. Of an entry in `Application.startOrder` always given:
    /// what `host:` names, or else the only host there is.
    var host: EntryID?
    /// Its arguments as a service.
    let input: [EntryValue]
}

/// `process.external`: the host program that embeds the library runs it.
struct ExternalEntry: Sendable {
    /// As that of a `ProcessEntry`: where it counts as a service.
    var host: EntryID?
    /// Its arguments as a service.
    let input: [EntryValue]
}

/// `process.service`: runs another entry.
struct ServiceEntry: Sendable {
    let process: EntryID
    /// As that of a `ProcessEntry`.
    var host: EntryID?
    let input: [EntryValue]
}

/// `supervisor`: children that are kept running (SEMANTICS V6).
struct SupervisorEntry: Sendable {
    let strategy: SupervisorStrategy
    let intensity: RestartIntensity
    /// In the order of their start; no name comes twice.
    var children: [ChildEntry]
}

enum SupervisorStrategy: String, CaseIterable, Sendable {
    case oneForOne = "one_for_one"
    case oneForAll = "one_for_all"
    case restForOne = "rest_for_one"
}

/// So many restarts are allowed within any such window.
struct RestartIntensity: Equatable, Sendable {
    var maxRestarts = 3
    var window: Int64 = 5 * second
}

struct ChildEntry: Sendable {
    let name: String
    /// What runs: a process, a function or a supervisor.
    let process: EntryID
    /// The `process.service` that `process:` names; what it says are the defaults of the other fields.
    var service: EntryID? = nil
    /// Of a process always given; a supervisor has none.
    var host: EntryID?
    let input: [EntryValue]
    /// Nil: one, without a number.
    let count: Int?
    let restart: RestartPolicy
    let stableThreshold: Int64
    /// Nil: what the supervisor says that it names, or 10 s.
    let startTimeout: Int64?
    /// Nil: the `stop_timeout` of the supervisor that it names, or 5 s.
    let shutdown: Int64?
    let readiness: Readiness
    let isSignificant: Bool
    /// Where it begins in its YAML file; nil of one that stands in none.
    var position: SourcePosition?
}

/// When a process counts as ready.
enum Readiness: String, CaseIterable, Sendable {
    /// As soon as it runs.
    case running
    /// When it calls `process.ready()`.
    case call
}

/// `function.lua`.
struct FunctionEntry: Sendable {
    let code: LuaCode
    let method: String
    /// Nil: the host's.
    let memoryLimit: Int?
}

/// Lua text and what it may `require`.
struct LuaCode: Sendable {
    let source: LuaSource
    /// Built-in modules, as listed, each once.
    let modules: [String]
    let imports: [LuaImport]
    /// Environment variables that it may read, each once.
    var environment: [String] = []
}

/// A name for `require`, and the library it stands for.
struct LuaImport: Equatable, Sendable {
    let name: String
    let library: EntryID
}

struct LuaSource: Equatable, Sendable {
    /// How Lua's messages call it: the file's path relative to the application folder, or
    /// the entry's id if the text stands in the YAML.
    let chunkName: String
    let text: [UInt8]
}

/// When and how a startable entry starts and stops (SEMANTICS V1–V5).
struct Lifecycle: Equatable, Sendable {
    var autoStart = false
    var startTimeout: Int64 = 10 * second
    var stopTimeout: Int64 = 10 * second
    var stableThreshold: Int64 = 5 * second
    var dependsOn: [EntryID] = []
    var restart = RestartPolicy()
    var readiness = Readiness.running
}

struct RestartPolicy: Equatable, Sendable {
    enum Policy: String, CaseIterable, Sendable {
        case always
        case onFailure = "on_failure"
        case never
    }

    var policy = Policy.onFailure
    var initialDelay: Int64 = 1 * second
    var maxDelay: Int64 = 90 * second
    var backoffFactor = 2.0
    var jitter = 0.1
    var maxAttempts = 0
}

private let second: Int64 = 1_000_000_000
