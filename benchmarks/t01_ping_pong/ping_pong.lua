local time = require("time")

-- Without `size` the message is a number; with it a list of that many numbers, for the plot of cost against size.
local function main(trips, size)
    local echo = assert(process.spawn("ping_pong:echo", "ping_pong:processes"))
    local inbox = process.inbox()
    local list
    if size then
        list = {}
        for index = 1, size do list[index] = index end
    end

    local function trip(number)
        process.send(echo, "ping", list or number)
        local answer = inbox:receive()
        assert(answer:from() == echo)
        local value = answer:payload():data()
        return value == number or list and #value == size
    end

    for number = 1, trips // 10 do trip(number) end
    local right = 0
    local start = time.now()
    for number = 1, trips do
        if trip(number) then right = right + 1 end
    end
    local elapsed = time.now():sub(start):nanoseconds()
    assert(right == trips, "answers do not fit the questions")
    process.terminate(echo)
    return { round_trip = elapsed / trips }
end

return { main = main }
