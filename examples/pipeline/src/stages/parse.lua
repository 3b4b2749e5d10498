-- Splits a line into its parts.

local stage = require("stage")

local function parse(line)
    local title, text = line:match("^%d+|([^|]*)|?(.*)$")
    if text == "" then text = nil end
    local words = {}
    for word in text:gmatch("%a+") do words[#words + 1] = word:lower() end     -- fails without a text
    local _, sentences = text:gsub("%a%.", "")
    return { title = title, words = words, sentences = sentences }
end

local function main()
    return stage.run { name = "parse", before = "source", after = "transform", work = parse }
end

return { main = main }
