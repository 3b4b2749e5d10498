import Testing

@testable import Obhut

/// Signatures: what they are read as, and where what is wrong with one stands.
@Suite struct NativeSignatureTests {
    @Test(arguments: [
        ("void()", "void()"), ("u64(u64, bytes)", "u64(u64, bytes)"), (" status ( context,string ,\ti32 ) ", "status(context, string, i32)"),
        ("f64(f32)", "f64(f32)"), ("string(payload)", "string(payload)"), ("bool(bool,i8,i16,i32,i64,u8,u16,u32,u64,f32,f64,string,bytes,payload)", "bool(bool, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, string, bytes, payload)"),
    ]) func whatIsOne(text: String, expected: String) throws {
        #expect(try NativeSignature(parsing: text).description == expected)
    }

    @Test(arguments: [
        ("", 0, "a result must be a type, got its end (inside { } or [ ] a signature needs quotes)"),
        ("u64", 3, "'(' must follow the result, got its end (inside { } or [ ] a signature needs quotes)"),
        ("u64(u64", 7, "',' or ')' must follow a parameter, got its end (inside { } or [ ] a signature needs quotes)"),
        ("u64(u64,", 8, "a parameter must be a type, got its end (inside { } or [ ] a signature needs quotes)"),
        ("u64(u64 u64)", 8, "',' or ')' must follow a parameter, got 'u'"),
        ("u64(u46)", 4, "unknown type 'u46'; did you mean 'u16'?"),
        ("int(u64)", 0, "unknown type 'int'"),
        ("u64(,u8)", 4, "a parameter must be a type, got ','"),
        ("u64(u8,)", 7, "a parameter must be a type, got ')'"),
        ("u64(u8) x", 8, "nothing can follow the last ')', got 'x'"),
        ("u64((u8))", 4, "a parameter must be a type, got '('"),
        ("bytes(u8)", 0, "'bytes' cannot be a result: C gives one value; send a message, or give a string"),
        ("context()", 0, "'context' cannot be a result: C gives one value; send a message, or give a string"),
        ("void(void)", 5, "'void' cannot be a parameter: write () for none"),
        ("void(status)", 5, "'status' can only be a result"),
        ("void(u8, context)", 9, "'context' can only be the first parameter"),
        ("void(u8,u8,u8,u8,u8,u8,u8,u8,u8,u8,u8,u8,u8,u8,u8,u8,u8)", 53, "there can be 16 parameters and no more"),
        ("void(…)", 5, "a parameter must be a type, got '…'"),
        ("void(\n)", 5, "a parameter must be a type, got '\\n'"),
    ]) func whatIsNone(text: String, offset: Int, message: String) {
        do throws(NativeSignature.Fault) {
            Issue.record("\(try NativeSignature(parsing: text))")
        } catch {
            #expect(error.offset == offset)
            #expect(error.message.hasPrefix(message) && (error.message == message || message == "unknown type 'int'"))
        }
    }
}
