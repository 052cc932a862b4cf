import OctetCore
import OctetEngine
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// Forms in which graphs are written because ONNX Runtime takes no others.
@Suite struct RuntimeFormsTests {
  private func text(_ graph: Graph) throws -> String { String(decoding: try graph.onnxBytes(), as: UTF8.self) }

  private func expectSame(_ graph: Graph, _ inputs: [Tensor]) throws {
    let read = try ONNXModel(bytes: graph.onnxBytes()).graph
    for (found, expected) in zip(try read.replay(inputs), try graph.replay(inputs)) {
      #expect(try discrepancy(found, expected, absolute: 0, relative: 0) == nil)
    }
  }

  // MARK: - Truth values

  /// There is no Where of truth values.
  @Test(arguments: [nil, false, true], [nil, false, true]) func choosesAmongTruthValues(_ a: Bool?, _ b: Bool?) throws {
    var parameters: [String: Parameter] = [:]
    if let a { parameters["a"] = Parameter(try Tensor(a), isTrainable: false) }
    if let b { parameters["b"] = Parameter(try Tensor(b), isTrainable: false) }
    let names = ["c", "a", "b"]
    let graph = try Graph(
      inputs: names.filter { parameters[$0] == nil }.map { Graph.Input(name: $0, type: TensorType(.bool, [8])) },
      nodes: [Node(name: "n", op: .where(Op.Where()), inputs: names, outputs: ["y"])],
      outputs: [Graph.Output(name: "y", value: "y")], parameters: parameters)
    #expect(try !text(graph).contains("Where"))
    let all = (0..<3).map { bit in (0..<8).map { (i: Int) -> Bool in i >> bit & 1 == 1 } }
    try expectSame(graph, graph.inputs.map { try Tensor(all[names.firstIndex(of: $0.name)!], shape: [8]) })
  }

  /// Constants of a shape may give the result its shape.
  @Test func truthValuesThatBroadcast() throws {
    let graph = try Graph(
      inputs: [Graph.Input(name: "c", type: TensorType(.bool, [3]))],
      nodes: [Node(name: "n", op: .where(Op.Where()), inputs: ["c", "a", "b"], outputs: ["y"])],
      outputs: [Graph.Output(name: "y", value: "y")],
      parameters: [
        "a": Parameter(try Tensor([true, true], shape: [2, 1]), isTrainable: false),
        "b": Parameter(try Tensor(false), isTrainable: false),
      ])
    #expect(try !text(graph).contains("Where"))
    try expectSame(graph, [Tensor([true, false, true], shape: [3])])
  }

  // MARK: - Weights

  /// Two linear layers by the same integers, or by the same scales.
  private func layers(sharing: Bool) throws -> Graph {
    let parameters = try QuantizationParameters(
      scales: [0.01, 0.02, 0.03], zeroPoints: [0, 0, 0], dtype: .int8, axis: 0)
    let x = try QuantizationParameters(scale: 1 / 64, zeroPoint: 100, dtype: .uint8)
    func weight(_ first: Int) throws -> Parameter {
      let integers = (0..<9).map { (i: Int) -> Int8 in Int8((i * 29 + first) % 255 - 127) }
      return Parameter(try Tensor(integers, shape: [3, 3]), isTrainable: false)
    }
    let second = sharing ? "first" : "second"
    var nodes = [
      Node(name: "q", op: .quantizeLinear(Op.QuantizeLinear(x)), inputs: ["x"], outputs: ["xq"]),
      Node(name: "dq", op: .dequantizeLinear(Op.DequantizeLinear(x)), inputs: ["xq"], outputs: ["xr"]),
      Node(
        name: "w1", op: .dequantizeLinear(Op.DequantizeLinear(parameters)), inputs: ["first"], outputs: ["first.real"]),
      Node(name: "l1", op: .linear(Op.Linear()), inputs: ["xr", "first.real"], outputs: ["y1"]),
      Node(name: "q1", op: .quantizeLinear(Op.QuantizeLinear(x)), inputs: ["y1"], outputs: ["q1"]),
      Node(name: "dq1", op: .dequantizeLinear(Op.DequantizeLinear(x)), inputs: ["q1"], outputs: ["r1"]),
      Node(name: "l2", op: .linear(Op.Linear()), inputs: ["r1", "\(second).real"], outputs: ["y"]),
    ]
    if !sharing {
      nodes.insert(
        Node(
          name: "w2", op: .dequantizeLinear(Op.DequantizeLinear(parameters)), inputs: ["second"],
          outputs: ["second.real"]), at: 3)
    }
    return try Graph(
      inputs: [Graph.Input(name: "x", type: TensorType(.float32, [.symbolic("n"), 3]))], nodes: nodes,
      outputs: [Graph.Output(name: "y", value: "y")],
      parameters: sharing ? ["first": weight(3)] : ["first": weight(3), "second": weight(101)])
  }

  private let x: [Float] = [-1, 0.3, 0.9, 2, -0.4, 0.1]

  /// A weight of several layers is stored once, as uint8, and runs in integers as before.
  @Test func weightsThatLayersShare() throws {
    let graph = try layers(sharing: true)
    let read = try ONNXModel(bytes: graph.onnxBytes()).graph
    #expect(read.parameters.values.map { $0.value.dtype } == [.uint8])
    let x = try Tensor(x, shape: [2, 3])
    try expectSame(graph, [x])
    let (plan, whole) = (try Plan(read), try Plan(graph))
    #expect(plan.integerNodes == whole.integerNodes && plan.integerNodes == ["l1", "l2"])
    #expect(try discrepancy(Session(plan)(x), Session(whole)(x), absolute: 0, relative: 0) == nil)
  }

  /// Every weight has zero points of its own, whatever its scales are; activations share theirs.
  @Test func zeroPointsOfWeights() throws {
    let graph = try layers(sharing: false)
    try expectSame(graph, [Tensor(x, shape: [2, 3])])
    let names = try text(graph).matches(of: #/([a-z0-9]+)_zero_point/#).map { String($0.1) }
    #expect(Set(names) == ["first", "second", "x"])
    let read = try ONNXModel(bytes: graph.onnxBytes()).graph
    #expect(read.parameters.values.allSatisfy { $0.value.dtype == .int8 })
  }
}
