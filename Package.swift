// swift-tools-version: 6.2
import PackageDescription

// The modules in the order in which they may depend on one another; ARCHITECTURE.md draws it, a test holds it.
let package = Package(
  name: "octet",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Octet", targets: ["Octet"]),
    .library(name: "OctetONNX", targets: ["OctetONNX"]),
    .executable(name: "octet", targets: ["OctetCLI"]),
  ],
  traits: [
    .trait(
      name: "OpenBLAS", description: "Evaluate float operations with OpenBLAS (Linux) instead of Octet's own kernels.")
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
  ],
  targets: [
    .target(name: "CKernels", path: "CKernels", publicHeadersPath: "include"),
    .target(name: "CZlib", path: "CZlib", publicHeadersPath: "include"),
    .target(name: "CThreadPool", path: "CThreadPool", publicHeadersPath: "include"),
    .target(
      name: "CKernelProblems", dependencies: ["CKernels", "CThreadPool"], path: "CKernelProblems", exclude: ["driver"],
      publicHeadersPath: "include"),
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev", "liblapacke-dev"]), .brew(["openblas"])]),

    .target(
      name: "OctetCore",
      dependencies: [
        "CKernels", "CThreadPool",
        .target(name: "COpenBLAS", condition: .when(platforms: [.linux], traits: ["OpenBLAS"])),
      ]),
    .target(name: "OctetGraph", dependencies: ["OctetCore"]),
    .target(name: "OctetNN", dependencies: ["OctetCore", "OctetGraph"]),
    .target(
      name: "OctetQuantization",
      dependencies: [
        "OctetCore", "OctetGraph", "CKernels", .product(name: "Logging", package: "swift-log"),
      ]),
    .target(name: "OctetEngine", dependencies: ["OctetCore", "OctetGraph", "CKernels"]),
    .target(name: "OctetInspect", dependencies: ["OctetCore", "OctetGraph"]),
    .target(name: "OctetFormats", dependencies: ["OctetCore", "OctetGraph", "CZlib"]),
    .target(
      name: "OctetTraining",
      dependencies: ["OctetCore", "OctetGraph", "OctetNN", "OctetQuantization", "OctetFormats"]),
    .target(
      name: "OctetONNX",
      dependencies: [
        "OctetCore", "OctetGraph", "OctetFormats", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ]),
    .target(
      name: "Octet",
      dependencies: [
        "OctetCore", "OctetGraph", "OctetNN", "OctetQuantization", "OctetEngine", "OctetInspect", "OctetFormats",
        "OctetTraining",
      ]),
    .executableTarget(
      name: "OctetCLI",
      dependencies: [
        "Octet", "OctetONNX", "Networks", "CKernelProblems",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      resources: [.copy("Resources")]),

    .testTarget(name: "CKernelsTests", dependencies: ["CKernels", "CKernelProblems", "CThreadPool"]),
    .testTarget(
      name: "OctetFormatsTests", dependencies: ["OctetCore", "OctetFormats", "CZlib"], exclude: ["Fixtures"]),
    .testTarget(name: "OctetCLITests", dependencies: ["OctetCLI", "TestSupport", "Octet", "OctetONNX"]),
    .testTarget(name: "OctetTests", dependencies: ["TestSupport", "Octet"]),

    .target(name: "TestSupport", dependencies: ["OctetCore", "OctetFormats"], path: "Tests/TestSupport"),
    .testTarget(name: "OctetCoreTests", dependencies: ["TestSupport", "OctetCore"]),
    .testTarget(name: "OctetGraphTests", dependencies: ["TestSupport", "OctetCore", "OctetGraph", "OctetNN"]),
    .testTarget(name: "OctetNNTests", dependencies: ["TestSupport", "OctetCore", "OctetGraph", "OctetNN"]),
    .target(
      name: "TestNetworks",
      dependencies: ["TestSupport", "OctetCore", "OctetGraph", "OctetNN", "OctetQuantization", "OctetEngine"],
      path: "Tests/TestNetworks"),
    .target(name: "CAllocationCount", path: "Tests/CAllocationCount", publicHeadersPath: "."),
    .testTarget(
      name: "OctetQuantizationTests",
      dependencies: [
        "CAllocationCount", "TestNetworks", "TestSupport", "OctetCore", "OctetGraph", "OctetNN", "OctetQuantization",
        .product(name: "Logging", package: "swift-log"),
      ]),
    .testTarget(
      name: "OctetEngineTests",
      dependencies: [
        "CAllocationCount", "TestNetworks", "TestSupport", "OctetCore", "OctetGraph", "OctetNN", "OctetQuantization",
        "OctetEngine",
        "OctetFormats",
      ]),
    .testTarget(
      name: "OctetInspectTests",
      dependencies: [
        "TestSupport", "OctetCore", "OctetGraph", "OctetNN", "OctetQuantization", "OctetEngine", "OctetInspect",
      ]),
    .testTarget(
      name: "OctetTrainingTests",
      dependencies: [
        "TestSupport", "OctetCore", "OctetGraph", "OctetNN", "OctetQuantization", "OctetFormats", "OctetTraining",
      ]),
    .testTarget(
      name: "OctetONNXTests",
      dependencies: [
        "TestNetworks", "TestSupport", "OctetCore", "OctetGraph", "OctetNN", "OctetQuantization", "OctetEngine",
        "OctetFormats", "OctetONNX",
      ]),
    .target(name: "Networks", dependencies: ["Octet"], path: "Examples/Networks"),
    .executableTarget(name: "TrainMNIST", dependencies: ["Octet"], path: "Examples/TrainMNIST"),
    .testTarget(name: "NetworksTests", dependencies: ["Networks", "Octet", "TestNetworks", "TestSupport"]),
    .testTarget(
      name: "PromiseTests",
      dependencies: [
        "TestNetworks", "TestSupport", "OctetCore", "OctetGraph", "OctetNN", "OctetQuantization", "OctetEngine",
        "OctetFormats",
      ]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)

// What sanitizers look at, and what that needs: instrumented, all the rest would take them minutes to build.
if Context.environment["OCTET_SANITIZED"] != nil {
  let sanitized: Set = [
    "CKernelsTests", "OctetEngineTests", "OctetFormatsTests", "CAllocationCount", "TestNetworks", "TestSupport",
  ]
  package.targets.removeAll { target in
    let isOfTests = target.type == .test || target.path?.hasPrefix("Tests/") == true
    return isOfTests
      ? !sanitized.contains(target.name)
      : ["OctetONNX", "OctetCLI", "Networks", "Octet", "OctetInspect", "OctetTraining", "TrainMNIST"].contains(
        target.name)
  }
  package.products = []
  package.dependencies.removeAll { package in
    if case .sourceControl(_, let location, _) = package.kind { !location.hasSuffix("swift-log") } else { false }
  }
}
