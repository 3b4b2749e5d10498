// "Did you mean": the known word nearest to a mistyped one.

/// The candidate nearest to `word`, if it is near enough to be meant: one edit for short
/// words, one for every three characters of longer ones. The first wins among equals.
func suggestion(for word: String, among candidates: some Sequence<String>) -> String? {
    let letters = Array(word.unicodeScalars)
    // Names have at most 255 characters; a longer text is no mistyped name, and the
    // distance costs the product of both lengths.
    guard !letters.isEmpty, letters.count <= 255 else { return nil }
    let allowed = max(1, letters.count / 3)
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
        let other = Array(candidate.unicodeScalars)
        guard abs(other.count - letters.count) <= allowed else { continue }
        let distance = editDistance(letters, other)
        if distance <= allowed, distance < best?.distance ?? Int.max { best = (candidate, distance) }
    }
    return best?.candidate
}

/// `; did you mean 'x'?`, or what `otherwise` says when nothing is near.
func didYouMean(_ word: String, among candidates: some Sequence<String>, otherwise: String = "") -> String {
    guard let near = suggestion(for: word, among: candidates) else { return otherwise }
    return "; did you mean \(quoted(near))?"
}

/// Edits that make `a` into `b`: insert, delete, replace, swap two neighbours
/// (optimal string alignment, Damerau 1964).
func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    var beforePrevious = [Int](repeating: 0, count: b.count + 1)
    var previous = Array(0...b.count)
    var current = previous
    for i in a.indices {
        current[0] = i + 1
        for j in b.indices {
            let replace = previous[j] + (a[i] == b[j] ? 0 : 1)
            var cost = min(replace, previous[j + 1] + 1, current[j] + 1)
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                cost = min(cost, beforePrevious[j - 1] + 1)
            }
            current[j + 1] = cost
        }
        (beforePrevious, previous, current) = (previous, current, beforePrevious)
    }
    return previous[b.count]
}
