import OctetCore
import OctetGraph
import OctetNN
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

@Suite struct CalibrationTests {
  private func prepared(_ name: String = "plain CNN") throws -> PreparedGraph {
    let network = Network.named(name)
    return try network.graph().prepare(network.map)
  }

  @Test func anObserverOfTheUsers() throws {
    let parameters = try QuantizationParameters(scale: 0.125, zeroPoint: 100, dtype: .uint8)
    let map = QConfigMap(QConfig(activation: FixedObserver(parameters: parameters), weight: QConfig.minMax.weight))
    let network = Network.named("plain CNN")
    let prepared = try network.graph().prepare(map)
    try prepared.calibrate([1, 2, 3].map { try network.inputs(batch: 2, seed: $0)[0] })
    #expect((prepared.sites["x"]?.observer as? FixedObserver)?.count == 3)
    #expect(
      (prepared.sites["layers.0"]?.observer as? FixedObserver)?.count == 6, "the convolution and the pool after it")
    let (graph, _) = try prepared.convert()
    for node in graph.nodes {
      if case .quantizeLinear(let payload) = node.op { #expect(payload.parameters == parameters) }
    }
  }

  @Test func observesWhatTheNetworkComputes() throws {
    let network = Network.named("plain CNN")
    let prepared = try network.graph().prepare(network.map)
    var extremes: [String: (Float, Float)] = [:]
    let batches = try (1...3).map { try network.inputs(batch: 3, seed: $0)[0] }
    for x in batches {
      _ = try prepared.graph.replay([x]) { value, tensor in
        let floats = try tensor.floats
        let (low, high) = extremes[value] ?? (.infinity, -.infinity)
        extremes[value] = (min(low, floats.min()!), max(high, floats.max()!))
        return tensor
      }
    }
    try prepared.calibrate(batches)
    for site in prepared.sites {
      let observer = try #require(site.observer as? MinMaxObserver)
      #expect(observer.minVal == site.values.map { extremes[$0]!.0 }.min())
      #expect(observer.maxVal == site.values.map { extremes[$0]!.1 }.max())
      #expect(site.observations == 3 * site.values.count)
    }
    // More batches go on where the first ones ended; a replay observes nothing.
    _ = try prepared(batches[0])
    try prepared.calibrate(batches)
    #expect(prepared.sites["x"]?.observations == 6)
  }

  @Test func progressIsTold() throws {
    let prepared = try prepared()
    for threads in [1, 3] {
      var done: [Int] = []
      try prepared.calibrate(Self.batches(5), threads: threads) { done.append($0) }
      #expect(done == [1, 2, 3, 4, 5])
    }
  }

  @Test func noBatches() throws {
    let prepared = try prepared()
    #expect(octetError { try prepared.calibrate([Tensor]()) }?.code == .notObserved)
    #expect(octetError { try prepared.calibrate([[String: Tensor]]()) }?.code == .notObserved)
    let error = octetError { try prepared.convert() }
    #expect(error?.code == .notObserved && error?.subject == "site x")
  }

  /// Beside a value that was observed, one that was not: its site is named.
  @Test func anUnfedSiteIsNamed() throws {
    let x = Graph.Input(name: "x", type: TensorType(.float32, [2]))
    let spare = Graph.Input(name: "spare", type: TensorType(.float32, [2]))
    let graph = try Graph(
      inputs: [x, spare], nodes: [Node(name: "sum", op: .binary(.add), inputs: ["x", "spare"], outputs: ["y"])],
      outputs: [.init(name: "output", value: "y")], parameters: [:])
    let prepared = try graph.prepare(QConfigMap(.minMax))
    let error = octetError {
      try prepared.calibrate([["x": Tensor.random([2], seed: 1)]])
    }
    #expect(error?.code == .unknownName && error?.expected.contains("spare") == true)
    #expect(octetError { try prepared.convert() }?.subject == "site x")
    // The replay stops at a NaN in `spare`: only x has been seen.
    #expect(
      octetError {
        try prepared.calibrate([["x": Tensor.random([2], seed: 1), "spare": Tensor(repeating: Float.nan, shape: [2])]])
      }?.code == .notANumber)
    let unfed = octetError { try prepared.convert() }
    #expect(unfed?.code == .notObserved && unfed?.subject == "site spare")
  }

  @Test func nanIsNamed() throws {
    let network = Network.named("plain CNN")
    let prepared = try prepared()
    var scalars = try network.inputs(batch: 1, seed: 1)[0].floats
    scalars[5] = .nan
    let error = octetError { try prepared.calibrate([Tensor(scalars, shape: [1, 3, 8, 8])]) }
    #expect(error?.code == .notANumber && error?.subject.hasPrefix("x") == true, "\(String(describing: error))")

    // A NaN that arises inside: ∞ − ∞ in the first layer.
    scalars[5] = .infinity
    scalars[6] = -.infinity
    let inside = octetError { try prepared.calibrate([Tensor(scalars, shape: [1, 3, 8, 8])]) }
    #expect(
      inside?.code == .notANumber && inside?.subject.hasPrefix("layers.") == true, "\(String(describing: inside))")
  }

  @Test func anEmptyBatchIsNotSeen() throws {
    let prepared = try prepared()
    try prepared.calibrate([Tensor(zeros: [0, 3, 8, 8])])
    let error = try #require(octetError { try prepared.convert() })
    #expect(error.code == .notObserved && error.subject.hasPrefix("site "))
  }

  @Test func aNameThatIsNoInputIsRefused() throws {
    let prepared = try prepared()
    let x = try Network.named("plain CNN").inputs(batch: 1, seed: 1)[0]
    let error = octetError { try prepared.calibrate([["x": x, "y": x]]) }
    #expect(error?.code == .unknownName && error?.found == "y")
  }

  @Test func aWeightWithNaNIsNamed() throws {
    let network = Network.named("plain CNN")
    let graph = try network.graph()
    let weight = graph.parameters["layers.6.weight"]!
    weight.value = try Tensor(repeating: Float.nan, shape: weight.value.shape)
    let error = octetError { try graph.prepare(network.map) }
    #expect(error?.code == .notANumber && error?.subject.contains("layers.6.weight") == true)
  }

  @Test func wrongShapesAndTypes() throws {
    let prepared = try prepared()
    for shape in [[1, 3, 8], [1, 4, 8, 8], [1, 3, 8, 9], []] {
      let error = octetError { try prepared.calibrate([Tensor(zeros: shape)]) }
      #expect(error?.code == .shapeMismatch && error?.subject == "input x", "\(shape)")
    }
    #expect(
      octetError { try prepared.calibrate([Tensor(zeros: [1, 3, 8, 8], dtype: .uint8)]) }?.code == .dtypeMismatch)
    #expect(octetError { try prepared.convert() }?.code == .notObserved, "nothing has been observed")
  }

  @Test func severalInputsByName() throws {
    let network = Network.named("two inputs, two outputs")
    let prepared = try network.graph().prepare(network.map)
    let x = try network.inputs(batch: 2, seed: 1)
    try prepared.calibrate([["x_0": x[0], "x_1": x[1]]])
    #expect((prepared.sites["x_1"]?.observer as? MinMaxObserver)?.maxVal == (try x[1].floats.max()))
    #expect(octetError { try prepared.calibrate([x[0]]) }?.code == .invalidArgument)
    #expect(octetError { try prepared.calibrate([["x_0": x[0], "x": x[1]]]) }?.code == .unknownName)
  }

  /// Images whose range grows.
  static func batches(_ count: Int, from first: Int = 0) throws -> [Tensor] {
    try (first..<first + count).map { index in
      try Tensor.random([2, 3, 8, 8], seed: UInt64(index)).floats.withUnsafeBufferPointer { scalars in
        try Tensor(scalars.map { $0 * (1 + Float(index % 7) / 4) }, shape: [2, 3, 8, 8])
      }
    }
  }
}
