-- One of ten. When the parent fails it is cancelled, and may say good-bye.

local function main(number)
    print("child " .. number .. " started")
    process.events():receive()
    print("child " .. number .. " stopped")
end

return { main = main }
