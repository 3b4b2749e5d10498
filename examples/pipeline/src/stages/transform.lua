-- Counts the words of a document. The slow stage.

local time, stage = require("time"), require("stage")

local function count(document)
    time.sleep("2ms")
    local counts = {}
    for _, word in ipairs(document.words) do counts[word] = (counts[word] or 0) + 1 end
    return {
        title = document.title,
        counts = counts,
        words_per_sentence = #document.words // document.sentences,     -- fails without a sentence
    }
end

local function main()
    return stage.run { name = "transform", before = "parse", after = "sink", work = count }
end

return { main = main }
