import OctetCore
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// What is read of what is written.
func reread(_ graph: Graph) throws -> Graph { try ONNXModel(bytes: graph.onnxBytes()).graph }

func expectSame(_ found: [Tensor], _ expected: [Tensor], relative: Float = 0) throws {
  #expect(found.count == expected.count)
  for (found, expected) in zip(found, expected) {
    #expect(try discrepancy(found, expected, absolute: relative, relative: relative) == nil)
  }
}

/// A chain of nodes from x to y.
func chain(
  _ ops: [(Op, [String])], _ shape: [Dimension], _ parameters: [String: Tensor] = [:], results: [Int] = []
) throws -> Graph {
  var nodes: [Node] = []
  var value = "x"
  for (index, (op, operands)) in ops.enumerated() {
    let count = results.isEmpty ? 1 : results[index]
    let outputs = (0..<count).map { "v\(index)_\($0)" }
    nodes.append(
      Node(name: "n\(index)", op: op, inputs: [value] + operands.map { $0.isEmpty ? nil : $0 }, outputs: outputs))
    value = outputs[0]
  }
  return try Graph(
    inputs: [Graph.Input(name: "x", type: TensorType(.float32, shape))], nodes: nodes,
    outputs: [Graph.Output(name: "y", value: value)], parameters: parameters.mapValues { Parameter($0) })
}

func random(_ shape: [Int], seed: UInt64) throws -> Tensor {
  var generator = SeededGenerator(seed: seed)
  return try Tensor.random(shape, using: &generator)
}
