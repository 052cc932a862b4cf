// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who depends on Octet sees it. scripts/fuzz builds it with the sanitizers and runs it.
let octet = String(Context.packageDirectory.split(separator: "/").dropLast().last!)

let package = Package(
  name: "Fuzzing",
  platforms: [.macOS(.v15)],
  dependencies: [.package(path: "..")],
  targets: [
    .target(
      name: "OctetFuzz",
      dependencies: [.product(name: "Octet", package: octet), .product(name: "OctetONNX", package: octet)],
      path: "OctetFuzz"),
    .executableTarget(name: "fuzz-readers", dependencies: ["OctetFuzz"], path: "Main"),
  ],
  swiftLanguageModes: [.v6]
)
