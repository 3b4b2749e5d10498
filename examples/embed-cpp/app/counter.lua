-- Counts the words of one page after the other, and fails now and then, with the page in its hands.

local function count_words(text)
    local counts = {}
    for word in text:lower():gmatch("%a+") do counts[word] = (counts[word] or 0) + 1 end
    return counts
end

local function main(number)
    local inbox, events = process.inbox(), process.events()
    process.send("collector", "ready", number)
    while true do
        local got = channel.select { inbox:case_receive(), events:case_receive() }
        if got.channel == events then return end  -- cancelled: the supervisor stops
        local message = got.value
        local page = message:payload():data()
        if math.random(8) == 1 then error("spilt coffee on page " .. page.number, 0) end
        process.send(message:from(), "counted", { page = page.number, words = count_words(page.text) })
    end
end

return { main = main }
