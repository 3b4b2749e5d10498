// What entries need of each other: order and cycles.
//
// Two graphs over the same entries. *Imports*: which library a Lua text may require.
// *Dependencies*: what must run before an entry does, which is what its `depends_on` names
// and the host it runs on (SEMANTICS V2). Neither may have a cycle.
//
// Both are walked with a stack of their own: a chain of entries is as long as its author
// likes, and the walk runs on whatever thread the embedding program calls from.

struct EntryGraph {
    /// What each entry needs, in the order in which it names them.
    private let needs: [EntryID: [EntryID]]

    static let maximumCycles = 16

    init(_ needs: [EntryID: [EntryID]]) { self.needs = needs }

    /// Depth first from `roots`: everything that these need, each after what it needs
    /// itself; and cycles, each once, as `[x, y, x]` with the smallest id first. There are
    /// some if there are any, but not more than `maximumCycles`: a graph can have more than
    /// there is memory for.
    func walk(from roots: [EntryID]) -> (order: [EntryID], cycles: [[EntryID]]) {
        var order: [EntryID] = []
        var cycles: [[EntryID]] = []
        var finished: Set<EntryID> = []
        /// The way from a root to here, and each one's next need.
        var way: [(id: EntryID, next: Int)] = []
        var onWay: [EntryID: Int] = [:]

        func enter(_ id: EntryID) {
            if finished.contains(id) { return }
            if let start = onWay[id] {
                if cycles.count == EntryGraph.maximumCycles { return }
                let cycle = EntryGraph.normalized(way[start...].map(\.id))
                if !cycles.contains(cycle) { cycles.append(cycle) }
                return
            }
            onWay[id] = way.count
            way.append((id, 0))
        }

        for root in roots {
            enter(root)
            while let top = way.last {
                let needed = needs[top.id] ?? []
                if top.next < needed.count {
                    way[way.count - 1].next += 1
                    enter(needed[top.next])
                } else {
                    way.removeLast()
                    onWay[top.id] = nil
                    finished.insert(top.id)
                    order.append(top.id)
                }
            }
        }
        return (order, cycles)
    }

    private static func normalized(_ ring: [EntryID]) -> [EntryID] {
        let start = ring.indices.min { ring[$0] < ring[$1] } ?? 0
        return ring[start...] + ring[..<start] + [ring[start]]
    }
}
