import ObhutHeader

@_cdecl("obhut_plugin_inspect") @implementation
public func obhut_plugin_inspect(
    _ path: UnsafePointer<CChar>!, _ format: Int32, _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>!,
    _ length: UnsafeMutablePointer<Int>!, _ error: ErrorOut
) -> obhut_status {
    text?.pointee = nil
    length?.pointee = 0
    return report(error) { () throws(Failure) in
        guard let path, let name = String(validatingCString: path), !name.isEmpty else {
            throw .argument("path must be a string in UTF-8, neither NULL nor empty")
        }
        guard let text, let length else { throw .argument("text and length must not be NULL") }
        guard (OBHUT_INSPECT_TEXT...OBHUT_INSPECT_JSON).contains(format) else {
            throw .argument("format: \(format) is none of OBHUT_INSPECT_TEXT and _JSON")
        }
        let inspection: PluginInspection
        do throws(PluginInspection.Problem) { inspection = try PluginInspection(of: name) } catch {
            switch error {
            case .notFound(let text): throw Failure(OBHUT_NOT_FOUND, text)
            case .unusable(let text): throw .argument(text)
            }
        }
        (text.pointee, length.pointee) = try ownedCopy(format == OBHUT_INSPECT_JSON ? inspection.json + "\n" : inspection.text)
    }
}
