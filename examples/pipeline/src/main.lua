-- Runs the plant once, and then does not believe it: each document is read and counted again here, without any pipeline,
-- and has to be in the ledger exactly once with the same words, or among the dead letters.

local time, documents = require("time"), require("documents")

local WINDOW, MISHAPS, PATIENCE = 8, 3, "60s"  -- documents under way; percent; then something is stuck

-- What is wrong with the account; nothing, if all is well.
local function complaints(account, items)
    local found = {}
    for number = 1, items do
        local document, letter = account.documents[number], account.dead_letters[number]
        if not document and not letter then
            found[#found + 1] = "document " .. number .. " is lost"
        elseif document and letter then
            found[#found + 1] = "document " .. number .. " is there twice"
        elseif document then
            local left = {}
            for word, count in pairs(document.counts) do left[word] = count end
            for word in documents.read(number):match("|.*|(.*)"):gmatch("%a+") do
                left[word] = (left[word] or 0) - 1
            end
            for word, difference in pairs(left) do
                if difference ~= 0 then found[#found + 1] = ("document %d: '%s' counted wrong"):format(number, word) end
            end
        elseif not documents.is_poison(number) then
            found[#found + 1] = "document " .. number .. " was given up without need"
        end
    end
    return found
end

-- Of a table by number the values, in order. (In a message a table with gaps arrives as a table, not as a list.)
local function in_order(by_number, items)
    local list = {}
    for number = 1, items do list[#list + 1] = by_number[number] end
    return list
end

local function total(counts)
    local sum = 0
    for _, count in pairs(counts) do sum = sum + count end
    return sum
end

local function print_summary(account, items)
    print("  stage       crashes   restarts")
    for _, stage in ipairs { "source", "parse", "transform", "sink" } do
        print(("  %-9s   %7d   %8d"):format(stage, account.crashes[stage] or 0, account.starts[stage] - 1))
    end
    print("")
    local letters = in_order(account.dead_letters, items)
    print(("  %d documents: %d counted, %d dead letters"):format(items, #in_order(account.documents, items), #letters))
    print(("  sent again: %d   came twice to the ledger: %d   most under way: %d of %d")
        :format(account.resent, account.duplicates, account.peak, WINDOW))
    for _, letter in ipairs(letters) do
        print(("  dead letter %d (%s, 3 attempts): %s"):format(letter.number, letter.stage, letter.error))
    end

    local words, names = {}, {}
    for _, document in ipairs(in_order(account.documents, items)) do
        for word, count in pairs(document.counts) do words[word] = (words[word] or 0) + count end
    end
    for word in pairs(words) do names[#names + 1] = word end
    table.sort(names, function(a, b) return words[a] > words[b] or words[a] == words[b] and a < b end)
    for i = 1, math.min(5, #names) do names[i] = names[i] .. " " .. words[names[i]] end
    print("  most frequent: " .. table.concat(names, ", ", 1, math.min(5, #names)))
    print("")
end

local function main(items, seed, kills)
    items, seed, kills = items or 100, seed or 1, kills or 0
    for name, number in pairs { ITEMS = items, SEED = seed, KILLS = kills } do
        if math.type(number) ~= "integer" or number < (name == "ITEMS" and 1 or 0) then
            return nil, name .. " is " .. tostring(number) .. ": it has to be a whole number from " .. (name == "ITEMS" and 1 or 0)
        end
    end
    local inbox, events = process.inbox(), process.events()
    local time_up = time.after(PATIENCE)

    -- What the stages need to know goes down with the context: supervisors pass it on to their children.
    -- Linked: if the plant gives up, this process fails with it, and says why. Monitored: to see it end in order.
    local plant = assert(process.with_context { items = items, seed = seed, window = WINDOW, mishaps = MISHAPS,
        report_to = process.pid() }:spawn_linked_monitored("pipeline:plant", "pipeline:processes"))
    if kills > 0 then process.spawn("pipeline:monkey", "pipeline:processes", kills) end

    local result = channel.select { inbox:case_receive(), events:case_receive(), time_up:case_receive() }
    local account = result.channel == inbox and result.value:payload():data()

    -- Done, or told to stop, or stuck: in any case the plant is closed, stage by stage from the last to the first.
    process.cancel(plant, "5s")
    repeat local event = events:receive() until event.kind == process.event.EXIT and event.from == plant
    if not account then
        return nil, result.channel == time_up and "not finished in " .. PATIENCE or "stopped before the end"
    end

    print_summary(account, items)
    local wrong = complaints(account, items)
    if #wrong > 0 then return nil, table.concat(wrong, "; ") end
    print("  nothing is lost, nothing is there twice")
    local letters = {}
    for _, letter in ipairs(in_order(account.dead_letters, items)) do letters[#letters + 1] = letter.number end
    return {
        documents = #in_order(account.documents, items), dead_letters = letters, crashes = total(account.crashes),
        restarts = total(account.starts) - 4, resent = account.resent, duplicates = account.duplicates, peak = account.peak,
    }
end

return { main = main }
