import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

/// Dropout is traced, as by torch.fx, does nothing where a graph runs, and is left out of what is made for that.
@Suite("Dropout in graphs") struct DropoutTests {
  private func trace(_ network: Module) throws -> Graph {
    try network.initialize(seed: 1)
    return try network.trace(TensorType(.float32, [.symbolic("n"), 6]))
  }

  private func expectSame(_ a: Graph, _ b: Graph, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let x = try Tensor.random([5, 6], seed: 2)
    #expect(
      try a.replay([x]).map { try $0.floats } == b.replay([x]).map { try $0.floats }, sourceLocation: sourceLocation)
  }

  @Test func isTraced() throws {
    let network = Sequential(Linear(6, 8), ReLU(), Dropout(0.25), Dropout(0), Linear(8, 4))
    let graph = try trace(network)
    #expect(graph.kinds == [.linear, .relu, .dropout, .linear])
    #expect(graph.tabular().rows[3] == ["call_module", "2.dropout", "2: dropout (p 0.25)", "[n, 8]", "float32"])
    #expect("\(graph)".contains("2.dropout = dropout(1.relu; p 0.25) → float32 [n, 8]"))
    let x = try Tensor.random([5, 6], seed: 2)
    #expect(try graph.replay([x])[0].floats == network(x).floats)
  }

  @Test func isFusedOver() throws {
    let graph = try trace(Sequential(Linear(6, 8), Dropout(), BatchNorm1d(8), Dropout(), ReLU(), Dropout(), Dropout()))
    let fused = try graph.fused()
    #expect(fused.kinds == [.linear] && fused.nodes[0].modules == ["0", "2", "4"])
    #expect(fused.outputs == [Graph.Output(name: "output", value: "4.relu")])
    let x = try Tensor.random([5, 6], seed: 2)
    #expect(try discrepancy(fused.replay([x])[0], graph.replay([x])[0], absolute: 1e-6, relative: 1e-5) == nil)
  }

  @Test func isRemoved() throws {
    let graph = try trace(
      Sequential(Dropout(0.1), Linear(6, 8), Dropout(0.2), Dropout(0.3), Linear(8, 4), Dropout(0.4)))
    let without = try graph.removingDropout()
    #expect(without.kinds == [.linear, .linear] && !without.hasDropout)
    #expect(without.nodes.map(\.inputs[0]) == ["x", "1.linear"] && without.outputs[0].value == "4.linear")
    try expectSame(graph, without)
    // One of several in a row.
    let some = try graph.removingDropout { $0.name == "2.dropout" }
    #expect(some.kinds == [.dropout, .linear, .dropout, .linear, .dropout])
    #expect(some.node("3.dropout")?.inputs == ["1.linear"])
    try expectSame(graph, some)
    #expect(
      graph.undropped == [
        "0.dropout": "x", "2.dropout": "1.linear", "3.dropout": "1.linear", "5.dropout": "4.linear",
      ])
  }

  /// For training it stays where fusing leaves a value to drop from, or behind the ReLU that is part of a layer.
  @Test func isKeptBetweenLayers() throws {
    let graph = try trace(
      Sequential(
        Linear(6, 8), ReLU(), Dropout(0.1), Linear(8, 8), Dropout(0.2), ReLU(), Linear(8, 8), Dropout(0.3),
        BatchNorm1d(8), Linear(8, 4), Dropout(0.4)))
    let kept = try graph.keepingDropout(between: graph.fused())
    #expect(
      kept.kinds == [
        .linear, .relu, .dropout, .linear, .relu, .dropout, .linear, .batchNormalization, .linear, .dropout,
      ])
    #expect(kept.node("4.dropout")?.inputs == ["5.relu"] && kept.node("6.linear")?.inputs[0] == "4.dropout")
    try expectSame(graph, kept)
    let source = try kept.fused(residuals: true, forTraining: true)
    #expect(source.kinds == [.linear, .dropout, .linear, .dropout, .linear, .batchNormalization, .linear, .dropout])
    // What is fused in the end is as if there had been none.
    #expect(try "\(source.fused())" == "\(graph.fused())")
  }
}
