import Testing

@Suite("The command")
struct CommandTests {
  @Test func helpAndVersion() throws {
    let help = try Octet.run("--help")
    #expect(help.code == 0)
    #expect(help.output.contains("demo") && help.output.contains("cpu") && help.output.contains("Exit codes"))
    let version = try Octet.run("--version")
    #expect(version.code == 0)
    #expect(version.output.wholeMatch(of: #/octet \d+\.\d+\.\d+\n/#) != nil)
    #expect(try Octet.run("demo", "--help").output.contains("--threads"))
  }

  @Test(
    "wrong use exits with 2 and says what was wrong",
    arguments: [
      (["nope"], "nope"), (["quantise"], "quantize"), (["run"], "octet run --help"), (["demo", "--nope"], "--nope"),
      (["demo", "--threads", "0"], "from 1 to 1024"),
      (["demo", "--threads", "many"], "many"), (["demo", "--graph", "--json"], "combined"),
    ])
  func wrongUse(_ arguments: [String], _ complaint: String) throws {
    let result = try Octet.run(arguments)
    #expect(result.code == 2)
    #expect(result.errors.contains(complaint))
    #expect(result.output.isEmpty && result.errors.split(separator: "\n").count == 1)
  }

  @Test func anUnknownInstructionSetFailsAndListsThoseThereAre() throws {
    let result = try Octet.run("demo", environment: ["OCTET_ISA": "pentium"])
    #expect(result.code == 1)
    #expect(result.errors.contains("scalar") && result.errors.contains("found pentium"))
    #expect(result.output.isEmpty)
  }

  @Test func cpuShowsWhatIsInUse() throws {
    let text = try Octet.run("cpu")
    #expect(text.code == 0)
    #expect(text.output.contains("in use") && text.output.contains("scalar"))
    let sets = try #require(try Octet.json("cpu", "--json")["instruction_sets"] as? [[String: Any]])
    #expect(sets.filter { $0["chosen"] as? Bool == true }.count == 1)
    for set in sets where set["supported"] as? Bool == true {
      #expect(set["peak_int8_gmacs"] as! Double > 0 && set["peak_float32_gmacs"] as! Double > 0)
    }
  }
}
