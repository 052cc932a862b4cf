import Foundation
import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

/// What a prepared graph, a converted one and the report say.
@Suite struct ReportTests {
  /// Quantized, float, quantized, and padding, which has no integer form.
  private final class Net: Module {
    let first = Linear(4, 4)
    let middle = Linear(4, 4)
    let last = Linear(4, 2)
    override func forward(_ x: Tensor) throws -> Tensor {
      try pad(last(relu(middle(first(x)))), before: [0, 0], after: [0, 1])
    }
  }

  private func prepared(calibrated: Bool = true) throws -> PreparedGraph {
    let net = Net()
    try net.initialize(seed: 3)
    var map = QConfigMap(.minMax)
    map["middle"] = .float
    let prepared = try net.trace(TensorType(.float32, [.symbolic("n"), 4]), outputNames: ["scores"]).fused()
      .prepare(map)
    if calibrated { try prepared.calibrate([Tensor.random([8, 4], seed: 1)]) }
    return prepared
  }

  @Test func boundariesSayWhereTheyAre() throws {
    let (_, report) = try prepared().convert()
    let boundaries = report.boundaries.map { "\($0.direction) \($0.value): \($0.from) → \($0.to)" }
    #expect(
      boundaries == [
        #"quantize x: input x → ["first.linear"]"#,
        #"dequantize first.linear: first.linear → ["middle.linear"]"#,
        #"quantize relu: middle.linear → ["last.linear"]"#,
        #"dequantize last.linear: last.linear → ["pad"]"#,
      ])
    #expect(report.count(.quantize) == 2 && report.count(.dequantize) == 2)
  }

  @Test func outputsAndSeveralUsers() throws {
    let (_, report) = try Network.named("two inputs, two outputs").converted()
    let outputs = report.boundaries.filter { $0.direction == .dequantize }.flatMap(\.to)
    #expect(outputs.allSatisfy { $0.hasPrefix("output ") } && outputs.count == 2, "\(outputs)")
    for boundary in report.boundaries { #expect(!boundary.to.isEmpty) }
  }

  /// For every network the structure of the graph agrees with the report wherever every node has an integer form.
  @Test(arguments: Network.all)
  func theFormOfTheGraphAgreesWithTheReport(_ network: Network) throws {
    let (graph, report) = try network.converted()
    let form = QuantizedForm(graph)
    let integers = zip(graph.nodes, form.roles).filter { $0.1 == .integer }.map(\.0.name)
    let quantized = report.quantized.map(\.node)
    #expect(quantized.allSatisfy(integers.contains))
    #expect(!form.roles.contains(.dangling))
    if integers.count == quantized.count {
      let boundaries = zip(graph.nodes, form.roles).filter { $0.1 == .boundary }.map(\.0.name)
      let expected = report.boundaries.map {
        "\($0.value).\($0.direction == .quantize ? "quantize" : "dequantize")"
      }
      #expect(boundaries.sorted() == expected.sorted())
    }
  }

  @Test func description() throws {
    #expect(
      try prepared().convert().report.description == """
        boundary    value         from           to
        ──────────  ────────────  ─────────────  ─────────────
        quantize    x             input x        first.linear
        dequantize  first.linear  first.linear   middle.linear
        quantize    relu          middle.linear  last.linear
        dequantize  last.linear   last.linear    pad

        node           operation  result
        ─────────────  ─────────  ──────────────────────────────
        first.linear   linear     quantized
        middle.linear  linear     float: its QConfig is float
        last.linear    linear     quantized
        pad            pad        float: pad has no integer form
        2 of 4 nodes quantized, 4 float ↔ int8 boundaries
        """)
  }

  @Test func json() throws {
    let (_, report) = try prepared().convert()
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let json = String(decoding: try encoder.encode(report), as: UTF8.self)
    #expect(
      json.contains(
        #"{"direction":"dequantize","from":"last.linear","to":["pad"],"value":"last.linear"}"#))
    #expect(json.contains(#"{"kind":"linear","modules":["first"],"node":"first.linear"}"#))
    #expect(try JSONDecoder().decode(ConversionReport.self, from: Data(json.utf8)) == report)
  }

  @Test func aPreparedGraphShowsItsSites() throws {
    func row(_ name: String, _ prepared: PreparedGraph) throws -> [String: String] {
      let table = prepared.tabular()
      let row = try #require(table.rows.first { $0[1] == name })
      return Dictionary(uniqueKeysWithValues: zip(table.header, row))
    }
    let fresh = try prepared(calibrated: false)
    let unseen = try row("first.linear", fresh)
    #expect(unseen["site"] == "MinMaxObserver" && unseen["note"] == "nothing observed")
    #expect(unseen["scale"] == nil, "no value has one yet")

    let prepared = try prepared()
    let seen = try row("first.linear", prepared)
    let parameters = try #require(prepared.sites["first"]).observer.calculateQParams()
    #expect(seen["scale"] == "\(parameters.scales[0])" && seen["zero point"] == "\(parameters.zeroPoints[0])")
    #expect(seen["note"] == "")
    // The float layer's result is quantized for the next one; what comes after padding is not.
    #expect(try row("middle.linear", prepared)["site"] == "MinMaxObserver")
    let pad = try row("pad", prepared)
    #expect(pad["site"] == "" && pad["note"] == "float: pad has no integer form")
  }

  @Test func inputsWithoutASite() throws {
    let network = Network.named("all float")
    let table = try network.graph().prepare(network.map).tabular()
    #expect(table.rows[0].last == "float: no integer operation uses it", "\(table)")
    #expect(table.rows[1].last == "float: its QConfig is float")
  }

  @Test func aConvertedGraphShowsPairsAndReasons() throws {
    let (graph, report) = try prepared().convert()
    func notes(_ table: Table) -> [String: String] {
      #expect(table.header.last == "note")
      return Dictionary(table.rows.map { ($0[1], $0.last!) }) { first, _ in first }
    }
    let form = notes(graph.tabular())
    #expect(form["x.quantize"] == "boundary: float → integers" && form["x.dequantize"] == "")
    #expect(form["first.linear.quantize"] == "" && form["first.linear.dequantize"] == "boundary: integers → float")
    #expect(form["first.linear"] == "" && form["first.weight.dequantize"] == "")
    #expect(form["middle.linear"] == "float: middle.weight is not quantized")
    #expect(form["pad"] == "float: its result is not quantized")
    // The report knows more.
    let reported = notes(graph.tabular(report))
    #expect(reported["middle.linear"] == "float: its QConfig is float")
    #expect(reported["pad"] == "float: pad has no integer form")
    #expect(reported["x.quantize"] == form["x.quantize"])
  }
}
