/// What is likely not meant as it stands.
///
/// Each stands at the place in the YAML where it can be mended, and says how. What is merely a
/// choice is none: that a service is tried for ever is the default, and the tree says it.
extension Explanation {
    func makeWarnings(_ application: Application) -> [Warning] {
        var warnings: [Warning] = []
        var said: Set<Fault> = []
        func warn(_ position: SourcePosition, _ text: String, _ advice: String) {
            // What is above several children is met on the way up from each.
            guard said.insert(Fault(at: position, text)).inserted else { return }
            warnings.append(Warning(position: position, text: text, advice: advice))
        }
        for supervisor in supervisors {
            warnOfBudgets(supervisor, application, warn)
            for (index, place) in supervisor.places.enumerated() {
                if case .host = place.kind { continue }
                warnOfRestarts(supervisor, place, application, warn)
                if case .process = place.kind { warnOfAscent(supervisor, index, warn) }
            }
        }
        return warnings.sorted { Fault(at: $0.position, $0.text) < Fault(at: $1.position, $1.text) }
    }

    private typealias Warn = (_ position: SourcePosition, _ text: String, _ advice: String) -> Void

    /// The shortest budget from which a stop of `tail` is not cut: a supervisor keeps a reserve of it.
    static func budget(for tail: Int64) -> Int64 {
        let ms: Int64 = 1_000_000
        // The reserve is an eighth, at most `SupervisionPlan.reserve`.
        if tail >= 7 * SupervisionPlan.reserve { return saturating(tail, plus: SupervisionPlan.reserve) }
        return (tail + (tail + 6) / 7 + ms - 1) / ms * ms
    }

    private func warnOfBudgets(_ supervisor: Supervisor, _ application: Application, _ warn: Warn) {
        if let position = supervisor.position, supervisor.parent == nil {
            // Nothing runs it, so its own fields count.
            warnOfBudgets(
                supervisor, position, stop: supervisor.stopTime, start: supervisor.startTime,
                ("lifecycle.stop_timeout", "lifecycle.start_timeout"), warn)
        }
        for place in supervisor.places {
            guard case .supervisor(let index, _) = place.kind else { continue }
            let child = supervisors[index]
            let policy = place.group.policy
            // Where it was said: at the child, or by the supervisor itself.
            let stopIsOwn = supervisor.isRoot || policy.shutdown == child.stopTime
            let startIsOwn = supervisor.isRoot || policy.startTimeout == child.startTime
            let own = child.position ?? place.position
            if child.stopNeeds > 0 {
                warnOfBudgets(
                    child, stopIsOwn ? own : place.position, stop: policy.shutdown, start: .max,
                    (stopIsOwn ? "lifecycle.stop_timeout" : "shutdown", ""), warn)
            }
            warnOfBudgets(
                child, startIsOwn ? own : place.position, stop: .max, start: policy.startTimeout,
                ("", startIsOwn ? "lifecycle.start_timeout" : "start_timeout"), warn)
        }
    }

    private func warnOfBudgets(
        _ supervisor: Supervisor, _ position: SourcePosition, stop: Int64, start: Int64,
        _ fields: (stop: String, start: String), _ warn: Warn
    ) {
        let name = supervisor.id ?? ""
        let wanted = Explanation.budget(for: supervisor.stopNeeds)
        if stop < wanted {
            warn(
                position, "\(name) has \(readable(stop)) to stop, its children may take \(readable(supervisor.stopNeeds)) "
                    + "one after the other, so each gets only a part of its 'shutdown'",
                "raise '\(fields.stop)' to \(readable(wanted)), or lower their 'shutdown'")
        }
        if start < supervisor.startNeeds {
            warn(
                position, "\(name) has \(readable(start)) to be ready, its children may take "
                    + "\(readable(supervisor.startNeeds)) one after the other",
                "raise '\(fields.start)' to \(readable(supervisor.startNeeds)), or lower their 'start_timeout'")
        }
    }

    private func warnOfRestarts(_ supervisor: Supervisor, _ place: Place, _ application: Application, _ warn: Warn) {
        let policy = place.group.policy
        let prefix = supervisor.isRoot ? "lifecycle.restart." : "restart."
        if policy.restart.policy == .never && policy.restart.maxAttempts > 0 {
            warn(
                place.position, "\(place.name) is never restarted, so 'max_attempts' has no effect",
                "remove it, or restart after failures with "
                    + (supervisor.isRoot ? "'policy: on_failure'" : "'type: transient'"))
        }
        if policy.restart.policy != .never && policy.stableThreshold == 0 {
            let lost = policy.restart.maxAttempts > 0 ? "and 'max_attempts' is never reached" : "its delay never grows"
            warn(
                place.position, "\(place.name) is stable at once ('stable_threshold: 0s'): \(lost)",
                "give a 'stable_threshold' longer than a failing one runs")
        }
        guard case .supervisor(let index, _) = place.kind, !supervisor.isRoot || policy.restart.policy == .always else {
            return
        }
        let child = supervisors[index]
        if policy.restart.policy == .always,
            let ending = child.places.first(where: { $0.group.policy.isSignificant })
        {
            warn(
                place.position,
                "\(child.id ?? "") ends normally when its significant child '\(ending.name)' does, and is then restarted",
                "say '\(prefix)\(supervisor.isRoot ? "policy: on_failure" : "type: transient")' if it is to stay ended")
        }
        guard !supervisor.isRoot, let id = EntryID(reference: child.id ?? "", in: ""), let own = application[id],
            let lifecycle = own.lifecycle, !lifecycle.autoStart, lifecycle.restart != RestartPolicy()
        else { return }
        warn(
            own.position, "'lifecycle.restart' of \(id) has no effect where it is a child of \(supervisor.id ?? "")",
            "write it as 'restart' of that child, at \(place.position.path):\(place.position.line)")
    }

    /// Where a failure stays below though a limit was set.
    private func warnOfAscent(_ supervisor: Supervisor, _ index: Int, _ warn: Warn) {
        let place = supervisor.places[index]
        for (height, step) in place.ascent.enumerated() {
            let here = supervisors[step.supervisor]
            let failing = here.places[step.place]
            let cause = failing.name
            let (position, policy) = (failing.position, failing.group.policy)
            let below = height == 0 ? Bounds.exactly(0) : place.ascent[height - 1].result.life.time
            for end in step.result.ends {
                switch end {
                case .forEver(.window) where !here.isRoot && policy.restart.maxAttempts == 0:
                    warnOfWindow(here, failing, step.result, below, warn)
                case .forEver(.stable) where policy.stableThreshold > 0 && below.isLimited:
                    warn(
                        position,
                        "'max_attempts' of \(cause) is never reached: before it fails it has run for "
                            + "\(readable(below.least)), longer than its "
                            + "'stable_threshold' of \(readable(policy.stableThreshold)), which begins the count anew",
                        "raise 'stable_threshold' above "
                            + readable(below.most))
                default: break
                }
            }
        }
        if let intensity = supervisor.plan.intensity, supervisor.plan.strategy != .oneForAll, place.group.count > 1,
            intensity.maxRestarts > 0, place.group.count > intensity.maxRestarts, place.group.policy.restart.policy != .never
        {
            warn(
                place.position,
                "\(supervisor.id ?? "") runs \(place.group.count) of \(place.name) and allows "
                    + "\(counted(Int64(intensity.maxRestarts), "restart")): what all of them meet at once fails it before one is tried again",
                "raise 'intensity.max_restarts' to \(place.group.count) or more")
        }
    }

    private func warnOfWindow(
        _ supervisor: Supervisor, _ failing: Place, _ step: AscentStep, _ lives: Bounds, _ warn: Warn
    ) {
        guard let intensity = supervisor.plan.intensity else { return }
        let (cause, copies) = (failing.name, Int64(failing.group.count))
        let gaps = supervisor.plan.strategy == .oneForAll ? Int64(intensity.maxRestarts) : Int64(intensity.maxRestarts) / copies
        let delays = DelayBounds(failing.group.policy.restart)
        let least = saturating(delays.least(gaps), plus: saturating(gaps, times: lives.least))
        let most = saturating(delays.most(gaps), plus: saturating(gaps, times: lives.most))
        let hardly = step.ends.contains(.intensity)
        let takes = hardly && most == .max ? "\(readable(least)) or more" : readable(Bounds(least: least, most: most))
        warn(
            failing.position,
            "\(supervisor.id ?? "") \(hardly ? "fails only by chance" : "never fails") however often \(cause) does: "
                + "\(intensity.maxRestarts + 1) failures take \(takes), its window is \(readable(intensity.window))",
            (most == .max ? "" : "raise 'intensity.max_seconds' to \(saturating(most, plus: 999_999_999) / 1_000_000_000), ")
                + (most == .max ? "lower 'max_restarts', or give \(cause) 'max_attempts'"
                    : "lower 'max_restarts' or the delays, or give \(cause) 'max_attempts'"))
    }
}
