/// How a failure came to a process that did not begin it: through links, or from a supervisor's child.
///
/// It is as large after ten thousand links as after ten: where it began is kept, and the last few that
/// it passed. It refers to the first reason and to no other, so that a chain of processes leaves no
/// chain of objects behind.
final class FailureRoute: @unchecked Sendable {  // immutable
    struct Stop {
        var process = Pid.none
        /// Unretained: definitions outlive the processes that run them.
        unowned(unsafe) var definition: ProcessDefinition?
    }

    static let keptStops = 7

    /// The end of the process where it began.
    let first: ExitReason
    /// Processes that it came through, the first one counted.
    let count: Int
    /// Those after the first, the oldest first, of which the last `keptStops` are kept.
    private let stops: InlineArray<7, Stop>
    private let stopCount: Int

    /// The next process after the one that ended with `reason`.
    init(through reason: ExitReason) {
        guard let before = reason.route else {
            first = reason
            count = 1
            stops = .init(repeating: Stop())
            stopCount = 0
            return
        }
        first = before.first
        count = before.count + 1
        var stops = before.stops
        var used = before.stopCount
        if used == FailureRoute.keptStops {
            for index in 1..<used { stops[index - 1] = stops[index] }
            used -= 1
        }
        stops[used] = Stop(process: reason.process, definition: reason.definition)
        self.stops = stops
        stopCount = used + 1
    }

    private init(_ other: FailureRoute, first: ExitReason) {
        self.first = first
        count = other.count
        stops = other.stops
        stopCount = other.stopCount
    }

    /// The same with a first reason that takes little memory.
    func shortened(to limit: Int) -> FailureRoute { FailureRoute(self, first: first.shortened(to: limit)) }

    /// Those that are known, where it began first, the neighbour last.
    var known: [Stop] {
        [Stop(process: first.process, definition: first.definition)] + (0..<stopCount).map { stops[$0] }
    }
}
