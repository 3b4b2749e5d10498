import Testing

@testable import Obhut

/// `process.service` and `supervisor`: what is read, what is refused, and what starts in which order (V1, V2, V6, F2).
@Suite struct SupervisorEntryTests {
    private static let common = """
        - { name: host, kind: process.host }
        - { name: a, kind: process.lua, source: "return {}" }
        - { name: b, kind: process.lua, source: "return {}", lifecycle: { depends_on: [first] } }
        - { name: first, kind: process.lua, source: "return {}" }

        """

    private func load(_ entries: String) throws -> Application {
        try TemporaryApplication(["a.yaml": "namespace: app\nentries:\n" + entries]).load().get()
    }

    @Test func everyFieldOfASupervisorIsRead_V6() throws {
        let app = try load(Self.common + """
            - name: sup
              kind: supervisor
              strategy: rest_for_one
              intensity: { max_restarts: 7, max_seconds: 2.5 }
              children:
              - { process: a }
              - name: many
                process: app:b
                host: host
                input: [1, x]
                count: 12
                restart: { type: transient, initial_delay: 1ms, max_delay: 1m, backoff_factor: 3, jitter: 0, max_attempts: 4 }
                stable_threshold: 0s
                ready: call
                start_timeout: 1s
                shutdown: 2s
                significant: true
              - { process: inner, name: other, restart: temporary }
            - { name: inner, kind: supervisor, children: [] }
            """)
        guard case .supervisor(let entry) = app[EntryID(namespace: "app", name: "sup")]?.definition else {
            Issue.record("no supervisor")
            return
        }
        #expect(entry.strategy == .restForOne)
        #expect(entry.intensity == RestartIntensity(maxRestarts: 7, window: 2500 * ms))
        #expect(entry.children.map(\.name) == ["a", "many", "other"])
        let (plain, many) = (entry.children[0], entry.children[1])
        #expect(plain.count == nil && plain.restart.policy == .always && plain.restart.initialDelay == 100 * ms)
        #expect(plain.restart.maxDelay == 90_000 * ms && plain.restart.backoffFactor == 2 && plain.restart.jitter == 0.1)
        #expect(plain.shutdown == nil && plain.startTimeout == nil && plain.readiness == .running && !plain.isSignificant)
        #expect(many.count == 12 && many.input == [.int(1), .string("x")] && many.readiness == .call && many.isSignificant)
        #expect(
            many.restart
                == RestartPolicy(
                    policy: .onFailure, initialDelay: 1 * ms, maxDelay: 60_000 * ms, backoffFactor: 3, jitter: 0, maxAttempts: 4))
        #expect(many.stableThreshold == 0 && many.startTimeout == 1000 * ms && many.shutdown == 2000 * ms)
        #expect(entry.children[2].restart.policy == .never)
        // Nothing starts by itself.
        #expect(app.startOrder == [])
    }

    /// What is run is not started by itself, but what it needs is; also through a supervisor.
    @Test func whatAServiceRunsBringsItsNeeds_V2() throws {
        let app = try load(Self.common + """
            - { name: s, kind: process.service, process: b, lifecycle: { auto_start: true } }
            - { name: sup, kind: supervisor, children: [{ process: inner }], lifecycle: { auto_start: true } }
            - { name: inner, kind: supervisor, children: [{ process: b }], lifecycle: { depends_on: [third] } }
            - { name: third, kind: process.service, process: a }
            """)
        #expect(app.startOrder.map(\.name) == ["host", "first", "s", "third", "sup"])
        #expect(app.startNeeds.mapValues { Set($0.map(\.name)) } == Dictionary(uniqueKeysWithValues: [
            ("host", []), ("first", ["host"]), ("s", ["first", "host"]), ("third", ["host"]), ("sup", ["third", "first", "host"]),
        ].map { (EntryID(namespace: "app", name: $0), Set($1)) }))
    }

    @Test(arguments: [
        ("- { name: s, kind: process.service }", "3: the service has no 'process': the id of the entry that it runs"),
        ("- { name: s, kind: process.service, process: host }", "46: 'process' refers to 'app:host', which is a process.host; it must be a process.lua, a process.native, a process.external or a function.lua"),
        ("- { name: s, kind: process.service, process: firts }", "46: 'process' refers to 'app:firts', which does not exist; did you mean 'app:first'?"),
        ("- { name: s, kind: process.service, process: a, count: 2 }", "49: unknown field 'count' of process.service; its fields are name, kind, process, host, input, lifecycle, meta"),
        ("- { name: s, kind: process.service, process: a, lifecycle: { ready: later } }", "69: 'lifecycle.ready' must be one of running, call, got \"later\""),
        ("- { name: s, kind: process.host, lifecycle: { ready: call } }", "54: 'lifecycle.ready' must not be \"call\" here: only a process can call"),
        ("- { name: s, kind: supervisor }", "3: the supervisor has no 'children': a list of what it runs"),
        ("- { name: s, kind: supervisor, children: a }", "42: 'children' must be a list of children, such as { process: worker }, got \"a\": write [a]"),
        ("- { name: s, kind: supervisor, children: [a] }", "43: a child must be a mapping, got \"a\""),
        ("- { name: s, kind: supervisor, children: [{ name: x }] }", "43: the child has no 'process': the id of the process or supervisor that it runs"),
        ("- { name: s, kind: supervisor, children: [{ process: host }] }", "54: the child's 'process' refers to 'app:host', which is a process.host; it must be a process.lua, a process.native, a process.external, a function.lua, a process.service or a supervisor"),
        ("- { name: s, kind: supervisor, strategy: one_for_nun, children: [] }", "42: 'strategy' must be one of one_for_one, one_for_all, rest_for_one, got \"one_for_nun\""),
        ("- { name: s, kind: supervisor, intensity: { max_restarts: -1 }, children: [] }", "59: 'intensity.max_restarts' must be a whole number from 0 to 1000000, got -1"),
        ("- { name: s, kind: supervisor, intensity: { max_seconds: 0 }, children: [] }", "58: 'intensity.max_seconds' must be a number from 0.001 to 31536000.0, got 0"),
        ("- { name: s, kind: supervisor, intensity: { max_restart: 1 }, children: [] }", "45: unknown field 'max_restart' of 'intensity'; did you mean 'max_restarts'?"),
        ("- { name: s, kind: supervisor, children: [{ process: a, restart: permanant }] }", "66: 'restart' must be one of permanent, transient, temporary, got \"permanant\""),
        ("- { name: s, kind: supervisor, children: [{ process: a, restart: { type: 1 } }] }", "74: 'restart.type' must be one of permanent, transient, temporary, got 1"),
        ("- { name: s, kind: supervisor, children: [{ process: a, restart: { max_delay: 1ms } }] }", "79: 'restart.max_delay' must not be shorter than 'initial_delay'"),
        ("- { name: s, kind: supervisor, children: [{ process: a, count: 0 }] }", "64: 'count' must be a whole number from 1 to 1000000, got 0"),
        ("- { name: s, kind: supervisor, children: [{ process: a, shutdown: 5 }] }", "67: 'shutdown' must be a duration above 0, such as \"5s\" or \"1m30s\", got 5: write \"5s\" for seconds"),
        ("- { name: s, kind: supervisor, children: [{ process: a, significant: true }] }", "70: a permanent child never ends for good, so it cannot be 'significant': give it 'restart: transient' or 'restart: temporary'"),
        ("- { name: s, kind: supervisor, children: [{ process: a }, { process: a }] }", "59: child 'a' is declared twice: first at a.yaml:7:43; give one of them another 'name'"),
        ("- { name: s, kind: supervisor, children: [{ process: empty, host: host }] }\n- { name: empty, kind: supervisor, children: [] }", "61: 'app:empty' is a supervisor: it takes no 'host'"),
        ("- { name: s, kind: supervisor, children: [{ process: s }] }", "3: cycle of dependencies: app:s -> app:s"),
        ("- { name: s, kind: supervisor, children: [{ process: a, shutdwon: 1s }] }", "57: unknown field 'shutdwon' of a child; did you mean 'shutdown'?"),
    ]) func eachFaultHasItsPlaceAndSaysWhatWouldBeRight_F2(entry: String, expected: String) throws {
        #expect(try faults(inEntries: Self.common + entry) == ["a.yaml:7:\(expected)"])
    }

    /// Children start in their supervisor's order, whatever they depend on: what comes too late is a fault.
    @Test func aChildDependsOnEarlierOnes_V2() throws {
        let services = """
            - { name: store, kind: process.service, process: a }
            - { name: shop, kind: process.service, process: a, lifecycle: { depends_on: [store] } }

            """
        #expect(try load(Self.common + services + "- { name: sup, kind: supervisor, children: [{ process: store }, { process: shop }] }").startOrder == [])
        #expect(try faults(inEntries: Self.common + services + "- { name: sup, kind: supervisor, children: [{ process: shop }, { process: store }] }") == [
            "a.yaml:8:3: 'app:shop' depends on 'app:store', but child 'shop' starts before 'store': children start in the order in which their supervisor names them"
        ])
    }

    @Test func aChildNeedsAHost_V1() throws {
        #expect(try faults(inEntries: """
            - { name: a, kind: process.lua, source: "return {}" }
            - { name: s, kind: supervisor, children: [{ process: a }], lifecycle: { auto_start: true } }
            """) == ["a.yaml:4:3: child 'a' of 'app:s' is to run but there is no host to run it on: declare a process.host"])
    }
}
