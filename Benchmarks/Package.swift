// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who depends on Octet resolves what measuring needs. README.md says how to run it.
let octet = String(Context.packageDirectory.split(separator: "/").dropLast().last!)

let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(path: ".."),
    // Without traits: they count allocations by another package, or by a system library. CAllocationCount does it here.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.0", traits: []),
  ],
  targets: [
    // (A link to what the tests count with.)
    .target(name: "CAllocationCount", path: "CAllocationCount", publicHeadersPath: "."),
    .executableTarget(
      name: "OctetBenchmarks",
      dependencies: [
        "CAllocationCount", .product(name: "Octet", package: octet), .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "OctetBenchmarks",
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
