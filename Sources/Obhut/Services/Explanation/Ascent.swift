/// How a failure that does not go away rises through the supervisors, computed and not run.
///
/// The law here: what it says agrees with `Supervision`, the machine that decides; a test runs
/// the two against each other. The failure that it follows is this one: *each process of one
/// declared child fails as soon as it is started, and all else is well*. A child that is ready
/// when it runs (`ready: running`) fails when all that starts with it is ready; one that has to call
/// fails before it does. Starting and stopping take no time; a process that fails later than at once is tried at least
/// as long.
///
/// Jitter, and which of several copies fails first, are chance: so each figure is a range, and a
/// supervisor fails upward always, perhaps, or never. `Int64.max` is "without limit".
struct Bounds: Equatable {
    var least: Int64
    var most: Int64

    static func exactly(_ value: Int64) -> Bounds { Bounds(least: value, most: value) }
    var isLimited: Bool { most != .max }

    func times(_ other: Bounds) -> Bounds {
        Bounds(least: saturating(least, times: other.least), most: saturating(most, times: other.most))
    }
}

/// One life of what a supervisor runs as a child: a process that fails, or a supervisor with such a one below it.
struct Life: Equatable {
    /// How many processes of the failing child it starts.
    var starts = Bounds.exactly(1)
    /// From its start to its failure.
    var time = Bounds.exactly(0)
    var isReady: Bool
    var fails = Certainty.always
    /// Of a supervisor that is not ready at once: when it is after all, because the child was given up.
    var settles: Bounds?

    static func process(_ policy: SupervisionPlan.Policy) -> Life { Life(isReady: policy.readiness == .whenRunning) }
}

enum Certainty: String {
    case never, perhaps, always
}

/// What one supervisor does about it.
struct AscentStep: Equatable {
    enum End: Equatable {
        /// The supervisor fails: more restarts than its intensity allows.
        case intensity
        /// The supervisor fails: `max_attempts` are used up.
        case attempts
        /// The supervisor fails: it was significant.
        case significant
        /// Not restarted; the supervisor goes on without it.
        case abandoned
        /// What is below never fails, so this supervisor notices nothing.
        case unnoticed
        /// Restarted for ever.
        case forEver(Why)
    }

    enum Why: Equatable {
        /// No limit was set.
        case noLimit
        /// The delays lie too far apart for the window.
        case window
        /// The child is stable before it fails, so its attempts are never used up.
        case stable
        /// What is below may go on for ever, by chance.
        case below
    }

    /// Each that is possible; more than one where it depends on chance.
    var ends: [End] = []
    /// Restarts by this supervisor in one life of it.
    var restarts = Bounds.exactly(0)
    /// Of the supervisor, seen from above.
    var life: Life
    /// Its child was not ready in time, and was ended for that.
    var isOverdue = false
}

extension SupervisionPlan {
    /// One life of this supervisor while the child `group` fails as `life` says.
    /// - Parameter isProcess: the child is a process and not a supervisor.
    func ascend(_ life: Life, from group: Int, isProcess: Bool) -> AscentStep {
        let policy = groups[group].policy
        let copies = Int64(groups[group].count)
        var life = life
        var step = AscentStep(life: life)
        if !life.isReady && !isProcess && (life.settles ?? life.time).most >= policy.startTimeout {
            // Ended before it is ready: that is a failure too. How often it has started something by then
            // is at most what its whole life holds.
            let ready = life.settles ?? life.time
            let isCertain = ready.least > policy.startTimeout || life.settles == nil
            if ready.most > policy.startTimeout || life.settles != nil {
                life.starts.least = min(life.starts.least, 1)
                life.time = Bounds(
                    least: min(life.time.least, policy.startTimeout), most: isCertain ? policy.startTimeout : .max)
                life.fails = isCertain ? .always : .perhaps
                step.isOverdue = true
            }
        }
        guard life.fails != .never else {
            step.ends = [.unnoticed]
            step.life = Life(
                starts: life.starts.times(.exactly(copies)), time: .exactly(.max), isReady: life.isReady, fails: .never,
                settles: life.settles)
            return step
        }
        if policy.restart.policy == .never {
            step.ends = [policy.isSignificant ? .significant : .abandoned]
            let starts = Bounds(least: life.starts.least, most: saturating(life.starts.most, times: copies))
            step.life = Life(
                starts: starts, time: policy.isSignificant ? life.time : .exactly(.max), isReady: life.isReady,
                fails: policy.isSignificant ? life.fails : .never,
                settles: life.isReady || policy.isSignificant ? nil : life.time)
            return step
        }
        climb(&step, life, policy, copies)
        return step
    }

    private func climb(_ step: inout AscentStep, _ life: Life, _ policy: Policy, _ copies: Int64) {
        let isAll = strategy == .oneForAll
        let maxAttempts = Int64(policy.restart.maxAttempts)
        // Having been ready for `stable_threshold` begins the count of attempts anew.
        let reset: Certainty =
            !life.isReady || life.time.most < policy.stableThreshold
            ? .never : life.time.least >= policy.stableThreshold ? .always : .perhaps
        let growing = DelayBounds(policy.restart)
        let steady = DelayBounds(policy.restart, isReset: true)
        /// The first `count` gaps between the failures of one copy.
        func least(_ count: Int64) -> Int64 {
            var delays = reset == .never ? growing.least(count) : steady.least(count)
            if isAll && reset == .never && copies > 1 {
                // Each time another copy may be the one that fails first: each has its own count of attempts.
                let (rounds, rest) = count.quotientAndRemainder(dividingBy: copies)
                delays = saturating(
                    saturating(growing.least(rounds), times: copies),
                    plus: saturating(rest, times: growing.least(rounds + 1) - growing.least(rounds)))
            }
            return saturating(saturating(count, times: life.time.least), plus: delays)
        }
        func most(_ count: Int64) -> Int64 {
            saturating(
                saturating(count, times: life.time.most), plus: reset == .always ? steady.most(count) : growing.most(count))
        }

        // Attempts: this many restarts, if they are used up. Copies fail in step unless chance has a hand in it.
        let attemptsAreCounted = maxAttempts > 0 && reset != .always
        let isInStep = copies == 1 || (!isAll && policy.restart.jitter == 0 && life.time.least == life.time.most)
        let lastAttempt = saturating(maxAttempts, times: copies)
        let attempts = Bounds(least: isInStep ? lastAttempt : maxAttempts, most: lastAttempt)
        let attemptsEnd = attemptsAreCounted && reset == .never && life.fails == .always

        // Intensity: with N allowed, the N+1st within the window. The gaps never shrink, so if it is
        // reached at all, it is by the first N+1 failures; these take so many gaps of one copy.
        var reached = Certainty.never
        var allowed: Int64 = 0
        var gaps: Int64 = 0
        if let intensity {
            allowed = Int64(intensity.maxRestarts)
            gaps = isAll ? allowed : allowed / copies
            let spread = life.time.isLimited ? life.time.most - life.time.least : .max
            if saturating(most(gaps), plus: copies > 1 ? spread : 0) <= intensity.window {
                reached = life.fails == .always ? .always : .perhaps
            } else if least(gaps) <= intensity.window {
                reached = .perhaps
            }
        }

        let byIntensity = reached != .never && (!attemptsEnd || allowed < attempts.most)
        let byAttempts = attemptsAreCounted && (reached != .always || allowed >= attempts.least)
        let forEver = reached != .always && !attemptsEnd
        var restarts = Bounds(least: .max, most: 0)
        var time = Bounds(least: .max, most: 0)
        func include(_ count: Bounds, _ duration: Bounds) {
            restarts = Bounds(least: min(restarts.least, count.least), most: max(restarts.most, count.most))
            time = Bounds(least: min(time.least, duration.least), most: max(time.most, duration.most))
        }
        if byIntensity {
            step.ends.append(.intensity)
            include(
                .exactly(allowed),
                Bounds(
                    least: saturating(least(gaps), plus: life.time.least), most: saturating(most(gaps), plus: life.time.most)))
        }
        if byAttempts {
            step.ends.append(.attempts)
            let rounds = isAll ? attempts : .exactly(maxAttempts)
            include(
                attempts,
                Bounds(
                    least: saturating(least(rounds.least), plus: life.time.least),
                    most: saturating(most(rounds.most), plus: life.time.most)))
        }
        if forEver {
            let why: AscentStep.Why =
                maxAttempts > 0 && reset != .never
                ? .stable : life.fails != .always ? .below : intensity == nil ? .noLimit : .window
            step.ends.append(.forEver(why))
            include(.exactly(.max), .exactly(.max))
        }
        step.restarts = restarts
        var lives = Bounds(
            least: max(copies, saturating(restarts.least, plus: 1)), most: saturating(restarts.most, plus: copies))
        // Of copies that are supervisors, some are stopped in the middle.
        if life.starts != .exactly(1) { lives.least = saturating(restarts.least, plus: 1) }
        if copies > 1 && isAll { lives.most = saturating(saturating(restarts.most, plus: 1), times: copies) }
        step.life = Life(
            starts: lives.times(life.starts), time: time, isReady: life.isReady,
            fails: !forEver ? life.fails : step.ends.count > 1 ? .perhaps : .never, settles: life.settles)
    }
}
