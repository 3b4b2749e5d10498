-- Compiles every file of a list. Prints milliseconds of processor time.
local files = {}
for path in io.lines(arg[1]) do files[#files + 1] = path end
local start = os.clock()
for _, path in ipairs(files) do assert(loadfile(path)) end
print(('{"time": %.3f}'):format((os.clock() - start) * 1000))
