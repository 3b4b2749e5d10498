-- A simulated member. It is supervised, so it may fail; and it goes back into its room when that one has failed.

local time, rooms = require("time"), require("rooms")

-- self: { nick, room, answer, arrives } (`arrives`: how long after its start) and, if it has them: `says`, a line of it
-- `every` so often; `takes`, the time it needs to answer; `fears`, a word that it does not survive.
local function main(self)
    local inbox, events = process.inbox(), process.events()
    assert(process.registry.register("user:" .. self.nick))
    -- Not `time.sleep`: who sleeps does not hear that he is to end.
    local due = time.after(self.arrives)
    if channel.select { due:case_receive(), events:case_receive() }.channel == events then return "never came" end
    local room = assert(rooms.enter(self.room, self.nick))
    local talk = self.says and time.ticker(self.every):channel() or channel.new()
    local said = 0

    local function say(text) process.request(room, "say", text, "1s") end  -- a room that is away misses it

    local function hear(text)
        if self.fears and text:find(self.fears, 1, true) then error("what a fright", 0) end
        if text:find(self.nick, 1, true) then
            time.sleep(self.takes or "200ms")
            say(self.answer)
        end
    end

    while true do
        local result = channel.select { inbox:case_receive(), events:case_receive(), talk:case_receive() }
        if result.channel == talk then
            said = said + 1
            say(self.says[(said - 1) % #self.says + 1])
        elseif result.channel == inbox then
            local message = result.value
            local topic, value = message:topic(), message:payload():data()
            if topic == "said" then
                hear(value.text)
            elseif topic == "whisper" then
                time.sleep(self.takes or "200ms")
                message:reply(self.answer)
            end
        elseif result.value.kind == process.event.CANCEL then
            return "good night"
        elseif result.value.from == room then
            room = assert(rooms.enter(self.room, self.nick, true))
        end
    end
end

return { main = main }
