// A process in Swift: greets whom it is given, and ends.
//
//     swiftc -emit-library -static-stdlib -import-objc-header include/obhut_plugin.h greeter.swift -o app/libgreeter.so

@_cdecl("greeter_main")
public func greeterMain(_ context: UnsafeMutablePointer<obhut_context>, _ name: UnsafePointer<CChar>) -> obhut_status {
    let names = String(cString: name).split(separator: ",").map { $0.drop(while: \.isWhitespace) }
    guard !names.isEmpty else {
        obhut_fail(context, "whom shall I greet?")
        return OBHUT_FAILED
    }
    var writer = obhut_writer()
    defer { obhut_writer_free(&writer) }
    obhut_write_string(&writer, "Hello, " + names.joined(separator: " and ") + "!")
    // The value that the process returns.
    return obhut_context_set_result(context, writer.bytes, writer.length)
}
