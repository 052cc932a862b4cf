import OctetCore
import TestSupport
import Testing

/// Shape rules for operands whose first dimension is a name.
@Suite("Symbolic shapes")
struct SymbolicShapeTests {
  /// Cases in which the batch takes part in the arithmetic, so that it must be a number.
  static let needFixedBatch: Set<String> = [
    "reshape_merge", "reshape_split",
  ]

  /// Cases whose result no longer has a batch.
  static let loseBatch: Set<String> = [
    "mean_0_1_2_3_dropped", "mean_0_1_2_3_kept", "mean_0_2_dropped", "mean_0_2_kept", "reduce_sum_0_2_kept",
    "reduce_amax_0_2_kept", "reduce_amin_0_2_kept", "reduce_logsumexp_0_2_kept", "reduce_l1_0_2_kept",
    "reduce_l2_0_2_kept", "expand_new_axis",
  ]

  /// Those whose result has a size that is computed from the batch.
  private static let makeOthers: Set = ["concat_axis_0", "flatten_0_-1", "pad_batch", "reshape_inferred"]

  /// The case with all inputs traced, their first dimension called n if it is the result's batch.
  private func trace(_ test: VectorCase) throws -> Tensor? {
    let tracer = TypeTracer()
    var traced: [String: Tensor] = [:]
    let y = try test.tensor("y")
    for (name, tensor) in test.tensors
    where name != "y" && !OperationVectors.weights.contains(name) && !name.hasPrefix("new_") {
      var type = tensor.type
      // Of two operands, those whose first axis is not broadcast.
      let isBatch =
        !["a", "b", "condition", "mask"].contains(name) || (tensor.rank >= y.rank && tensor.shape[0] == y.shape[0])
      if isBatch { type.shape[0] = .symbolic("n") }
      traced[name] = tracer.value(name, type)
    }
    return try OperationVectors.compute(test, replacing: traced)
  }

  @Test("a symbolic batch passes through", arguments: OperationVectors.cases)
  func batch(_ test: VectorCase) throws {
    if Self.needFixedBatch.contains(test.name) {
      let error = octetError { try trace(test) }
      #expect(error.map { [.unsupported, .shapeMismatch].contains($0.code) } == true)
      #expect(error?.found.contains("n") == true, "the error shows the symbolic shape")
      return
    }
    let result = try #require(try trace(test))
    let y = try test.tensor("y")
    #expect(result.type.accepts(y.type), "\(result.type) for \(y.type)")
    let names = result.type.shape.filter { $0.size == nil }
    if Self.makeOthers.contains(test.name) {
      #expect(names.count == 1 && names[0] != .symbolic("n") && names[0].description.contains("n"))
      return
    }
    #expect(names == (Self.loseBatch.contains(test.name) ? [] : [.symbolic("n")]))
  }

  private func types(_ op: Op, _ inputs: TensorType?...) throws -> [TensorType] { try op.operation.outputTypes(inputs) }

  @Test func quantizingKeepsASymbolicBatch() throws {
    let perTensor = try QuantizationParameters(scale: 0.5, zeroPoint: 3, dtype: .uint8)
    let perChannel = try QuantizationParameters(scales: [1, 2, 3], zeroPoints: [0, 0, 0], dtype: .int8, axis: 1)
    let x = TensorType(.float32, [.symbolic("n"), 3])
    for parameters in [perTensor, perChannel] {
      let q = TensorType(parameters.dtype, x.shape)
      #expect(try types(.quantizeLinear(.init(parameters)), x) == [q])
      #expect(try types(.dequantizeLinear(.init(parameters)), q) == [x])
    }
  }

  @Test func whatMustBeFixedSaysSo() throws {
    let n = Dimension.symbolic("n")
    let weight = TensorType(.float32, [4, 3, 3, 3])
    let channels = octetError { try types(.conv(.init()), TensorType(.float32, [1, n, 8, 8]), weight) }
    #expect(channels?.code == .unsupported && channels?.expected == "fixed channels and weight shape")
  }

  @Test func sizesThatAreComputed() throws {
    let h = Dimension.symbolic("h")
    let x = TensorType(.float32, [1, 3, h, 8])
    let weight = TensorType(.float32, [4, 3, 3, 3])
    #expect(try types(.conv(.init()), x, weight)[0].shape == [1, 4, .symbolic("h - 2"), 6])
    #expect(try types(.pool(.init(.max, kernel: 2)), x)[0].shape == [1, 3, .symbolic("(h / 2)"), 4])
    #expect(
      try types(.pad(.init(before: [0, 0, 1, 0], after: [0, 0, 0, 0])), x)[0].shape == [1, 3, .symbolic("h + 1"), 8])
    #expect(try types(.flatten(.init(from: 1)), x)[0].shape == [1, .symbolic("(h * 24)")])
    #expect(h.adding(2).adding(-2) == h && h.multiplied(by: 2).multiplied(by: 3) == .symbolic("(h * 6)"))
    #expect(h.adding(1).divided(by: 2).adding(1).divided(by: 2) == .symbolic("((h + 3) / 4)"))
  }

  @Test func adaptivePoolingTakesAnySize() throws {
    let x = TensorType(.float32, [.symbolic("n"), 3, .symbolic("h"), .symbolic("w")])
    #expect(
      try types(.adaptiveAveragePool(.init(Size2D(2, 1))), x) == [TensorType(.float32, [.symbolic("n"), 3, 2, 1])])
  }

  @Test func reshapeCarriesNames() throws {
    let n = Dimension.symbolic("n")
    let x = TensorType(.float32, [n, 3, 4])
    #expect(try types(.reshape(.init([-1, 12])), x)[0].shape == [n, 12])
    #expect(try types(.reshape(.init([0, -1])), x)[0].shape == [n, 12])
    #expect(try types(.reshape(.init([0, 2, 6])), x)[0].shape == [n, 2, 6])
    #expect(try types(.reshape(.init([2, 6, -1])), x)[0].shape == [2, 6, n])
    let product = TensorType(.float32, [n, .symbolic("m")])
    #expect(try types(.reshape(.init([0, -1])), product)[0].shape == product.shape)
    #expect(try types(.reshape(.init([-1])), product)[0].shape == [.symbolic("(m * n)")])
    #expect(try types(.reshape(.init([-1, 5])), x)[0].shape == [.symbolic("((n * 12) / 5)"), 5])
  }

  @Test func broadcastingResolvesNames() throws {
    let (n, m) = (Dimension.symbolic("n"), Dimension.symbolic("m"))
    func sum(_ a: [Dimension], _ b: [Dimension]) throws -> [Dimension] {
      try types(.binary(.add), TensorType(.float32, a), TensorType(.float32, b))[0].shape
    }
    #expect(try sum([n, 3], [n, 3]) == [n, 3])
    #expect(try sum([n, 3], [1, 3]) == [n, 3])
    #expect(try sum([3], [n, 1]) == [n, 3])
    #expect(try sum([n, 3], [4, 3]) == [4, 3])
    #expect(try sum([], [n, 3]) == [n, 3])
    // Two names may be the same number; that is checked when it is known.
    #expect(try sum([n, 3], [m, 3]) == [n, 3])
    #expect(octetError { try sum([2, 3], [3, 2]) }?.code == .shapeMismatch)
  }

  @Test func acceptingTypes() {
    let n = TensorType(.float32, [.symbolic("n"), 3])
    #expect(n.accepts(TensorType(.float32, fixed: [7, 3])))
    #expect(!n.accepts(TensorType(.float32, fixed: [7, 4])))
    #expect(!n.accepts(TensorType(.int8, fixed: [7, 3])))
    #expect(!n.accepts(TensorType(.float32, fixed: [7, 3, 1])))
    #expect(n.description == "float32 [n, 3]")
    #expect(n.fixedShape == nil && TensorType(.int8, [2, 3]).fixedShape == [2, 3])
  }
}
