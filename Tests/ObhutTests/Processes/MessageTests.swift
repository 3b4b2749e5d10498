import CObhut
import Testing

@testable import Obhut

/// SEMANTICS, Messages.
@Suite struct MessageTests {
    @Test func sendToWhatDoesNotExistSaysSo_M1() {
        let world = World()
        let process = world.spawn { $0.finish() }
        #expect(world.system.sendText(from: .none, to: process.pid, "x") == .sent)
        world.run()
        #expect(world.system.sendText(from: .none, to: process.pid, "x") == .notFound)
        for raw in [0, 2, 0xff_ffff, 1 << 24 | 1, 1 << 48 | 1, UInt64.max] as [UInt64] {
            #expect(world.system.sendText(from: .none, to: Pid(raw: raw), "x") == .notFound, "\(raw)")
        }
    }

    @Test func smallAndLargePayloadsArriveWhole_M1() {
        let world = World()
        let process = world.spawn()
        let sizes = [0, 1, 30, 58, 59, 60, 61, 62, 63, 64, 65, 100, 127, 128, 129, 1000, 70_000]
        for size in sizes {
            #expect(
                world.system.sendText(
                    from: .none, to: process.pid, "topic", String(repeating: "y", count: size)) == .sent)
        }
        world.run()
        let lengths = process.log.map {
            if case .message(_, "topic", let payload) = $0, payload.allSatisfy({ $0 == "y" }) {
                payload.utf8.count
            } else {
                -1
            }
        }
        #expect(lengths == sizes)
    }

    @Test func signalsArriveInTheOrderSent_M2() {
        for seed in 1...30 as ClosedRange<UInt64> {
            let world = World(seed: seed)
            let receiver = world.spawn { $0.pointer.setTrapLinks(.failures) }
            world.settle()
            let senders = (0..<4).map { _ in world.spawn() }
            world.settle()
            for sender in senders {
                world.give(sender) { me in
                    _ = me.pointer.link(receiver.pid)
                    for i in 0..<5 { me.send(receiver.pid, "\(i)") }
                    _ = world.system.cancel(receiver.pid, from: me.pid, timeout: 1000 * ms)
                    me.send(receiver.pid, "last")
                    me.fail("over")
                }
            }
            world.settle()
            for sender in senders {
                let own = receiver.log.filter {
                    switch $0 {
                    case .message(let from, _, _), .linkDown(let from, _), .cancel(let from, _):
                        from == sender.pid
                    default: false
                    }
                }
                #expect(
                    own.texts == (0..<5).map { "message \($0)" } + [
                        "cancel", "message last", "linkDown over",
                    ], "seed \(seed)")
            }
        }
    }

    @Test func whatIsSentBeforeTheEndIsReadBeforeTheExit_M4() {
        let world = World()
        let reader = world.spawn()
        world.settle()
        world.act(reader) { me in
            me.reads = false
            world.spawn(by: me, options: .monitored) { child in
                child.send(reader.pid, "result", "42")
                child.finish()
            }
        }
        world.act(reader) { $0.reads = true }
        #expect(reader.log.texts == ["message result 42", "exit done"])
    }

    @Test func whatComesBeforeTheFirstListenWaitsForIt_M3() {
        let world = World()
        let process = world.spawn { $0.reads = false }
        world.settle()
        for topic in ["a", "jobs", "b", "jobs"] {
            _ = world.system.sendText(from: .none, to: process.pid, topic)
        }
        world.act(process) { me in
            let jobs = listen(me, "jobs")
            #expect(listen(me, "jobs") == jobs)
            #expect(drainTopics(me, .topic(jobs)) == ["jobs", "jobs"])
            #expect(drainTopics(me, .inbox) == [])  // not routed: nobody has asked
            me.pointer.pointee.mailbox.route()
            #expect(drainTopics(me, .inbox) == ["a", "b"])
        }
        for topic in ["c", "jobs", "d"] { _ = world.system.sendText(from: .none, to: process.pid, topic) }
        world.act(process) { me in
            me.pointer.pointee.mailbox.route()
            #expect(drainTopics(me, .inbox) == ["c", "d"])
            #expect(drainTopics(me, .topic(0)) == ["jobs"])
        }
    }

    @Test func unlistenPutsTheUnreadBackInTheirPlaces_M3() {
        let world = World()
        let process = world.spawn { me in
            me.reads = false
            _ = listen(me, "jobs")
        }
        world.settle()
        for topic in ["a", "jobs", "b", "jobs", "c"] {
            _ = world.system.sendText(from: .none, to: process.pid, topic)
        }
        world.act(process) { me in
            me.pointer.pointee.mailbox.route()
            me.pointer.pointee.mailbox.unlisten(0)
            me.pointer.pointee.mailbox.unlisten(0)
            me.pointer.pointee.mailbox.unlisten(7)
            #expect(drainTopics(me, .inbox) == ["a", "jobs", "b", "jobs", "c"])
            #expect(listen(me, "other") == 0)
        }
    }

    @Test func mailboxIsBoundedInMessages_M5() {
        let world = World { $0.mailboxMessages = 3 }
        let process = world.spawn { $0.reads = false }
        world.settle()
        for _ in 0..<3 { #expect(world.system.sendText(from: .none, to: process.pid, "x") == .sent) }
        #expect(world.system.sendText(from: .none, to: process.pid, "x") == .full)
        world.settle()
        #expect(world.system.sendText(from: .none, to: process.pid, "x") == .full)
        world.act(process) { $0.readOne() }
        #expect(world.system.sendText(from: .none, to: process.pid, "x") == .sent)
        #expect(world.system.sendText(from: .none, to: process.pid, "x") == .full)
    }

    @Test func mailboxIsBoundedInBytes_M5() {
        let world = World { $0.mailboxBytes = 10_000 }
        let process = world.spawn { $0.reads = false }
        world.settle()
        let large = String(repeating: "z", count: 4000)
        #expect(world.system.sendText(from: .none, to: process.pid, "x", large) == .sent)
        #expect(world.system.sendText(from: .none, to: process.pid, "x", large) == .sent)
        #expect(world.system.sendText(from: .none, to: process.pid, "x", large) == .full)
        #expect(world.system.sendText(from: .none, to: process.pid, "x") == .sent)
        let load = world.system.table.slot(process.pid.slot)!.loadNow
        #expect(MailboxLoad.messages(load) == 3 && MailboxLoad.bytes(load) < 10_000)
        world.act(process) { while $0.readOne() != nil {} }
        #expect(world.system.table.slot(process.pid.slot)!.loadNow == 0)
    }

    @Test func lifecycleEventsAreNotBounded_M5() {
        let world = World { $0.mailboxMessages = 1 }
        let watcher = world.spawn { me in
            me.reads = false
            for _ in 0..<50 { world.spawn(by: me, options: .monitored) { $0.finish() } }
        }
        world.settle()
        _ = world.system.sendText(from: .none, to: watcher.pid, "x")
        #expect(world.system.sendText(from: .none, to: watcher.pid, "x") == .full)
        for _ in 0..<50 { _ = world.system.cancel(watcher.pid, from: .none, timeout: ms) }
        world.act(watcher) { $0.reads = true }
        #expect(watcher.log.texts.filter { $0 == "exit done" }.count == 50)
        #expect(watcher.log.texts.filter { $0 == "cancel" }.count == 50)
    }

    @Test func unreadMessagesAreDeadLetters_M6() {
        let world = World()
        let process = world.spawn { $0.reads = false }
        world.settle()
        for i in 0..<7 {
            _ = world.system.sendText(from: .none, to: process.pid, "x")
            if i == 3 { world.act(process) { $0.readOne() } }
        }
        world.give(process) { $0.finish() }  // three of them still in the queue of signals
        world.run()
        #expect(world.system.deadLetters.load(ordering: .relaxed) == 6)
        _ = world.system.sendText(from: .none, to: process.pid, "x")
        #expect(world.system.deadLetters.load(ordering: .relaxed) == 6)
    }

    // MARK: Requests (M7)

    @Test func requestIsAnsweredByItsReplyAlone_M7() {
        let world = World()
        let (asker, server) = (world.spawn(), world.spawn())
        world.settle()
        var numbers: [UInt64] = []
        world.act(asker) { me in
            for _ in 0..<2 { numbers.append(me.pointer.beginInquiry(server.pid)!) }
        }
        world.settle()
        _ = world.system.sendText(from: server.pid, to: asker.pid, "unrelated")
        let answer = encoded { $0.writeString("yes") }
        answer.withUnsafeBytes { bytes in
            for number in [numbers[1], numbers[1], 9999, 0] {
                #expect(
                    world.system.reply(
                        from: server.pid, to: asker.pid, request: number, payload: bytes, isError: false))
            }
        }
        world.settle()
        #expect(asker.log.texts.sorted() == ["answer yes", "message unrelated"])
        world.act(server) { $0.finish("gone") }
        #expect(asker.log.texts.sorted() == ["answer yes", "answerEnd gone", "message unrelated"])
    }

    @Test func requestEndsWhenTheOtherOneDies_M7() {
        let world = World()
        let (asker, server) = (world.spawn(), world.spawn())
        world.settle()
        world.act(asker) { #expect($0.pointer.beginInquiry(server.pid) != nil) }
        world.act(server) { $0.fail("crashed") }
        #expect(asker.log.texts == ["answerEnd crashed"])
        world.act(asker) { #expect($0.pointer.beginInquiry(server.pid) == nil) }
        world.act(asker) { $0.finish() }
        #expect(world.leftovers() == [])
    }

    @Test func lateReplyAndLateEndVanish_M7() {
        let world = World()
        let (asker, server) = (world.spawn(), world.spawn())
        world.settle()
        var number: UInt64 = 0
        world.act(asker) { me in
            number = me.pointer.beginInquiry(server.pid)!
            me.pointer.endInquiry(number)
        }
        _ = world.system.reply(
            from: server.pid, to: asker.pid, request: number,
            payload: UnsafeRawBufferPointer(start: nil, count: 0), isError: false)
        world.act(server) { $0.finish() }
        #expect(asker.log == [])
    }

    /// The request may have been passed on: the one who was asked is not the one who replies.
    @Test func replyOfAnotherLeavesNoMonitorBehind_M7() {
        let world = World()
        let (asker, asked, other) = (world.spawn(), world.spawn(), world.spawn())
        world.settle()
        var number: UInt64 = 0
        world.act(asker) { number = $0.pointer.beginInquiry(asked.pid)! }
        #expect(asked.pointer.pointee.watcherCount.load(ordering: .relaxed) == 1)
        _ = world.system.reply(
            from: other.pid, to: asker.pid, request: number,
            payload: UnsafeRawBufferPointer(start: nil, count: 0), isError: false)
        world.settle()
        #expect(asked.pointer.pointee.watcherCount.load(ordering: .relaxed) == 0)
    }
}

@discardableResult
private func listen(_ process: TestProcess, _ topic: String) -> Int {
    Array(topic.utf8).withUnsafeBytes { process.pointer.pointee.mailbox.listen($0) }
}

private func drainTopics(_ process: TestProcess, _ queue: Mailbox.Queue) -> [String] {
    var topics: [String] = []
    while let signal = process.pointer.take(from: queue) {
        topics.append(String(decoding: signal.topic, as: UTF8.self))
        signal.release()
    }
    return topics
}
