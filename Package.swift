// swift-tools-version: 6.0
import PackageDescription

// Two ways to build, chosen by the environment:
//
//   (nothing set)        editors, `swift build`, `swift test`, `swift run obhut`. The command carries the
//                        runtime inside itself, so that one step builds everything.
//   OBHUT_PACKAGING=1    what `make build` ships. The command links build/lib/libobhut.so like any other
//                        program does, so the library has to be there first (see Makefile).
//
// OBHUT_DEBUG_UNOPTIMIZED=1 turns off the optimiser in debug builds. It is on by default, with every
// assertion kept, because the tests interrupt Lua at each instruction and would crawl without it; turn it off
// to step through the code in a debugger.
let packaging = Context.environment["OBHUT_PACKAGING"] == "1"
let optimizedDebug = Context.environment["OBHUT_DEBUG_UNOPTIMIZED"] != "1"
let root = Context.packageDirectory

let debugSwift: [SwiftSetting] =
    optimizedDebug
    ? [.unsafeFlags(["-O", "-enable-testing", "-assert-config", "Debug"], .when(configuration: .debug))] : []
let debugC: [CSetting] =
    optimizedDebug ? [.unsafeFlags(["-O2", "-fno-omit-frame-pointer"], .when(configuration: .debug))] : []

/// Linker options of the shipped library.
/// nodelete: its threads and signal handler outlive a `dlclose`. defs: every symbol must be found at link time.
/// Bsymbolic: a host program cannot capture our calls to ourselves.
let sharedLibraryLinking: [String] =
    ["-static-stdlib", "-use-ld=lld"]
    + [
        "--version-script=\(root)/Sources/ObhutShared/exports.map", "--no-undefined-version",
        "-soname", "libobhut.so.0", "-z", "nodelete", "-z", "now", "-z", "defs", "-Bsymbolic", "--icf=safe",
    ].flatMap { ["-Xlinker", $0] }

/// The command finds the library beside itself: bin/obhut, lib/libobhut.so.0.
let commandLinking: [String] =
    ["-L\(root)/build/lib", "-use-ld=lld"]
    + ["-rpath", "$ORIGIN/../lib", "-z", "now"].flatMap { ["-Xlinker", $0] }

let package = Package(
    name: "obhut",
    products: [
        // Becomes libobhut.so.0.x.y in `make build`; its own name only keeps it apart from the command's.
        .library(name: "ObhutShared", type: .dynamic, targets: ["ObhutShared"]),
        .executable(name: "obhut", targets: ["obhut-cli"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        .systemLibrary(name: "CFFI", pkgConfig: "libffi", providers: [.apt(["libffi-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        // include/obhut.h as a module: the exports are checked against it, the command sees nothing else.
        .target(name: "ObhutHeader"),
        .target(name: "CObhut", cSettings: debugC + [.define("NDEBUG", .when(configuration: .release))]),
        // What the library and the worker program share: calls of foreign functions, their context, frames.
        .target(name: "CNative", dependencies: ["CFFI"], cSettings: debugC),
        // Catches C++ exceptions of foreign functions; only for the library, which has libstdc++.
        .target(name: "CNativeGuard", dependencies: ["CNative"]),
        // The child OS process in which a native function runs; C alone, so that it starts fast.
        // Without the start of Swift's runtime, which would install handlers of its own.
        .executableTarget(
            name: "obhut-worker", dependencies: ["CNative"], cSettings: debugC,
            linkerSettings: [.unsafeFlags(["-nostartfiles", "-static-stdlib"])]),
        .target(name: "Obhut", dependencies: ["CObhut", "CNative", "CNativeGuard", "CYAML", "ObhutHeader"], swiftSettings: debugSwift),
        // Keeps what is shipped loadable on glibc 2.34.
        .target(name: "CGlibcFloor"),
        // Holds the linker options of the shared library and nothing else. No test may depend on it:
        // its options would then apply to the test program, which cannot be linked with them.
        .target(
            name: "ObhutShared", dependencies: ["Obhut", "CGlibcFloor"], exclude: ["exports.map"],
            linkerSettings: [.unsafeFlags(sharedLibraryLinking, .when(configuration: .release))]),
        .executableTarget(
            name: "obhut-cli",
            dependencies: ["ObhutHeader", "CGlibcFloor", .product(name: "ArgumentParser", package: "swift-argument-parser")]
                + (packaging ? [] : ["Obhut"]),
            linkerSettings: packaging ? [.linkedLibrary("obhut"), .unsafeFlags(commandLinking)] : []),
        .testTarget(name: "ObhutTests", dependencies: ["Obhut", "obhut-worker"]),
    ],
    swiftLanguageModes: [.v6]
)
