-- The first stage: reads the documents and lets no more than `window` of them into the pipeline at a time.
--
-- An acknowledgement is the permission for one more. Since it comes from the far end, this one window bounds what is
-- under way in all stages together: a slow one slows the source down instead of filling its own mailbox.

local ctx, documents, mishap, Outbox = require("ctx"), require("documents"), require("mishap"), require("outbox")

local function main()
    local inbox, events = process.inbox(), process.events()
    local items, window = ctx.get("items"), ctx.get("window")
    assert(process.registry.register("source"))
    local life = assert(process.request("ledger", "hello", "source"))
    local mishaps = mishap.of("source", life)

    -- A life before this one may have come far already. What it had under way and is not in the ledger is read again.
    local is_finished = {}
    for _, number in ipairs(assert(process.request("ledger", "finished"))) do is_finished[number] = true end

    local outbox = Outbox.new("parse", function() end)
    local number = 0

    local function fill_window()
        while outbox.count < window and number < items do
            number = number + 1
            if not is_finished[number] then
                mishaps("before", number, 1)
                outbox:offer(number, documents.read(number))
                process.send("ledger", "under way", outbox.count)
            end
        end
    end

    while true do
        fill_window()
        local result = channel.select { inbox:case_receive(), events:case_receive() }
        if result.channel == inbox then
            outbox:takes(result.value)
        elseif result.value.kind == process.event.EXIT then
            outbox:on_exit(result.value)
        elseif result.value.kind == process.event.CANCEL then
            return "stopped"
        end
    end
end

return { main = main }
