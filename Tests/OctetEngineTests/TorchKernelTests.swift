import OctetCore
import OctetEngine
import OctetGraph
import TestSupport
import Testing

/// Quantized convolutions and linear layers against the kernels of fbgemm and onednn, of which x86 is one or the other,
/// integer by integer.
///
/// Both add the bias in float; they multiply by scales in another order than Octet, so that where a result is nearly a tie
/// it may be the integer beside Octet's.
@Suite struct TorchKernelTests {
  static let cases = (try? VectorCase.load("torch_kernels")) ?? []

  @Test func outputsAreThoseOfPyTorch() throws {
    var differing = ["fbgemm": 0, "onednn": 0]
    var count = 0
    for test in Self.cases {
      let found = try Self.run(test)
      count += found.count
      for engine in differing.keys {
        let steps = zip(found, try Self.expected(test, engine)).map { abs(Int($0) - Int($1)) }
        #expect(steps.count == found.count && steps.max()! <= 1, "\(test), \(engine): \(steps.max()!) steps")
        differing[engine]! += steps.count { $0 != 0 }
      }
    }
    let counts = differing.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    print("\(count) outputs compared with each engine of PyTorch, of which differ: \(counts)")
    #expect(Self.cases.count == 20 && count == 145_434)
    for (engine, different) in differing {
      #expect(Double(different) <= 1e-5 * Double(count), "\(engine): \(different) of \(count)")
    }
  }

  /// What an engine computes: what fbgemm does, but for the places where it differs.
  private static func expected(_ test: VectorCase, _ engine: String) throws -> [UInt8] {
    var y = try test.tensor("y").scalars(as: UInt8.self)
    if engine == "onednn" {
      let at = try test.tensor("onednn/at").scalars(as: Int32.self)
      for (index, value) in zip(at, try test.tensor("onednn/y").scalars(as: UInt8.self)) { y[Int(index)] = value }
    }
    return y
  }

  /// The integers that Octet computes.
  private static func run(_ test: VectorCase) throws -> [UInt8] {
    let (xShape, wShape) = (try test.ints("x_shape"), try test.ints("w_shape"))
    // The upper half of each number, as the vectors were made.
    var generator = SeededGenerator(seed: UInt64(try test.int("seed")))
    func draw(_ shape: [Int], below limit: Int) -> [Int] {
      (0..<elementCount(of: shape)).map { _ in Int(generator.next() >> 32) % limit }
    }
    let x = draw(xShape, below: try test.int("x_max") + 1).map { UInt8($0) }
    let largest = try test.int("w_max")
    let w = draw(wShape, below: 2 * largest + 1).map { Int8($0 - largest) }

    let input = try QuantizationParameters(
      scale: test.float("x_scale"), zeroPoint: test.int("x_zero_point"), dtype: .uint8)
    let output = try QuantizationParameters(
      scale: test.float("y_scale"), zeroPoint: test.int("y_zero_point"), dtype: .uint8)
    let weights = try QuantizationParameters(
      scales: test.tensor("w_scales").floats, zeroPoints: [Int](repeating: 0, count: wShape[0]), dtype: .int8, axis: 0)
    let nodes = [
      Node(name: "x.q", op: .quantizeLinear(Op.QuantizeLinear(input)), inputs: ["x"], outputs: ["x.q"]),
      Node(name: "x.real", op: .dequantizeLinear(Op.DequantizeLinear(input)), inputs: ["x.q"], outputs: ["x.real"]),
      Node(name: "w.real", op: .dequantizeLinear(Op.DequantizeLinear(weights)), inputs: ["w"], outputs: ["w.real"]),
      Node(name: "op", op: try operation(test), inputs: ["x.real", "w.real", "bias"], outputs: ["y"]),
      Node(name: "y.q", op: .quantizeLinear(Op.QuantizeLinear(output)), inputs: ["y"], outputs: ["y.q"]),
      Node(name: "y.real", op: .dequantizeLinear(Op.DequantizeLinear(output)), inputs: ["y.q"], outputs: ["y.real"]),
    ]
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, fixed: xShape))], nodes: nodes,
      outputs: [.init(name: "output", value: "y.real")],
      parameters: ["w": Parameter(Tensor(w, shape: wShape)), "bias": Parameter(test.tensor("bias"))])
    let plan = try Plan(graph)
    #expect(plan.integerNodes == ["op"])
    // Real numbers that quantize to the integers drawn, and integers again.
    let y = try Session(plan, threads: 1)(dequantize(Tensor(x, shape: xShape), input))
    return try quantize(y, output).scalars(as: UInt8.self)
  }

  private static func operation(_ test: VectorCase) throws -> Op {
    let activation: Activation? = try test.bool("relu") ? .relu : nil
    if try test.string("kind") == "linear" { return .linear(Op.Linear(activation: activation)) }
    let (stride, padding, dilation) = (try test.int("stride"), try test.int("padding"), try test.int("dilation"))
    return .conv(
      Op.Convolution(
        stride: Size2D(stride), padding: Padding2D(Size2D(padding)), dilation: Size2D(dilation),
        groups: try test.int("groups"), activation: activation))
  }
}
