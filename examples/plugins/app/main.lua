local time = require("time")
local zlib = require("zlib")

local function ask(name, topic, value)
  return assert(process.request(name, topic, value, "10s"))
end

local function main()
  local services = assert(process.spawn("plugins:services", "plugins:processes"))
  for _, name in ipairs { "counter", "database", "mean" } do
    while not process.registry.lookup(name) do time.sleep("5ms") end
  end

  print("zlib " .. zlib.zlibVersion())
  -- A C function, called in its place and as a process: the same number.
  local text = "The quick brown fox jumps over the lazy dog"
  print(string.format("crc32 in place    %08x", zlib.crc32(0, text)))
  print(string.format("crc32 in a child  %08x", assert(process.call("plugins:checksum", "plugins:processes", 0, text))))
  print(select(2, pcall(zlib.crc32, -1, text)))
  print(select(2, process.spawn("plugins:checksum", "plugins:processes", 0)))

  print(assert(process.call("plugins:greeter", "plugins:processes", "Ann, Ben")))
  print(select(2, process.call("plugins:greeter", "plugins:processes", ",")))

  process.send("counter", "text", "one two three")
  process.send("counter", "text", text)
  print("words", ask("counter", "sum"))

  -- A bug in C: the supervisor starts it again, and nobody else has noticed.
  local pid = assert(process.registry.lookup("counter"))
  process.monitor(pid)
  process.send(pid, "crash")
  local event = process.events():receive()
  print((event.result.error:gsub(" %(.*", "")))
  while not process.registry.lookup("counter") do time.sleep("5ms") end
  print("words", ask("counter", "sum"))

  process.send("mean", "number", 1)
  process.send("mean", "number", 2.5)
  print("mean", ask("mean", "number", 4))

  ask("database", "sql", "create table people (name text, age integer); insert into people values ('ann', 31), ('ben', 42)")
  for _, row in ipairs(ask("database", "sql", "select name, age from people order by age desc")) do
    print(table.concat(row, " "))
  end
  print(select(2, process.request("database", "sql", "select * from nowhere", "10s")))
  process.cancel(services, "5s")
  return true
end

return { main = main }
