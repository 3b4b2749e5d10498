import Synchronization
import Testing

@testable import Obhut

@Suite struct TimersTests {
    private final class Fired {
        var arguments: [UInt64] = []
        var pointer: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }
        static let note: Timers.Fire = { context, argument in
            Unmanaged<Fired>.fromOpaque(context).takeUnretainedValue().arguments.append(argument)
        }
    }

    /// Against a list that is searched: random arms, disarms and the passing of time.
    @Test func heapBehavesLikeASortedList() {
        for seed in 0..<UInt64(scaled(60)) {
            var random = SeededGenerator(seed: seed)
            let timers = Timers()
            let fired = Fired()
            var model: [(at: Int64, argument: UInt64, id: Timers.ID)] = []
            var spent: [Timers.ID] = [.none]
            var now: Int64 = 0
            for argument in 0..<UInt64(400) {
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<5:
                    let at = now + Int64.random(in: -5...60, using: &random)
                    let id = timers.arm(at: at, context: fired.pointer, argument: argument, Fired.note)
                    #expect(!model.contains { $0.id == id } && Timers.ID(raw: id.raw) == id)
                    model.append((at, argument, id))
                case 5..<8:
                    if let i = model.indices.randomElement(using: &random) {
                        #expect(timers.disarm(model[i].id))
                        spent.append(model.remove(at: i).id)
                    }
                case 8:
                    #expect(!timers.disarm(spent.randomElement(using: &random)!))
                default:
                    now += Int64.random(in: 0...40, using: &random)
                    let due = model.filter { $0.at <= now }
                    model.removeAll { $0.at <= now }
                    spent += due.map(\.id)
                    fired.arguments = []
                    #expect(timers.fireDue(now: now) == due.count)
                    #expect(Set(fired.arguments) == Set(due.map(\.argument)))
                    let order = fired.arguments.map { a in due.first { $0.argument == a }!.at }
                    #expect(order == order.sorted())
                }
                #expect(timers.count == model.count)
                #expect(timers.nearest.load(ordering: .relaxed) == model.map(\.at).min() ?? .max)
            }
        }
    }

    @Test func nearerOnesAreAnnounced() {
        let timers = Timers()
        let fired = Fired()
        final class Count { var value = 0 }
        let announced = Count()
        timers.becameNearer = { announced.value += 1 }
        for at in [50, 60, 40, 45, 10] as [Int64] {
            _ = timers.arm(at: at, context: fired.pointer, argument: 0, Fired.note)
        }
        #expect(announced.value == 3)
    }

    @Test func aBurstIsGivenBackAndGenerationsStay() {
        let timers = Timers()
        let fired = Fired()
        let first = (0..<10_000).map {
            timers.arm(at: Int64($0), context: fired.pointer, argument: UInt64($0), Fired.note)
        }
        #expect(timers.fireDue(now: 20_000) == 10_000)
        #expect(fired.arguments == (0..<10_000).map { UInt64($0) })
        let second = (0..<10_000).map {
            timers.arm(at: Int64($0), context: fired.pointer, argument: 0, Fired.note)
        }
        for id in first { #expect(!timers.disarm(id)) }
        for id in second { #expect(timers.disarm(id)) }
        #expect(timers.count == 0 && timers.nearest.load(ordering: .relaxed) == .max)
    }
}
