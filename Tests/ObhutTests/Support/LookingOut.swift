import Synchronization

@testable import Obhut

/// As long as one of these has not ended, every thread looks out before it sleeps (`Patience`), in the tests beside it too.
struct LookingOut {
    private static let count = Atomic<Int>(0)
    private let isMeant: Bool

    init(_ isMeant: Bool) {
        self.isMeant = isMeant
        if isMeant {
            LookingOut.count.add(1, ordering: .sequentiallyConsistent)
            Patience.isEndless.store(true, ordering: .sequentiallyConsistent)
        }
    }

    func end() {
        if isMeant && LookingOut.count.subtract(1, ordering: .sequentiallyConsistent).newValue == 0 {
            Patience.isEndless.store(false, ordering: .sequentiallyConsistent)
        }
    }
}
