import OctetCore
import OctetEngine
import OctetGraph
import TestNetworks
import TestSupport
import Testing

/// What runs without the interpreter, and what tables, products and bad indices give, worked out naively.
@Suite struct OperationStepTests {
  /// Which steps of a plan evaluate as the interpreter does.
  private func references(_ graph: Graph) throws -> Set<String> {
    Set(try Plan(graph).tabular().rows.map { $0[1] }.filter { $0.hasSuffix("(reference)") })
  }

  @Test(arguments: [
    "signals", "signals that meet", "transposed convolutions", "transposed signals", "nearest pixels",
    "bilinear pixels", "signals of another length", "tables", "fixed ranges that move", "fixed ranges, int8",
    "learned slopes", "normalizations", "products of activations", "self-attention", "encoder", "slices and pieces",
    "axes of size 1", "gathered",
  ])
  func commonOperationsHaveStepsOfTheirOwn(_ name: String) throws {
    let network = Network.named(name)
    #expect(try references(network.converted().graph).isEmpty)
    #expect(try references(network.graph()).isEmpty)
  }

  private func pair(_ name: String, _ parameters: QuantizationParameters) -> [Node] {
    [
      Node(name: "\(name).q", op: .quantizeLinear(.init(parameters)), inputs: [name], outputs: ["\(name).q"]),
      Node(name: "\(name).r", op: .dequantizeLinear(.init(parameters)), inputs: ["\(name).q"], outputs: ["\(name).r"]),
    ]
  }

  /// All 256 integers of a function, in the parameters' own order.
  private func integers(
    _ op: Op, _ from: QuantizationParameters, _ to: QuantizationParameters, constant: Float? = nil
  ) throws -> [Int] {
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [256]))],
      nodes: pair("x", from)
        + [Node(name: "f", op: op, inputs: ["x.r"] + (constant == nil ? [] : ["c"]), outputs: ["y"])] + pair("y", to),
      outputs: [.init(name: "output", value: "y.r")],
      parameters: constant.map { ["c": Parameter(try! Tensor($0))] } ?? [:])
    let plan = try Plan(graph)
    #expect(plan.integerNodes == ["f"])
    let all = from.range.map { Float($0 - from.zeroPoints[0]) * from.scales[0] }
    let y = try Session(plan, threads: 1)(Tensor(all, shape: [256]))
    return try y.floats.map { Int(($0 / to.scales[0]).rounded()) + to.zeroPoints[0] }
  }

  @Test func tablesAreTheFunctionInDoublePrecision() throws {
    let from = try QuantizationParameters(scale: 0.0471, zeroPoint: 131, dtype: .uint8)
    let signed = try QuantizationParameters(scale: 0.03, zeroPoint: -9, dtype: .int8)
    let to = try QuantizationParameters(scale: 0.021, zeroPoint: 40, dtype: .uint8)
    let functions: [Op.Unary] = [
      .sigmoid, .tanh, .exp, .log, .sqrt, .erf, .abs, .neg, .reciprocal, .floor, .sin, .cos, .softplus, .silu,
      .hardSwish, .hardSigmoid(alpha: 0.2, beta: 0.4), .leakyRelu(alpha: -0.3), .elu(alpha: 2), .gelu(.none),
      .gelu(.tanh),
    ]
    func expected(_ real: Double) -> Int {
      let steps = real / Double(to.scales[0])
      return steps.isNaN ? 40 : Int(min(max(steps, -40), 215).rounded(.toNearestOrEven)) + 40
    }
    for parameters in [from, signed] {
      let reals = parameters.range.map { Float($0 - parameters.zeroPoints[0]) * parameters.scales[0] }
      for function in functions {
        let found = try integers(.unary(function), parameters, to)
        #expect(found == reals.map { expected(function.value(at: Double($0))) }, "\(function)")
      }
      let found = try integers(.binary(.pow), parameters, to, constant: 3)
      #expect(found == reals.map { expected(Double($0) * Double($0) * Double($0)) })
    }
  }

  /// One matrix b for all heads, or one for each; bytes of b that stand for 0 are the middle of their range, or not.
  @Test(arguments: [1, 3], [3, 128])
  func productsOfActivationsAreExact(_ threads: Int, _ zero: Int) throws {
    var generator = SeededGenerator(seed: 8)
    let sizes = [(5, 7, 33, 3), (1, 64, 1, 2), (40, 19, 16, 1), (3, 1, 5, 2), (2, 300, 65, 1), (9, 300, 500, 2)]
    for (m, k, n, heads) in sizes {
      let a = (0..<heads * m * k).map { _ in Int.random(in: 0...255, using: &generator) }
      let matrices = zero == 128 ? heads : 1
      let b = (0..<matrices * k * n).map { _ in
        [0, 255, Int.random(in: 0...255, using: &generator)].randomElement(using: &generator)!
      }
      let (qa, qb) = (
        try QuantizationParameters(scale: 0.02, zeroPoint: 255, dtype: .uint8),
        try QuantizationParameters(scale: 0.015, zeroPoint: zero, dtype: .uint8)
      )
      let q = try QuantizationParameters(scale: 0.3, zeroPoint: 117, dtype: .uint8)
      let graph = try Graph(
        inputs: [
          .init(name: "a", type: TensorType(.float32, fixed: [heads, m, k])),
          .init(name: "b", type: TensorType(.float32, fixed: [matrices, k, n])),
        ],
        nodes: pair("a", qa) + pair("b", qb)
          + [Node(name: "f", op: .matmul(.init()), inputs: ["a.r", "b.r"], outputs: ["y"])] + pair("y", q),
        outputs: [.init(name: "output", value: "y.r")], parameters: [:])
      let plan = try Plan(graph)
      #expect(plan.integerNodes == ["f"])
      let y = try Session(plan, threads: threads).run([
        Tensor(a.map { Float($0 - 255) * 0.02 }, shape: [heads, m, k]),
        Tensor(b.map { Float($0 - zero) * 0.015 }, shape: [matrices, k, n]),
      ])[0]
      let found = try quantize(y, q).scalars(as: UInt8.self).map(Int.init)
      let expected = (0..<heads * m * n).map { index -> Int in
        let (row, column) = (index / n, index % n)
        let first = matrices == 1 ? 0 : row / m * k * n
        let sum = (0..<k).reduce(0) { $0 + (a[row * k + $1] - 255) * (b[first + $1 * n + column] - zero) }
        let real = Float(sum) * (Float(0.02) * Float(0.015) / Float(0.3))
        return Int(min(max(real, -117), 138).rounded(.toNearestOrEven)) + 117
      }
      #expect(found == expected, "\(m) × \(k) × \(n)")
    }
  }

  @Test func anIndexOutsideTheTableIsAnError() throws {
    let network = Network.named("tokens")
    for graph in [try network.graph(), try network.converted().graph] {
      let session = Session(try Plan(graph), threads: 1)
      let x = try network.inputs(batch: 2, seed: 4)
      let before = try session.run(x)
      var indices = try x[0].scalars(as: Int64.self)
      indices[9] = 11
      let error = octetError { try session.run([Tensor(indices, shape: x[0].shape)]) }
      #expect(error?.code == .invalidArgument && error?.found == "11")
      indices[9] = -11
      #expect(octetError { try session.run([Tensor(indices, shape: x[0].shape)]) } == nil, "counted from the end")
      #expect(try discrepancy(session.run(x)[0], before[0], absolute: 0, relative: 0) == nil)
    }
  }

  /// A stride of which no kernel has weights for every place.
  @Test func aTransposedConvolutionWithAStrideWithoutEnd() throws {
    let op = Op.ConvTranspose(stride: Size2D(1, Int(Int32.max)))
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, fixed: [1, 1, 1, 1]))],
      nodes: [Node(name: "f", op: .convTranspose(op), inputs: ["x", "w"], outputs: ["y"])],
      outputs: [.init(name: "y", value: "y")],
      parameters: ["w": Parameter(try Tensor([3 as Float], shape: [1, 1, 1, 1]))])
    #expect(try Session(Plan(graph), threads: 1)(Tensor([2 as Float], shape: [1, 1, 1, 1])).floats == [6])
  }
}
