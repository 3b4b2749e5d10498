-- The sending half of a stage: what has been sent to the next stage and is not yet known to be safe.
--
-- An item stays here until the next stage *acknowledges* it, and that one does so only when it is safe in the ledger, not
-- when it has arrived. So whoever fails, the stage before it still has all that was lost, and sends it again to the
-- successor. That makes "at least once"; the ledger, which knows each number, makes "exactly once" of it.
--
-- The next stage is found by its name and watched by a monitor. Nothing here asks again and again whether it is back: it
-- says "ready" to the name of the stage before it when it starts.

local Outbox = {}
Outbox.__index = Outbox

-- So many times an item may fail the next stage.
local ATTEMPTS = 3

-- on_done(number): the item is safe, or given up.
function Outbox.new(next_stage, on_done)
    local self = setmetatable({
        next_stage = next_stage,
        on_done = on_done,
        receiver = nil,    -- pid of the next stage; nil while there is none
        pending = {},      -- number → { number, data, attempt }
        count = 0,         -- how many
        in_work = nil,     -- the number that the receiver has begun and not finished
    }, Outbox)
    self:connect()
    return self
end

-- Hands an item over, now or as soon as there is somebody.
function Outbox:offer(number, data)
    self.pending[number] = { number = number, data = data, attempt = 1 }
    self.count = self.count + 1
    if self.receiver then self:send(self.pending[number]) end
end

function Outbox:send(item)
    local sent, err = process.send(self.receiver, "item", item)
    -- "not found": it has just ended. Its EXIT is on the way, and what is pending will be sent again.
    if not sent and not err:find("not found", 1, true) then error(err, 0) end
end

-- Looks for the next stage; sends it all that is pending, the oldest first.
function Outbox:connect()
    local pid = process.registry.lookup(self.next_stage)
    if not pid or not process.monitor(pid) then return end  -- not there: it will say "ready"
    self.receiver = pid
    local numbers = {}
    for number in pairs(self.pending) do numbers[#numbers + 1] = number end
    table.sort(numbers)
    for _, number in ipairs(numbers) do self:send(self.pending[number]) end
    if #numbers > 0 then process.send("ledger", "resent", #numbers) end
end

function Outbox:settle(number)
    if not self.pending[number] then return end  -- acknowledged twice: it had been sent twice
    self.pending[number] = nil
    self.count = self.count - 1
    self.on_done(number)
end

-- A message that may be for the outbox. Answers whether it was.
function Outbox:takes(message)
    local topic, from, number = message:topic(), message:from(), message:payload():data()
    if topic == "ready" then
        -- With a receiver that is still thought to be alive nothing is done: its EXIT comes and leads to `connect`.
        if not self.receiver then self:connect() end
    elseif topic == "acknowledged" then
        self:settle(number)  -- whoever says it: a life that has ended since was right about it all the same
    elseif topic == "begun" then
        if from == self.receiver then self.in_work = number end
    elseif topic == "worked" then
        if from == self.receiver then self.in_work = nil end
    else
        return false
    end
    return true
end

-- The next stage has ended. What it said before has been read by now, since messages and ends arrive in the order in
-- which they were sent (M2, M4): if it was at work on an item, that is known.
function Outbox:on_exit(event)
    if event.from ~= self.receiver then return end
    local item, err = self.pending[self.in_work], event.result.error
    self.receiver, self.in_work = nil, nil
    if item and err and tostring(err) ~= "terminated" then  -- who was ended from outside is no victim of its item
        if item.attempt == ATTEMPTS then
            -- Set aside, with the reason, for a person to look at. Only now it may be forgotten here.
            local letter = { number = item.number, stage = self.next_stage, error = tostring(err) }
            assert(process.request("ledger", "dead letter", letter))
            self:settle(item.number)
        else
            item.attempt = item.attempt + 1
        end
    end
    self:connect()
end

return Outbox
