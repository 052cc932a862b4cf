import OctetCore
import TestSupport
import Testing

/// Every case of operations.safetensors, and recurrent layers, against the gradients of PyTorch.
@Suite("Gradients against PyTorch")
struct GradientVectorTests {
  static let cases = (try? VectorCase.load("gradients")) ?? []
  static let operands = Dictionary(uniqueKeysWithValues: OperationVectors.cases.map { ($0.name, $0) })

  @Test("every vector", arguments: cases)
  func vector(_ test: VectorCase) throws {
    let wanted = test.tensors.keys.filter { $0.hasPrefix("d_") }.sorted()
    #expect(!wanted.isEmpty)
    let isRecurrent = try test.string("op") == "recurrent"
    let source = try isRecurrent ? test : #require(Self.operands[test.name])
    let names = wanted.map { String($0.dropFirst(2)) }
    let (_, gradients) = try valueAndGradients(at: names.map { try source.tensor($0) }) { inputs in
      let replacing = Dictionary(uniqueKeysWithValues: zip(names, inputs))
      if isRecurrent { return try recurrent(test, replacing) }
      return try dot(#require(try OperationVectors.compute(source, replacing: replacing)), test.tensor("dy"))
    }
    for (name, gradient) in zip(wanted, gradients) {
      #expect(
        try discrepancy(gradient, test.tensor(name), absolute: 2e-6, relative: 2e-5) == nil, "\(test.name), \(name)")
    }
  }

  /// All results of a recurrent layer, each times its seed.
  private func recurrent(_ test: VectorCase, _ inputs: [String: Tensor]) throws -> Tensor {
    let kind = Op.Recurrent.Kind(rawValue: try test.string("kind"))!
    let names = ["x", "weightInput", "weightState", "biasInput", "biasState", "state", "cell", "projection"]
    let operands = names.map { inputs[$0] } + [test.tensors["lengths"]]
    let attributes = Op.Recurrent(
      kind, isReversed: try test.bool("reversed"), linearBeforeReset: test.attributes["reset_first"] != .bool(true))
    let results = try apply(.recurrent(attributes), operands)
    let parts = try results.enumerated().map { index, result in try dot(result, test.tensor("seed\(index)")) }
    return try parts.dropFirst().reduce(parts[0]) { try $0 + $1 }
  }

  @Test func theFileHoldsTheCasesThatTestsCount() throws {
    #expect(Self.cases.count == 255)
    #expect(Set(try Self.cases.map { try $0.string("op") }).count == 63)
  }
}

/// `Σ x · weights`, a number.
func dot(_ x: Tensor, _ weights: Tensor) throws -> Tensor {
  let product = try (x * weights).reshape([-1])
  return try product.reduce(.sum, [0], keepDimensions: false)
}
