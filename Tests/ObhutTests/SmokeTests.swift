import Testing
@testable import Obhut
@Test func packageBuilds() { #expect(1 + 1 == 2) }
