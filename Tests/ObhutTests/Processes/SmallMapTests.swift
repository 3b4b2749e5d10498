import Testing

@testable import Obhut

struct SmallMapTests {
    /// Few keys, so that it goes back and forth between none, one and several entries.
    @Test(arguments: 1...scaled(20, atLeast: 3))
    func behavesAsADictionaryDoes(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        var map = SmallMap<Pid, Int>()
        var model: [Pid: Int] = [:]
        for i in 0..<2000 {
            // Now and then so many that the dictionary is given back when it is empty.
            let key = Pid(raw: UInt64(1 + random.below(i % 500 < 100 ? 200 : 3)))
            switch random.below(4) {
            case 0:
                map[key] = i
                model[key] = i
            case 1:
                map[key] = nil
                model[key] = nil
            default: #expect(map.removeValue(forKey: key) == model.removeValue(forKey: key))
            }
            #expect(map[key] == model[key])
            #expect(map.count == model.count)
            #expect(map.isEmpty == model.isEmpty)
        }
        for key in Array(model.keys.prefix(model.count / 2)) { map[key] = nil; model[key] = nil }
        #expect(Dictionary(uniqueKeysWithValues: map.map { ($0.key, $0.value) }) == model)
        #expect(Set(map.keys) == Set(model.keys))
        var inOrder: [Int] = []
        map.forEach(by: \.value) { inOrder.append($0.value) }
        #expect(inOrder == model.values.sorted())
    }
}
