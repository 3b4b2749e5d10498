// Entries that are C functions of shared libraries.

/// Where the code of a process runs.
enum NativeIsolation: String, CaseIterable, Sendable {
    /// In a child OS process: a crash there is the end of the process and of nothing else.
    case process
    /// On a thread of the program itself.
    case thread
}

enum NativeMode: String, CaseIterable, Sendable {
    /// Called once, with the arguments; the process is over when it returns.
    case function
    /// A struct of functions that is called for each event, on the runtime's own workers.
    case handler
}

/// `process.native`.
struct NativeEntry: Sendable {
    /// An absolute path without links, or a soname.
    let library: String
    let symbol: String
    /// Of a handler without meaning: it takes any arguments.
    let signature: NativeSignature
    let isolation: NativeIsolation
    let mode: NativeMode
    /// Bytes of the child OS process; nil: no limit of its own.
    let memoryLimit: Int?
    /// Nanoseconds on a CPU; nil: no limit.
    let cpuLimit: Int64?
    /// As that of a `ProcessEntry`.
    var host: EntryID?
    /// Its arguments as a service.
    let input: [EntryValue]
}

/// `library.native`: C functions that Lua requires.
struct NativeLibraryEntry: Sendable {
    struct Function: Equatable, Sendable {
        /// Of the symbol, and in Lua.
        let name: String
        let signature: NativeSignature
    }

    /// As that of a `NativeEntry`.
    let library: String
    /// In the order of the file.
    let functions: [Function]
    /// Whether they are called on a thread of their own while the Lua coroutine waits.
    let isOffloaded: Bool
}
