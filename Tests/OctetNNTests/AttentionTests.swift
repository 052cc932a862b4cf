import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

/// Attention and encoder layers against PyTorch, eager and traced.
@Suite struct AttentionTests {
  static let cases = (try? VectorCase.load("layers")) ?? []

  static func cases(_ kind: String) -> [VectorCase] { cases.filter { (try? $0.string("kind")) == kind } }

  @Test(arguments: cases("attention"))
  func selfAttention(_ test: VectorCase) throws {
    let layer = MultiheadAttention(8, 2, bias: try test.bool("bias"))
    try layer.load(test.tensors(below: "state/"))
    let y = try layer([test.tensor("x"), test.tensors["mask"]])[0]
    #expect(try discrepancy(y, test.tensor("y"), absolute: 2e-6) == nil)
    if test.tensors["mask"] == nil {
      #expect(try layer(test.tensor("x")).floats == y.floats)
      let x = try test.tensor("x")
      #expect(try discrepancy(layer([x, x, x])[0], test.tensor("y"), absolute: 2e-6) == nil)
    }
  }

  @Test func crossAttention() throws {
    let test = try #require(Self.cases("attention_cross").first)
    let layer = MultiheadAttention(6, 3)
    try layer.load(test.tensors(below: "state/"))
    let y = try layer([test.tensor("q"), test.tensor("k"), test.tensor("v")])[0]
    #expect(try discrepancy(y, test.tensor("y"), absolute: 2e-6) == nil)
  }

  @Test(arguments: cases("encoder"))
  func encoder(_ test: VectorCase) throws {
    let layer = TransformerEncoderLayer(
      8, 2, feedforwardDim: 12, activation: try test.string("activation") == "gelu" ? GELU() : ReLU(),
      normFirst: try test.bool("norm_first"))
    try layer.load(test.tensors(below: "state/"))
    #expect(try discrepancy(layer(test.tensor("x")), test.tensor("y"), absolute: 5e-6) == nil)

    // Any batch, any length.
    let graph = try layer.trace(TensorType(.float32, [.symbolic("n"), .symbolic("s"), 8]))
    #expect(try discrepancy(graph.replay([test.tensor("x")])[0], test.tensor("y"), absolute: 5e-6) == nil)
    #expect(Set(graph.parameters.keys).isSuperset(of: layer.stateDict.keys), "parameters keep their names")
    #expect(try graph.replay([Tensor.random([1, 9, 8], seed: 2)])[0].shape == [1, 9, 8])
  }

  @Test func everyFamilyRan() {
    #expect(["attention", "attention_cross", "encoder"].map { Self.cases($0).count } == [2, 1, 2])
  }

  @Test func whatDoesNotFitThrows() throws {
    let x = try Tensor.random([2, 3, 8], seed: 1)
    let layer = MultiheadAttention(8, 2)
    #expect(octetError { try layer([x, x, x, x, x]) }?.code == .invalidArgument)
    #expect(octetError { try layer([x, nil, x]) }?.code == .invalidArgument)
    #expect(octetError { try layer(Tensor.random([2, 3, 6], seed: 1)) }?.code == .shapeMismatch)
    #expect(octetError { try layer([x, Tensor(zeros: [5, 5])]) }?.code == .shapeMismatch)
    #expect(octetError { try LayerNorm(6)(x) }?.code == .shapeMismatch)
  }
}
