-- What must survive is kept by a process that does nothing that could fail: it works on no item, it only remembers. (A
-- real one would have a database behind it.) It is the first child of its supervisor and outlives all failures of stages.
--
-- It also keeps the accounts: every stage says hello when it starts, and is watched from then on.

local ctx = require("ctx")

local function main()
    local inbox, events = process.inbox(), process.events()
    local items = ctx.get("items")

    local documents, dead_letters = {}, {}    -- by number: each item ends up in one of them, once
    local finished = 0
    local duplicates, resent, peak = 0, 0, 0
    local starts, crashes = {}, {}            -- by stage
    local stage_of = {}                       -- pid → name of the stage
    local is_reported = false

    -- Keeps the item, unless it is known. Repeating it changes nothing, so whoever is in doubt may repeat it.
    local function finish(number, shelf, value)
        if documents[number] or dead_letters[number] then
            duplicates = duplicates + 1
        else
            shelf[number] = value
            finished = finished + 1
        end
    end

    local answer = {}

    function answer.hello(stage, from)
        starts[stage] = (starts[stage] or 0) + 1
        stage_of[from] = stage
        process.monitor(from, { if_dead = "event" })
        return starts[stage]
    end

    function answer.finished()
        local numbers = {}
        for number in pairs(documents) do numbers[#numbers + 1] = number end
        for number in pairs(dead_letters) do numbers[#numbers + 1] = number end
        return numbers
    end

    function answer.store(item)
        finish(item.number, documents, item.document)
        return true
    end

    answer["dead letter"] = function(letter)
        finish(letter.number, dead_letters, letter)
        return true
    end

    local hear = {
        resent = function(count) resent = resent + count end,
        ["under way"] = function(count) peak = math.max(peak, count) end,
    }

    local function report()
        is_reported = true
        process.send(ctx.get("report_to"), "finished", {
            documents = documents, dead_letters = dead_letters, duplicates = duplicates,
            resent = resent, peak = peak, starts = starts, crashes = crashes,
        })
    end

    assert(process.registry.register("ledger"))
    process.ready()  -- only now the stages are started

    while true do
        if finished == items and not is_reported then report() end
        local result = channel.select { inbox:case_receive(), events:case_receive() }
        if result.channel == inbox then
            local message = result.value
            local topic, value = message:topic(), message:payload():data()
            if answer[topic] then
                message:reply(answer[topic](value, message:from()))
            elseif hear[topic] then
                hear[topic](value)
            end
        elseif result.value.kind == process.event.EXIT then
            local stage = stage_of[result.value.from]
            stage_of[result.value.from] = nil
            if result.value.result.error then crashes[stage] = (crashes[stage] or 0) + 1 end
        elseif result.value.kind == process.event.CANCEL then
            return "closed"
        end
    end
end

return { main = main }
