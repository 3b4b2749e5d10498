
extension ProcessSystem { var output: OutputQueue { get {fatalError()} set {}}; var directory: Directory { get {fatalError()} set {}}}
