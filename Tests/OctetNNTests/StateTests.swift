import OctetCore
import OctetNN
import TestSupport
import Testing

/// Loading, initializing, dropping out.
@Suite("State of modules")
struct StateTests {
  private func network() -> Sequential {
    Sequential(Conv2d(2, 3, kernelSize: 3, bias: false), BatchNorm2d(3), Linear(4, 5))
  }

  private func state(seed: UInt64) throws -> [String: Tensor] {
    var generator = SeededGenerator(seed: seed)
    return try network().namedParameters.reduce(into: [:]) {
      $0[$1.name] = try .random($1.parameter.value.shape, using: &generator)
    }
  }

  private func snapshot(_ module: Module) throws -> [String: [Float]] {
    try module.stateDict.mapValues { try $0.floats }
  }

  @Test func loadingSetsEverything() throws {
    let (network, state) = (network(), try state(seed: 1))
    var withCounter = state
    withCounter["1.num_batches_tracked"] = try Tensor([Int64(7)], shape: [])
    try network.load(withCounter)
    #expect(try snapshot(network) == state.mapValues { try $0.floats })
    #expect(
      Set(state.keys) == ["0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "2.weight", "2.bias"])
  }

  @Test func whatIsLoadedBelongsToTheModule() throws {
    let layer = Linear(2, 1, bias: false)
    var weight = try Tensor([Float(1), 2], shape: [1, 2])
    try layer.load(["weight": weight])
    try weight.withUnsafeMutableScalars(as: Float.self) { $0[0] = 9 }
    #expect(try layer.weight.value.floats == [1, 2])
  }

  @Test func anErrorSetsNothing() throws {
    let network = network()
    let before = try snapshot(network)
    func error(_ change: (inout [String: Tensor]) throws -> Void) throws -> OctetError? {
      var state = try state(seed: 2)
      try change(&state)
      let error = octetError { try network.load(state) }
      #expect(try snapshot(network) == before, "nothing was set")
      return error
    }
    let missing = try error { $0["2.bias"] = nil }
    #expect(missing == OctetError(.unknownName, "2.bias", expected: "float32 [5]", found: "nothing of that name"))
    let left = try error { $0["2.wieght"] = try Tensor(zeros: [5, 4]) }
    #expect(left?.code == .unknownName && left?.subject == "2.wieght" && left?.found == "none")
    #expect(left?.expected.hasPrefix("a parameter such as 2.weight, ") == true)
    let shape = try error { $0["2.weight"] = try Tensor(zeros: [4, 5]) }
    #expect(shape == OctetError(.shapeMismatch, "2.weight", expected: "float32 [5, 4]", found: "float32 [4, 5]"))
    let dtype = try error { $0["1.bias"] = try Tensor(zeros: [3], dtype: .int8) }
    #expect(dtype?.subject == "1.bias" && dtype?.found == "int8 [3]")
    #expect(try error { $0 = [:] }?.subject == "0.weight")
    #expect(try error { $0["num_batches"] = try Tensor(zeros: [1]) }?.code == .unknownName)
  }

  // MARK: - Initialization

  @Test func theSameSeedGivesTheSameValues() throws {
    let (a, b) = (network(), network())
    #expect(try snapshot(a) != snapshot(b), "fresh layers are random")
    try a.initialize(seed: 42)
    try b.initialize(seed: 42)
    #expect(try snapshot(a) == snapshot(b))
    let first = try snapshot(a)
    try a.initialize(seed: 42)
    #expect(try snapshot(a) == first)
    try a.initialize(seed: 43)
    #expect(try snapshot(a)["0.weight"] != first["0.weight"])
    #expect(first["1.weight"] == [1, 1, 1] && first["1.running_mean"] == [0, 0, 0], "statistics stay")
  }

  @Test func initialValuesAreUniformInPyTorchsBounds() throws {
    let layers: [(Module, Int)] = [
      (Conv2d(8, 64, kernelSize: 3), 72), (Conv2d(64, 64, kernelSize: Size2D(3, 5), groups: 8), 120),
      (Linear(100, 50), 100),
      (Conv2d(32, 320, kernelSize: 1, groups: 32), 1),
    ]
    for (layer, fanIn) in layers {
      try layer.initialize(seed: 7)
      let bound = 1 / Float(fanIn).squareRoot()
      for (name, tensor) in layer.stateDict {
        let values = try tensor.floats
        #expect(values.allSatisfy { abs($0) <= bound }, "\(name)")
        guard values.count >= 300 else { continue }
        let (mean, count) = (values.reduce(0, +) / Float(values.count), Float(values.count))
        // Five standard errors of a uniform distribution in ±bound.
        #expect(abs(mean) < 5 * bound / (3 * count).squareRoot(), "mean \(mean) of \(name)")
        let variance = values.reduce(0) { $0 + $1 * $1 } / count
        #expect(abs(variance / (bound * bound / 3) - 1) < 5 / count.squareRoot(), "variance of \(name)")
        #expect(values.max()! > 0.97 * bound && values.min()! < -0.97 * bound)
      }
    }
  }

  // MARK: - Dropout

  @Test func dropoutDoesNothingInEvaluation() throws {
    let x = try Tensor.random([1000], seed: 1)
    #expect(try Dropout(0.9)(x).floats == x.floats)
    let none = Dropout(0)
    none.isTraining = true
    #expect(try none(x).floats == x.floats)
  }

  @Test("dropout keeps the mean", arguments: [0.1, 0.5, 0.9] as [Float])
  func dropout(_ probability: Float) throws {
    let count = 40_000
    let layer = Dropout(probability, seed: 3)
    layer.isTraining = true
    let y = try layer(Tensor(repeating: Float(2), shape: [count / 4, 4])).floats
    let dropped = Float(y.count { $0 == 0 }) / Float(count)
    let deviation = (probability * (1 - probability) / Float(count)).squareRoot()
    #expect(abs(dropped - probability) < 5 * deviation, "\(dropped) dropped")
    let kept = 2 * (1 / (1 - probability))
    #expect(y.allSatisfy { $0 == 0 || abs($0 - kept) < 1e-5 })
  }

  @Test func dropoutFollowsItsSeed() throws {
    let x = try Tensor(repeating: Float(1), shape: [100])
    func masks(_ seed: UInt64) throws -> [[Float]] {
      let layer = Dropout(0.5, seed: seed)
      layer.isTraining = true
      return [try layer(x).floats, try layer(x).floats]
    }
    #expect(try masks(1) == masks(1))
    #expect(try masks(1) != masks(2))
    #expect(try masks(1)[0] != masks(1)[1], "every call draws anew")
  }
}
