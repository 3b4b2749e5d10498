-- Runs a file of the same form as a process's, and prints its result as JSON. Arguments: file, work, size.
local result = dofile(arg[1]).main(arg[2], math.tointeger(arg[3]))
print(('{"time": %.6f, "value": %d}'):format(result.time, result.value))
