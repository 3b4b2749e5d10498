// Children that are added while a supervisor runs (V6).
//
// An added child stands behind all that were declared and behind those that were added before it. It lives as long
// as it is kept running: one that has ended for good, or was stopped by request, is no child any more, and a
// supervisor that is restarted begins without any. What it costs to start, to stop, to restart or to lose one does
// not depend on how many there are, as long as none of the others is concerned (`one_for_one`).
//
// Start: when the declared ones have come up, at once; with `one_for_all` and `rest_for_one` each when the one before
// it is settled. Who asked for the start is told: `up`, or `refused`, which is no failure of the supervision: it
// counts for no intensity, and the child is dropped.
//
// Stop, and renewal: a *sweep* from the last one to the first, each when the one after it has ended; the declared ones
// follow. If that would leave less than `leastShare` for one of them, because the time of the stop is limited and
// they are many, so many are told at a time that each has this share.

/// Those that were added, in the order in which they came.
struct AddedChildren {
    struct Child {
        let policy: SupervisionPlan.Policy
        /// Greater than that of all that came before it.
        let order: Int
        fileprivate(set) var previous: Int?
        fileprivate(set) var next: Int?
        /// The sweep waits for its end.
        fileprivate var isAwaited = false
    }

    private var places: [Int: Child] = [:]
    fileprivate(set) var first: Int?
    fileprivate var last: Int?
    fileprivate var free: [Int] = []
    private var nextOrder = 0

    // The sweep.
    fileprivate(set) var areSwept = false
    /// The next that it comes to.
    fileprivate var cursor: Int?
    fileprivate var sweepOrder = 0
    /// When they have to be down, if the time of the stop does not suffice for all; else Int64.max.
    fileprivate var sweepEnd = Int64.max
    /// How many are told to end at a time, and how many have been told and live.
    fileprivate var window = 1
    fileprivate var awaited = 0
    /// Of those with a process that it has not come to: how many, and the sum of `shutdown`.
    fileprivate var countLeft = 0
    fileprivate var timeLeft: Int64 = 0

    var count: Int { places.count }

    subscript(child: Int) -> Child {
        get { places[child].unsafelyUnwrapped }
        _modify { yield &places[child]! }
    }

    fileprivate mutating func append(_ child: Int, _ policy: SupervisionPlan.Policy) {
        places[child] = Child(policy: policy, order: nextOrder, previous: last, next: nil)
        nextOrder += 1
        if let last { places[last]!.next = child } else { first = child }
        last = child
    }

    fileprivate mutating func remove(_ child: Int) -> Child {
        let gone = places.removeValue(forKey: child)!
        if let previous = gone.previous { places[previous]!.next = gone.next } else { first = gone.next }
        if let next = gone.next { places[next]!.previous = gone.previous } else { last = gone.previous }
        if cursor == child { cursor = gone.previous }
        free.append(child)
        return gone
    }
}

extension Supervision {
    /// What one of many has at least to end in order: 100 ms.
    static let leastShare: Int64 = 100_000_000

    /// Whether children can be added, stopped and started by request.
    var isUp: Bool { phase == .up }

    /// All children; those that were added come last, in the order in which they came.
    func forEachChild(_ body: (Int) -> Void) {
        for child in children.indices where children[child].group != Supervision.noGroup { body(child) }
        var next = added.first
        while let child = next {
            next = added[child].next
            body(child)
        }
    }

    // MARK: Requests

    /// Adds a child, which is answered by `up` or `refused`. Only while `isUp`.
    mutating func add(_ policy: SupervisionPlan.Policy, now: Int64) -> Int {
        var fresh = Child(group: Supervision.noGroup)
        fresh.wish = .added
        let child = added.free.popLast() ?? children.count
        if child == children.count { children.append(fresh) } else { children[child] = fresh }
        added.append(child, policy)
        startIfPossible(child, now)
        return child
    }

    /// Ends a child, which does not come back by itself: answered by `stopped`. One that was added is then no child
    /// any more. Only while `isUp`.
    mutating func hold(_ child: Int, now: Int64) {
        switch children[child].state {
        case .starting, .running:
            children[child].isHeld = true
            set(child, .stopping, now)
            actions.append(.cancel(child, deadline: Supervision.instant(now, plus: policy(of: child).shutdown)))
        case .stopping, .overdue: children[child].isHeld = true
        case .waiting, .backingOff, .done, .stopped: finishHold(child, now)
        }
    }

    /// Starts a child that does not run: answered by `up` or `refused`. Only while `isUp`, and not while its process
    /// is about to end.
    mutating func resume(_ child: Int, now: Int64) {
        switch children[child].state {
        case .stopped, .done:
            children[child].attempts = 0
            children[child].wish = .resumed
            set(child, .waiting, now)
            startIfPossible(child, now)
        case .backingOff:
            children[child].wish = .hurried
            set(child, .waiting, now)
            startIfPossible(child, now)
        case .waiting, .starting:
            if children[child].wish == .none { children[child].wish = .hurried }
        case .running, .overdue, .stopping: break
        }
    }

    /// It has no process any more, and was told not to come back.
    mutating func finishHold(_ child: Int, _ now: Int64) {
        children[child].isHeld = false
        children[child].wish = .none
        actions.append(.stopped(child))
        let group = children[child].group
        if group == Supervision.noGroup { return remove(child, now) }
        set(child, .stopped, now)
        if isStopping(child) { noteDown(group, now) }
    }

    /// Of a child that has ended before it was ready: whether that is the end of the matter.
    mutating func refuse(_ child: Int, _ now: Int64) -> Bool {
        let wish = children[child].wish
        if wish == .none { return false }
        children[child].wish = .none
        actions.append(.refused(child))
        switch wish {
        case .added: remove(child, now)
        case .resumed: set(child, .stopped, now)
        case .hurried, .none: return false
        }
        return true
    }

    mutating func remove(_ child: Int, _ now: Int64) {
        let gone = added.remove(child)
        children[child] = Child(group: Supervision.noGroup, state: .done)
        actions.append(.removed(child))
        if let next = gone.next, children[next].state == .waiting { startIfPossible(next, now) }
        if gone.isAwaited { noteAwaitedEnd(now) }
    }

    // MARK: Start

    private var isOrdered: Bool { plan.strategy != .oneForOne }

    func canStartAdded(_ child: Int) -> Bool {
        guard phase == .up, renewal == nil, groupsWereUp else { return false }
        guard isOrdered, let previous = added[child].previous else { return true }
        return children[previous].state.isSettled
    }

    /// All that wait and may.
    mutating func startAdded(_ now: Int64) {
        var next = added.first
        while let child = next {
            next = added[child].next
            if children[child].state == .waiting, canStartAdded(child) { start(child, now) }
        }
    }

    /// One has become settled.
    mutating func startAdded(after child: Int, _ now: Int64) {
        guard isOrdered, let next = added[child].next, children[next].state == .waiting else { return }
        startIfPossible(next, now)
    }

    // MARK: The sweep

    /// Brings down those from this order on, and then the groups.
    mutating func beginSweep(order: Int, _ now: Int64) {
        added.areSwept = true
        added.sweepOrder = order
        added.cursor = added.last
        added.awaited = 0
        added.timeLeft = 0
        var count = 0
        var next = added.last
        while let child = next, added[child].order >= order {
            next = added[child].previous
            added[child].isAwaited = false
            guard children[child].state.hasProcess else { continue }
            count += 1
            added.timeLeft = min(added.timeLeft + min(added[child].policy.shutdown, .max / 4), .max / 4)
        }
        added.countLeft = count
        added.window = 1
        added.sweepEnd = .max
        let (left, rest) = (max(0, stopLimit - now), Double(plan.tails.max() ?? 0))
        if stopLimit != .max, count > 0, Double(left) < Double(added.timeLeft) + rest {
            // In proportion to what the declared ones may take after them.
            let share = Double(left) * Double(added.timeLeft) / (Double(added.timeLeft) + rest)
            added.sweepEnd = now + Int64(share)
            let least = min(Double(Supervision.leastShare), Double(added.timeLeft) / Double(count))
            added.window = share < 1 ? count : max(1, min(count, Int((Double(count) * least / share).rounded(.up))))
        }
        continueSweep(now)
    }

    private mutating func continueSweep(_ now: Int64) {
        while added.awaited < added.window, let child = added.cursor, added[child].order >= added.sweepOrder {
            added.cursor = added[child].previous
            let state = children[child].state
            guard state.hasProcess else {
                if state == .backingOff { set(child, .waiting, now) }
                continue
            }
            let shutdown = min(added[child].policy.shutdown, .max / 4)
            var time = shutdown
            if added.sweepEnd != .max {
                let left = max(1, added.sweepEnd - now)
                if added.window == 1 {
                    let mine = Double(left) * Double(shutdown) / Double(max(1, added.timeLeft))
                    time = max(1, mine < Double(min(shutdown, left)) ? Int64(mine) : min(shutdown, left))
                } else {
                    // In so many rounds; those under way are counted, so that the last ones have their share too.
                    let rounds = (added.countLeft + added.awaited + added.window - 1) / added.window
                    time = max(1, min(shutdown, left / Int64(max(1, rounds))))
                }
            }
            added.countLeft -= 1
            added.timeLeft = max(0, added.timeLeft - shutdown)
            added[child].isAwaited = true
            added.awaited += 1
            if state == .starting || state == .running { set(child, .stopping, now) }
            // Of those that were told before only if there is less time now.
            if state == .starting || state == .running || (state == .stopping && stopLimit != .max) {
                actions.append(.cancel(child, deadline: Supervision.instant(now, plus: time)))
            }
        }
        if let child = added.cursor, added[child].order >= added.sweepOrder { return }
        guard added.awaited == 0, added.areSwept else { return }
        added.areSwept = false
        bringDownGroups(now)
    }

    /// One that is to be brought down has ended, whether the sweep has come to it or not.
    mutating func endedInSweep(_ child: Int, isOver: Bool, _ now: Int64) {
        if isOver, phase == .up { return remove(child, now) }
        set(child, .waiting, now)
        guard added[child].isAwaited else { return }
        added[child].isAwaited = false
        noteAwaitedEnd(now)
    }

    private mutating func noteAwaitedEnd(_ now: Int64) {
        guard added.areSwept else { return }
        added.awaited -= 1
        continueSweep(now)
    }
}
