import OctetCore
import OctetEngine
import OctetGraph
import TestSupport
import Testing

/// `clamp(roundHalfEven(Float(acc) · m[c] + b[c] [+ Float(r − z_r) · m_r]) + z)`, written out naively, bit for bit.
@Suite struct RequantizationTests {
  /// Scale and zero point of a uint8 value, and how to draw its integers.
  struct Value {
    let scale: Float
    let zero: Int
    let integers: [UInt8]
    var parameters: QuantizationParameters { try! QuantizationParameters(scale: scale, zeroPoint: zero, dtype: .uint8) }
    /// The real numbers, which quantize to the same integers again.
    func real(_ shape: [Int]) throws -> Tensor { try dequantize(Tensor(integers, shape: shape), parameters) }
  }

  /// One case: random, or nothing but extremes.
  struct Numbers: CustomStringConvertible {
    let seed: UInt64
    let isExtreme: Bool
    var description: String { "\(isExtreme ? "extreme" : "random") \(seed)" }

    func value(_ count: Int, _ generator: inout SeededGenerator) -> Value {
      let extremes: [UInt8] = [0, 255, 254, 1, 128]
      return Value(
        scale: isExtreme
          ? [1e-6, 3, 250, 1 / 3][Int.random(in: 0..<4, using: &generator)]
          : Float.random(in: 0.005...0.1, using: &generator),
        zero: isExtreme
          ? [0, 255, 128][Int.random(in: 0..<3, using: &generator)] : Int.random(in: 0...255, using: &generator),
        integers: (0..<count).map { _ in
          isExtreme ? extremes.randomElement(using: &generator)! : UInt8.random(in: 0...255, using: &generator)
        })
    }

    func weights(_ count: Int, _ generator: inout SeededGenerator) -> [Int8] {
      (0..<count).map { _ in
        isExtreme
          ? [-128, 127, 0, -127].randomElement(using: &generator)! : Int8.random(in: -128...127, using: &generator)
      }
    }
  }

  static let cases = (0..<12).map { Numbers(seed: UInt64($0), isExtreme: $0 >= 6) }

  @Test(arguments: cases)
  func linear(_ numbers: Numbers) throws {
    var generator = SeededGenerator(seed: numbers.seed)
    let (m, n, k) = (5, 37, 83)
    let a = numbers.value(m * k, &generator)
    let w = numbers.weights(n * k, &generator)
    try check(
      numbers, &generator, a, [m, k], w, [n, k], .linear(Op.Linear()),
      terms: { element in
        let (row, channel) = (element / n, element % n)
        return (channel, (0..<k).map { (row * k + $0, channel * k + $0) })
      }, resultShape: [m, n])
  }

  /// Biases chosen so that the last bit decides: multiplying in another order, one rounding for product and sum, or a
  /// reciprocal would give another integer.
  @Test func everyRoundingIsTheFormulas() throws {
    var generator = SeededGenerator(seed: 5)
    let (channels, k) = (192, 40)
    let a = Value(scale: 0.0371, zero: 9, integers: (0..<k).map { _ in UInt8.random(in: 100...255, using: &generator) })
    let w = (0..<channels * k).map { _ in Int8.random(in: 20...127, using: &generator) }
    let scales = (0..<channels).map { _ in Float.random(in: 0.001...0.02, using: &generator) }
    let out = Value(scale: 0.0613, zero: 100, integers: [])
    var bias = [Float](repeating: 0, count: channels)
    var expected = [Int](repeating: 0, count: channels)
    var decided = 0
    for channel in 0..<channels {
      let sum = Float(Int32((0..<k).reduce(0) { $0 + (Int(a.integers[$1]) - a.zero) * Int(w[channel * k + $1]) }))
      let m = a.scale * scales[channel] / out.scale
      func formula(_ bias: Float) -> Float { sum * m + bias / out.scale }
      let others: [(Float) -> Float] = [
        { sum * (a.scale * (scales[channel] / out.scale)) + $0 / out.scale },
        { ($0 / out.scale).addingProduct(sum, m) },
        { sum * (a.scale * scales[channel] * (1 / out.scale)) + $0 * (1 / out.scale) },
      ]
      let other = others[channel % others.count]
      // Around the bias that makes the result a tie.
      var candidate = (0.5 - sum * m) * out.scale
      for _ in 0..<40 { candidate = candidate.nextDown }
      for _ in 0..<80 {
        bias[channel] = candidate
        if formula(candidate).rounded(.toNearestOrEven) != other(candidate).rounded(.toNearestOrEven) {
          decided += 1
          break
        }
        candidate = candidate.nextUp
      }
      expected[channel] = Self.integer(formula(bias[channel]), out, -.infinity...(.infinity))
    }
    #expect(decided > channels / 3, "\(decided) of \(channels)")
    let weights = try QuantizationParameters(
      scales: scales, zeroPoints: [Int](repeating: 0, count: channels), dtype: .int8, axis: 0)
    let found = try run(
      .linear(Op.Linear()), [("a", a, [1, k])],
      ["w": Tensor(w, shape: [channels, k]), "bias": Tensor(bias, shape: [channels])], out, weights)
    #expect(found == expected)
  }

  @Test(arguments: cases, [1, 6])
  func convolution(_ numbers: Numbers, _ groups: Int) throws {
    var generator = SeededGenerator(seed: numbers.seed)
    let (c, o, size, kernel) = (6, 12, 7, 3)
    let a = numbers.value(2 * c * size * size, &generator)
    let w = numbers.weights(o * c / groups * kernel * kernel, &generator)
    try check(
      numbers, &generator, a, [2, c, size, size], w, [o, c / groups, kernel, kernel],
      .conv(Op.Convolution(padding: 1, groups: groups, activation: .relu)),
      terms: { element in
        // Padding is real 0: it adds nothing.
        let (x, y, channel, image) = (
          element % size, element / size % size, element / (size * size) % o, element / (size * size * o)
        )
        var terms: [(Int, Int)] = []
        for i in 0..<c / groups {
          for ky in 0..<kernel {
            for kx in 0..<kernel where (0..<size).contains(y + ky - 1) && (0..<size).contains(x + kx - 1) {
              let source = channel / (o / groups) * (c / groups) + i
              terms.append(
                (
                  ((image * c + source) * size + y + ky - 1) * size + x + kx - 1,
                  ((channel * (c / groups) + i) * kernel + ky) * kernel + kx
                ))
            }
          }
        }
        return (channel, terms)
      }, resultShape: [2, o, size, size], hasResidual: true)
  }

  @Test(arguments: cases)
  func depthwise(_ numbers: Numbers) throws {
    var generator = SeededGenerator(seed: numbers.seed)
    let (c, size) = (21, 6)
    let a = numbers.value(c * size * size, &generator)
    let w = numbers.weights(c * 4, &generator)
    try check(
      numbers, &generator, a, [1, c, size, size], w, [c, 1, 2, 2],
      .conv(Op.Convolution(groups: c, activation: .clip(minimum: -0.5, maximum: 6))),
      terms: { element in
        let (x, y, channel) = (element % 5, element / 5 % 5, element / 25)
        return (channel, [0, 1, 2, 3].map { ((channel * size + y + $0 / 2) * size + x + $0 % 2, channel * 4 + $0) })
      }, resultShape: [1, c, 5, 5], hasResidual: true)
  }

  @Test(arguments: cases)
  func addition(_ numbers: Numbers) throws {
    var generator = SeededGenerator(seed: numbers.seed)
    let count = 1001
    let (a, b) = (numbers.value(count, &generator), numbers.value(count, &generator))
    let out = numbers.value(1, &generator)
    let found = try run(.binary(.add), [("a", a, [count]), ("b", b, [count])], [:], out)
    let expected = (0..<count).map { i -> Int in
      let sum =
        Float(Int(a.integers[i]) - a.zero) * (a.scale / out.scale) + Float(Int(b.integers[i]) - b.zero)
        * (b.scale / out.scale)
      return Self.integer(sum, out, -.infinity...(.infinity))
    }
    #expect(found == expected)
  }

  /// Checks one operation with weights: `terms` gives channel and (activation, weight) pairs of a result element.
  private func check(
    _ numbers: Numbers, _ generator: inout SeededGenerator, _ a: Value, _ shape: [Int], _ w: [Int8],
    _ weightShape: [Int], _ op: Op,
    terms: (Int) -> (Int, [(Int, Int)]), resultShape: [Int], hasResidual: Bool = false
  ) throws {
    let channels = weightShape[0]
    let count = resultShape.reduce(1, *)
    let scales = (0..<channels).map { _ in Float.random(in: 0.001...0.02, using: &generator) }
    let bias = (0..<channels).map { channel in
      numbers.isExtreme && channel % 3 == 0 ? 1e9 : Float.random(in: -1...1, using: &generator)
    }
    let residual = numbers.value(count, &generator)
    let out = Value(
      scale: numbers.isExtreme ? 0.7 : Float.random(in: 0.02...0.1, using: &generator),
      zero: Int.random(in: 0...255, using: &generator),
      integers: [])
    let parameters = [
      "w": try Tensor(w, shape: weightShape), "bias": try Tensor(bias, shape: [channels]),
    ]
    let weights = try QuantizationParameters(
      scales: scales, zeroPoints: [Int](repeating: 0, count: channels), dtype: .int8, axis: 0)
    let found = try run(
      op, [("a", a, shape)] + (hasResidual ? [("r", residual, resultShape)] : []), parameters, out, weights)

    let range = op.activation?.range ?? -.infinity...(.infinity)
    var wrong: [String] = []
    for element in 0..<count {
      let (channel, pairs) = terms(element)
      let sum = pairs.reduce(0) { $0 + (Int(a.integers[$1.0]) - a.zero) * Int(w[$1.1]) }
      var value = Float(Int32(sum)) * (a.scale * scales[channel] / out.scale) + bias[channel] / out.scale
      if hasResidual { value += Float(Int(residual.integers[element]) - residual.zero) * (residual.scale / out.scale) }
      let expected = Self.integer(value, out, range)
      if found[element] != expected { wrong.append("\(element): \(found[element]) instead of \(expected)") }
    }
    #expect(wrong.isEmpty, "\(wrong.count) of \(count): \(wrong.prefix(4))")
  }

  private static func integer(_ value: Float, _ out: Value, _ range: ClosedRange<Float>) -> Int {
    let low = max(Float(0 - out.zero), range.lowerBound / out.scale)
    let high = min(Float(255 - out.zero), range.upperBound / out.scale)
    return Int(
      min(max(value, min(low, Float(255 - out.zero))), max(high, Float(0 - out.zero))).rounded(.toNearestOrEven))
      + out.zero
  }

  /// The integers that the engine computes for one operation between pairs.
  private func run(
    _ op: Op, _ operands: [(name: String, value: Value, shape: [Int])], _ parameters: [String: Tensor], _ out: Value,
    _ weights: QuantizationParameters? = nil
  ) throws -> [Int] {
    var nodes: [Node] = []
    for operand in operands {
      nodes += Self.pair(operand.name, operand.value.parameters)
    }
    var inputs: [String?] = operands.map { "\($0.name).real" }
    if let weights {
      nodes.append(
        Node(name: "w.real", op: .dequantizeLinear(Op.DequantizeLinear(weights)), inputs: ["w"], outputs: ["w.real"]))
      inputs.insert(contentsOf: ["w.real", "bias"], at: 1)
    }
    nodes.append(Node(name: "op", op: op, inputs: inputs, outputs: ["y"]))
    nodes += Self.pair("y", out.parameters)
    let graph = try Graph(
      inputs: operands.map { .init(name: $0.name, type: TensorType(.float32, fixed: $0.shape)) }, nodes: nodes,
      outputs: [.init(name: "output", value: "y.real")], parameters: parameters.mapValues { Parameter($0) })
    let plan = try Plan(graph)
    #expect(plan.integerNodes == ["op"])
    let y = try Session(plan, threads: 1).run(operands.map { try $0.value.real($0.shape) })[0]
    return try quantize(y, out.parameters).scalars(as: UInt8.self).map(Int.init)
  }

  private static func pair(_ name: String, _ parameters: QuantizationParameters) -> [Node] {
    [
      Node(
        name: "\(name).q", op: .quantizeLinear(Op.QuantizeLinear(parameters)), inputs: [name], outputs: ["\(name).q"]),
      Node(
        name: "\(name).real", op: .dequantizeLinear(Op.DequantizeLinear(parameters)), inputs: ["\(name).q"],
        outputs: ["\(name).real"]),
    ]
  }
}
