import Foundation
import TestSupport
import Testing

/// Promise 8 of ARCHITECTURE.md: no import against the arrows.
@Suite("layering")
struct LayeringTests {
  /// The arrows: what each library module stands on directly.
  static let arrows: [String: Set<String>] = [
    "CKernels": [], "CThreadPool": [], "CZlib": [], "COpenBLAS": [],
    "OctetCore": ["CKernels", "CThreadPool", "COpenBLAS"],
    "OctetGraph": ["OctetCore"],
    "OctetNN": ["OctetGraph"],
    "OctetQuantization": ["OctetGraph"],
    "OctetEngine": ["OctetGraph"],
    "OctetFormats": ["OctetGraph", "CZlib"],
    "OctetONNX": ["OctetGraph", "OctetFormats"],
    "OctetTraining": ["OctetNN", "OctetQuantization", "OctetFormats"],
    "OctetInspect": ["OctetQuantization", "OctetEngine"],
  ]

  /// Everything that a module may import of this package.
  static func allowed(_ module: String) -> Set<String> {
    (arrows[module] ?? []).reduce(into: []) {
      $0.formUnion([$1]); $0.formUnion(allowed($1))
    }
  }

  let package: PackageDescription

  init() throws { package = try PackageDescription() }

  private var ours: Set<String> { Set(package.targets.keys) }

  private var libraries: Set<String> {
    ours.filter { $0.hasPrefix("Octet") && package.targets[$0]!.kind == "target" && $0 != "Octet" }
  }

  @Test func layering() throws {
    #expect(
      libraries.isSuperset(of: [
        "OctetCore", "OctetGraph", "OctetNN", "OctetQuantization", "OctetEngine", "OctetInspect", "OctetFormats",
        "OctetTraining",
      ]))
    for name in libraries.sorted() {
      let target = package.targets[name]!
      #expect(Self.arrows[name] != nil, "\(name) has no place among the arrows")
      let imports = try package.imports(of: target)
      #expect(!imports.isEmpty)
      for (module, file) in imports where ours.contains(module) || module.hasPrefix("Octet") {
        #expect(Self.allowed(name).contains(module), "\(file) imports \(module)")
      }
      let declared = target.dependencies.intersection(ours)
      #expect(declared.isSubset(of: Self.allowed(name)), "dependencies of \(name)")
    }
  }

  @Test func theFourInBracesNeverMeet() {
    let four: Set = ["OctetNN", "OctetQuantization", "OctetEngine", "OctetFormats"]
    for name in four { #expect(Self.allowed(name).isDisjoint(with: four)) }
  }

  @Test func cTargetsStandAlone() throws {
    for name in ["CKernels", "CThreadPool", "CZlib"] {
      let target = try #require(package.targets[name])
      #expect(target.dependencies.isEmpty)
      let files = package.files(of: target, [".c", ".h", ".inc"])
      let own = Set(files.map { URL(filePath: $0).lastPathComponent })
      let elsewhere = Set(
        ["CKernels", "CThreadPool", "CZlib"].filter { $0 != name }
          .compactMap { package.targets[$0] }.flatMap { package.files(of: $0, [".h"]) }.map {
            URL(filePath: $0).lastPathComponent
          })
      #expect(!files.isEmpty)
      for file in files {
        let text = try String(contentsOfFile: file, encoding: .utf8)
        for match in text.matches(of: /#\s*include\s*(["<])([^">]+)[">]/) {
          let header = URL(filePath: String(match.output.2)).lastPathComponent
          if match.output.1 == "\"" {
            #expect(own.contains(header), "\(file) includes \(header)")
          } else {
            #expect(own.contains(header) || !elsewhere.contains(header), "\(file) includes \(header)")
          }
        }
      }
    }
  }

  @Test func theUmbrellaExportsEveryLibraryButONNX() throws {
    let text = try String(contentsOfFile: "\(packageRoot)/Sources/Octet/Octet.swift", encoding: .utf8)
    let exported = Set(text.matches(of: /@_exported import (\w+)/).map { String($0.output.1) })
    #expect(exported == libraries.subtracting(["OctetONNX"]))
    #expect(try #require(package.targets["Octet"]).dependencies.isDisjoint(with: ["OctetONNX", "OctetCLI"]))
  }

  @Test func everyImportIsDeclared() throws {
    for target in package.targets.values.sorted(by: { $0.name < $1.name }) {
      // One target may hand on what it exports.
      let given = target.dependencies.union(
        target.dependencies.contains("Octet") ? libraries.subtracting(["OctetONNX"]) : [])
      for (module, file) in try package.imports(of: target) where !PackageDescription.systemModules.contains(module) {
        #expect(given.contains(module), "\(file) imports \(module), which \(target.name) does not declare")
      }
    }
  }

  @Test func nothingDependsOnTests() {
    for target in package.targets.values where !target.path.hasPrefix("Tests/") {
      for name in target.dependencies {
        #expect(package.targets[name]?.path.hasPrefix("Tests/") != true, "\(target.name) uses \(name)")
      }
    }
  }
}
