import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestSupport
import Testing

@Suite struct GPTQTests {
  struct Problem {
    let (n, k): (Int, Int)
    var weight: [Float]
    var inputs: [Float]

    /// Random weights, correlated inputs.
    init(_ n: Int, _ k: Int, count: Int, seed: UInt64) throws {
      (self.n, self.k) = (n, k)
      weight = try Tensor.random([n, k], seed: seed).floats
      var activations = try CorrelatedActivations(width: k, seed: seed + 1)
      inputs = try activations.next([count]).floats
    }

    func graph() throws -> Graph { try Linear.graph(weight: Tensor(weight, shape: [n, k])) }

    func quantized(_ quantization: WeightQuantization, _ options: GPTQ = GPTQ()) throws -> (
      integers: [Int], parameters: QuantizationParameters
    ) {
      let prepared = try graph().prepareGPTQ(quantization, options)
      try prepared.calibrate([Tensor(inputs, shape: [inputs.count / k, k])])
      return try prepared.convert().graph.quantizedWeight("linear.weight")
    }

    /// ‖(W − Q) X‖² in Double.
    func objective(_ integers: [Int], _ parameters: QuantizationParameters) -> Double {
      let groups = parameters.scales.count / n
      var sum = 0.0
      for row in 0..<n {
        let error = (0..<k).map { column in
          let group = row * groups + (parameters.blockSize.map { column / $0 } ?? 0)
          let value =
            Double(integers[row * k + column] - parameters.zeroPoints[group]) * Double(parameters.scales[group])
          return Double(weight[row * k + column]) - value
        }
        for x in stride(from: 0, to: inputs.count, by: k) {
          let y = (0..<k).reduce(0.0) { $0 + error[$1] * Double(inputs[x + $1]) }
          sum += y * y
        }
      }
      return sum
    }
  }

  static let quantizations: [WeightQuantization] = [
    .int4, .int8, WeightQuantization(dtype: .int4), WeightQuantization(dtype: .int4, groupSize: 32),
    WeightQuantization(dtype: .int4, groupSize: 64, scheme: .affine), WeightQuantization(dtype: .int8, groupSize: 32),
    WeightQuantization(dtype: .uint4, groupSize: 128, scheme: .affine),
    WeightQuantization(dtype: .uint8, groupSize: 64), WeightQuantization(dtype: .int4, groupSize: 48),
    WeightQuantization(dtype: .uint4, scheme: .affine),
  ]

  /// Small enough for one block of columns: the same integers as the literal algorithm, but for a number that lies
  /// between two steps as nearly as float32 can tell.
  @Test(arguments: quantizations, [true, false])
  func asTheLiteralAlgorithm(_ quantization: WeightQuantization, _ isOrdered: Bool) throws {
    let problem = try Problem(6, 40, count: 100, seed: 3)
    let (integers, parameters) = try problem.quantized(
      quantization, GPTQ(dampening: 0.05, ordersColumnsByActivation: isOrdered))
    let reference = GPTQReference(
      weight: problem.weight, inputs: problem.inputs, n: 6, k: 40, parameters, dampening: 0.05, isOrdered: isOrdered)
    #expect(integers == reference.integers)
  }

  /// Over several blocks of columns, the last one shorter.
  @Test(arguments: [WeightQuantization.int4, WeightQuantization(dtype: .uint4, groupSize: 32, scheme: .affine)])
  func blocksChangeNothing(_ quantization: WeightQuantization) throws {
    let problem = try Problem(8, 200, count: 200, seed: 5)
    for isOrdered in [true, false] {
      let (integers, parameters) = try problem.quantized(
        quantization, GPTQ(dampening: 0.05, ordersColumnsByActivation: isOrdered))
      let reference = GPTQReference(
        weight: problem.weight, inputs: problem.inputs, n: 8, k: 200, parameters, dampening: 0.05,
        isOrdered: isOrdered)
      // One number that rounds the other way turns around some of those behind it.
      let differing = zip(integers, reference.integers).count { $0 != $1 }
      #expect(differing <= integers.count / 50, "\(differing) of \(integers.count)")
      let ratio = problem.objective(integers, parameters) / problem.objective(reference.integers, parameters)
      #expect((0.98...1.02).contains(ratio), "\(ratio)")
    }
  }

  @Test(arguments: quantizations, [true, false])
  func objectiveIsBelowThatOfRoundingToNearest(_ quantization: WeightQuantization, _ isOrdered: Bool) throws {
    for seed in [UInt64(11), 12, 13] {
      let problem = try Problem(16, 160, count: 400, seed: seed)
      let nearest = try problem.graph().quantizeWeights(quantization).graph.quantizedWeight("linear.weight")
      let gptq = try problem.quantized(quantization, GPTQ(ordersColumnsByActivation: isOrdered))
      #expect(gptq.parameters == nearest.parameters, "scales are those of the weight in its own order")
      let ratio =
        problem.objective(gptq.integers, gptq.parameters) / problem.objective(nearest.integers, nearest.parameters)
      #expect(ratio < 0.8, "\(quantization): \(ratio)")
    }
  }

  @Test(arguments: try VectorCase.load("gptq"))
  func vectors(_ vector: VectorCase) throws {
    let (n, k) = (64, 64)
    var problem = try Problem(n, k, count: 1, seed: 1)
    problem.weight = try vector.tensor("weight").floats
    problem.inputs = try vector.tensor("inputs").floats
    let (integers, parameters) = try problem.quantized(
      WeightQuantization(
        dtype: try #require(DType(rawValue: vector.string("dtype"))), groupSize: vector.int("group"),
        scheme: vector.bool("symmetric") ? .symmetric : .affine),
      GPTQ(dampening: Double(vector.float("dampening")), ordersColumnsByActivation: vector.bool("ordered")))
    #expect(try parameters.scales == vector.tensor("scales").floats)
    #expect(try parameters.zeroPoints == vector.tensor("zero_points").scalars(as: Int32.self).map(Int.init))
    let expected = try vector.tensor("integers").scalars(as: Int16.self).map(Int.init)
    // One number that rounds the other way in float32 turns around some of those behind it.
    let differing = zip(integers, expected).count { $0 != $1 }
    #expect(differing <= n * k / 50, "\(differing) of \(n * k)")
    let ratio = problem.objective(integers, parameters) / problem.objective(expected, parameters)
    #expect((0.97...1.03).contains(ratio), "\(ratio)")
  }

  /// The sizes of inputs decide the order, and an order that is turned around gives other integers.
  @Test func columnOrder() throws {
    var problem = try Problem(4, 32, count: 64, seed: 7)
    let options = GPTQ(ordersColumnsByActivation: true)
    let ordered = try problem.quantized(.int4, options).integers
    #expect(try ordered != problem.quantized(.int4, GPTQ(ordersColumnsByActivation: false)).integers)
    // Columns that are sorted already: both are the same.
    let energies = (0..<32).map { column in
      stride(from: column, to: problem.inputs.count, by: 32).reduce(Float(0)) { sum, i in
        sum + problem.inputs[i] * problem.inputs[i]
      }
    }
    let sorted = (0..<32).sorted { energies[$0] > energies[$1] }
    func sortingColumns<Element>(_ matrix: [Element]) -> [Element] {
      matrix.indices.map { i in matrix[i - i % 32 + sorted[i % 32]] }
    }
    problem.inputs = sortingColumns(problem.inputs)
    problem.weight = sortingColumns(problem.weight)
    let inOrder = try problem.quantized(.int4, GPTQ(ordersColumnsByActivation: false)).integers
    #expect(try problem.quantized(.int4, options).integers == inOrder)
    // And they are those of the unsorted problem, each where its column is.
    let moved = sortingColumns(ordered)
    #expect(inOrder == moved)
  }

  @Test func deadColumnsBecomeZero() throws {
    var problem = try Problem(6, 40, count: 100, seed: 3)
    for i in problem.inputs.indices where i % 40 == 5 || i % 40 == 39 { problem.inputs[i] = 0 }
    // The largest weight: once it is 0, it must not widen the scale of its channel.
    problem.weight[5] = 50
    for isOrdered in [true, false] {
      let (integers, parameters) = try problem.quantized(
        WeightQuantization(dtype: .int4, scheme: .affine),
        GPTQ(dampening: 0.05, ordersColumnsByActivation: isOrdered))
      for row in 0..<6 {
        for column in [5, 39] { #expect(integers[row * 40 + column] == parameters.zeroPoints[row]) }
      }
      #expect(parameters.scales[0] < 1)
      let reference = GPTQReference(
        weight: problem.weight, inputs: problem.inputs, n: 6, k: 40, parameters, dampening: 0.05,
        isOrdered: isOrdered)
      #expect(integers == reference.integers)
    }
    problem.inputs = [Float](repeating: 0, count: 80)
    let error = octetError { try problem.quantized(.int4) }
    #expect(error?.code == .notObserved && error?.subject == "linear" && error?.found.contains("zeros") == true)
  }

  /// The Hessian is a sum: how inputs are divided into batches does not matter beyond rounding.
  @Test func calibrationStreams() throws {
    let problem = try Problem(8, 64, count: 240, seed: 9)
    let whole = try problem.quantized(.int4)
    let prepared = try problem.graph().prepareGPTQ(.int4)
    for start in stride(from: 0, to: 240, by: 60) {
      let batch = try Tensor(Array(problem.inputs[start * 64..<(start + 60) * 64]), shape: [60, 64])
      try prepared.calibrate([batch[0..<1], batch[1..<1], batch[1..<60]])
    }
    let (integers, parameters) = try prepared.convert().graph.quantizedWeight("linear.weight")
    #expect(zip(integers, whole.integers).count { $0 != $1 } <= 5)
    #expect(parameters == whole.parameters)
    // A conversion uses nothing up, and other options need no new calibration.
    #expect(try prepared.convert().graph.quantizedWeight("linear.weight").integers == integers)
    prepared.options.ordersColumnsByActivation = false
    #expect(try prepared.convert().graph.quantizedWeight("linear.weight").integers != integers)
  }

  @Test func mistakesInCalibration() throws {
    let problem = try Problem(4, 8, count: 20, seed: 1)
    let prepared = try problem.graph().prepareGPTQ(.int4)
    var error = octetError { try prepared.convert() }
    #expect(error?.code == .notObserved && error?.subject == "linear")
    #expect(octetError { try prepared.calibrate([Tensor]()) }?.code == .notObserved)
    try prepared.calibrate([Tensor(zeros: [0, 8])])
    #expect(octetError { try prepared.convert() }?.code == .notObserved, "an empty batch is no input")
    for value in [Float.nan, .infinity] {
      error = octetError { try prepared.calibrate([Tensor(repeating: value, shape: [1, 8])]) }
      #expect(error?.code == .notANumber && error?.subject.hasPrefix("x") == true)
    }
    #expect(octetError { try prepared.calibrate([Tensor(zeros: [1, 9])]) }?.code == .shapeMismatch)
    #expect(octetError { try prepared.calibrate([["y": Tensor(zeros: [1, 8])]]) }?.code == .unknownName)
    // What was refused has left no trace.
    try prepared.calibrate([["x": Tensor(problem.inputs, shape: [20, 8])]])
    #expect(try prepared.convert().graph.quantizedWeight("linear.weight").integers == problem.quantized(.int4).integers)

    for dampening in [-0.1, .nan, .infinity] {
      #expect(octetError { try problem.quantized(.int4, GPTQ(dampening: dampening)) }?.code == .invalidArgument)
    }
  }

  /// Fewer inputs than columns: without dampening the Hessian has no inverse; with it, it has.
  @Test func dampeningMakesAHessianDefinite() throws {
    let problem = try Problem(4, 40, count: 10, seed: 2)
    let prepared = try problem.graph().prepareGPTQ(.int4, GPTQ(dampening: 0))
    try prepared.calibrate([Tensor(problem.inputs, shape: [10, 40])])
    let error = octetError { try prepared.convert() }
    #expect(error?.code == .unsupported && error?.subject == "linear")
    #expect(error?.expected.contains("dampening") == true && error?.found.contains("10 inputs") == true)
    prepared.options.dampening = 0.01
    _ = try prepared.convert()
    // Squares beyond float32.
    let huge = try problem.graph().prepareGPTQ(.int4)
    try huge.calibrate([Tensor(repeating: Float(1e20), shape: [2, 40])])
    #expect(octetError { try huge.convert() }?.code == .unsupported)
  }
}
