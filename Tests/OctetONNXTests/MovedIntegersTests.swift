import OctetCore
import OctetEngine
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// Integers that are moved about between integer layers, as they are.
@Suite struct MovedIntegersTests {
  /// Everything that moves, selects or stacks them, against ONNX Runtime.
  @Test(arguments: ["unsigned", "signed"]) func givesWhatONNXRuntimeGives(_ name: String) throws {
    let vectors = try #require(VectorCase.load("moved_integers").first { $0.name == name })
    let graph = try ONNXModel(bytes: vectors.tensor("model").scalars(as: UInt8.self)).graph
    let (x, y) = (try vectors.tensor("x"), try vectors.tensor("y"))
    for result in try [graph.replay([x])[0], Session(Plan(graph))(x)] {
      #expect(try discrepancy(result, y, absolute: 0, relative: 1e-6) == nil)
    }
    // Each is dequantize → operation → quantize with the parameters of its operand.
    let form = QuantizedForm(graph)
    for (node, role) in zip(graph.nodes, form.roles) where !node.isPair { #expect(role == .integer, "\(node.name)") }
    // What the engine has no integers for is padding, and what constants take part in.
    let integers = try Plan(graph).integerNodes
    let others = graph.nodes.filter { !$0.isPair && !integers.contains($0.name) }
    #expect(others.map(\.op.kind) == [.pad, .concat, .where], "\(others.map(\.name))")
  }

  private func model(_ nodes: [ProtocolBuffer], _ constants: [ProtocolBuffer] = []) throws -> Graph {
    let parameters = [
      Proto.tensor("s", [], [Float(0.1)]), Proto.tensor("z", type: 2, [], raw: [5]),
      Proto.tensor("t", [], [Float(0.3)]),
    ]
    return try ONNXModel(
      bytes: Proto.model(
        Proto.graph(
          [Proto.node("QuantizeLinear", ["x", "s", "z"], ["q"])] + nodes, inputs: [Proto.value("x", [2, 3])],
          outputs: ["y"], initializers: parameters + constants), opset: 17)
    ).graph
  }

  private let x: [Float] = [-0.52, 0, 0.31, 1, 2.26, 9]

  private func expect(_ graph: Graph, _ expected: [Float]) throws {
    let x = try Tensor(x, shape: [2, 3])
    for result in try [graph.replay([x])[0], Session(Plan(graph))(x)] {
      #expect(try discrepancy(result, Tensor(expected, shape: [2, 3]), absolute: 1e-6, relative: 1e-6) == nil)
    }
  }

  /// Values of two scales have no real form in common: they stay integers until they are read with one of them.
  @Test func operandsOfTwoScales() throws {
    let graph = try model([
      Proto.node("Split", ["q"], ["a", "b"], Proto.attribute("axis", 0)),
      Proto.node("DequantizeLinear", ["b", "s", "z"], ["real"]),
      Proto.node("QuantizeLinear", ["real", "t", "z"], ["coarse"]),
      Proto.node("Concat", ["a", "coarse"], ["both"], Proto.attribute("axis", 0)),
      Proto.node("DequantizeLinear", ["both", "s", "z"], ["y"]),
    ])
    // q is 0, 5, 8 and 15, 28, 95; with the coarse scale 8, 13, 35.
    try expect(graph, [-0.5, 0, 0.3, 0.3, 0.8, 3])
    let both = try #require(graph.nodes.first { $0.op.kind == .concat })
    #expect(graph.types[both.outputs[0]]?.dtype == .uint8)
  }

  /// Integers may be read with another scale than they were quantized with, and as numbers.
  @Test func integersUnderOtherParameters() throws {
    let read = try model([Proto.node("DequantizeLinear", ["q", "t", "z"], ["y"])])
    try expect(read, [-1.5, 0, 0.9, 3, 6.9, 27])
    let cast = try model([Proto.node("Cast", ["q"], ["y"], Proto.attribute("to", 1))])
    try expect(cast, [0, 5, 8, 15, 28, 95])
  }

  /// Of two operands, their parameters, and a condition.
  @Test func chosenFromTwoScales() throws {
    let graph = try ONNXModel(
      bytes: Proto.model(
        Proto.graph(
          [
            Proto.node("QuantizeLinear", ["x", "s", "z"], ["q"]), Proto.node("QuantizeLinear", ["x", "t", "z"], ["r"]),
            Proto.node(
              "QLinearWhere", ["c", "q", "s", "z", "r", "t", "z", "s", "z"], ["w"], domain: "com.microsoft"),
            Proto.node("DequantizeLinear", ["w", "s", "z"], ["y"]),
          ], inputs: [Proto.value("x", [2, 3])], outputs: ["y"],
          initializers: [
            Proto.tensor("s", [], [Float(0.1)]), Proto.tensor("z", type: 2, [], raw: [5]),
            Proto.tensor("t", [], [Float(0.3)]), Proto.tensor("c", type: 9, [3], raw: [1, 0, 1]),
          ]), opset: 17, domains: ["com.microsoft"])
    ).graph
    try expect(graph, [-0.5, 0, 0.3, 1, 2.4, 9])
  }
}

extension Node {
  fileprivate var isPair: Bool { op.kind == .quantizeLinear || op.kind == .dequantizeLinear }
}
