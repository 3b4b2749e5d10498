-- The user: lines of the terminal become messages, and messages lines.
--
-- Two coroutines: one waits for lines, the other for everything. The first hands over a line only when the second takes
-- it, and that one takes it only when it has shown all that had arrived. So a script gives the same output each time.

local io, time, rooms = require("io"), require("time"), require("rooms")

local LONGEST = 500  -- bytes of a line

local HELP = [[
/join ROOM      enter a room, or make it the one you speak in
/leave          leave that room
/who            who is in it
/rooms          which rooms there are
/msg NICK TEXT  say something to one person
/crash          make the room's process fail
/wait TIME      take no line for so long, such as 500ms (for scripts)
/quit           leave; so does the end of the input
All else is said in the room.]]

local function note(text, ...) print("-- " .. text:format(...)) end

-- nick, and which options were given. Arguments come after `--` (run) or after the id (exec).
local function arguments()
    local nick, options = "you", {}
    for _, argument in ipairs(io.args()) do
        local option = argument:match("^%-%-(.*)$")
        if option then options[option] = true else nick = argument end
    end
    for option in pairs(options) do
        if option ~= "alone" and option ~= "echo" then
            return nil, "unknown option --" .. option .. ": there are --alone (no bots) and --echo (print each line read)"
        end
    end
    if not rooms.is_name(nick) then return nil, "a name has 1 to 20 letters, digits, - and _" end
    return nick, options
end

-- Opens the house, unless there is one. Linked: if it gives up, we fail with it and show why.
local function open_house(with_bots)
    if process.registry.lookup("directory") then return {} end
    local opened = { assert(process.spawn_linked_monitored("chat:house", "chat:processes")) }
    if with_bots then opened[2] = assert(process.spawn_linked_monitored("chat:bots", "chat:processes")) end
    return opened
end

local function close_house(opened, events)
    for i = #opened, 1, -1 do
        process.cancel(opened[i], "3s")
        repeat local event = events:receive() until event.kind == process.event.EXIT and event.from == opened[i]
    end
end

local function main()
    local nick, options = arguments()
    if not nick then return nil, options end
    local inbox, events = process.inbox(), process.events()

    -- A name is taken by registering it: two who want the same cannot both succeed.
    if not process.registry.register("user:" .. nick) then return nil, "somebody is called " .. nick .. " already" end
    local opened = open_house(not options.alone)

    local joined = {}       -- name of a room → its pid
    local current           -- the name of the room that is spoken in
    local pause             -- a channel that tells the end of /wait
    local falling           -- pid of a room that is about to fail by our doing
    local is_done, is_cancelled = false, false

    local function join(name, again)
        local room, members = rooms.enter(name, nick, again)
        if not room then return note("cannot enter %s: %s", name, members) end
        joined[name], current = room, current and again and current or name
        if again then note("back in %s", name) else note("you are in %s: %s", name, table.concat(members, ", ")) end
    end

    local command = {}

    function command.join(name)
        if not rooms.is_name(name) then return note("a room's name has 1 to 20 letters, digits, - and _") end
        if not joined[name] then return join(name) end
        current = name
        note("you speak in %s", name)
    end

    function command.leave()
        if not current then return note("you are in no room") end
        process.unmonitor(joined[current])
        process.request(joined[current], "leave", nil, "1s")
        note("you have left %s", current)
        joined[current] = nil
        current = next(joined)
        if current then note("you speak in %s", current) end
    end

    function command.who()
        if not current then return note("you are in no room") end
        local members, err = process.request(joined[current], "who", nil, "1s")
        note("%s: %s", current, members and table.concat(members, ", ") or err)
    end

    function command.rooms()
        local names, err = process.request("directory", "list", nil, "1s")
        if not names then return note("the directory does not answer: %s", err) end
        note("rooms: %s", #names > 0 and table.concat(names, ", ") or "none")
    end

    function command.msg(rest)
        local whom, text = rest:match("^(%S+)%s+(.+)$")
        if not whom then return note("/msg NICK TEXT") end
        if whom == nick then return note("you are talking to yourself") end
        local reply, err = process.request("user:" .. whom, "whisper", { nick = nick, text = text }, "1s")
        if reply then
            print(("[%s to you] %s"):format(whom, reply))
        elseif err:find("not found", 1, true) then
            note("nobody is called %s", whom)
        else
            note("%s does not answer: %s", whom, err:match("^[^:]*"))
        end
    end

    function command.crash()
        if not current then return note("you are in no room") end
        if process.send(joined[current], "crash") then falling = joined[current] end
    end

    function command.wait(duration)
        local channel, err = time.after(duration)
        if not channel then return note("/wait TIME: %s", tostring(err)) end
        pause = channel
    end

    function command.quit() is_done = true end
    function command.help() print(HELP) end

    local function say(text)
        if not current then return note("you are in no room: /join one, or ask for /help") end
        -- A request: when it is answered, all who are there have it.
        local sent, err = process.request(joined[current], "say", text, "1s")
        if sent then print(("[%s] %s: %s"):format(current, nick, text)) else note("not said: %s", err) end
    end

    local function on_line(line)
        if options.echo then print("> " .. line) end
        if #line > LONGEST then return note("too long: %d bytes are more than %d", #line, LONGEST) end
        if not utf8.len(line) then return note("that is no text (not UTF-8)") end
        line = line:gsub("%c", " "):match("^%s*(.-)%s*$")
        local name, rest = line:match("^/(%S*)%s*(.*)$")
        if name and command[name] then
            command[name](rest)
        elseif name then
            note("there is no /%s: ask for /help", name)
        elseif line ~= "" then
            say(line)
        end
    end

    local function on_message(message)
        local topic, value = message:topic(), message:payload():data()
        if topic == "said" then
            print(("[%s] %s: %s"):format(value.room, value.nick, value.text))
        elseif topic == "notice" then
            note("%s: %s", value.room, value.text)
        elseif topic == "whisper" then
            print(("[%s to you] %s"):format(value.nick, value.text))
            message:reply("(heard)")
        end
    end

    -- A room has ended. If it failed, its supervisor restarts it, and we go back in.
    local function on_exit(event)
        if event.from == falling then falling = nil end
        for name, pid in pairs(joined) do
            if pid == event.from then
                joined[name] = nil
                local err = event.result.error
                note("%s %s", name, err and "has failed: " .. tostring(err) or "was closed")
                if err then join(name, true) end
                if not joined[name] and current == name then current = next(joined) end
                return
            end
        end
    end

    local lines = channel.new()
    coroutine.spawn(function()
        repeat
            local line = io.readline()
            if line then lines:send(line) end
        until not line
        lines:close()
    end)

    note("welcome, %s; /help tells the commands", nick)
    if not options.alone then join("lobby") end

    while not is_done do
        local got = channel.select { inbox:case_receive(), events:case_receive(), default = true }
        if got.default then
            -- Nothing to show. A line is taken unless the script waits, or a room is falling.
            local input = pause or not falling and lines or nil
            got = channel.select { inbox:case_receive(), events:case_receive(), input and input:case_receive() }
        end
        if got.channel == inbox then
            on_message(got.value)
        elseif got.channel == events then
            if got.value.kind == process.event.CANCEL then
                is_done, is_cancelled = true, true  -- Ctrl-C
            else
                on_exit(got.value)
            end
        elseif got.channel == pause then
            pause = nil
        elseif got.ok then
            on_line(got.value)
        else
            is_done = true  -- the end of the input
        end
    end

    -- Good-bye is said for politeness; whoever just ends is out of all rooms too.
    for _, room in pairs(joined) do process.request(room, "leave", nil, "1s") end
    close_house(opened, events)
    if #opened == 0 and not is_cancelled then note("the house stays open; Ctrl-C closes it") end
    return "bye, " .. nick
end

return { main = main }
