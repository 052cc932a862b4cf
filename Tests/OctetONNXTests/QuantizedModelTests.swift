import OctetCore
import OctetEngine
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// One network in each form that ONNX Runtime's quantizer writes, against what ONNX Runtime makes of it.
@Suite struct QuantizedModelTests {
  static let names = ["dynamic", "qdq_channels", "qdq_tensor_signed", "qoperator"]

  private func load(_ name: String) throws -> (graph: Graph, x: Tensor, y: Tensor) {
    let vectors = try #require(VectorCase.load("onnx_quantized").first { $0.name == name })
    let model = try ONNXModel(bytes: vectors.tensor("model").scalars(as: UInt8.self))
    return (model.graph, try vectors.tensor("x"), try vectors.tensor("y"))
  }

  @Test(arguments: names) func givesWhatONNXRuntimeGives(_ name: String) throws {
    let (graph, x, y) = try load(name)
    // A rounding that goes the other way is a step of one scale; a step of the logits is a tenth.
    for result in try [graph.replay([x])[0], Session(Plan(graph))(x)] {
      #expect(try discrepancy(result, y, absolute: 0.25, relative: 0) == nil)
      let mean = try zip(result.floats, y.floats).map { abs($0 - $1) }.reduce(0, +) / Float(y.count)
      #expect(mean < 0.05, "\(mean)")
    }
  }

  /// A network that is given its integers runs like one that makes them.
  @Test func integersAsInput() throws {
    let (graph, x, _) = try load("qdq_channels")
    let first = try #require(graph.nodes.first { $0.op.kind == .quantizeLinear && $0.inputs == ["x"] })
    let cut = try Graph(
      inputs: [Graph.Input(name: first.outputs[0], type: TensorType(.uint8, graph.inputs[0].type.shape))],
      nodes: graph.nodes.filter { $0.name != first.name }, outputs: graph.outputs, parameters: graph.parameters)
    let (plan, whole) = (try Plan(cut), try Plan(graph))
    #expect(plan.integerNodes == whole.integerNodes)
    let result = try Session(plan)(apply(first.op, [x])[0])
    #expect(try discrepancy(result, Session(whole)(x), absolute: 0, relative: 0) == nil)
  }

  /// A product of integers with unsigned weights, whose zero point decides whether they are int8 as well.
  private func product(zeroPoint: UInt8, weights: [UInt8]) -> [UInt8] {
    Proto.model(
      Proto.graph(
        [Proto.node("QLinearMatMul", ["a", "sa", "za", "w", "sw", "zw", "sy", "zy"], ["y"])],
        inputs: [Proto.value("a", type: 2, [2, 3])], outputs: ["y"],
        initializers: [
          Proto.tensor("w", type: 2, [3, 2], raw: weights), Proto.tensor("sa", [], [Float(0.01)]),
          Proto.tensor("za", type: 2, [], raw: [7]), Proto.tensor("sw", [], [Float(0.02)]),
          Proto.tensor("zw", type: 2, [], raw: [zeroPoint]), Proto.tensor("sy", [], [Float(0.013)]),
          Proto.tensor("zy", type: 2, [], raw: [90]),
        ]), opset: 17)
  }

  @Test func integersThatAreAnOutput() throws {
    let a = try Tensor([UInt8(0), 255, 9, 100, 3, 200], shape: [2, 3])
    for (zeroPoint, weights, isInteger) in [
      (UInt8(128), [UInt8(0), 255, 128, 1, 77, 200], true), (3, [0, 255, 128, 1, 77, 200], false),
    ] {
      let graph = try ONNXModel(bytes: product(zeroPoint: zeroPoint, weights: weights)).graph
      let plan = try Plan(graph)
      #expect(plan.integerNodes.isEmpty != isInteger && plan.weightOnlyNodes.isEmpty)
      let numbers = try a.scalars(as: UInt8.self).map { Int($0) - 7 }
      let expected = (0..<4).map { (i: Int) -> UInt8 in
        let sum = (0..<3).map { numbers[i / 2 * 3 + $0] * (Int(weights[$0 * 2 + i % 2]) - Int(zeroPoint)) }.reduce(0, +)
        return UInt8(min(max((Double(sum) * 0.01 * 0.02 / 0.013).rounded(.toNearestOrEven) + 90, 0), 255))
      }
      #expect(try Session(plan).run([a])[0].scalars(as: UInt8.self) == expected)
      #expect(try graph.replay([a])[0].scalars(as: UInt8.self) == expected)
    }
  }

  /// Every form is the one QDQ graph: products run in integers.
  @Test(arguments: names) func productsRunInIntegers(_ name: String) throws {
    let (graph, _, _) = try load(name)
    let products = graph.nodes.filter { [.conv, .linear, .matmul].contains($0.op.kind) }
    #expect(products.count == 4)
    for product in products {
      let weight = try #require(product.inputs[1])
      let maker = try #require(graph.nodes.first { $0.outputs.contains(weight) })
      #expect(maker.op.kind == .dequantizeLinear)
      #expect(graph.parameters[maker.inputs[0]!]?.value.dtype == .int8)
    }
    let kinds = Set(graph.nodes.map(\.op.kind))
    #expect(kinds.contains(name == "dynamic" ? .dynamicQuantize : .quantizeLinear))
    let integers = try Plan(graph).integerNodes
    #expect(integers.count >= (name == "dynamic" ? 1 : 4), "\(integers)")
  }
}
