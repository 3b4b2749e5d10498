import Foundation
import Testing

@testable import Obhut

/// `examples/chat`: what a user sees, line by line, in virtual time.
@Suite struct ChatExampleTests {
    private static let folder = SeedFiles.repository + "/examples/chat"
    private static let script = try! String(contentsOfFile: folder + "/script.txt", encoding: .utf8)

    /// A world whose processes read this text, and then the end of the input.
    private func world(_ drive: Drive, input text: String, arguments: String...) throws -> ApplicationWorld {
        let world = try ApplicationWorld(drive, folder: Self.folder)
        var rest = Array(text.utf8)[...]
        let input = InputQueue(
            source: { buffer in
                // In small pieces, so that lines are torn.
                let piece = rest.prefix(min(7, buffer.count))
                rest = rest.dropFirst(piece.count)
                buffer.copyBytes(from: piece)
                return piece.count
            }, threaded: false,
            deliver: { [unowned system = world.runtime.system] request, payload, isError in
                system.reply(from: .none, to: request.pid, request: request.number, payload: payload, isError: isError)
            })
        world.runtime.system.surroundings.read = { input.ask($0) }
        world.runtime.system.surroundings.arguments = arguments
        return world
    }

    private func lines(_ drive: Drive, _ script: String, _ arguments: String..., end: String = "\"bye, ann\"") throws -> [String] {
        let world = try world(drive, input: script, arguments: "ann", "--alone")
        defer { world.close() }
        world.runtime.system.surroundings.arguments = ["ann"] + arguments
        #expect(try world.run("chat:terminal") == .value(end))
        // It has closed what it had opened, and waited for it.
        #expect(world.alive == [])
        return world.lines
    }

    /// The script of the example: bots that come, answer, fail and come back; rooms that fail and are entered again.
    @Test(arguments: Drive.simulated) func theScript_V6(drive: Drive) throws {
        #expect(try lines(drive, Self.script) == [
            "-- welcome, ann; /help tells the commands",
            "-- you are in lobby: ann",
            "-- lobby: bob has come",
            "-- lobby: eve has come",
            "-- lobby: fred has come",
            "[lobby] ann: hello?",
            "-- you speak in lobby",
            "-- lobby: ann, bob, eve, fred",
            "[lobby] ann: hello, bob",
            "[lobby] bob: I am looking for my umbrella",
            "[eve to you] try /help",
            "-- sloth does not answer: timeout",
            "-- nobody is called nobody",
            "[lobby] ann: boo",
            "-- lobby: fred has failed: what a fright",
            "-- lobby: fred has come",
            "-- lobby has failed: a chandelier fell on ann",
            "-- back in lobby",
            "-- lobby: ann, bob, eve, fred",
            "-- you are in attic: ann",
            "[attic] ann: anybody here?",
            "-- attic has failed: a chandelier fell on ann",
            "-- back in attic",
            "[attic] ann: still here",
            "-- rooms: attic, garden, lobby",
            "-- you have left attic",
            "-- you speak in lobby",
            "-- there is no /dance: ask for /help",
        ])
    }

    /// The bots talk when the user does not.
    @Test(arguments: Drive.simulated.prefix(4)) func aLoneUserSeesSomething(drive: Drive) throws {
        let said = try lines(drive, "/wait 15s\n").filter { $0.hasPrefix("[lobby]") }
        #expect(said == [
            "[lobby] bob: has anybody seen my umbrella?",
            "[lobby] eve: say 'boo' and see what becomes of fred",
            "[lobby] bob: it was a red one",
        ])
    }

    /// A room in which nobody is any more is closed, and opened anew for who wants in.
    @Test(arguments: Drive.simulated.prefix(4)) func anEmptyRoomIsClosed(drive: Drive) throws {
        #expect(try lines(
            drive, "/join a\n/leave\n/wait 1s\n/rooms\n/wait 2s\n/rooms\n/leave\n/who\n/crash\n/join a\n/crash\n/crash\n/crash\nhi\n", "--alone") == [
            "-- welcome, ann; /help tells the commands",
            "-- you are in a: ann", "-- you have left a", "-- rooms: a", "-- rooms: none",
            "-- you are in no room", "-- you are in no room", "-- you are in no room",
            "-- you are in a: ann",
            "-- a has failed: a chandelier fell on ann", "-- back in a",
            "-- a has failed: a chandelier fell on ann", "-- back in a",
            "-- a has failed: a chandelier fell on ann", "-- back in a",
            "[a] ann: hi",
        ])
    }

    /// Nothing that is typed disturbs it; a line without an end, at the end of the input, is one.
    @Test(arguments: Drive.simulated.prefix(4)) func badInput(drive: Drive) throws {
        let script = "\n   \n/\n/join\n/join a b\n/msg\n/msg bob\n/msg ann hi\n/wait\n/wait soon\n/nonsense \u{1}\n"
            + String(repeating: "x", count: 501) + "\n/join a\nbell \u{7} and % %s\n/leave"
        #expect(try lines(drive, script, "--alone") == [
            "-- welcome, ann; /help tells the commands",
            "-- there is no /: ask for /help",
            "-- a room's name has 1 to 20 letters, digits, - and _",
            "-- a room's name has 1 to 20 letters, digits, - and _",
            "-- /msg NICK TEXT", "-- /msg NICK TEXT",
            "-- you are talking to yourself",
            "-- /wait TIME: \"\" is no duration: write it like \"100ms\", \"5s\" or \"1h30m\"",
            "-- /wait TIME: \"soon\" is no duration: write it like \"100ms\", \"5s\" or \"1h30m\"",
            "-- there is no /nonsense: ask for /help",
            "-- too long: 501 bytes are more than 500",
            "-- you are in a: ann",
            "[a] ann: bell   and % %s",
            "-- you have left a",
        ])
    }

    /// Wherever in the script they are ended, rooms, bots and the directory come back, and the user gets to the end.
    @Test(arguments: 1...UInt64(max(3, 16 * testScale))) func whoeverIsEndedComesBack_V6(seed: UInt64) throws {
        let script = "/join a\n" + String(repeating: "hello\n/wait 700ms\n", count: 30) + "/wait 3s\n/who\n"
        let world = try world(Drive(seed: seed, instructions: 200), input: script, arguments: "ann")
        defer { world.close() }
        let simulation = try #require(world.runtime.scheduler.simulation)
        let terminal = try world.start("chat:terminal")
        var random = RandomSource(seed: seed)
        var kills = 0
        while kills < 6, simulation.step() {
            // About once a second, between any two steps.
            guard world.runtime.scheduler.clock.now > Int64(kills + 1) * 1_300_000_000, random.below(20) == 0 else { continue }
            var living: [Pid] = []
            world.runtime.system.table.forEachLiving { slot, pid in
                if ["chat:room", "chat:bot", "chat:directory"].contains(slot.pointee.entryID) { living.append(pid) }
            }
            guard !living.isEmpty else { continue }
            _ = world.runtime.system.terminate(living[random.below(living.count)], from: .none)
            kills += 1
        }
        #expect(kills == 6)
        #expect(try world.end(of: terminal) == .value("\"bye, ann\""))
        #expect(world.lines.last == "-- a: ann", "\(world.lines)")
        #expect(world.alive == [])
    }

    /// C1: asked to end while it waits for a line, it ends in order, long before its deadline.
    @Test(arguments: Drive.simulated.prefix(4)) func cancelEndsItInOrder_C1(drive: Drive) throws {
        let world = try world(drive, input: "", arguments: "ann", "--alone")
        world.runtime.system.surroundings.read = { _ in }  // somebody who does not type
        _ = try world.start("chat:terminal")
        world.advance(to: 5)
        #expect(world.alive == ["chat:directory", "chat:house", "chat:terminal"])
        let clock = world.runtime.scheduler.clock
        world.close(timeout: nil)
        #expect(clock.now < 6_000_000_000)
        #expect(world.runtime.system.aliveCount == 0)
    }

    /// A name is one person's, and wrong arguments are told.
    @Test(arguments: [
        (["bob", "--echo", "--loud"], "unknown option --loud: there are --alone (no bots) and --echo (print each line read)"),
        (["bob!"], "a name has 1 to 20 letters, digits, - and _"),
    ]) func badArgumentsAreRefused(arguments: [String], complaint: String) throws {
        let world = try world(Drive(seed: 1), input: "")
        defer { world.close() }
        world.runtime.system.surroundings.arguments = arguments
        #expect(try world.run("chat:terminal") == .error(complaint))
    }

    @Test func theApplicationIsRight() {
        #expect(LuaLibrary.open() == nil)
        #expect(faults(of: Application.load(folder: Self.folder, checkSyntax: LuaCompiler().check)) == [])
    }
}
