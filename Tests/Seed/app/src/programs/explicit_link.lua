-- Plays the two others in "explicit linking": has a linker (the program under test) link itself to a target, and then
-- the target end in the way `how` names ("fail", "return", or "dead": it ended before there could be a link).
local function main(how)
    how = how or "fail"
    local target = assert(process.spawn("app.workers:target", "app:processes"))
    local linker = assert(process.spawn("app.workers:linker", "app:processes"))
    if how == "dead" then
        assert(process.monitor(target))
        process.send(target, "return")
        process.events():receive()
        process.send(linker, "target", target)
        return "no link"
    end
    process.send(linker, "target", target)
    local message = process.inbox():receive()
    if message:topic() ~= "linked" or message:from() ~= linker or message:payload():data() ~= linker then
        return nil, "not what the linker should have said"
    end
    process.send(target, how)
    return "linked"
end

return { main = main }
