/// How long the first n delays of a back-off take together, at least and at most (V3, V5).
///
/// `RestartPolicy.delay` says what each is; jitter is what lies between the bounds. Sums are
/// nanoseconds and end at `Int64.max`, which stands for "for ever".
struct DelayBounds {
    /// At index n the sum of the first n.
    private var least: [Int64] = [0]
    private var most: [Int64] = [0]
    /// Each after those.
    private let lastLeast: Int64
    private let lastMost: Int64

    /// - Parameter isReset: the count of attempts begins anew each time, so every delay is the first.
    init(_ policy: RestartPolicy, isReset: Bool = false) {
        let cap = Double(policy.maxDelay)
        var delay = min(Double(policy.initialDelay), cap)
        // From its 4096th on `RestartPolicy.delay` does not grow any more.
        for _ in 1..<4096 {
            if isReset || policy.backoffFactor == 1 || delay >= cap { break }
            let bounds = DelayBounds.vary(delay, policy.jitter, cap)
            least.append(saturating(least.last!, plus: bounds.least))
            most.append(saturating(most.last!, plus: bounds.most))
            delay = min(delay * policy.backoffFactor, cap)
        }
        (lastLeast, lastMost) = DelayBounds.vary(delay, policy.jitter, cap)
    }

    private static func vary(_ delay: Double, _ jitter: Double, _ cap: Double) -> (least: Int64, most: Int64) {
        func whole(_ value: Double) -> Int64 { Int64(exactly: max(0, value.rounded(.down))) ?? .max - 1 }
        return (whole(delay * (1 - jitter)), whole(min(cap, delay * (1 + jitter))))
    }

    func least(_ count: Int64) -> Int64 { DelayBounds.sum(least, lastLeast, count) }
    func most(_ count: Int64) -> Int64 { DelayBounds.sum(most, lastMost, count) }

    private static func sum(_ sums: [Int64], _ last: Int64, _ count: Int64) -> Int64 {
        if count < Int64(sums.count) { return sums[Int(count)] }
        return saturating(sums.last!, plus: saturating(count - Int64(sums.count) + 1, times: last))
    }
}

/// Both from 0; `Int64.max` stands for "without limit" and stays that.
func saturating(_ a: Int64, plus b: Int64) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
}

func saturating(_ a: Int64, times b: Int64) -> Int64 {
    if a == 0 || b == 0 { return 0 }
    let (product, overflow) = a.multipliedReportingOverflow(by: b)
    return overflow ? .max : product
}
