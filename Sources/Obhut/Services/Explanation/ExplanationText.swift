/// An explanation as a tree for people.
struct ExplanationText {
    private let explanation: Explanation
    private let isColored: Bool
    private var text = ""

    static func write(_ explanation: Explanation, isColored: Bool) -> String {
        var writer = ExplanationText(explanation: explanation, isColored: isColored)
        writer.write()
        return writer.text
    }

    private init(explanation: Explanation, isColored: Bool) {
        self.explanation = explanation
        self.isColored = isColored
    }

    private func bold(_ text: String) -> String { paint(text, "1") }
    private func dim(_ text: String) -> String { paint(text, "2") }
    private func paint(_ text: String, _ color: String) -> String { isColored ? "\u{1b}[\(color)m\(text)\u{1b}[0m" : text }

    private mutating func line(_ text: String) { self.text += text + "\n" }

    private mutating func write() {
        if !explanation.hosts.isEmpty { line("open at once: \(explanation.hosts.joined(separator: ", "))") }
        if let root = explanation.supervisors.first, root.isRoot {
            writeStart(root)
            line("")
            writeTree(from: 0)
            line("")
            line(
                "\(bold("stop")): within \(readable(root.stopTime)), then what else runs within \(readable(explanation.remainder)); "
                    + "\(readable(saturating(root.stopTime, plus: explanation.remainder))) in all")
        } else {
            line("nothing starts with the runtime but these: no entry has 'auto_start'")
            line("\(bold("stop")): what runs has \(readable(explanation.remainder))")
        }
        for index in explanation.spawned {
            line("")
            line("\(bold(explanation.supervisors[index].id ?? "")), if a program spawns it:")
            writeTree(from: index)
        }
        if explanation.warnings.isEmpty { return }
        line("")
        for warning in explanation.warnings {
            let place = Fault(at: warning.position, "").description.dropLast(2)
            line("\(place): \(paint("warning", "33")): \(warning.text): \(warning.advice)")
        }
    }

    /// Level by level: what is in one starts together.
    private mutating func writeStart(_ root: Explanation.Supervisor) {
        let most = root.startNeeds == 0 ? "" : ": within \(readable(root.startNeeds)), if nothing fails"
        line("\(bold("start"))\(most)")
        let levels = Dictionary(grouping: root.places, by: \.level)
        for level in levels.keys.sorted() {
            let names = levels[level]!.map { place -> String in
                let needs = place.needs.isEmpty ? "" : " (after \(place.needs.joined(separator: ", ")))"
                let takes = explanation.startNeeds(place)
                return place.name + needs + (takes == 0 ? "" : ", ready within \(readable(takes))")
            }
            line("  \(level). \(names.joined(separator: "; "))")
        }
    }

    private mutating func writeTree(from start: Int) {
        var open: [(supervisor: Int, place: Int, depth: Int)] = []
        func push(_ index: Int, _ depth: Int) {
            for place in explanation.supervisors[index].places.indices.reversed() { open.append((index, place, depth)) }
        }
        push(start, 0)
        while let (index, number, depth) = open.popLast() {
            let supervisor = explanation.supervisors[index]
            let place = supervisor.places[number]
            // Deeper than anybody reads, lines would be longer than anybody stores.
            let indent = String(repeating: "  ", count: min(depth, 32))
            switch place.kind {
            case .host: line("\(indent)\(bold(place.name)): a host, open when what it needs is ready")
            case .process:
                line("\(indent)\(name(of: place)): \(restarting(place, supervisor))")
                writeAscent(place, indent)
            case .supervisor(let below, let isRepeated):
                let child = explanation.supervisors[below]
                line("\(indent)\(name(of: place)): supervisor, \(restarting(place, supervisor))")
                let intensity = child.plan.intensity ?? RestartIntensity()
                line(
                    "\(indent)  \(child.plan.strategy.rawValue), \(counted(Int64(intensity.maxRestarts), "restart")) within "
                        + "\(readable(intensity.window)); stops within \(readable(place.group.policy.shutdown)), its children need "
                        + readable(child.stopNeeds)
                        + (child.startNeeds == 0 ? "" : "; ready within \(readable(place.group.policy.startTimeout)), its children need \(readable(child.startNeeds))"))
                if isRepeated {
                    line("\(indent)  \(dim("its children are shown above"))")
                } else {
                    push(below, depth + 1)
                }
            }
        }
    }

    private func name(of place: Explanation.Place) -> String {
        bold(place.name) + (place.isNumbered ? " x\(place.group.count)" : "")
            + (place.entry == place.name ? "" : " (\(place.entry))")
    }

    /// `permanent, after 100ms, 200ms, … 1s, ±10%`.
    private func restarting(_ place: Explanation.Place, _ supervisor: Explanation.Supervisor) -> String {
        let policy = place.group.policy
        let restart = policy.restart
        let type =
            supervisor.isRoot
            ? "restarted \(restart.policy == .always ? "always" : "after failures")"
            : restart.policy == .always ? "permanent" : "transient"
        if restart.policy == .never {
            return (supervisor.isRoot ? "never restarted" : "temporary") + (policy.isSignificant ? ", significant" : "")
        }
        var delays = "after \(readable(restart.initialDelay))"
        if restart.maxDelay > restart.initialDelay && restart.backoffFactor > 1 {
            delays += ", then \(number(restart.backoffFactor)) times as long each time up to \(readable(restart.maxDelay))"
        }
        if restart.jitter > 0 { delays += ", ±\(number(restart.jitter * 100))%" }
        let most = restart.maxAttempts == 0 ? "" : "; \(counted(Int64(restart.maxAttempts), "restart")) in a row at most"
        return type + (policy.isSignificant ? ", significant" : "") + ", " + delays + most
    }

    private func number(_ value: Double) -> String {
        let rounded = (value * 100).rounded() / 100
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? String(Int64(rounded)) : String(rounded)
    }

    private mutating func writeAscent(_ place: Explanation.Place, _ indent: String) {
        let kind = place.group.policy.readiness == .whenCalled ? "if it fails before it is ready, each time" : "if it fails at each start"
        line("\(indent)  \(kind):")
        for step in place.ascent {
            let supervisor = explanation.supervisors[step.supervisor]
            let who = supervisor.isRoot ? "the application" : supervisor.id ?? ""
            let failing = supervisor.places[step.place].name
            let result = step.result
            let overdue = result.isOverdue ? "\(failing) is not ready in time and is ended; " : ""
            let ends = result.ends.map { describe($0, result, failing, who) }
            line("\(indent)    \(overdue)\(ends.joined(separator: "; or "))")
        }
        guard let last = place.ascent.last else { return }
        let starts = last.result.life.starts
        let inAll = starts.isLimited ? "started \(shownCount(starts)) times in all" : "started without limit"
        line("\(indent)    \(bold(inAll))")
    }

    private func describe(_ end: AscentStep.End, _ step: AscentStep, _ failing: String, _ who: String) -> String {
        // Where there are several ends, these are bounds of all.
        let isOnly = step.ends.count == 1
        let restarts = isOnly ? "\(failing): \(shownRestarts(step.restarts)) in \(readable(step.life.time)), then" : "\(failing): then"
        switch end {
        case .intensity: return "\(restarts) \(who) fails, over its intensity"
        case .attempts: return "\(restarts) \(who) fails, the attempts are used up"
        case .significant: return "\(failing) is significant: \(who) fails at once"
        case .abandoned: return "\(failing) stays down, \(who) goes on"
        case .unnoticed: return "\(who) does not notice"
        case .forEver(let why):
            let reason =
                switch why {
                case .noLimit: "no 'max_attempts'"
                case .window: "never so many within the window of \(who)"
                case .stable: "it is stable before it fails, which begins the count anew"
                case .below: "what is below may go on for ever"
                }
            return "\(failing): restarted for ever (\(reason))"
        }
    }

    private func shownRestarts(_ restarts: Bounds) -> String {
        restarts == .exactly(1) ? "1 restart" : "\(shownCount(restarts)) restarts"
    }

    private func shownCount(_ count: Bounds) -> String {
        if count.least == count.most { return String(count.least) }
        return count.isLimited ? "\(count.least) to \(count.most)" : "\(count.least) or more"
    }
}

/// `3 restarts`, `1 restart`.
func counted(_ count: Int64, _ what: String) -> String { "\(count) \(what)\(count == 1 ? "" : "s")" }

/// A duration rounded to what a person reads of it; `Int64.max`: for ever.
func readable(_ nanoseconds: Int64) -> String {
    let ms: Int64 = 1_000_000
    switch nanoseconds {
    case .max: return "for ever"
    case ..<(1000 * ms): return formatDuration(nanoseconds < ms ? nanoseconds : nanoseconds / ms * ms)
    case ..<(60_000 * ms): return formatDuration((nanoseconds / (10 * ms)) * 10 * ms)
    case ..<(172_800_000 * ms):
        // `1m30s`, `2h`: without what is zero.
        let seconds = nanoseconds / (1000 * ms)
        let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")]
        return parts.filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined()
    default: return "\(nanoseconds / (86_400_000 * ms)) days"
    }
}

/// `1.2s to 1.5s`.
func readable(_ bounds: Bounds) -> String {
    let (least, most) = (readable(bounds.least), readable(bounds.most))
    if least == most { return least }
    return bounds.isLimited ? "\(least) to \(most)" : "\(least) or more"
}
