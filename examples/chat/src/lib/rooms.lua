-- How a member gets into a room, and back into it.

local time = require("time")

local rooms = {}

-- Names of rooms and of people.
function rooms.is_name(text)
    return type(text) == "string" and #text <= 20 and text:find("^[%w_-]+$") ~= nil
end

-- Enters the room, which is created if there is none. From then on the caller watches it: when it ends, an EXIT comes.
-- Answers the pid of the room and the names of all who are in it; or nil and why not.
--
-- `again`: the caller was in it before the room failed, and nobody needs to be told.
--
-- Whoever has to be asked may be on his way back from a failure of his own: that is tried for some seconds.
function rooms.enter(name, nick, again)
    local room, members, err
    for attempt = 0, 7 do
        time.sleep(attempt * attempt * 20 * time.MILLISECOND)
        room, err = process.request("directory", "open", name, "3s")
        if room then
            members, err = process.request(room, "join", { nick = nick, again = again }, "3s")
            if members then
                process.monitor(room, { if_dead = "event" })
                return room, members
            end
        end
    end
    return nil, err
end

return rooms
