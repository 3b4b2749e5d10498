-- Counts the words of texts. It knows nothing of failure: a text that it cannot read ends it, and somebody else begins again.

local function count(text)
    local length = assert(utf8.len(text), "not UTF-8")
    local words, longest = 0, ""
    for word in text:gmatch("[%a_][%w_]*") do
        words = words + 1
        if #word > #longest then longest = word end
    end
    return { characters = length, words = words, longest = longest }
end

local function main(collector)
    local inbox, events = process.inbox(), process.events()
    process.send(collector, "ready")
    while true do
        local got = channel.select { events:case_receive(), inbox:case_receive() }
        if got.channel == events then return end
        local file = got.value:payload():data()
        process.send(collector, "done", { path = file.path, result = count(file.text) })
    end
end

return { main = main }
