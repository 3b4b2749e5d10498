/// What YAML gives to C functions as arguments, checked against their signatures when the application is loaded.
enum NativeInputs {
    static func faults(_ application: Application) -> [Fault] {
        var faults: [Fault] = []
        func check(_ process: EntryID, _ input: [EntryValue], at position: SourcePosition, _ who: String) {
            guard case .native(let entry)? = application[process]?.definition else { return }
            var writer = PayloadWriter()
            writer.write(.list(input))
            guard let fault = NativeProgram(entry, id: process.description).fault(of: writer.bytes) else { return }
            faults.append(Fault(at: position, "the 'input' of \(who) does not fit '\(process)', \(entry.signature): \(fault)"))
        }
        let starting = Set(application.startOrder)
        for entry in application.entries {
            switch entry.definition {
            case .native(let native):
                if starting.contains(entry.id) { check(entry.id, native.input, at: entry.position, "'\(entry.id)'") }
            case .service(let service): check(service.process, service.input, at: entry.position, "'\(entry.id)'")
            case .supervisor(let supervisor):
                // That of a service was reported there.
                for child in supervisor.children where child.service == nil {
                    let input = child.count == nil ? child.input : child.input + [.int(1)]
                    check(child.process, input, at: child.position ?? entry.position, "child '\(child.name)'")
                }
            default: break
            }
        }
        return faults
    }
}
