-- What all stages but the first have in common: take an item, work on it, hand it on, and acknowledge it when it is safe.

local mishap, Outbox = require("mishap"), require("outbox")

local stage = {}

-- Is a stage until it is asked to end.
--   name          its name in the registry
--   before        the name of the stage that sends to it
--   after         the name of the one that it sends to; nil: there is none, and what `work` has done is safe
--   work(data)    what it is good for. It may fail; nothing here tries to prevent it
function stage.run(options)
    local inbox, events = process.inbox(), process.events()
    assert(process.registry.register(options.name))  -- P5: whoever had the name before has given it back
    local life = assert(process.request("ledger", "hello", options.name))
    local mishaps = mishap.of(options.name, life)

    local held = {}  -- number → pid of whom to acknowledge it to

    local function acknowledge(number)
        -- If that one has ended, its successor will send the item once more, and the ledger will know it.
        process.send(held[number], "acknowledged", number)
        held[number] = nil
    end

    local outbox = options.after and Outbox.new(options.after, acknowledge)

    -- The one before either hears this, or comes later than this and finds the name.
    process.send(options.before, "ready")

    local function take(item, from)
        local number = item.number
        local is_here = held[number] ~= nil
        held[number] = from
        if is_here then return end  -- sent again by a new life of the sender: one of them is enough
        process.send(from, "begun", number)
        mishaps("before", number, item.attempt)
        local data = options.work(item.data, number)
        mishaps("after", number, item.attempt)
        process.send(from, "worked", number)
        if outbox then outbox:offer(number, data) else acknowledge(number) end
    end

    while true do
        local result = channel.select { inbox:case_receive(), events:case_receive() }
        if result.channel == inbox then
            local message = result.value
            if message:topic() == "item" then
                take(message:payload():data(), message:from())
            elseif outbox then
                outbox:takes(message)
            end
        elseif result.value.kind == process.event.EXIT then
            outbox:on_exit(result.value)
        elseif result.value.kind == process.event.CANCEL then
            return "stopped"  -- nothing to save: what is held here is pending in the stage before
        end
    end
end

return stage
