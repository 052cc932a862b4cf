import OctetCore
import OctetNN
import OctetQuantization
import TestSupport
import Testing

/// The tutorial's manual style: observers as members of a module, called in its forward.
private final class ObserverCNN: Module {
  let conv1 = Conv2d(3, 16, kernelSize: 3, padding: 1)
  let conv2 = Conv2d(16, 32, kernelSize: 3, padding: 1)
  let pool = AdaptiveAvgPool2d(1)
  let fc = Linear(32, 10)
  var obsAct1 = MinMaxObserver(dtype: .uint8)
  var obsAct2 = MinMaxObserver(dtype: .uint8)
  var obsInput = MinMaxObserver(dtype: .uint8)
  var obsWeight1 = PerChannelMinMaxObserver(axis: 0, dtype: .int8)
  var obsWeight2 = PerChannelMinMaxObserver(axis: 0, dtype: .int8)
  var obsWeight3 = PerChannelMinMaxObserver(axis: 0, dtype: .int8)

  override func forward(_ x: Tensor) throws -> Tensor {
    try obsWeight1.observe(conv1.weight.value)
    try obsWeight2.observe(conv2.weight.value)
    try obsWeight3.observe(fc.weight.value)
    var x = try relu(conv1(x))
    try obsAct1.observe(x)
    x = try relu(conv2(x))
    try obsAct2.observe(x)
    x = try pool(x).flatten(from: 1)
    try obsInput.observe(x)
    return try fc(x)
  }
}

@Suite struct ManualObserverTests {
  @Test func observerCNN() throws {
    let vector = try VectorCase.load("observer_cnn")[0]
    let net = ObserverCNN()
    try net.load(vector.tensors(below: "state/"))
    let images = try vector.tensor("x")
    let divisor = try vector.float("input_divisor")
    var y: Tensor?
    for batch in 0..<images.shape[0] {
      let x = try images[batch..<batch + 1].scalars(as: Int8.self).map { Float($0) / divisor }
      y = try net(Tensor(x, shape: Array(images.shape.dropFirst())))
    }
    #expect(try discrepancy(try #require(y), vector.tensor("y"), absolute: 1e-5) == nil)

    for (name, observer) in [("act1", net.obsAct1), ("act2", net.obsAct2), ("fc_input", net.obsInput)] {
      func expected(_ field: String) throws -> Float {
        try vector.tensor("observers/\(name)/\(field)").item(as: Float.self)
      }
      let parameters = try observer.calculateQParams()
      #expect(
        try abs(observer.minVal - expected("min_val")) <= 1e-5 && abs(observer.maxVal - expected("max_val")) <= 1e-5)
      #expect(try abs(parameters.scales[0] - expected("scale")) <= 1e-5 * expected("scale"))
      #expect(
        try parameters.zeroPoints == vector.tensor("observers/\(name)/zero_point").scalars(as: Int32.self).map(Int.init)
      )
    }
    for (name, observer) in [("conv1", net.obsWeight1), ("conv2", net.obsWeight2), ("fc", net.obsWeight3)] {
      func expected(_ field: String) throws -> [Float] { try vector.tensor("observers/\(name).weight/\(field)").floats }
      let parameters = try observer.calculateQParams()
      #expect(try observer.minVal == expected("min_val") && observer.maxVal == expected("max_val"))
      #expect(try zip(parameters.scales, expected("scale")).allSatisfy { abs($0 - $1) <= $1.ulp })
      #expect(
        try parameters.zeroPoints
          == vector.tensor("observers/\(name).weight/zero_point").scalars(as: Int32.self).map(Int.init))
    }

    let graph = try net.trace(TensorType(.float32, [.symbolic("n"), 3, 32, 32]))
    #expect(graph.nodes.map(\.op.kind) == [.conv, .relu, .conv, .relu, .adaptiveAveragePool, .flatten, .linear])
  }
}
