/// An explanation as one JSON object, for programs.
///
/// Times are nanoseconds in fields that end in `_ns`; null is "without limit". A child that is a
/// supervisor names it; each supervisor is one object of the list, whoever runs it.
extension Explanation {
    var json: String {
        var writer = PayloadWriter()
        writer.write(value)
        return payloadToJSON(writer.bytes)
    }

    private var value: EntryValue {
        let root = supervisors.first.flatMap { $0.isRoot ? $0 : nil }
        return .object([
            ("hosts", .list(hosts.map(EntryValue.string))),
            ("start_ns", .limited(root?.startNeeds ?? 0)),
            ("stop_ns", .limited(saturating(root?.stopTime ?? 0, plus: remainder))),
            ("services_stop_ns", .limited(root?.stopTime ?? 0)),
            ("services", .list((root?.places ?? []).map { value(of: $0, isRoot: true) })),
            ("supervisors", .list(supervisors.indices.filter { !supervisors[$0].isRoot }.map(value(of:)))),
            (
                "warnings",
                .list(
                    warnings.map {
                        .object([
                            ("path", .string($0.position.path)), ("line", .int(Int64($0.position.line))),
                            ("column", .int(Int64($0.position.column))), ("text", .string($0.text)),
                            ("advice", .string($0.advice)),
                        ])
                    })
            ),
        ])
    }

    private func value(of index: Int) -> EntryValue {
        let supervisor = supervisors[index]
        let intensity = supervisor.plan.intensity ?? RestartIntensity()
        return .object([
            ("id", .string(supervisor.id ?? "")), ("strategy", .string(supervisor.plan.strategy.rawValue)),
            ("max_restarts", .int(Int64(intensity.maxRestarts))), ("window_ns", .int(intensity.window)),
            ("children_stop_ns", .limited(supervisor.stopNeeds)), ("children_start_ns", .limited(supervisor.startNeeds)),
            ("children", .list(supervisor.places.map { value(of: $0, isRoot: false) })),
        ])
    }

    private func value(of place: Place, isRoot: Bool) -> EntryValue {
        let policy = place.group.policy
        var fields: [(String, EntryValue)] = [
            ("name", .string(place.name)), ("entry", .string(place.entry)),
        ]
        switch place.kind {
        case .host: fields.append(("kind", .string("host")))
        case .process: fields.append(("kind", .string("process")))
        case .supervisor: fields.append(("kind", .string("supervisor")))
        }
        fields += [
            ("path", .string(place.position.path)), ("line", .int(Int64(place.position.line))),
            ("column", .int(Int64(place.position.column))), ("count", .int(Int64(place.group.count))),
            ("level", .int(Int64(place.level))), ("after", .list(place.needs.map(EntryValue.string))),
            ("start_ns", .limited(startNeeds(place))), ("stop_ns", .limited(policy.shutdown)),
        ]
        if case .host = place.kind { return .object(fields) }
        fields += [
            ("restart", .string(policy.restart.policy.rawValue)), ("max_attempts", .int(Int64(policy.restart.maxAttempts))),
            ("significant", .bool(policy.isSignificant)),
        ]
        guard case .process = place.kind else { return .object(fields) }
        let last = place.ascent.last?.result.life
        fields.append(
            (
                "failing",
                .object([
                    ("starts", .range(last?.starts ?? .exactly(1))),
                    ("fails_application", .string((isFailing(place) ? last?.fails ?? .never : .never).rawValue)),
                    ("steps", .list(place.ascent.map(value(of:)))),
                ])
            ))
        return .object(fields)
    }

    /// Whether its failure gets to the top.
    private func isFailing(_ place: Place) -> Bool { place.ascent.last.map { supervisors[$0.supervisor].isRoot } ?? false }

    private func value(of step: Step) -> EntryValue {
        .object([
            ("supervisor", supervisors[step.supervisor].id.map(EntryValue.string) ?? .null),
            ("child", .string(supervisors[step.supervisor].places[step.place].name)),
            ("ends", .list(step.result.ends.map { .string(name(of: $0)) })),
            ("overdue", .bool(step.result.isOverdue)), ("restarts", .range(step.result.restarts)),
            ("time_ns", .range(step.result.life.time)), ("fails", .string(step.result.life.fails.rawValue)),
        ])
    }

    private func name(of end: AscentStep.End) -> String {
        switch end {
        case .intensity: "intensity"
        case .attempts: "attempts"
        case .significant: "significant"
        case .abandoned: "abandoned"
        case .unnoticed: "unnoticed"
        case .forEver(.noLimit): "for_ever"
        case .forEver(.window): "for_ever_window"
        case .forEver(.stable): "for_ever_stable"
        case .forEver(.below): "for_ever_below"
        }
    }
}

extension EntryValue {
    fileprivate static func object(_ fields: [(String, EntryValue)]) -> EntryValue {
        .map(fields.map { Pair(key: .string($0.0), value: $0.1) })
    }

    fileprivate static func limited(_ value: Int64) -> EntryValue { value == .max ? .null : .int(value) }

    fileprivate static func range(_ bounds: Bounds) -> EntryValue {
        object([("least", limited(bounds.least)), ("most", limited(bounds.most))])
    }
}
