import CAllocationCount
import OctetCore
import OctetEngine
import OctetGraph
import TestSupport
import Testing

/// Linear layers whose weights alone are quantized, against the interpreter.
@Suite struct WeightOnlyStepTests {
  /// How a weight [n, k] is quantized.
  struct Form: CustomTestStringConvertible {
    let dtype: DType
    /// 0: one scale; 1: one for each channel; else blocks of so many.
    let block: Int
    let isAffine: Bool
    var testDescription: String { "\(dtype)\(block) \(isAffine ? "affine" : "symmetric")" }

    static let all = [DType.int8, .uint8, .int4, .uint4].flatMap { dtype in
      [0, 1, 32, 64, 128].flatMap { block in [false, true].map { Form(dtype: dtype, block: block, isAffine: $0) } }
    }

    func parameters(_ n: Int, _ k: Int, _ random: inout SeededGenerator) throws -> QuantizationParameters {
      let count = block == 0 ? 1 : block == 1 ? n : n * ((k + block - 1) / block)
      let range = dtype.quantizedRange!
      let middle = (range.lowerBound + range.upperBound + 1) / 2
      let step = 2 / Float(range.count)
      return try QuantizationParameters(
        scales: (0..<count).map { _ in Float.random(in: step / 2...step, using: &random) },
        zeroPoints: (0..<count).map { _ in isAffine ? Int.random(in: range, using: &random) : middle }, dtype: dtype,
        axis: block == 0 ? nil : block == 1 ? 0 : 1, blockSize: block > 1 ? block : nil)
    }
  }

  private func graph(
    _ weight: Tensor, _ parameters: QuantizationParameters, bias: Tensor?, _ activation: Activation? = nil,
    leading: [Dimension] = [.symbolic("n")]
  ) throws -> Graph {
    var constants = ["q": Parameter(weight)]
    if let bias { constants["bias"] = Parameter(bias) }
    return try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, leading + [.fixed(weight.shape[1])]))],
      nodes: [
        Node(name: "weight", op: .dequantizeLinear(Op.DequantizeLinear(parameters)), inputs: ["q"], outputs: ["w"]),
        Node(
          name: "linear", op: .linear(Op.Linear(activation: activation)),
          inputs: ["x", "w"] + (bias == nil ? [] : ["bias"]), outputs: ["y"]),
      ], outputs: [.init(name: "y", value: "y")], parameters: constants)
  }

  private func layer(
    _ form: Form, _ n: Int, _ k: Int, bias: Bool = true, _ activation: Activation? = nil, seed: UInt64
  ) throws -> (graph: Graph, real: Tensor) {
    var random = SeededGenerator(seed: seed)
    let parameters = try form.parameters(n, k, &random)
    let weight = try quantize(Tensor.random([n, k], using: &random), parameters)
    let graph = try graph(
      weight, parameters, bias: bias ? Tensor.random([n], using: &random) : nil, activation)
    return (graph, try dequantize(weight, parameters))
  }

  /// What a product makes of activations: bytes in groups of 32 of a row, as real numbers again.
  private func quantizedActivations(_ x: Tensor) throws -> Tensor {
    var values = try x.floats
    let k = x.shape.last!
    for row in stride(from: 0, to: values.count, by: k) {
      for first in stride(from: row, to: row + k, by: 32) {
        let group = first..<min(first + 32, row + k)
        let scale = values[group].map { abs($0) }.max()! / 127
        for i in group { values[i] = scale == 0 ? 0 : (values[i] / scale).rounded(.toNearestOrEven) * scale }
      }
    }
    return try Tensor(values, shape: x.shape)
  }

  /// The sums of magnitudes that an error is a share of: Σ |x| · |w|.
  private func magnitudes(_ x: Tensor, _ weight: Tensor) throws -> [Float] {
    let (n, k) = (weight.shape[0], weight.shape[1])
    let (a, w) = (try x.floats, try weight.floats)
    return (0..<a.count / k * n).map { i in
      (0..<k).reduce(Float(0)) { $0 + abs(a[i / n * k + $1] * w[i % n * k + $1]) }
    }
  }

  /// With the activations that the product sees there is only the rounding of float left: 10⁻⁶ of the magnitudes. With
  /// those that were given, at most half a step of each: 1/254 of the largest activation of its group.
  private func check(_ graph: Graph, _ weight: Tensor, _ x: Tensor, threads: Int = 1) throws {
    let plan = try Plan(graph)
    #expect(plan.weightOnlyNodes == ["linear"] && plan.integerNodes.isEmpty)
    let found = try Session(plan, threads: threads).run([x])[0]
    let seen = try graph.replay([quantizedActivations(x)])[0]
    let given = try graph.replay([x])[0]
    #expect(found.type == given.type)
    let sums = try magnitudes(x, weight)
    // As if every activation of a group were the largest one.
    let largest = try Tensor(
      x.floats.indices.map { i -> Float in
        let (row, column) = (i / x.shape.last! * x.shape.last!, i % x.shape.last!)
        let first = row + column / 32 * 32
        return try x.floats[first..<min(first + 32, row + x.shape.last!)].map { abs($0) }.max()!
      }, shape: x.shape)
    let bounds = try magnitudes(largest, weight)
    let (y, near, exact) = (try found.floats, try seen.floats, try given.floats)
    for i in y.indices {
      #expect(abs(y[i] - near[i]) <= 1e-6 * sums[i] + 1e-6, "\(i): \(y[i]) instead of \(near[i])")
      #expect(abs(y[i] - exact[i]) <= bounds[i] / 254 + 1e-6 * sums[i] + 1e-6, "\(i): \(y[i]), of \(exact[i])")
      if y[i] != near[i] && abs(y[i] - near[i]) > 1e-6 * sums[i] + 1e-6 { break }
    }
  }

  @Test(arguments: Form.all)
  func `every form of weight`(_ form: Form) throws {
    for (seed, size) in [(n: 33, k: 200), (n: 8, k: 64), (n: 17, k: 31), (n: 1, k: 257)].enumerated() {
      let layer = try layer(form, size.n, size.k, bias: seed % 2 == 0, seed: UInt64(seed))
      try check(layer.graph, layer.real, Tensor.random([3, size.k], seed: UInt64(seed + 10)))
    }
  }

  @Test(arguments: [
    Form(dtype: .int4, block: 32, isAffine: false), Form(dtype: .uint4, block: 64, isAffine: true),
    Form(dtype: .int8, block: 1, isAffine: false), Form(dtype: .uint8, block: 32, isAffine: true),
  ])
  func `a row does not depend on the others or on threads`(_ form: Form) throws {
    let layer = try layer(form, 301, 160, seed: 5)
    let plan = try Plan(layer.graph)
    let x = try Tensor.random([33, 160], seed: 6)
    try check(layer.graph, layer.real, x)
    let whole = try Session(plan, threads: 1).run([x])[0]
    for threads in 1...3 {
      let session = Session(plan, threads: threads)
      for batch in 1...33 {
        let part = try session.run([x[33 - batch..<33]])[0]
        #expect(
          try discrepancy(part, whole[33 - batch..<33], absolute: 0, relative: 0) == nil, "\(batch), \(threads)")
      }
      #expect(try session.run([x[0..<0]])[0].shape == [0, 301])
    }
  }

  /// Rows in several blocks, more than one for each thread.
  @Test func `many rows`() throws {
    let layer = try layer(Form(dtype: .int4, block: 32, isAffine: false), 20, 1000, seed: 7)
    let x = try Tensor.random([400, 1000], seed: 8)
    let expected = try Session(Plan(layer.graph), threads: 1).run([x])[0]
    for threads in 2...3 {
      let found = try Session(Plan(layer.graph), threads: threads).run([x])[0]
      #expect(try discrepancy(found, expected, absolute: 0, relative: 0) == nil)
    }
    try check(layer.graph, layer.real, x[390..<400])
  }

  @Test(arguments: [nil, Activation.relu, .clip(minimum: 0, maximum: 6), .clip(minimum: -0.5, maximum: 0.25)])
  func activations(_ activation: Activation?) throws {
    for bias in [false, true] {
      let layer = try layer(Form(dtype: .int4, block: 64, isAffine: false), 40, 96, bias: bias, activation, seed: 9)
      try check(layer.graph, layer.real, Tensor.random([5, 96], seed: 10))
    }
  }

  @Test func `inputs of rank 3 and rank 1`() throws {
    var random = SeededGenerator(seed: 11)
    let parameters = try Form(dtype: .int8, block: 1, isAffine: false).parameters(10, 48, &random)
    let weight = try quantize(Tensor.random([10, 48], using: &random), parameters)
    let real = try dequantize(weight, parameters)
    let deep = try graph(weight, parameters, bias: nil, leading: [.symbolic("n"), 4])
    try check(deep, real, Tensor.random([3, 4, 48], seed: 12))
    let flat = try graph(weight, parameters, bias: nil, leading: [])
    try check(flat, real, Tensor.random([48], seed: 13))
  }

  /// Its columns are in the order of the shape, whatever order the image had.
  @Test func `a flattened image`() throws {
    var random = SeededGenerator(seed: 14)
    let parameters = try Form(dtype: .int4, block: 32, isAffine: false).parameters(9, 72, &random)
    let weight = try quantize(Tensor.random([9, 72], using: &random), parameters)
    let kernel = try Tensor.random([8, 3, 1, 1], using: &random)
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [.symbolic("n"), 3, 3, 3]))],
      nodes: [
        Node(name: "conv", op: .conv(Op.Convolution()), inputs: ["x", "kernel"], outputs: ["image"]),
        Node(name: "flatten", op: .flatten(Op.Flatten()), inputs: ["image"], outputs: ["row"]),
        Node(name: "weight", op: .dequantizeLinear(Op.DequantizeLinear(parameters)), inputs: ["q"], outputs: ["w"]),
        Node(name: "linear", op: .linear(Op.Linear()), inputs: ["row", "w"], outputs: ["y"]),
      ], outputs: [.init(name: "y", value: "y")],
      parameters: ["q": Parameter(weight), "kernel": Parameter(kernel)])
    let plan = try Plan(graph)
    #expect(plan.weightOnlyNodes == ["linear"])
    let x = try Tensor.random([2, 3, 3, 3], using: &random)
    let (found, expected) = (try Session(plan).run([x])[0], try graph.replay([x])[0])
    #expect(try discrepancy(found, expected, absolute: 0.1, relative: 0) == nil)
  }

  /// A weight of 4 bits takes half a byte, also while a plan is made.
  @Test(.enabled(if: octet_can_count_allocations()))
  func `weights take what they took when they were quantized`() throws {
    let (n, k) = (512, 1024)
    for (form, bits) in [
      (Form(dtype: .int4, block: 128, isAffine: false), 4), (Form(dtype: .int8, block: 1, isAffine: false), 8),
    ] {
      let layer = try layer(form, n, k, seed: 15)
      octet_count_allocations(4096)
      let plan = try Plan(layer.graph)
      let bytes = octet_counted_allocations().bytes
      let packed = n * k * bits / 8
      #expect(bytes > packed && bytes < packed + n * k / 4, "\(bytes) bytes, weights of \(packed)")
      #expect(plan.weightOnlyNodes.count == 1)
    }
  }

  /// Kernels know one scale for everything, by channel, and by block of a multiple of 32; all else becomes float32, whose
  /// results are those of the interpreter.
  @Test func `what no kernel takes stays float`() throws {
    var random = SeededGenerator(seed: 16)
    func scales(_ count: Int) -> [Float] { (0..<count).map { _ in Float.random(in: 0.01...0.02, using: &random) } }
    func parameters(_ dtype: DType, _ count: Int, _ axis: Int, _ block: Int?) throws -> QuantizationParameters {
      try QuantizationParameters(
        scales: scales(count), zeroPoints: .init(repeating: 0, count: count), dtype: dtype, axis: axis, blockSize: block
      )
    }
    for odd in try [
      parameters(.int8, 64, 1, nil), parameters(.int4, 32 * 4, 1, 16), parameters(.int8, 32 * 2, 1, 48),
      parameters(.int8, 64, 0, 32), parameters(.int16, 32, 0, nil),
    ] {
      let weight = try quantize(Tensor.random([32, 64], using: &random), odd)
      let graph = try graph(weight, odd, bias: nil)
      let plan = try Plan(graph)
      #expect(plan.weightOnlyNodes.isEmpty, "\(odd)")
      let x = try Tensor.random([3, 64], using: &random)
      #expect(
        try discrepancy(Session(plan).run([x])[0], graph.replay([x])[0], absolute: 1e-5, relative: 1e-5) == nil)
    }
  }

  /// Quantized activations by int8 weights remain exact integer products; by other weights they become real numbers.
  @Test(arguments: [DType.int8, .int4])
  func `activations that are quantized`(_ dtype: DType) throws {
    var random = SeededGenerator(seed: 17)
    let parameters = try Form(dtype: dtype, block: 1, isAffine: false).parameters(12, 64, &random)
    let weight = try quantize(Tensor.random([12, 64], using: &random), parameters)
    let scale = try QuantizationParameters(scale: 1 / 127, zeroPoint: 0, dtype: .int8)
    var graph = try graph(weight, parameters, bias: nil)
    graph.nodes.insert(
      contentsOf: [
        Node(name: "quantize", op: .quantizeLinear(Op.QuantizeLinear(scale)), inputs: ["x"], outputs: ["xq"]),
        Node(name: "real", op: .dequantizeLinear(Op.DequantizeLinear(scale)), inputs: ["xq"], outputs: ["xr"]),
      ], at: 0)
    graph.nodes[3].inputs[0] = "xr"
    let plan = try Plan(graph)
    #expect(plan.integerNodes == (dtype == .int8 ? ["linear"] : []))
    #expect(plan.weightOnlyNodes == (dtype == .int8 ? [] : ["linear"]))
    let x = try Tensor.random([4, 64], using: &random)
    #expect(
      try discrepancy(Session(plan).run([x])[0], graph.replay([x])[0], absolute: dtype == .int8 ? 1e-5 : 0.1) == nil)
  }

  /// Activations that the graph has quantized are not rounded once more for weights of 8 bits that no integer kernel takes
  /// with them: those of 16 bits, and those that meet weights with zero points.
  @Test(arguments: [false, true])
  func `what has been quantized is not rounded again`(_ isDynamic: Bool) throws {
    var random = SeededGenerator(seed: 21)
    let parameters = try Form(dtype: .uint8, block: 1, isAffine: true).parameters(12, 64, &random)
    let weight = try quantize(Tensor.random([12, 64], using: &random), parameters)
    var graph = try graph(weight, parameters, bias: nil)
    if isDynamic {
      graph.nodes.insert(
        Node(name: "quantize", op: .dynamicQuantize(Op.DynamicQuantize(.tensor)), inputs: ["x"], outputs: ["xr"]), at: 0
      )
    } else {
      let scale = try QuantizationParameters(scale: 1 / 32767, zeroPoint: 0, dtype: .int16)
      graph.nodes.insert(
        contentsOf: [
          Node(name: "quantize", op: .quantizeLinear(Op.QuantizeLinear(scale)), inputs: ["x"], outputs: ["xq"]),
          Node(name: "real", op: .dequantizeLinear(Op.DequantizeLinear(scale)), inputs: ["xq"], outputs: ["xr"]),
        ], at: 0)
    }
    graph.nodes[graph.nodes.count - 1].inputs[0] = "xr"
    let plan = try Plan(graph)
    #expect(plan.weightOnlyNodes.isEmpty)
    let x = try Tensor.random([4, 64], using: &random)
    #expect(try discrepancy(Session(plan).run([x])[0], graph.replay([x])[0], absolute: 1e-5) == nil)
  }

  @Test func `a row that is no number`() throws {
    let layer = try layer(Form(dtype: .int4, block: 32, isAffine: false), 20, 70, seed: 18)
    let session = Session(try Plan(layer.graph))
    let x = try Tensor.random([4, 70], seed: 19)
    let expected = try session.run([x])[0].floats
    for odd in [Float.nan, .infinity, -.infinity] {
      var values = try x.floats
      values[2 * 70 + 69] = odd
      let found = try session.run([Tensor(values, shape: x.shape)])[0].floats
      for i in found.indices { #expect(i / 20 == 2 ? found[i].isNaN : found[i] == expected[i]) }
    }
  }

  @Test func `misuse is an error`() throws {
    let layer = try layer(Form(dtype: .int4, block: 32, isAffine: false), 20, 70, seed: 20)
    let session = Session(try Plan(layer.graph))
    #expect(octetError { try session.run([Tensor(zeros: [2, 71])]) }?.code == .shapeMismatch)
    #expect(octetError { try session.run([Tensor(zeros: [2, 70], dtype: .uint8)]) }?.code == .dtypeMismatch)
    let few = try QuantizationParameters(
      scales: .init(repeating: 1, count: 20), zeroPoints: .init(repeating: 0, count: 20), dtype: .int4, axis: 1,
      blockSize: 32)
    #expect(
      octetError { try graph(Tensor(zeros: [20, 70], dtype: .int4), few, bias: nil) }?.code == .shapeMismatch)
  }

  @Test func `the table of a plan`() throws {
    let layer = try layer(Form(dtype: .int4, block: 32, isAffine: false), 20, 70, .relu, seed: 21)
    #expect("\(try Plan(layer.graph).tabular())".contains("linear by int4 + ReLU"))
  }
}
