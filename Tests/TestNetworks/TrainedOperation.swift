package import OctetCore
internal import OctetGraph
package import OctetQuantization

/// An operation of a network that was trained with fake quantization, beside its integers.
package struct TrainedOperation: CustomStringConvertible {
  package let name: String
  let kind: Op.Kind
  /// Integers that differ, of so many, by at most so many steps.
  package let differing: Int
  package let count: Int
  package let most: Int

  package var description: String { "\(name): \(differing) of \(count) integers differ, by at most \(most)" }

  /// Whether it runs as it was trained: no integer is more than a step away, and few are.
  package var isAsTrained: Bool {
    // Training multiplies by the reciprocal of a scale, which decides ties otherwise.
    let hasTies = [.averagePool, .adaptiveAveragePool, .mean, .resize, .mul].contains(kind)
    return most <= 1 && differing * 100 <= count * (hasTies ? 25 : 1) + 100
  }

  /// All operations that are converted to integers, each by itself, on the values that occur for `inputs`.
  package static func all(of prepared: PreparedGraph, _ inputs: [Tensor]) throws -> [TrainedOperation] {
    let (graph, report) = try prepared.convert()
    var values: [String: Tensor] = [:]
    _ = try prepared.replay(inputs) { name, tensor in
      // (Operands that are real numbers have no other name.)
      values[name] = tensor
      values["\(name).dequantize"] = tensor
      return tensor
    }
    let quantized = Set(report.quantized.map(\.node))
    return try graph.nodes.filter { quantized.contains($0.name) }.map { node in
      guard let operation = try SingleOperation(node, in: graph), let trained = values[operation.value] else {
        throw OctetError(.invalidGraph, node.name, expected: "an operation between pairs", found: "\(node.op.kind)")
      }
      let (differing, count, most) = try operation.compare(values, with: trained)
      return TrainedOperation(name: node.name, kind: node.op.kind, differing: differing, count: count, most: most)
    }
  }
}

extension PreparedGraph {
  /// A step for each of these inputs, toward outputs of 0, that changes parameters, ranges and statistics. Afterwards the
  /// network is in evaluation mode.
  package func train(on batches: [[Tensor]]) throws {
    isTraining = true
    defer { isTraining = false }
    let parameters = try trainableParameters
    for inputs in batches {
      func loss() throws -> Tensor {
        try self(inputs).filter { $0.dtype == .float32 }.map { try ($0 * $0).reshape([-1]).mean([0]) }
          .reduce(Tensor(Float(0))) { try $0 + $1 }
      }
      guard !parameters.isEmpty else {
        _ = try loss()
        continue
      }
      let gradients = try valueAndGradients(of: parameters, loss).gradients
      for (parameter, gradient) in zip(parameters, gradients) {
        parameter.value = try parameter.value - gradient * Tensor(Float(0.01))
      }
    }
  }
}
