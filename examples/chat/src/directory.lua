-- Knows which rooms there are, and has them made on demand.
--
-- It does not run them: each has a supervisor of its own, which restarts it when it fails, and which the directory watches
-- with a monitor: so it is told when a room is closed or given up, and is not affected (S7).

local rooms = require("rooms")

local function main()
    local inbox, events = process.inbox(), process.events()
    local supervisors = {}   -- name of a room → pid of its supervisor
    local name_of = {}       -- and back
    local waiting = {}       -- name of a room → requests that are answered when it is there

    local function open(name)
        local pid, err = process.with_context({ room = name, directory = process.pid() })
            :spawn_monitored("chat:room_supervisor", "chat:processes")
        if pid then supervisors[name], name_of[pid] = pid, name end
        return pid, err
    end

    -- Answers all who wait for this room.
    local function answer(name, ...)
        local requests = waiting[name] or {}
        waiting[name] = nil
        for _, request in ipairs(requests) do request:reply(...) end
    end

    -- "Where is the room?" The registry knows, unless it is just being started or restarted: then the one who asks is
    -- answered later, when the room says that it is ready. A reply needs not come at once.
    local function find(request, name)
        if not rooms.is_name(name) then return request:reply(nil, "this is no name of a room") end
        local pid = process.registry.lookup("room:" .. name)
        if pid then return request:reply(pid) end
        waiting[name] = waiting[name] or {}
        table.insert(waiting[name], request)
        if not supervisors[name] then
            local started, err = open(name)
            if not started then answer(name, nil, err) end
        end
    end

    local function list()
        local names = {}
        for name in pairs(supervisors) do names[#names + 1] = name end
        table.sort(names)
        return names
    end

    -- The supervisor of a room has ended: the room was empty, or failed too often.
    local function on_exit(event)
        local name, err = name_of[event.from], event.result.error
        name_of[event.from], supervisors[name] = nil, nil
        if err then
            answer(name, nil, "the room was closed: " .. tostring(err))
        elseif waiting[name] then
            open(name)  -- somebody wants in, just as the last one had gone
        end
    end

    local function close_all()
        for pid in pairs(name_of) do process.cancel(pid, "1s") end
        while next(name_of) do
            local event = events:receive()
            if event.kind == process.event.EXIT then name_of[event.from] = nil end
        end
    end

    assert(process.registry.register("directory"))
    process.ready()

    while true do
        local result = channel.select { inbox:case_receive(), events:case_receive() }
        if result.channel == inbox then
            local message = result.value
            local topic, value = message:topic(), message:payload():data()
            if topic == "open" then
                find(message, value)
            elseif topic == "list" then
                message:reply(list())
            elseif topic == "ready" then
                answer(value, message:from())
            end
        elseif result.value.kind == process.event.CANCEL then
            close_all()
            return "closed"
        else
            on_exit(result.value)
        end
    end
end

return { main = main }
