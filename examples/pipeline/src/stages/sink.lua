-- The last stage: puts each document into the ledger. If it fails after that and before it has acknowledged, the document
-- comes a second time; by its number the ledger knows it.

local stage = require("stage")

local function store(document, number)
    assert(process.request("ledger", "store", { number = number, document = document }))
end

local function main()
    return stage.run { name = "sink", before = "transform", work = store }
end

return { main = main }
