/// Why a Lua value could not be encoded (M1): which value, and where it stands.
///
/// The codec itself is in Modules/LuaEncoder.swift and Modules/LuaDecoder.swift.
struct EncodeFault: Error {
    /// "cannot send a function (at .handlers[2])"
    var message: String

    init(message: String) { self.message = message }

    init(message: String, path: [String]) {
        let shown = path.count > 12 ? path.prefix(6) + [" … "] + path.suffix(5) : path[...]
        let place = shown.joined()
        self.message = place.isEmpty ? message : "\(message) (at \(place))"
        atPath = !place.isEmpty
    }

    private var atPath = false

    /// The same for a value that is one of several arguments.
    func inArgument(_ number: Int) -> EncodeFault {
        var copy = self
        if atPath {
            copy.message.removeLast()
            copy.message += " of value \(number))"
        } else if message.hasPrefix("cannot") {
            copy.message += " (value \(number))"
        }
        return copy
    }
}
