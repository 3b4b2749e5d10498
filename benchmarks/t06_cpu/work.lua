-- Plain Lua, run by a process and by the stock interpreter.

local works = {}

function works.fib(size)
    local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
    return fib(size)
end

function works.loop(size)
    local sum = 0
    for number = 1, size do sum = (sum + number * number) % 1000003 end
    return sum
end

-- Lists, records and strings, made, changed and dropped.
function works.tables(size)
    local shelf, sum = {}, 0
    for number = 1, size do
        local record = { id = number, name = "item " .. number % 1000, tags = { number, number + 1 } }
        shelf[number % 10000 + 1] = record
        sum = sum + record.tags[2] - record.id + #record.name
    end
    return sum
end

local function main(name, size)
    local start = os.clock()
    local value = works[name](size)
    return { time = os.clock() - start, value = value }
end

return { main = main }
