-- Greets as often as it was told to, then ends with the number of those it greeted.
local function main(times)
    for _ = 1, times do
        local message = process.inbox():receive()
        process.send(message:from(), "greeting", "Hello, " .. message:payload():data() .. "!")
    end
    return times
end

return { main = main }
