-- What the pipeline works on: as many small documents as are asked for, always the same ones.
-- A document is a line of text, "number|title|text".

local documents = {}

local subjects = { "the lamp", "a gardener", "the old clock", "every ship", "the night train", "a letter" }
local verbs = { "waits for", "remembers", "follows", "answers", "outlives" }
local objects = { "the rain", "the harbour", "a quiet street", "the morning", "its maker", "the last guest", "the rain again" }

local function sentence(number)
    local subject = subjects[number % #subjects + 1]
    local verb = verbs[number % #verbs + 1]
    local object = objects[number % #objects + 1]
    return subject .. " " .. verb .. " " .. object .. "."
end

-- Two kinds of documents have a fault that nobody thought of when the stages were written: some lack their text, which
-- `parse` does not survive, and some have a text without a sentence, which `transform` does not. Trying again is no help.
function documents.is_poison(number)
    return number % 23 == 0 or number % 31 == 0
end

function documents.read(number)
    if number % 23 == 0 then return number .. "|a page that was torn out" end
    if number % 31 == 0 then return number .. "|a page of silence|..." end
    local text = {}
    for line = 1, 1 + number % 3 do text[line] = sentence(number * line) end
    return number .. "|page " .. number .. "|" .. table.concat(text, " ")
end

return documents
