import CObhut
import Synchronization

/// How the VMs of processes are made (ARCHITECTURE D1).
enum Cloning: Sendable {
    /// Each from nothing.
    case never
    /// The first of an entry from nothing, all others as copies: an entry that is started once needs no template.
    case fromSecond
    /// All as copies.
    case always
}

/// The prepared VM of one program, of which its processes are copies; made when it is first needed.
///
/// The law: `state` counts up to the template's address, or to `none`, and stays there. Who makes the template is alone with
/// it by a compare-and-swap; whoever comes meanwhile does without.
final class LuaTemplate: Sendable {
    private static let unused: UInt = 0, wanted: UInt = 1, none: UInt = 2

    private let state: Atomic<UInt>

    init(_ cloning: Cloning) {
        switch cloning {
        case .never: state = Atomic(LuaTemplate.none)
        case .fromSecond: state = Atomic(LuaTemplate.unused)
        case .always: state = Atomic(LuaTemplate.wanted)
        }
    }

    /// Every copy has been destroyed: processes hold their program.
    deinit {
        let word = state.load(ordering: .acquiring)
        if word > LuaTemplate.none { obh_template_free(OpaquePointer(bitPattern: word)) }
    }

    /// What the next VM is to be a copy of, if anything. All calls pass the same options but for limit, seed and method.
    @inline(__always)
    func take(_ options: obh_vm_options) -> OpaquePointer? {
        let word = state.load(ordering: .acquiring)
        return word > LuaTemplate.none ? OpaquePointer(bitPattern: word) : advance(from: word, options)
    }

    @inline(never)
    private func advance(from word: UInt, _ options: obh_vm_options) -> OpaquePointer? {
        guard word != LuaTemplate.none,
            state.compareExchange(expected: word, desired: word + 1, ordering: .relaxed).exchanged,
            word == LuaTemplate.wanted
        else { return nil }
        var options = options
        guard let made = obh_template_create(&options) else { return nil }
        state.store(UInt(bitPattern: made), ordering: .releasing)
        return made
    }
}
