import Glibc
import ObhutHeader
import Synchronization
import Testing

@testable import Obhut

/// Ports (ARCHITECTURE D7): each is a process to everybody else, the host program's own.
@Suite struct PortTests {
    private func number(_ n: Int) -> [UInt8] { encoded { $0.writeInteger(Int64(n)) } }

    // MARK: Messages

    @Test func messagesGoBothWaysInOrder() throws {
        let runtime = try CRuntime()
        let (a, b) = (try CPort(runtime), try CPort(runtime))
        for i in 0..<100 {
            try a.send(b.pid, "topic \(i)", number(i))
            try b.send(a.pid, "back", number(-i))
        }
        for i in 0..<100 {
            let there = try b.receive(0)
            #expect(there.kind == OBHUT_MESSAGE_DATA)
            #expect(there.topic == "topic \(i)" && there.payload == number(i) && there.from == a.pid)
            #expect(there.text == nil && !there.isNormal && there.result == [] && there.origin == 0 && there.hops == 0)
            #expect(try a.receive(0).payload == number(-i))
        }
        #expect(a.receiveStatus() == OBHUT_TIMEOUT)
        // From nobody, and to itself.
        try runtime.send(a.pid, "nobody")
        #expect(try a.receive(0).from == 0)
        try a.send(a.pid, "self")
        #expect(try a.receive(0).from == a.pid)
    }

    @Test func aMessageOutlivesPortAndRuntime() throws {
        var message: OpaquePointer?
        do {
            let runtime = try CRuntime()
            let port = try CPort(runtime)
            try port.send(port.pid, "kept", [UInt8]([0xc6, 0, 0, 4, 0]) + [UInt8](repeating: 7, count: 1024))
            try c { obhut_port_receive(port.handle, 0, &message, $0) }
        }
        let received = Received(message)
        #expect(received.topic == "kept" && received.payload.count == 1029)
        obhut_message_free(message)
        #expect(obhut_message_kind(message) == -1)
    }

    @Test func sendersOnManyThreadsEachKeepTheirOrder() throws {
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        let senders = 4, each = rounds(5000, atLeast: 200)
        let threads = (0..<senders).map { sender in
            ProgramThread {
                let own = try! CPort(runtime)
                for i in 0..<each { try! own.send(port.pid, "\(sender)", self.number(i)) }
            }
        }
        var next = [Int](repeating: 0, count: senders)
        for _ in 0..<(senders * each) {
            let received = try port.receive()
            let sender = try #require(Int(received.topic))
            #expect(received.payload == number(next[sender]))
            next[sender] += 1
        }
        for thread in threads { thread.join() }
        #expect(port.receiveStatus() == OBHUT_TIMEOUT)
        #expect(!port.isReadable)
    }

    @Test(arguments: [false, true]) func eachMessageGoesToOneOfManyReceivers(lookingOut: Bool) throws {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        let count = rounds(20_000, atLeast: 1000)
        let seen = UnsafeMutablePointer<Atomic<Int>>.allocate(capacity: count)
        for i in 0..<count { (seen + i).initialize(to: Atomic(0)) }
        let address = UInt(bitPattern: seen), closed = Counter()
        let receivers = (0..<4).map { _ in
            ProgramThread {
                let seen = UnsafeMutablePointer<Atomic<Int>>(bitPattern: address)!
                while true {
                    do {
                        let index = Int(try port.receive(-1).topic)!
                        _ = seen[index].add(1, ordering: .relaxed)
                    } catch {
                        // The second: between two waits, it does not find the port again.
                        let status = (error as? Refusal)?.status
                        if status == OBHUT_CLOSED || status == OBHUT_INVALID_HANDLE { closed.increment() }
                        return
                    }
                }
            }
        }
        let sender = try CPort(runtime)
        for i in 0..<count { try sender.send(port.pid, "\(i)") }
        #expect(eventually { (0..<count).allSatisfy { seen[$0].load(ordering: .relaxed) == 1 } })
        port.free()
        for receiver in receivers { receiver.join() }
        #expect(closed.count == 4)
        #expect((0..<count).allSatisfy { seen[$0].load(ordering: .relaxed) == 1 })
        seen.deallocate()
    }

    @Test func twoPortsThatSendToEachOtherNeverDeadlock() throws {
        let runtime = try CRuntime()
        let (a, b) = (try CPort(runtime), try CPort(runtime))
        let each = rounds(20_000, atLeast: 1000)
        together(2) { index in
            let (own, other) = index == 0 ? (a, b.pid) : (b, a.pid)
            for i in 0..<each {
                try! own.send(other, "t")
                if i % 3 == 0 { _ = own.receiveStatus() }
                if i % 7 == 0 { _ = obhut_port_monitor(own.handle, other, nil) }
                if i % 7 == 3 { _ = obhut_port_unmonitor(own.handle, other, nil) }
                if i % 11 == 0 { _ = obhut_port_link(own.handle, other, nil) }
                if i % 11 == 5 { _ = obhut_port_unlink(own.handle, other, nil) }
            }
        }
        for port in [a, b] {
            while port.receiveStatus() == OBHUT_OK {}
            #expect(!port.isReadable)
        }
    }

    /// Two threads whose ports speak to each other: each may sleep, look out or be at work when the other's message comes.
    @Test(arguments: [false, true]) func nobodyWaitsForEver_M2(lookingOut: Bool) throws {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = try CRuntime()
        let (here, there) = (try CPort(runtime), try CPort(runtime))
        let each = rounds(20_000, atLeast: 1000)
        together(2) { index in
            let (own, other) = index == 0 ? (here, there) : (there, here)
            for number in 0..<each {
                if index == 0 { try! own.send(other.pid, "\(number)") }
                let received = try! own.receive(number % 5 == 0 ? 20_000_000_000 : -1)
                if received.topic != "\(number)" { fatalError("\(received.topic) instead of \(number)") }
                if index == 1 { try! own.send(other.pid, "\(number)") }
            }
        }
        #expect(here.receiveStatus() == OBHUT_TIMEOUT)
        #expect(there.receiveStatus() == OBHUT_TIMEOUT)
    }

    @Test func aMailboxIsBounded() throws {
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        // 33 times 8 MiB do not go into 256 MiB.
        let payload = [UInt8]([0xc6, 0, 0x80, 0, 0]) + [UInt8](repeating: 1, count: 8 << 20)
        var sent = 0
        var said: Refusal?
        while sent < 40 {
            said = refusal { obhut_send(runtime.handle, port.pid, "t", payload, payload.count, $0) }
            if said != nil { break }
            sent += 1
        }
        #expect(sent == 31)
        #expect(said?.status == OBHUT_LIMIT)
        #expect(said?.text == "mailbox full: \(runtime.text(of: port.pid))")
        _ = try port.receive(0)
        try runtime.send(port.pid, "t", payload)
        // What was accepted and nobody read is a dead letter (M6).
        let before = runtime.counters.dead_letters
        port.free()
        #expect(runtime.counters.dead_letters == before + 31)
    }

    // MARK: Monitors and links

    @Test func aMonitoredPortsEndIsOneExitWithItsValue() throws {
        let runtime = try CRuntime()
        let (a, b) = (try CPort(runtime), try CPort(runtime))
        let pid = b.pid
        try a.monitor(pid)
        #expect(refusal { obhut_port_monitor(a.handle, pid, $0) }?.status == OBHUT_WRONG_STATE)
        try b.send(a.pid, "last words")
        b.free()
        // What it sent before it ended is read before its EXIT (M4).
        #expect(try a.receive(0).topic == "last words")
        let exit = try a.receive(0)
        #expect(exit.kind == OBHUT_MESSAGE_EXIT && exit.from == pid && exit.isNormal)
        #expect(exit.result == [0xc0] && exit.text == nil && exit.topic == "" && exit.payload == [])
        #expect(a.receiveStatus() == OBHUT_TIMEOUT)
        // It was taken, so the pid may be asked about again: it is dead (S2).
        let dead = refusal { obhut_port_monitor(a.handle, pid, $0) }
        #expect(dead?.status == OBHUT_NOT_FOUND)
        #expect(dead?.text.contains("not found") == true)
        #expect(refusal { obhut_port_send(a.handle, pid, "t", [0xc0], 1, $0) }?.status == OBHUT_NOT_FOUND)
    }

    @Test func unmonitorTakesBackAnExitThatHasCome() throws {
        let runtime = try CRuntime()
        let (a, b) = (try CPort(runtime), try CPort(runtime))
        let pid = b.pid
        try a.monitor(pid)
        b.free()
        #expect(a.isReadable)
        try a.unmonitor(pid)
        #expect(!a.isReadable, "taken back, nothing can be received")
        #expect(a.receiveStatus() == OBHUT_TIMEOUT)
        #expect(refusal { obhut_port_unmonitor(a.handle, pid, $0) }?.status == OBHUT_NOT_FOUND)
    }

    @Test func aPortThatIsFreedDoesNotFailWhatIsLinkedToIt() throws {
        let runtime = try CRuntime()
        let (a, b, watcher) = (try CPort(runtime), try CPort(runtime), try CPort(runtime))
        try a.link(b.pid)
        try a.link(b.pid)
        #expect(refusal { obhut_port_link(a.handle, a.pid, $0) }?.status == OBHUT_INVALID_ARGUMENT)
        try watcher.monitor(a.pid)
        b.free()
        // It ended normally (L2).
        #expect(a.receiveStatus() == OBHUT_TIMEOUT)
        #expect(!a.isReadable)
        try a.unlink(b.pid)
        #expect(watcher.receiveStatus() == OBHUT_TIMEOUT)
    }

    @Test func cancelIsAMessageAndTerminateIsRefused() throws {
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        try c { obhut_cancel(runtime.handle, port.pid, oneMillisecond, $0) }
        let cancel = try port.receive(0)
        #expect(cancel.kind == OBHUT_MESSAGE_CANCEL && cancel.from == 0)
        #expect(eventually { runtime.counters.timers == 0 })
        // The deadline is over: nothing forces a port to end.
        try port.send(port.pid, "alive")
        #expect(try port.receive(0).topic == "alive")
        let refused = refusal { obhut_terminate(runtime.handle, port.pid, $0) }
        #expect(refused?.status == OBHUT_INVALID_ARGUMENT)
        #expect(refused?.text.contains("obhut_port_free") == true)
    }

    // MARK: Waiting

    @Test func aWaitEndsAtItsTimeout() throws {
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        #expect(port.receiveStatus(0) == OBHUT_TIMEOUT)
        let before = monotonicNow()
        #expect(port.receiveStatus(30 * oneMillisecond) == OBHUT_TIMEOUT)
        let waited = monotonicNow() - before
        #expect(waited >= 30 * oneMillisecond && waited < 10 * oneSecond)
    }

    @Test(arguments: [false, true]) func aMessageOrAWakeEndsAWaitOfAnyLength(lookingOut: Bool) throws {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = try CRuntime()
        let (port, other) = (try CPort(runtime), try CPort(runtime))
        for timeout in [-1, .min, .max, 20 * oneSecond] {
            let sender = ProgramThread {
                usleep(2000)
                try! other.send(port.pid, "come")
            }
            #expect(try port.receive(timeout).topic == "come")
            sender.join()
            let waker = ProgramThread {
                usleep(2000)
                _ = obhut_port_wake(port.handle)
            }
            #expect(port.receiveStatus(timeout) == OBHUT_INTERRUPTED)
            waker.join()
            #expect(!port.isReadable)
        }
        // The next wait, if there is none now; however often it was called before it.
        for _ in 0..<3 { #expect(obhut_port_wake(port.handle) == OBHUT_OK) }
        #expect(port.isReadable)
        #expect(port.receiveStatus(-1) == OBHUT_INTERRUPTED)
        #expect(port.receiveStatus(0) == OBHUT_TIMEOUT)
        #expect(!port.isReadable)
    }

    @Test(arguments: [false, true]) func aSignalHandlerMayWake(lookingOut: Bool) async {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        await #expect(processExitsWith: .success) {
            do {
                let runtime = try CRuntime()
                let port = try CPort(runtime)
                wokenByHandler.store(UInt(bitPattern: port.handle), ordering: .sequentiallyConsistent)
                signal(SIGUSR1) { _ in
                    _ = obhut_port_wake(
                        OpaquePointer(bitPattern: wokenByHandler.load(ordering: .sequentiallyConsistent)))
                }
                let receiverThread = Atomic<UInt>(0)
                let receiver = ProgramThread {
                    // A thread of a pool may have it blocked, and inherited it.
                    var set = sigset_t()
                    sigemptyset(&set)
                    sigaddset(&set, SIGUSR1)
                    pthread_sigmask(SIG_UNBLOCK, &set, nil)
                    receiverThread.store(UInt(pthread_self()), ordering: .releasing)
                    var woken = 0
                    while woken < rounds(1000, atLeast: 100) {
                        switch port.receiveStatus(10 * oneSecond) {
                        case OBHUT_INTERRUPTED: woken += 1
                        case OBHUT_TIMEOUT: demand(false, "a wake-up was lost")
                        default: demand(false, "another status")
                        }
                        demand(obhut_port_send(port.handle, port.pid, "between", [0xc0], 1, nil) == OBHUT_OK, "send")
                        while true {
                            let status = port.receiveStatus(0)
                            if status == OBHUT_OK { break }
                            demand(status == OBHUT_INTERRUPTED, "\(status)")
                        }
                    }
                    receiverThread.store(0, ordering: .releasing)
                }
                let done = Counter()
                let killer = ProgramThread {
                    while done.count == 0 {
                        let thread = receiverThread.load(ordering: .acquiring)
                        if thread != 0 { pthread_kill(pthread_t(thread), SIGUSR1) }
                        usleep(100)
                    }
                }
                while receiverThread.load(ordering: .acquiring) == 0 { usleep(100) }
                while receiverThread.load(ordering: .acquiring) != 0 { usleep(100) }
                done.increment()
                killer.join()
                receiver.join()
                while port.receiveStatus(0) == OBHUT_INTERRUPTED {}
                demand(!port.isReadable, "readable with nothing there")
            } catch {
                demand(false, "\(error)")
            }
        }
    }

    @Test(arguments: [false, true]) func freeingAPortAndStoppingTheRuntimeEndWaits(lookingOut: Bool) throws {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        for stops in [false, true] {
            let runtime = try CRuntime()
            let port = try CPort(runtime)
            let closed = Counter()
            let waiters = (0..<3).map { index in
                ProgramThread {
                    let status = port.receiveStatus(index == 0 ? 20 * oneSecond : -1)
                    // The second: on a busy machine it comes too late to find the port.
                    if status == OBHUT_CLOSED || (!stops && status == OBHUT_INVALID_HANDLE) { closed.increment() }
                }
            }
            usleep(5000)
            if stops { try runtime.stop(0) } else { port.free() }
            for waiter in waiters { waiter.join() }
            #expect(closed.count == 3)
            if stops {
                #expect(port.isReadable, "an event loop learns it too")
                #expect(port.receiveStatus() == OBHUT_CLOSED)
                #expect(obhut_port_wake(port.handle) == OBHUT_OK)
                #expect(refusal { obhut_port_monitor(port.handle, 1, $0) }?.status == OBHUT_CLOSED)
                #expect(refusal { obhut_port_link(port.handle, 1, $0) }?.status == OBHUT_CLOSED)
                #expect(refusal { obhut_port_unlink(port.handle, 1, $0) }?.status == OBHUT_CLOSED)
                #expect(refusal { obhut_port_unmonitor(port.handle, 1, $0) }?.status == OBHUT_CLOSED)
            }
        }
    }

    /// The next port in the slot clears the descriptor: who waited for the earlier one must
    /// not be put to sleep by that.
    @Test(arguments: [false, true]) func whoWaitsForAFreedPortIsNotForgotten(lookingOut: Bool) throws {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = try CRuntime()
        for _ in 0..<100 { try CPort(runtime).free() }
        for _ in 0..<rounds(300, atLeast: 20) {
            let port = try CPort(runtime)
            let handle = UInt(bitPattern: port.handle)
            let waiter = ProgramThread {
                var message: OpaquePointer?
                let status = obhut_port_receive(OpaquePointer(bitPattern: handle), -1, &message, nil)
                // The second: it came too late to find the port.
                if status != OBHUT_CLOSED && status != OBHUT_INVALID_HANDLE { fatalError("\(status)") }
            }
            usleep(UInt32.random(in: 0..<200))
            port.free()
            for _ in 0..<80 { try CPort(runtime).free() }
            waiter.join()
        }
    }

    // MARK: The descriptor

    /// C_API rule 5: readable exactly while something can be received.
    @Test(arguments: 1...4) func theDescriptorSaysWhetherSomethingCanBeReceived(_ seed: UInt64) throws {
        enum Pending: Equatable { case message(Int), exit(obhut_pid) }
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        var other = try CPort(runtime)
        var random = RandomSource(seed: seed)
        var pending: [Pending] = [], isWoken = false, watched: Set<obhut_pid> = [], sent = 0
        for step in 0..<rounds(25_000, atLeast: 2000) {
            switch random.below(16) {
            case 0...3:
                sent += 1
                try other.send(port.pid, "\(sent)")
                pending.append(.message(sent))
            case 4:
                sent += 1
                try port.send(port.pid, "\(sent)")
                pending.append(.message(sent))
            case 5: // signals that are not for receiving
                try other.monitor(port.pid)
                #expect(port.isReadable == (isWoken || !pending.isEmpty))
                try other.unmonitor(port.pid)
            case 6:
                try other.link(port.pid)
                if random.below(2) == 0 { try other.unlink(port.pid) }
            case 7: try port.link(other.pid)
            case 8: try port.unlink(other.pid)
            case 9:
                if watched.insert(other.pid).inserted { try port.monitor(other.pid) }
            case 10:
                if let pid = watched.randomElement(using: &random) {
                    try port.unmonitor(pid)
                    watched.remove(pid)
                    pending.removeAll { $0 == .exit(pid) }
                }
            case 11:
                if watched.contains(other.pid) { pending.append(.exit(other.pid)) }
                other.free()
                other = try CPort(runtime)
            case 12 where random.below(4) == 0:
                #expect(obhut_port_wake(port.handle) == OBHUT_OK)
                isWoken = true
            default:
                do {
                    let received = try port.receive(0)
                    try #require(!isWoken && !pending.isEmpty)
                    switch pending.removeFirst() {
                    case .message(let number): #expect(received.topic == "\(number)")
                    case .exit(let pid):
                        #expect(received.kind == OBHUT_MESSAGE_EXIT && received.from == pid)
                        watched.remove(pid)
                    }
                } catch let refusal as Refusal {
                    #expect(refusal.status == (isWoken ? OBHUT_INTERRUPTED : OBHUT_TIMEOUT))
                    if !isWoken { try #require(pending.isEmpty) }
                    isWoken = false
                }
            }
            try #require(port.isReadable == (isWoken || !pending.isEmpty), "step \(step) of seed \(seed)")
        }
    }

    /// Nobody keeps it before the program has it, nor for the next port in the slot.
    @Test func theDescriptorTellsWhatCameBeforeItWasAskedFor() throws {
        let runtime = try CRuntime()
        let sender = try CPort(runtime)
        for round in 0..<200 {
            let port = try CPort(runtime)
            defer { port.free() }
            try sender.send(port.pid, "first")
            if round % 3 == 0 { #expect(try port.receive(0).topic == "first") }
            #expect(port.isReadable == (round % 3 != 0))
            try sender.send(port.pid, "second")
            #expect(port.isReadable)
            while port.receiveStatus(0) == OBHUT_OK {}
            #expect(!port.isReadable)
        }
    }

    @Test(arguments: [false, true]) func theDescriptorIsQuietAfterAWakeThatRacedWithReceive(lookingOut: Bool) throws {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        let go = Counter(), done = Counter(), total = rounds(3000, atLeast: 300)
        let waker = ProgramThread {
            for round in 1...total {
                while go.count < round { sched_yield() }
                _ = obhut_port_wake(port.handle)
                done.increment()
            }
        }
        for round in 1...total {
            go.increment()
            // Trying, so that it looks at every moment of the wake.
            var seen = 0
            while done.count < round || seen == 0 {
                if port.receiveStatus(0) == OBHUT_INTERRUPTED { seen += 1 }
            }
            while port.receiveStatus(0) == OBHUT_INTERRUPTED {}
            if port.isReadable {
                Issue.record("round \(round): readable with nothing there")
                break
            }
        }
        for _ in 0..<total { go.increment() }
        waker.join()
    }

    @Test(arguments: [false, true]) func anEventLoopMissesNothing(lookingOut: Bool) throws {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        let senders = 3, each = rounds(10_000, atLeast: 500)
        let threads = (0..<senders).map { sender in
            ProgramThread {
                let own = try! CPort(runtime)
                var random = RandomSource(seed: UInt64(sender))
                for _ in 0..<each {
                    try! own.send(port.pid, "t")
                    switch random.below(20) {
                    case 0: _ = obhut_port_wake(port.handle)
                    case 1: usleep(20)
                    case 2: try! own.monitor(port.pid)
                        try! own.unmonitor(port.pid)
                    case 3: try! own.link(port.pid)
                        try! own.unlink(port.pid)
                    default: break
                    }
                }
            }
        }
        var received = 0
        while received < senders * each {
            var request = pollfd(fd: port.descriptor, events: Int16(POLLIN), revents: 0)
            try #require(poll(&request, 1, 20_000) == 1, "the descriptor stays silent; \(received) received")
            var status = OBHUT_OK
            while status != OBHUT_TIMEOUT {
                status = port.receiveStatus(0)
                if status == OBHUT_OK { received += 1 }
            }
        }
        for thread in threads { thread.join() }
        while port.receiveStatus(0) == OBHUT_INTERRUPTED {}
        #expect(!port.isReadable)
    }

    /// Whoever has had a port's lock looks for what has come meanwhile, whatever it took it for. One message at a time, so that no
    /// later one makes good for it.
    @Test(arguments: [false, true]) func whoWaitsIsFoundWhileOthersUseThePort(lookingOut: Bool) throws {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = try CRuntime()
        let port = try CPort(runtime)
        let received = Counter(), done = Counter()
        let receiver = ProgramThread { while port.receiveStatus(-1) == OBHUT_OK { received.increment() } }
        // Sends to nobody: the port is only asked whether it is open.
        let other = ProgramThread { while done.count == 0 { _ = status { obhut_port_send(port.handle, 0, "x", [0xc0], 1, $0) } } }
        for number in 1...rounds(20_000, atLeast: 2000) {
            try runtime.send(port.pid, "m")
            try #require(eventually { received.count == number }, "nobody was woken for message \(number)")
        }
        done.increment()
        other.join()
        port.free()
        receiver.join()
    }

    @Test(arguments: [false, true]) func portsAreOpenedAndFreedByManyThreadsWhileOthersSendToThem(lookingOut: Bool) throws {
        let looking = LookingOut(lookingOut)
        defer { looking.end() }
        let runtime = try CRuntime()
        let target = Atomic<UInt64>(0)
        let done = Counter()
        let sender = ProgramThread {
            while done.count == 0 {
                let pid = target.load(ordering: .relaxed)
                _ = obhut_send(runtime.handle, pid, "t", [0xc0], 1, nil)
                _ = obhut_cancel(runtime.handle, pid, oneSecond, nil)
            }
        }
        together(3) { _ in
            for i in 0..<rounds(2000, atLeast: 100) {
                let port = try! CPort(runtime)
                target.store(port.pid, ordering: .relaxed)
                if i % 2 == 0 { _ = port.receiveStatus(0) }
                _ = obhut_port_wake(port.handle)
                port.free()
                if obhut_port_wake(port.handle) != OBHUT_INVALID_HANDLE { fatalError("woken after free") }
            }
        }
        done.increment()
        sender.join()
        #expect(eventually { runtime.counters.timers == 0 })
    }
}

/// For the handler of a signal, which has no other way to it.
let wokenByHandler = Atomic<UInt>(0)
