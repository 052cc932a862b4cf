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
