// swift-tools-version: 6.2
import PackageDescription

// A package that depends on Octet as any other would: no traits, no unsafe flags, no system packages. Outside of this
// repository the dependency is `.package(url: …, from: …)` and the product's package is `octet`.
let octet = String(Context.packageDirectory.split(separator: "/").dropLast(2).last!)

let package = Package(
  name: "Downstream",
  platforms: [.macOS(.v15)],
  dependencies: [.package(path: "../..")],
  targets: [
    .executableTarget(name: "Downstream", dependencies: [.product(name: "Octet", package: octet)])
  ],
  swiftLanguageModes: [.v6]
)
