
enum LuaLibrary { static func open() -> String? { nil } }
enum LuaProgram { static func check(_ s: [UInt8], _ c: String) -> SyntaxFault? { nil } }
struct LuaPrograms { init(_ a: Application) {}
 func definition(_ e: Entry, _ code: LuaCode, method: String, memoryLimit: Int?) -> ProcessDefinition { fatalError() } }
func obh_preempt_install(_ n: Int32) -> Int32 { 0 }
func obh_preempt_uninstall(_ n: Int32) {}
extension ProcessSystem { var output: OutputQueue { get {fatalError()} set {}}; var directory: Directory { get {fatalError()} set {}}}
