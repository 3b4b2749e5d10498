import Glibc
import Synchronization

/// The one seam through which time enters (SEMANTICS T1, T2).
///
/// Durations and deadlines are nanoseconds on the monotonic clock; the wall clock
/// is only ever reported. A virtual clock stands still until it is advanced.
final class Clock: Sendable {
    /// Where a virtual clock begins on the wall: 2026-01-01T00:00:00Z.
    static let virtualEpoch: Int64 = 1_767_225_600_000_000_000

    let isVirtual: Bool
    private let virtualNow = Atomic<Int64>(0)
    /// How far the wall has been set away from where a virtual clock began.
    private let wallShift = Atomic<Int64>(0)

    init(virtual: Bool) { isVirtual = virtual }

    /// Nanoseconds on the monotonic clock.
    @inline(__always)
    var now: Int64 {
        if isVirtual { return virtualNow.load(ordering: .relaxed) }
        return Clock.read(CLOCK_MONOTONIC)
    }

    /// Nanoseconds since 1970 on the wall clock.
    var wall: Int64 {
        if isVirtual {
            return Clock.virtualEpoch + virtualNow.load(ordering: .relaxed) + wallShift.load(ordering: .relaxed)
        }
        return Clock.read(CLOCK_REALTIME)
    }

    /// Moves a virtual clock forward; never back.
    func advance(to instant: Int64) {
        assert(isVirtual)
        if instant > now { virtualNow.store(instant, ordering: .relaxed) }
    }

    /// Sets the wall of a virtual clock forward or, below zero, back by so many nanoseconds, as an administrator does.
    func moveWall(by nanoseconds: Int64) {
        assert(isVirtual)
        wallShift.add(nanoseconds, ordering: .relaxed)
    }

    @inline(__always)
    static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}

/// The one seam through which chance enters: xoshiro256** (Blackman and Vigna,
/// "Scrambled linear pseudorandom number generators", 2018), seeded by SplitMix64.
struct RandomSource: RandomNumberGenerator {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init(seed: UInt64) {
        var mix = seed
        func next() -> UInt64 {
            mix &+= 0x9E37_79B9_7F4A_7C15
            var z = mix
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        state = (next(), next(), next(), next())
    }

    @inline(__always)
    mutating func next() -> UInt64 {
        func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 &- k)) }
        let result = rotate(state.1 &* 5, 7) &* 9
        let t = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= t
        state.3 = rotate(state.3, 45)
        return result
    }

    /// A number in 0..<bound; bound is at least 1.
    @inline(__always)
    mutating func below(_ bound: Int) -> Int {
        Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high)
    }
}
