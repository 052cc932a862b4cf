import Foundation
import Testing

@Suite("The demo", .serialized)
struct DemoTests {
  @Test func rowsHoldWhatTheyMust() throws {
    let report = try Octet.json("demo", "--json")
    #expect(report["cpu"] is String && report["isa"] is String)
    let rows = try #require(report["rows"] as? [[String: Any]])
    #expect(rows.map { $0["name"] as? String } == ["float32", "static-minmax", "static-histogram"])
    func figure(_ row: Int, _ key: String) throws -> Double { try #require(rows[row][key] as? Double) }

    #expect(try figure(0, "accuracy") == 0.926)
    #expect(try figure(0, "agreement") == 1)
    for row in 1...2 {
      #expect(try abs(figure(row, "accuracy") - 0.926) <= 0.003)
      #expect(try figure(row, "agreement") >= 0.99)
      #expect(try figure(row, "sqnr_db") > 35)
      #expect(try figure(row, "bytes") <= 0.27 * figure(0, "bytes"))
    }
    for row in 0...2 {
      #expect(try figure(row, "ms_per_image_batch1") > 0 && figure(row, "images_per_second_batch128") > 0)
    }
  }

  @Test func tableAlignsAndNamesWhatToTryNext() throws {
    let result = try Octet.run("demo")
    #expect(result.code == 0)
    // Not a terminal: no progress.
    #expect(result.errors.isEmpty)
    let lines = result.output.split(separator: "\n")
    let rule = try #require(lines.first { $0.contains("───") })
    for row in ["float32", "static-minmax", "static-histogram"] {
      #expect(try #require(lines.first { $0.hasPrefix(row + " ") }).count == rule.count)
    }
    #expect(result.output.contains("Next: "))
  }

  @Test func graphIsShownAfterEachStage() throws {
    let output = try Octet.run("demo", "--graph").output
    for title in ["traced", "fused", "static-minmax: calibrated", "static-minmax: converted", "static-histogram: plan"]
    {
      #expect(output.contains(title + "\n\n"))
    }
    #expect(output.contains("8 of 8 nodes quantized, 2 float ↔ int8 boundaries"))
  }
}

/// A network that is trained from its first random parameters.
@Suite("The demo that trains", .serialized)
struct TrainedDemoTests {
  private let names = ["trained-float32", "trained-dynamic", "trained-static", "trained-qat"]

  @Test func rowsHoldWhatTheyMust() throws {
    let report = try Octet.json("demo", "--train", "--quick", "--json")
    #expect(report["cpu"] is String && report["isa"] is String)
    let rows = try #require(report["rows"] as? [[String: Any]])
    #expect(rows.map { $0["name"] as? String } == names)
    func figure(_ row: Int, _ key: String) throws -> Double { try #require(rows[row][key] as? Double) }
    let accuracy = try figure(0, "accuracy")
    #expect(accuracy >= 0.95)
    #expect(rows[0]["sqnr_db"] is NSNull)
    for row in 1...3 {
      #expect(try figure(row, "accuracy") >= accuracy - 0.01, "\(rows)")
      #expect(try figure(row, "agreement") >= 0.96)
      #expect(try figure(row, "ms_per_image_batch1") > 0 && figure(row, "images_per_second_batch128") > 0)
    }
    for row in 1...2 { #expect(try figure(row, "sqnr_db") > 20) }
    for row in 2...3 { #expect(try figure(row, "bytes") <= 0.30 * figure(0, "bytes")) }
  }

  /// Four files of IDX, here of noise: read, trained on, and the same seed gives the same network.
  @Test func readsFoldersAndFollowsItsSeed() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("octet-data-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for name in ["train", "t10k"] {
      let (labels, images) = (
        (0..<256).map { UInt8($0 % 10) }, (0..<256 * 784).map { UInt8(truncatingIfNeeded: $0 * 37 >> 3) }
      )
      try Data([0, 0, 8, 3, 0, 0, 1, 0, 0, 0, 0, 28, 0, 0, 0, 28] + images).write(
        to: folder.appendingPathComponent("\(name)-images-idx3-ubyte"))
      try Data([0, 0, 8, 1, 0, 0, 1, 0] + labels).write(to: folder.appendingPathComponent("\(name)-labels-idx1-ubyte"))
    }
    func rows(_ seed: String) throws -> [[String: Any]] {
      let report = try Octet.json("demo", "--train", "--data", folder.path, "--json", "--epochs", "1", "--seed", seed)
      return try #require(report["rows"] as? [[String: Any]])
    }
    func figures(_ rows: [[String: Any]]) -> [Double?] {
      rows.flatMap { row in ["accuracy", "agreement", "sqnr_db", "bytes"].map { row[$0] as? Double } }
    }
    let first = try rows("1")
    #expect(first.map { $0["name"] as? String } == names)
    #expect(try figures(rows("1")) == figures(first))
    #expect(try figures(rows("2")) != figures(first))

    try Data([0, 0, 8]).write(to: folder.appendingPathComponent("t10k-images-idx3-ubyte"))
    let damaged = try Octet.run("demo", "--train", "--data", folder.path, "--epochs", "1")
    #expect(damaged.code == 1 && damaged.errors.contains("t10k-images-idx3-ubyte: magic number"))
    let missing = try Octet.run("demo", "--train", "--data", folder.path + "/none")
    #expect(missing.code == 1 && missing.errors.contains("scripts/get-data"))
  }

  @Test func wrongUseIsRefused() throws {
    for arguments in [
      ["--quick"], ["--bits", "4"], ["--train", "--bits", "5"], ["--train", "--epochs", "0"], ["--seed", "1"],
      ["--train", "--graph"], ["--train", "--quick", "--data", "x"], ["--train", "--threads", "0"],
    ] {
      #expect(try Octet.run(["demo"] + arguments).code == 2, "\(arguments)")
    }
  }
}
