import OctetCore
import OctetEngine
import OctetFormats
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// Some of ONNX's own tests (Apache-2.0; `scripts/vectors/conformance.py` chooses them); `scripts/test-conformance` runs all of them.
@Suite struct ConformanceTests {
  private static func cases() throws -> [ConformanceCase] {
    let tensors = try NpzFile(contentsOf: "\(packageRoot)/Tests/Vectors/conformance.npz").tensors
    func all(_ name: String, _ kind: String) -> [Tensor] {
      var found: [Tensor] = []
      while let tensor = tensors["\(name)/\(kind)_\(found.count)"] { found.append(tensor) }
      return found
    }
    return try tensors.keys.filter { $0.hasSuffix("/model") }.sorted().map { key in
      let name = String(key.dropLast("/model".count))
      return ConformanceCase(
        name: name, model: try tensors[key]!.scalars(as: UInt8.self), inputs: all(name, "input"),
        outputs: all(name, "output"))
    }
  }

  /// Operators of ONNX Runtime, which other vectors have.
  private static let untested: Set<String> = ["SimplifiedLayerNormalization"]

  @Test func everyOperatorHasATest() throws {
    let operators = ONNXModel.operators.filter { !$0.contains(".") }
    #expect(operators.count > 120)
    let tested = try Self.cases().reduce(into: Set<String>()) { $0.formUnion(try ONNXModel.operators(in: $1.model)) }
    let missing = operators.subtracting(tested).subtracting(Self.untested)
    #expect(missing.isEmpty, "add tests of these to scripts/vectors/conformance.py: \(missing.sorted())")
    #expect(tested.isDisjoint(with: Self.untested))
  }

  @Test func operatorsGiveWhatONNXSays() throws {
    let cases = try Self.cases()
    #expect(cases.count >= 150)
    for test in cases {
      let verdict = test.verdict([
        { try $0.replay($1) }, { graph, inputs in try Session(Plan(graph.fused()), threads: 1).run(inputs) },
      ])
      guard case .passed = verdict else {
        Issue.record("\(test.name): \(verdict)")
        continue
      }
    }
  }
}
