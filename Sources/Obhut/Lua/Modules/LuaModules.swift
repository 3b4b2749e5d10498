/// What the modules keep for one process: channels, timers, messages. Used only by the
/// worker that runs the process's step.
struct LuaModules {
    /// The process is over; nothing of Lua may be touched.
    mutating func destroy() {}
}

/// What the modules keep for the wait of one fiber.
struct FiberWait {}
