import ObhutHeader

@_cdecl("obhut_runtime_explain") @implementation
public func obhut_runtime_explain(
    _ runtime: OpaquePointer!, _ format: Int32, _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>!,
    _ length: UnsafeMutablePointer<Int>!, _ warnings: UnsafeMutablePointer<Int>!, _ error: ErrorOut
) -> obhut_status {
    text?.pointee = nil
    length?.pointee = 0
    warnings?.pointee = 0
    return report(error) { () throws(Failure) in
        let runtime = try find(runtime)
        guard let text, let length else { throw .argument("text and length must not be NULL") }
        guard (OBHUT_EXPLAIN_TEXT...OBHUT_EXPLAIN_JSON).contains(format) else {
            throw .argument("format: \(format) is none of OBHUT_EXPLAIN_TEXT, _COLORED and _JSON")
        }
        let explanation: Explanation
        do throws(Runtime.Problem) { explanation = try runtime.explain() } catch { throw error.failure }
        let written =
            format == OBHUT_EXPLAIN_JSON
            ? explanation.json + "\n" : ExplanationText.write(explanation, isColored: format == OBHUT_EXPLAIN_COLORED)
        (text.pointee, length.pointee) = try ownedCopy(written)
        warnings?.pointee = explanation.warnings.count
    }
}
