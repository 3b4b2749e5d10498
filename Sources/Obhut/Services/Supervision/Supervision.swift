/// What a supervisor decides (V3, V5, V6): events in, actions out.
///
/// The law here: *it touches nothing.* It knows no process, no clock and no thread; whoever
/// drives it tells it what has happened and what time it is, and carries out `takeActions`.
/// So every rule of restart and stop can be tested in a time that the test makes up.
///
/// A child goes through these states:
///
///     waiting ─start─▶ starting ─ready─▶ running ─ended─▶ backingOff ─due─▶ waiting …
///                         │ not in time     │ cancelled      or done
///                         ▼                 ▼
///                      overdue           stopping ─ended─▶ waiting
///
/// *Settled* is a group all of whose children run or are done; a group is started when those
/// that it needs are settled. A stop goes the other way: a group is cancelled when all that
/// need it are down. Both are counted and not searched for, so that each event costs as much
/// as it changes.
///
/// `one_for_all` and `rest_for_one` are a *renewal*: the groups from some index on are stopped,
/// and all that waits is started when these are down and the delay is over.
///
/// Children that are *added* while it runs stand in no group: `Supervision+Added.swift`.
///
/// All actions of an event are in order. `start` is answered by `running` or `ended`, `cancel` and
/// `endOverdue` by `ended`; a child that has no process gets no event.
struct Supervision {
    enum End: Equatable {
        case normal
        /// Not retryable is what an error object says of itself (V5).
        case failure(isRetryable: Bool)
    }

    /// Why a supervisor gives up.
    enum Reason: Equatable {
        /// So many restarts within the window would be one too many.
        case intensity(Int)
        case attempts(Int)
        case notRetryable
        case significant
    }

    enum Outcome: Equatable {
        /// It was told to.
        case stopped
        /// A significant child has ended normally.
        case done(Int)
        case failed(Int, Reason)
    }

    enum Action: Equatable {
        case start(Int)
        case cancel(Int, deadline: Int64)
        /// By force: it was not ready in time.
        case endOverdue(Int)
        /// It has failed and will be started again.
        case restarting(Int, attempt: Int, delay: Int64)
        /// It has failed and will not: its restart type says so.
        case abandoned(Int)
        /// It has failed for good, and with it the supervisor, which stops the others now.
        case givenUp(Int, Reason)
        /// For the first time everything is settled.
        case ready
        /// Somebody has asked for its start (`add`, `resume`), and it is ready.
        case up(Int)
        /// Somebody has asked for its start, and it ended before it was ready.
        case refused(Int)
        /// It was told to end and not to come back (`hold`), and has no process.
        case stopped(Int)
        /// An added one is no child any more; its number will be another's.
        case removed(Int)
        /// Nothing is left.
        case finish(Outcome)
    }

    enum State: UInt8 {
        case waiting, starting, running, overdue, stopping, backingOff, done
        /// Without a process until somebody asks for it.
        case stopped

        var hasProcess: Bool { self == .starting || self == .running || self == .overdue || self == .stopping }
        var isSettled: Bool { self == .running || self == .done || self == .stopped }
    }

    /// Whether somebody waits for a child to be ready.
    enum Wish {
        case none
        /// Since it was added: if it fails, it is dropped.
        case added
        /// Since it was stopped, or done: if it fails, it is stopped again.
        case resumed
        /// It would have been started anyway.
        case hurried
    }

    struct Child {
        /// `Supervision.noGroup`: it was added.
        let group: Int
        var state = State.waiting
        /// Restarts since it was last stable.
        var attempts = 0
        var readyAt: Int64 = 0
        /// When it is to be ready, or to be started again.
        var due = Int64.max
        /// When its process has ended it is `stopped`, or no child any more.
        var isHeld = false
        var wish = Wish.none
    }

    struct Group {
        /// Index of its first child.
        let first: Int
        /// Children that are not settled.
        var unsettled: Int
        /// Groups it needs that are not settled.
        var unsettledNeeds: Int
        /// Children with a process.
        var alive = 0
        /// In a stop: groups that need it and are not down.
        var holders = 0
        var isDown = false
    }

    enum Phase: Equatable { case new, up, stopping(Outcome), over }

    /// A part that is stopped in order to be started again.
    struct Renewal {
        /// The first group of it.
        var from: Int
        /// The first of the added ones, by their order.
        var order: Int
        var due: Int64
    }

    static let noGroup = -1

    let plan: SupervisionPlan
    var children: [Child] = []
    var groups: [Group] = []
    var phase = Phase.new
    var renewal: Renewal?
    /// Groups of the stop or renewal that are not down.
    var notDown = 0
    private var unsettledGroups: Int
    private var wasReady = false
    /// Since the last renewal of theirs all groups were settled: added children may start.
    var groupsWereUp = false
    var added = AddedChildren()
    /// When the last restarts were; those before index `oldRestarts` are out of the window.
    private var restarts: [Int64] = []
    private var oldRestarts = 0
    private var dueTimes = DueTimes()
    /// When all children have to be down, if somebody has said so.
    var stopLimit = Int64.max
    private var random: RandomSource
    var actions: [Action] = []

    init(_ plan: SupervisionPlan, seed: UInt64) {
        self.plan = plan
        random = RandomSource(seed: seed)
        unsettledGroups = plan.groups.count
        groups.reserveCapacity(plan.groups.count)
        for (index, group) in plan.groups.enumerated() {
            groups.append(Group(first: children.count, unsettled: group.count, unsettledNeeds: group.needs.count))
            for _ in 0..<group.count { children.append(Child(group: index)) }
        }
    }

    var childCount: Int { children.count }
    func state(of child: Int) -> State { children[child].state }
    func attempts(of child: Int) -> Int { children[child].attempts }

    func policy(of child: Int) -> SupervisionPlan.Policy {
        let group = children[child].group
        return group == Supervision.noGroup ? added[child].policy : plan.groups[group].policy
    }

    /// Group of a child that was declared, and its number in it from 0.
    func place(of child: Int) -> (group: Int, number: Int) {
        let group = children[child].group
        return (group, child - groups[group].first)
    }

    /// When `tick` has to be called, Int64.max: not by time.
    var nextDue: Int64 {
        let child = dueTimes.next?.time ?? .max
        guard let renewal, notDown == 0, !added.areSwept else { return child }
        return min(child, renewal.due)
    }

    mutating func takeActions() -> [Action] {
        defer { actions = [] }
        return actions
    }

    // MARK: Events

    mutating func start(now: Int64) {
        guard phase == .new else { return }
        phase = .up
        for group in groups.indices { startWaiting(group, now) }
        noteReady(now)
    }

    /// The child's body has begun.
    mutating func running(_ child: Int, now: Int64) {
        if children[child].state == .starting, policy(of: child).readiness == .whenRunning { ready(child, now: now) }
    }

    /// The child has said that it is ready.
    mutating func ready(_ child: Int, now: Int64) {
        guard children[child].state == .starting else { return }
        children[child].readyAt = now
        if children[child].wish != .none {
            children[child].wish = .none
            actions.append(.up(child))
        }
        set(child, .running, now)
    }

    mutating func ended(_ child: Int, _ end: End, now: Int64) {
        let old = children[child].state
        guard old.hasProcess else { return }
        let group = children[child].group
        if children[child].isHeld {
            finishHold(child, now)
        } else if isStopping(child) {
            // A temporary one that was stopped is not started again.
            let isOver = renewal != nil && policy(of: child).restart.policy == .never
            if group == Supervision.noGroup {
                endedInSweep(child, isOver: isOver, now)
            } else {
                set(child, isOver ? .done : .waiting, now)
                noteDown(group, now)
            }
        } else {
            let wasStable = old == .running && now - children[child].readyAt >= policy(of: child).stableThreshold
            if wasStable { children[child].attempts = 0 }
            decide(child, old == .overdue ? .failure(isRetryable: true) : end, now)
        }
    }

    /// Everything is to end before `deadline`; a second call can only bring that forward.
    mutating func stop(deadline: Int64, now: Int64) {
        let left = max(0, deadline - now)
        let limit = now + left - min(SupervisionPlan.reserve, left / 8)
        guard limit < stopLimit else { return }
        stopLimit = limit
        switch phase {
        case .new, .up: beginStop(.stopped, now)
        case .stopping(let outcome): beginStop(outcome, now)
        case .over: break
        }
    }

    /// Time has passed.
    mutating func tick(now: Int64) {
        while let entry = dueTimes.next, entry.time <= now {
            dueTimes.removeNext()
            guard children[entry.child].due == entry.time else { continue }
            children[entry.child].due = .max
            switch children[entry.child].state {
            case .starting:
                set(entry.child, .overdue, now)
                actions.append(.endOverdue(entry.child))
            case .backingOff:
                set(entry.child, .waiting, now)
                startIfPossible(entry.child, now)
            default: break
            }
        }
        finishRenewal(now)
    }

    // MARK: After an end

    private mutating func decide(_ child: Int, _ end: End, _ now: Int64) {
        let group = children[child].group
        let policy = policy(of: child)
        if refuse(child, now) { return }
        let isRestarted = end == .normal ? policy.restart.policy == .always : policy.restart.policy != .never
        guard isRestarted else {
            if group == Supervision.noGroup, !policy.isSignificant {
                if end != .normal { actions.append(.abandoned(child)) }
                return remove(child, now)
            }
            set(child, .done, now)
            if end != .normal { actions.append(.abandoned(child)) }
            if policy.isSignificant {
                beginStop(end == .normal ? .done(child) : .failed(child, .significant), now)
            }
            return
        }
        let attempts = children[child].attempts
        var reason: Reason?
        if end == .failure(isRetryable: false) {
            reason = .notRetryable
        } else if policy.restart.maxAttempts > 0 && attempts >= policy.restart.maxAttempts {
            reason = .attempts(attempts)
        } else if exceedsIntensity(now) {
            reason = .intensity(restartsInWindow)
        }
        if let reason {
            set(child, .waiting, now)
            actions.append(.givenUp(child, reason))
            return beginStop(.failed(child, reason), now)
        }
        children[child].attempts = attempts + 1
        let delay = policy.restart.delay(attempt: attempts + 1, &random)
        let due = Supervision.instant(now, plus: delay)
        actions.append(.restarting(child, attempt: attempts + 1, delay: delay))
        switch plan.strategy {
        case .oneForOne:
            set(child, .backingOff, now)
            setDue(child, due)
        case .oneForAll:
            set(child, .waiting, now)
            beginRenewal(from: 0, order: 0, due, now)
        case .restForOne:
            set(child, .waiting, now)
            let isAdded = group == Supervision.noGroup
            beginRenewal(
                from: isAdded ? groups.count : group + 1, order: isAdded ? added[child].order + 1 : 0, due, now)
        }
    }

    /// Counts a restart; N within the window are allowed (V6).
    private mutating func exceedsIntensity(_ now: Int64) -> Bool {
        guard let intensity = plan.intensity else { return false }
        restarts.append(now)
        while now - restarts[oldRestarts] > intensity.window { oldRestarts += 1 }
        if oldRestarts > 64 && oldRestarts * 2 > restarts.count {
            restarts.removeFirst(oldRestarts)
            oldRestarts = 0
        }
        return restartsInWindow > intensity.maxRestarts
    }

    private var restartsInWindow: Int { restarts.count - oldRestarts }

    static func instant(_ now: Int64, plus duration: Int64) -> Int64 {
        let (sum, overflow) = now.addingReportingOverflow(duration)
        return overflow ? .max - 1 : sum
    }

    // MARK: Start

    func canStart(_ group: Int) -> Bool {
        phase == .up && renewal == nil && groups[group].unsettledNeeds == 0
    }

    private mutating func startWaiting(_ group: Int, _ now: Int64) {
        guard canStart(group) else { return }
        let first = groups[group].first
        for child in first..<(first + plan.groups[group].count) where children[child].state == .waiting {
            start(child, now)
        }
    }

    mutating func startIfPossible(_ child: Int, _ now: Int64) {
        let group = children[child].group
        if group == Supervision.noGroup ? canStartAdded(child) : canStart(group) { start(child, now) }
    }

    mutating func start(_ child: Int, _ now: Int64) {
        set(child, .starting, now)
        setDue(child, Supervision.instant(now, plus: policy(of: child).startTimeout))
        actions.append(.start(child))
    }

    private mutating func setDue(_ child: Int, _ time: Int64) {
        children[child].due = time
        dueTimes.insert(.init(time: time, child: child))
        if dueTimes.count > 2 * children.count + 64 {
            let children = children
            dueTimes.keep { children[$0.child].due == $0.time }
        }
    }

    private mutating func noteReady(_ now: Int64) {
        guard unsettledGroups == 0, phase == .up else { return }
        if !wasReady {
            wasReady = true
            actions.append(.ready)
        }
        if groupsWereUp { return }
        groupsWereUp = true
        startAdded(now)
    }

    /// The one place where a state changes: keeps the counts.
    mutating func set(_ child: Int, _ state: State, _ now: Int64) {
        let old = children[child].state
        let group = children[child].group
        children[child].state = state
        children[child].due = .max
        if group == Supervision.noGroup {
            if state.isSettled && !old.isSettled { startAdded(after: child, now) }
            return
        }
        groups[group].alive += (state.hasProcess ? 1 : 0) - (old.hasProcess ? 1 : 0)
        guard old.isSettled != state.isSettled else { return }
        if state.isSettled {
            groups[group].unsettled -= 1
            if groups[group].unsettled > 0 { return }
            unsettledGroups -= 1
            for dependent in plan.dependents[group] {
                groups[dependent].unsettledNeeds -= 1
                if groups[dependent].unsettledNeeds == 0 { startWaiting(dependent, now) }
            }
            noteReady(now)
        } else {
            groups[group].unsettled += 1
            if groups[group].unsettled > 1 { return }
            unsettledGroups += 1
            for dependent in plan.dependents[group] { groups[dependent].unsettledNeeds += 1 }
        }
    }

    // MARK: Stop and renewal

    func isStopping(_ child: Int) -> Bool {
        if case .stopping = phase { return true }
        guard let renewal else { return false }
        let group = children[child].group
        return group == Supervision.noGroup ? added[child].order >= renewal.order : group >= renewal.from
    }

    private mutating func beginStop(_ outcome: Outcome, _ now: Int64) {
        phase = .stopping(outcome)
        renewal = nil
        for child in children.indices where children[child].state == .backingOff { set(child, .waiting, now) }
        bringDown(from: 0, order: 0, now)
    }

    private mutating func beginRenewal(from: Int, order: Int, _ due: Int64, _ now: Int64) {
        let whole = Renewal(
            from: min(from, renewal?.from ?? from), order: min(order, renewal?.order ?? order),
            due: max(due, renewal?.due ?? due))
        renewal = whole
        if whole.from < groups.count { groupsWereUp = false }
        bringDown(from: whole.from, order: whole.order, now)
    }

    /// First those that were added, then the groups from this index on, each when all that need it are down.
    private mutating func bringDown(from: Int, order: Int, _ now: Int64) {
        notDown = groups.count - from
        for group in from..<groups.count {
            groups[group].isDown = false
            groups[group].holders = plan.dependents[group].count
        }
        beginSweep(order: order, now)
    }

    /// The added ones are down.
    mutating func bringDownGroups(_ now: Int64) {
        let from = renewal?.from ?? 0
        if notDown == 0 { return noteAllDown(now) }
        for group in from..<groups.count where plan.dependents[group].isEmpty { cancel(group, now) }
    }

    private mutating func cancel(_ group: Int, _ now: Int64) {
        let deadline = Supervision.instant(now, plus: allotment(group, now))
        let first = groups[group].first
        for child in first..<(first + plan.groups[group].count) {
            switch children[child].state {
            case .starting, .running: set(child, .stopping, now)
            // Told before, and now there is less time.
            case .stopping where stopLimit != .max: break
            default: continue
            }
            actions.append(.cancel(child, deadline: deadline))
        }
        noteDown(group, now)
    }

    /// What a group has of the time that is left: all of its `shutdown`, or its share if the time
    /// does not suffice for all that is stopped after it.
    private func allotment(_ group: Int, _ now: Int64) -> Int64 {
        // Never more than the tail that begins with it, which is bounded.
        let shutdown = min(plan.groups[group].policy.shutdown, plan.tails[group])
        guard stopLimit != .max else { return shutdown }
        let left = max(0, stopLimit - now)
        if left >= plan.tails[group] { return shutdown }
        return max(1, Int64(Double(left) * Double(shutdown) / Double(max(1, plan.tails[group]))))
    }

    /// A child of it has ended, or it was told to: if it is down, so may be told what it needs.
    mutating func noteDown(_ group: Int, _ now: Int64) {
        if added.areSwept { return }
        let from = renewal?.from ?? 0
        // A chain of groups is as long as its author likes: no recursion.
        var next = [group]
        while let group = next.popLast() {
            guard groups[group].alive == 0, groups[group].holders == 0, !groups[group].isDown else { continue }
            groups[group].isDown = true
            notDown -= 1
            for need in plan.groups[group].needs where need >= from {
                groups[need].holders -= 1
                if groups[need].holders > 0 { continue }
                if groups[need].alive > 0 { cancel(need, now) } else { next.append(need) }
            }
        }
        if notDown == 0 { noteAllDown(now) }
    }

    private mutating func noteAllDown(_ now: Int64) {
        if case .stopping(let outcome) = phase {
            phase = .over
            actions.append(.finish(outcome))
        } else {
            finishRenewal(now)
        }
    }

    private mutating func finishRenewal(_ now: Int64) {
        guard let done = renewal, notDown == 0, !added.areSwept, now >= done.due, phase == .up else { return }
        renewal = nil
        for child in children.indices
        where children[child].group >= done.from && children[child].state == .done
            && plan.groups[children[child].group].policy.restart.policy != .never
        {
            set(child, .waiting, now)
        }
        for group in groups.indices { startWaiting(group, now) }
        noteReady(now)
        startAdded(now)
    }
}
