local function main(number) return number end

return { main = main }
