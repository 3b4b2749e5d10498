// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "obhut",
    targets: [
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .target(name: "CObhut", dependencies: []),
        .target(name: "Obhut", dependencies: ["CObhut", "CYAML"]),
        .testTarget(name: "ObhutTests", dependencies: ["Obhut"]),
    ],
    swiftLanguageModes: [.v6]
)
