import Testing

@Suite("octet bench")
struct BenchTests {
  private func row(_ arguments: String...) throws -> [String: Any] {
    let report = try Octet.json(["bench"] + arguments + ["--json"])
    let rows = try #require(report["rows"] as? [[String: Any]])
    #expect(rows.count == 1)
    return rows[0]
  }

  @Test func multiplicationsAreComparedWithThePeak() throws {
    let row = try row("gemm", "--m", "5", "--n", "7", "--k", "3", "weights=uniform", "--isa", "scalar")
    #expect(row["kind"] as? String == "gemm")
    #expect(row["parameters"] as? String == "m=5 n=7 k=3 weights=uniform")
    #expect(row["isa"] as? String == "scalar" && row["threads"] as? Int == 1)
    let best = try #require(row["best_us"] as? Double), median = try #require(row["median_us"] as? Double)
    let gmacs = try #require(row["gmacs"] as? Double), peak = try #require(row["peak_gmacs"] as? Double)
    let fraction = try #require(row["fraction"] as? Double)
    #expect(best > 0 && median >= best && peak > 0)
    #expect(abs(gmacs * best * 1000 - 5 * 7 * 3) < 1e-6)
    #expect(abs(fraction * peak - gmacs) < 1e-9)
    #expect(row["gbs"] == nil)
  }

  @Test func memoryTrafficIsNot() throws {
    let row = try row("observe", "bins=10", "count=100", "--threads", "2")
    #expect(row["kind"] as? String == "histogram" && row["threads"] as? Int == 2)
    let gbs = try #require(row["gbs"] as? Double), best = try #require(row["best_us"] as? Double)
    #expect(abs(gbs * best * 1000 - 400) < 1e-6)
    #expect(row["gmacs"] == nil && row["peak_gmacs"] == nil && row["fraction"] == nil)
  }

  @Test func heightsCountForWidths() throws {
    let row = try row("conv", "in_h=6", "in_c=4", "out_c=2", "kernel_h=1", "pad_top=0")
    let macs = (row["gmacs"] as! Double) * (row["best_us"] as! Double) * 1000
    #expect(abs(macs - 6 * 6 * 4 * 2) < 1e-6)
  }

  @Test func aSuiteIsATable() throws {
    let result = try Octet.run("bench", "gemv", "--suite")
    #expect(result.code == 0)
    for text in ["m=1 n=1024 k=1024", "m=1 n=4096 k=4096", "fraction", "median_us"] {
      #expect(result.output.contains(text))
    }
    // The machine, the header, a rule, two rows.
    #expect(result.output.split(separator: "\n").count == 5)
  }

  @Test func aCallIsTimedFromEverySide() throws {
    let report = try Octet.json("bench", "call", "--json")
    #expect(report["isa"] is String && report["cpu"] is String)
    let rows = try #require(report["rows"] as? [[String: Any]])
    #expect(rows.map { $0["name"] as? String } == ["from C", "from Swift", "session", "fork and join, 2 threads"])
    for row in rows {
      let best = try #require(row["best_ns"] as? Double), median = try #require(row["median_ns"] as? Double)
      #expect(best > 0 && median >= best)
    }
    let table = try Octet.run("bench", "call")
    #expect(table.code == 0 && table.errors.isEmpty)
    // The machine, the header, a rule, four rows.
    #expect(table.output.split(separator: "\n").count == 7)
  }

  @Test func calibrationIsTimedOverReplay() throws {
    let report = try Octet.json("bench", "calibrate", "--threads", "2", "--json")
    #expect(report["threads"] as? Int == 2 && report["replay_ms"] as? Double ?? 0 > 0)
    let rows = try #require(report["rows"] as? [[String: Any]])
    #expect(rows.count == 6 && rows.contains { $0["observer"] as? String == "HistogramObserver" })
    for row in rows {
      let ratio = try #require(row["ratio"] as? Double)
      #expect(ratio > 0.2, "watching is not for nothing")
    }
  }

  @Test(
    "wrong use exits with 2 and lists what there is",
    arguments: [
      (["nope"], "fakequantize"), (["nope"], "softmax"), (["conv", "nope=1"], "dilation_h"),
      (["conv", "nope"], "in_c"),
      (["conv", "in_c=many"], "1 ... 65536"), (["gemm", "weights=heavy"], "normal, uniform"),
      (["add", "--weights", "normal"], "second_scale"), (["gemm", "--isa", "pentium"], "scalar"),
      (["gemm", "--m", "0"], "m=0"), (["gemv", "--m", "2"], "m=1"), (["gemm", "--m", "2", "--suite"], "combined"),
      (["gemm", "--threads", "0"], "from 1 to 1024"), (["gemm", "threads=2"], "threads=2"),
      (["conv", "in_h=1", "kernel_h=5", "pad_top=0"], "no output"), ([], "what"),
      (["call", "--m", "2"], "no parameters"), (["call", "m=2"], "no parameters"),
      (["call", "--isa", "scalar"], "OCTET_ISA"), (["calibrate", "m=2"], "--threads alone"),
      (["calibrate", "--threads", "0"], "from 1 to 1024"),
    ])
  func wrongUse(_ arguments: [String], _ complaint: String) throws {
    let result = try Octet.run(["bench"] + arguments)
    #expect(result.code == 2)
    #expect(result.errors.contains(complaint))
    #expect(result.output.isEmpty)
  }
}
