-- A room: tells everybody in it what one of them says.
--
-- It watches its members. One who ends, however, is out; nobody has to say good-bye. It never waits for any of them:
-- it only sends, and lets go of whoever does not read.

local ctx, time = require("ctx"), require("time")

local LINGER = "2s"  -- so long an empty room stays open; after a failure its members need time to come back

local function main()
    local inbox, events = process.inbox(), process.events()
    local name = ctx.get("room")
    local members = {}                    -- pid → nick
    local empty_for_long = time.after(LINGER)

    local tell

    local function remove(pid, how)
        local nick = members[pid]
        members[pid] = nil
        process.unmonitor(pid)
        if not next(members) then empty_for_long = time.after(LINGER) end
        tell("notice", { room = name, text = nick .. " " .. how })
    end

    -- Sends something to all, but not to the one who said it.
    function tell(topic, what, except)
        local lost
        for pid in pairs(members) do
            if pid ~= except then
                local sent, err = process.send(pid, topic, what)
                -- "not found" is somebody whose EXIT is on its way.
                if not sent and err:find("mailbox full", 1, true) then lost = pid end
            end
        end
        if lost then remove(lost, "is out: too slow") end
    end

    local function names()
        local list = {}
        for _, nick in pairs(members) do list[#list + 1] = nick end
        table.sort(list)
        return list
    end

    local answer = {}

    function answer.join(from, who)
        if not members[from] then
            if not who.again then tell("notice", { room = name, text = who.nick .. " has come" }) end
            members[from] = who.nick
            process.monitor(from, { if_dead = "event" })
        end
        return names()
    end

    function answer.who() return names() end

    function answer.leave(from)
        if members[from] then remove(from, "has gone") end
        return true
    end

    function answer.say(from, text)
        if not members[from] then return nil, "you are not in " .. name end
        tell("said", { room = name, nick = members[from], text = text }, from)
        return true
    end

    -- A room that the directory does not know is in nobody's list, and nobody would close it. So it ends with the very
    -- directory that made it; a new one makes new rooms.
    local directory = ctx.get("directory")
    process.monitor(directory, { if_dead = "event" })

    assert(process.registry.register("room:" .. name))
    process.send(directory, "ready", name)
    process.ready()

    while true do
        local result = channel.select {
            inbox:case_receive(), events:case_receive(),
            not next(members) and empty_for_long:case_receive() or nil,
        }
        if result.channel == empty_for_long then
            return "empty"
        elseif result.channel == events and result.value.kind == process.event.CANCEL then
            return "closed"
        elseif result.channel == events and result.value.from == directory then
            -- Not retryable: to restart the room would be no help (V5). Its supervisor ends with it.
            return nil, errors.new { message = "the directory has failed", retryable = false }
        elseif result.channel == events then
            local pid, err = result.value.from, result.value.result.error
            if members[pid] then remove(pid, err and "has failed: " .. tostring(err) or "has gone") end
        else
            local message = result.value
            local topic, value = message:topic(), message:payload():data()
            if answer[topic] then
                message:reply(answer[topic](message:from(), value))
            elseif topic == "crash" then
                -- Nothing is caught here. The supervisor restarts the room, and who was in it comes back.
                error("a chandelier fell on " .. members[message:from()], 0)
            end
        end
    end
end

return { main = main }
