-- Ends another process in the name of a test.
local function cancel(pid, timeout) return process.cancel(pid, timeout) end
local function terminate(pid) return process.terminate(pid) end

return { cancel = cancel, terminate = terminate }
