local function take(inbox, messages)
    local sum, from = 0, nil
    for _ = 1, messages do
        local message = inbox:receive()
        sum, from = sum + message:payload():data(), message:from()
    end
    return sum, from
end

local function sink(messages)
    local sum, from = take(process.inbox(), messages)
    process.send(from, "sum", sum)
end

local function patient(messages, times)
    local inbox, go = process.inbox(), process.listen("go", { message = true })
    for _ = 1, times do
        go:receive()
        local sum, from = take(inbox, messages)
        process.send(from, "sum", sum)
    end
end

return { sink = sink, patient = patient }
