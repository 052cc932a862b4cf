import OctetCore
import TestSupport
import Testing

@Suite("Differentiation")
struct GradientTests {
  /// Every case of the vectors at another place, against the change of the result along a random direction.
  @Test(
    "central differences", arguments: GradientVectorTests.cases.filter { $0.attributes["op"] != .string("recurrent") })
  func centralDifferences(_ test: VectorCase) throws {
    let source = try #require(GradientVectorTests.operands[test.name])
    let names = test.tensors.keys.filter { $0.hasPrefix("d_") }.map { String($0.dropFirst(2)) }.sorted()
    var generator = SeededGenerator(seed: 8)
    // Off the corners that the vectors have on purpose, farther than a step.
    let inputs = try names.map { name in
      let x = try source.tensor(name)
      return try moved(x, by: 0.004, noise(x, &generator).map { $0 < 0 ? $0 - 1 : $0 + 1 })
    }
    let directions = inputs.map { noise($0, &generator) }
    func result(_ inputs: [Tensor]) throws -> Tensor {
      let replacing = Dictionary(uniqueKeysWithValues: zip(names, inputs))
      return try #require(try OperationVectors.compute(source, replacing: replacing))
    }
    let seed = try test.tensor("dy")
    let gradients = try valueAndGradients(at: inputs) { try dot(result($0), seed) }.gradients
    let step: Float = 1 / 2048
    let ahead = try result(zip(inputs, directions).map { try moved($0, by: step, $1) })
    let behind = try result(zip(inputs, directions).map { try moved($0, by: -step, $1) })
    let difference = (try sum(ahead, seed) - sum(behind, seed)) / Double(2 * step)
    let expected = try zip(gradients, directions).reduce(0.0) { sum, pair in
      try sum + zip(pair.0.scalars(as: Float.self), pair.1).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    let scale = try zip(gradients, directions).reduce(0.0) { sum, pair in
      try sum + zip(pair.0.scalars(as: Float.self), pair.1).reduce(0) { $0 + abs(Double($1.0) * Double($1.1)) }
    }
    #expect(abs(difference - expected) <= 0.01 * scale + 4e-3, "\(difference) instead of \(expected)")
  }

  private func noise(_ like: Tensor, _ generator: inout SeededGenerator) -> [Float] {
    (0..<like.shape.reduce(1, *)).map { _ in Float.random(in: -1...1, using: &generator) }
  }

  private func moved(_ x: Tensor, by step: Float, _ direction: [Float]) throws -> Tensor {
    try Tensor(zip(x.scalars(as: Float.self), direction).map { $0 + step * $1 }, shape: x.shape)
  }

  private func sum(_ x: Tensor, _ weights: Tensor) throws -> Double {
    try zip(x.scalars(as: Float.self), weights.scalars(as: Float.self)).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }

  // MARK: - What fusing leaves

  /// Bias, residual and activation in one operation have the gradients of the operations one by one.
  @Test(arguments: [Activation.relu, .clip(minimum: -0.5, maximum: 0.75)])
  func fusedActivations(_ activation: Activation) throws {
    var generator = SeededGenerator(seed: 3)
    func tensor(_ shape: [Int]) throws -> Tensor {
      try Tensor((0..<shape.reduce(1, *)).map { _ in Float.random(in: -1...1, using: &generator) }, shape: shape)
    }
    func activate(_ x: Tensor) throws -> Tensor {
      switch activation {
      case .relu: try relu(x)
      case .clip(let minimum, let maximum): try clip(x, minimum: minimum, maximum: maximum)
      }
    }
    let convolution = try [tensor([2, 3, 5, 4]), tensor([4, 3, 3, 3]), tensor([4]), tensor([2, 4, 5, 4])]
    let seed = try tensor([2, 4, 5, 4])
    let fused = try valueAndGradients(at: convolution) {
      try dot(apply(.conv(Op.Convolution(padding: 1, activation: activation)), $0)[0], seed)
    }
    let single = try valueAndGradients(at: convolution) {
      try dot(activate(conv2d($0[0], weight: $0[1], bias: $0[2], padding: 1) + $0[3]), seed)
    }
    for (a, b) in zip(fused.gradients, single.gradients) { #expect(try discrepancy(a, b) == nil) }

    let products = try [tensor([3, 5]), tensor([4, 5]), tensor([4])]
    let rows = try tensor([3, 4])
    let fusedProduct = try valueAndGradients(at: products) {
      try dot(apply(.linear(Op.Linear(activation: activation)), $0)[0], rows)
    }
    let singleProduct = try valueAndGradients(at: products) {
      try dot(activate(linear($0[0], weight: $0[1], bias: $0[2])), rows)
    }
    for (a, b) in zip(fusedProduct.gradients, singleProduct.gradients) { #expect(try discrepancy(a, b) == nil) }
  }

  // MARK: - The tape

  @Test func aValueThatIsUsedTwiceHasTheSumOfBothGradients() throws {
    let x = try Tensor([3 as Float, -2], shape: [2])
    let (value, gradients) = try valueAndGradients(at: [x]) {
      try dot($0[0] * $0[0] + $0[0], Tensor(repeating: Float(1), shape: [2]))
    }
    #expect(try value.item(as: Float.self) == 14)
    #expect(try gradients[0].scalars(as: Float.self) == [7, -3])
  }

  /// Outside training it does nothing, and gradients pass.
  @Test func dropoutIsTheIdentity() throws {
    let x = try Tensor([3 as Float, -2, 5], shape: [3])
    let (value, gradients) = try valueAndGradients(at: [x]) {
      try dot(apply(.dropout(Op.Dropout(0.9)), [$0[0]])[0], Tensor([1 as Float, 10, 100], shape: [3]))
    }
    #expect(try value.item(as: Float.self) == 483)
    #expect(try gradients[0].scalars(as: Float.self) == [1, 10, 100])
  }

  /// What is quantized while a network runs passes gradients straight through: its range is that of the values, so that none is
  /// clipped. Integers have none to pass.
  @Test(arguments: Op.DynamicQuantize.Granularity.allCases)
  func dynamicQuantizationPassesGradients(_ granularity: Op.DynamicQuantize.Granularity) throws {
    let x = try Tensor([3 as Float, -2, 0.013, 5], shape: [2, 2])
    let weights = try Tensor([1 as Float, 10, 100, 1000], shape: [2, 2])
    let op = Op.dynamicQuantize(Op.DynamicQuantize(granularity))
    let (value, gradients) = try valueAndGradients(at: [x]) { try dot(apply(op, [$0[0]])[0], weights) }
    #expect(try value.item(as: Float.self) == dot(apply(op, [x])[0], weights).item(as: Float.self))
    #expect(try apply(op, [x])[0].scalars(as: Float.self) != x.scalars(as: Float.self))
    #expect(try gradients[0].scalars(as: Float.self) == [1, 10, 100, 1000])
    let parameters = try QuantizationParameters(scale: 0.1, zeroPoint: 3, dtype: .uint8)
    let error = octetError { try valueAndGradients(at: [x]) { try quantize($0[0], parameters).cast(to: .float32) } }
    #expect(error?.code == .unsupported && error?.expected.contains("fake-quantize") == true, "\(error!)")
  }

  @Test func parametersKeepTheirValuesAndGetGradients() throws {
    let a = Parameter(try Tensor([2 as Float, 3], shape: [2]))
    let b = Parameter(try Tensor([5 as Float, 7], shape: [2]))
    let unused = Parameter(try Tensor([1 as Float], shape: [1]))
    let one = try Tensor(repeating: Float(1), shape: [2])
    let (value, gradients) = try valueAndGradients(of: [a, b, unused]) { try dot(a.value * b.value, one) }
    #expect(try value.item(as: Float.self) == 31)
    #expect(try gradients.map { try $0.scalars(as: Float.self) } == [[5, 7], [2, 3], [0]])
    #expect(try [a, b, unused].allSatisfy { try !isDifferentiated($0.value) })
    #expect(
      octetError { try valueAndGradients(of: [a]) { throw OctetError(.notANumber, "x", expected: "", found: "") } }
        != nil)
    #expect(try !isDifferentiated(a.value))
  }

  private func isDifferentiated(_ x: Tensor) throws -> Bool {
    octetError { try valueAndGradients(at: [x]) { try dot($0[0], x.detached) } }?.code == .unsupported
  }

  @Test func detachedValuesAndIndicesAreConstants() throws {
    let x = try Tensor([3 as Float, -2, 5], shape: [3])
    let gradients = try valueAndGradients(at: [x]) {
      try dot($0[0] * $0[0].detached, Tensor(repeating: Float(1), shape: [3]))
    }
    .gradients
    #expect(try gradients[0].scalars(as: Float.self) == [3, -2, 5])
    let picked = try valueAndGradients(at: [x]) { inputs in
      try dot(inputs[0].gather(inputs[0].argmax(axis: 0), axis: 0), Tensor(repeating: Float(1), shape: [1]))
    }
    #expect(try picked.gradients[0].scalars(as: Float.self) == [0, 0, 1])
    let rows = try valueAndGradients(at: [x]) { try dot($0[0][1..<3], Tensor([1 as Float, 2], shape: [2])) }
    #expect(try rows.gradients[0].scalars(as: Float.self) == [0, 1, 2])
  }

  /// What has left a differentiation is a constant for the next one, and for everybody.
  @Test func valuesThatLeaveAreConstants() throws {
    let x = try Tensor([3 as Float, -2], shape: [2])
    let one = try Tensor(repeating: Float(1), shape: [2])
    var total = try Tensor(zeros: [2])
    for _ in 0..<3 {
      var y: Tensor?
      let gradients = try valueAndGradients(at: [x]) { inputs in
        y = try inputs[0] * inputs[0]
        return try dot(y! + total, one)
      }.gradients
      #expect(try gradients[0].floats == [6, -4])
      total = try total + y!
    }
    #expect(try total.floats == [27, 12])
    #expect(try !isDifferentiated(total))
  }

  /// Sums of many small numbers do not stop at what float32 counts up to.
  @Test func longSumsAreWhole() throws {
    let ones = try Tensor(repeating: Float(1), shape: [1 << 25])
    #expect(try ones.mean([0]).item(as: Float.self) == 1)
    let weight = try Tensor([Float(2)], shape: [1])
    let gradients = try valueAndGradients(at: [weight]) { try ($0[0] * ones).reduce(.sum, [0]) }.gradients
    #expect(try gradients[0].item(as: Float.self) == Float(1 << 25))
  }

  @Test func misuseIsAnError() throws {
    let x = try Tensor([3 as Float, -2], shape: [2])
    let parameter = Parameter(x)
    func code(_ body: () throws -> (value: Tensor, gradients: [Tensor])) -> OctetError.Code? { octetError(body)?.code }
    #expect(code { try valueAndGradients(at: [x]) { $0[0] } } == .shapeMismatch)
    #expect(code { try valueAndGradients(at: [x]) { _ in try Tensor(Float(1)) } } == .invalidArgument)
    #expect(code { try valueAndGradients(at: [Tensor([1 as Int32], shape: [1])]) { $0[0] } } == .dtypeMismatch)
    #expect(code { try valueAndGradients(of: [parameter, parameter]) { x } } == .invalidArgument)
    #expect(
      code {
        try valueAndGradients(at: [x]) { outer in
          try valueAndGradients(at: [x]) { try dot($0[0], outer[0]) }.value
        }
      } == .unsupported)
    let error = octetError {
      try valueAndGradients(at: [x]) { inputs in
        let parameters = try QuantizationParameters(scale: 1, zeroPoint: 0, dtype: .int8)
        return try dot(dequantize(quantize(inputs[0], parameters), parameters), x)
      }
    }
    #expect(error?.code == .unsupported)
  }

  // MARK: - Functions of a user's own

  @Test func theStraightThroughEstimatorPassesGradients() throws {
    let x = try Tensor([0.4 as Float, 0.5, 1.5, -2.6], shape: [4])
    let weights = try Tensor([1 as Float, 2, 3, 4], shape: [4])
    let (value, gradients) = try valueAndGradients(at: [x]) { try dot(RoundSTE()($0[0]), weights) }
    #expect(try value.item(as: Float.self) == 0 + 0 + 6 - 12)
    #expect(try gradients[0].scalars(as: Float.self) == [1, 2, 3, 4])
    let error = octetError { try valueAndGradients(at: [x]) { try dot(Forgetful()($0[0]), weights) } }
    #expect(error?.code == .shapeMismatch)
    #expect(error?.subject.contains("Forgetful") == true)
  }

  /// What later operations kept is gone when gradients reach the first one.
  @Test func theTapeLetsGoOfWhatGradientsHavePassed() throws {
    let probe = Probe()
    let x = try Tensor(repeating: Float(0.5), shape: [1000])
    _ = try valueAndGradients(at: [x]) { inputs in
      let first = try Watcher(probe: probe)(inputs[0])
      var y = try sigmoid(first)
      probe.watch(y)
      y = try exp(y)
      probe.watch(y)
      return try dot(y, x)
    }
    #expect(probe.aliveAtTheEnd == 0)
  }

  /// Gradients lead downhill: a network of two layers learns an exclusive or.
  @Test func descentOnASmallProblem() throws {
    var generator = SeededGenerator(seed: 11)
    func parameter(_ shape: [Int]) throws -> Parameter {
      Parameter(
        try Tensor((0..<shape.reduce(1, *)).map { _ in Float.random(in: -1...1, using: &generator) }, shape: shape))
    }
    let parameters = try [parameter([8, 2]), parameter([8]), parameter([1, 8]), parameter([1])]
    let x = try Tensor([0 as Float, 0, 0, 1, 1, 0, 1, 1], shape: [4, 2])
    let y = try Tensor([0 as Float, 1, 1, 0], shape: [4, 1])
    var losses: [Float] = []
    for _ in 0..<400 {
      let (loss, gradients) = try valueAndGradients(of: parameters) {
        let hidden = try tanh(linear(x, weight: parameters[0].value, bias: parameters[1].value))
        let error = try linear(hidden, weight: parameters[2].value, bias: parameters[3].value) - y
        return try (error * error).mean([0, 1])
      }
      losses.append(try loss.item(as: Float.self))
      for (parameter, gradient) in zip(parameters, gradients) {
        parameter.value = try parameter.value - gradient * Tensor(Float(0.3))
      }
    }
    #expect(losses.first! > 0.2)
    #expect(losses.last! < 1e-3, "\(losses.last!)")
  }
}

/// Rounds; gradients pass as if it did not.
struct RoundSTE: DifferentiableFunction {
  func forward(_ inputs: [Tensor]) throws -> Tensor {
    var result = inputs[0]
    try result.withUnsafeMutableScalars(as: Float.self) { x in
      for i in x.indices { x[i].round(.toNearestOrEven) }
    }
    return result
  }
  func backward(_ gradient: Tensor, inputs: [Tensor], result: Tensor) throws -> [Tensor?] { [gradient] }
}

/// Forgets a gradient.
private struct Forgetful: DifferentiableFunction {
  func forward(_ inputs: [Tensor]) throws -> Tensor { inputs[0] }
  func backward(_ gradient: Tensor, inputs: [Tensor], result: Tensor) throws -> [Tensor?] { [] }
}

/// What of the tensors it watches is still there.
private final class Probe: Hashable, @unchecked Sendable {
  private struct Watched { weak var storage: TensorStorage? }
  private var watched: [Watched] = []
  var aliveAtTheEnd = -1

  func watch(_ tensor: Tensor) {
    guard case .concrete(let storage, _, _) = tensor.representation else { return }
    watched.append(Watched(storage: storage))
  }

  func look() { aliveAtTheEnd = watched.count { $0.storage != nil } }
  static func == (a: Probe, b: Probe) -> Bool { a === b }
  func hash(into hasher: inout Hasher) { ObjectIdentifier(self).hash(into: &hasher) }
}

private struct Watcher: DifferentiableFunction {
  let probe: Probe
  func forward(_ inputs: [Tensor]) throws -> Tensor { inputs[0] }
  func backward(_ gradient: Tensor, inputs: [Tensor], result: Tensor) throws -> [Tensor?] {
    probe.look()
    return [gradient]
  }
}
