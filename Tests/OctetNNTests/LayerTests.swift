import OctetCore
import OctetNN
import TestSupport
import Testing

/// Layers against PyTorch.
@Suite("Layers")
struct LayerTests {
  static let operations = (try? VectorCase.load("operations")) ?? []

  static func cases(_ op: String) -> [VectorCase] { operations.filter { (try? $0.string("op")) == op } }

  private func size(_ test: VectorCase, _ name: String) throws -> Size2D {
    let values = try test.ints(name)
    return Size2D(values[0], values[1])
  }

  @Test("Conv2d", arguments: cases("conv2d"))
  func conv(_ test: VectorCase) throws {
    let (x, weight) = (try test.tensor("x"), try test.tensor("weight"))
    let layer = Conv2d(
      x.shape[1], weight.shape[0], kernelSize: Size2D(weight.shape[2], weight.shape[3]),
      stride: try size(test, "stride"),
      padding: Padding2D(try size(test, "padding")), dilation: try size(test, "dilation"),
      groups: try test.int("groups"),
      bias: try test.bool("bias"))
    try layer.load(test.tensors.filter { ["weight", "bias"].contains($0.key) })
    #expect(try discrepancy(layer(x), test.tensor("y"), absolute: 1e-6) == nil)
  }

  @Test("Linear", arguments: cases("linear"))
  func linear(_ test: VectorCase) throws {
    let weight = try test.tensor("weight")
    let layer = Linear(weight.shape[1], weight.shape[0], bias: try test.bool("bias"))
    try layer.load(test.tensors.filter { ["weight", "bias"].contains($0.key) })
    #expect(try discrepancy(layer(test.tensor("x")), test.tensor("y"), absolute: 1e-6) == nil)
  }

  @Test("BatchNorm2d", arguments: cases("batch_norm"))
  func batchNorm(_ test: VectorCase) throws {
    let training = try test.bool("training")
    let layer = BatchNorm2d(
      try test.tensor("weight").shape[0], epsilon: try test.float("epsilon"),
      momentum: training ? try test.float("momentum") : 0.1)
    try layer.load(test.tensors.filter { ["weight", "bias", "running_mean", "running_var"].contains($0.key) })
    layer.isTraining = training
    #expect(try discrepancy(layer(test.tensor("x")), test.tensor("y"), absolute: 1e-5) == nil)
    let expected = training ? "new_" : ""
    #expect(try discrepancy(layer.runningMean.value, test.tensor("\(expected)running_mean"), absolute: 1e-6) == nil)
    #expect(try discrepancy(layer.runningVar.value, test.tensor("\(expected)running_var"), absolute: 1e-6) == nil)
  }

  @Test("pools", arguments: cases("max_pool2d") + cases("avg_pool2d") + cases("adaptive_avg_pool2d"))
  func pools(_ test: VectorCase) throws {
    let layer: Module
    switch try test.string("op") {
    case "max_pool2d":
      layer = MaxPool2d(
        kernelSize: try size(test, "kernel"), stride: try size(test, "stride"),
        padding: Padding2D(try size(test, "padding")),
        dilation: try size(test, "dilation"), ceilMode: try test.bool("ceil_mode"))
    case "avg_pool2d":
      layer = AvgPool2d(
        kernelSize: try size(test, "kernel"), stride: try size(test, "stride"),
        padding: Padding2D(try size(test, "padding")),
        ceilMode: try test.bool("ceil_mode"), countIncludePad: try test.bool("count_include_pad"))
    default: layer = AdaptiveAvgPool2d(try size(test, "output"))
    }
    #expect(try discrepancy(layer(test.tensor("x")), test.tensor("y"), absolute: 1e-6) == nil)
  }

  @Test func theStrideOfAPoolIsItsKernelUnlessItIsGiven() throws {
    let x = try Tensor.counting([1, 1, 6, 6])
    #expect(try MaxPool2d(kernelSize: 3)(x).floats == [14, 17, 32, 35])
    #expect(try AvgPool2d(kernelSize: Size2D(6, 3))(x).floats == [16, 19])
  }

  @Test func activationsAndShapes() throws {
    let x = try Tensor([Float(-2), -0.5, 3, 8], shape: [1, 2, 2])
    #expect(try ReLU()(x).floats == [0, 0, 3, 8])
    #expect(try ReLU6()(x).floats == [0, 0, 3, 6])
    #expect(try Hardtanh()(x).floats == [-1, -0.5, 1, 1])
    #expect(try Hardtanh(-3, 5)(x).floats == [-2, -0.5, 3, 5])
    #expect(try Identity()(x).floats == x.floats)
    #expect(try Flatten()(x).shape == [1, 4] && Flatten(from: 0, to: 1)(x).shape == [2, 2])
    for test in Self.cases("softmax") {
      #expect(
        try discrepancy(Softmax(axis: test.int("axis"))(test.tensor("x")), test.tensor("y"), absolute: 1e-6) == nil)
    }
  }

  @Test func everyFamilyRan() {
    #expect(
      ["conv2d", "linear", "batch_norm", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "softmax"].map {
        Self.cases($0).count
      }
        == [18, 3, 5, 9, 12, 4, 5])
  }

  @Test func operandsThatDoNotFitThrow() throws {
    let image = try Tensor(zeros: [1, 3, 4, 4])
    func code(_ module: Module, _ x: Tensor) -> OctetError.Code? { octetError { try module(x) }?.code }
    #expect(code(Conv2d(4, 2, kernelSize: 1), image) == .shapeMismatch)
    #expect(code(Conv2d(3, 2, kernelSize: 5), image) == .shapeMismatch)
    #expect(code(Conv2d(3, 2, kernelSize: 1, stride: 0), image) == .invalidArgument)
    #expect(code(Conv2d(3, 2, kernelSize: 1, dilation: 0), image) == .invalidArgument)
    #expect(code(Conv2d(3, 2, kernelSize: 1, padding: -1), image) == .invalidArgument)
    #expect(code(Linear(3, 2), image) == .shapeMismatch)
    #expect(code(BatchNorm2d(4), image) == .shapeMismatch)
    #expect(code(MaxPool2d(kernelSize: 0), image) == .invalidArgument)
    #expect(code(MaxPool2d(kernelSize: 2, padding: 2), image) == .invalidArgument)
    #expect(code(AvgPool2d(kernelSize: 5), image) == .shapeMismatch)
    #expect(code(AdaptiveAvgPool2d(0), image) == .invalidArgument)
    #expect(code(Softmax(axis: 4), image) == .shapeMismatch)
    #expect(code(Hardtanh(1, -1), image) == .invalidArgument)
    #expect(code(Flatten(from: 3, to: 1), image) == .invalidArgument)
    #expect(code(ReLU(), try Tensor(zeros: [1], dtype: .int8)) == .dtypeMismatch)
  }

  @Test func batchNormDoesNotLearnFromWhatDoesNotFit() throws {
    let layer = BatchNorm2d(3)
    layer.isTraining = true
    for shape in [[2, 4, 2, 2], [2, 2, 2, 2], [3], [1, 3], [1, 3, 1, 1], [0, 3, 2, 2]] {
      let error = octetError { try layer(Tensor.random(shape, seed: 1)) }
      #expect(error?.code == .shapeMismatch, "\(shape)")
    }
    #expect(try layer.runningMean.value.floats == [0, 0, 0] && layer.runningVar.value.floats == [1, 1, 1])
  }

  @Test func freshBatchNormHasFourTensorsOfItsOwn() {
    let layer = BatchNorm2d(2)
    let values = layer.ownParameters.map(\.parameter.value)
    #expect(Set(values.map(\.identity)).count == 4)
    #expect(layer.parameters.count == 2, "statistics are not trainable")
  }
}
