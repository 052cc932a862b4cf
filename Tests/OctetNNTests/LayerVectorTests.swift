import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

/// Layers of signals, transposed convolutions, normalizations, activations and tables against PyTorch.
@Suite struct LayerVectorTests {
  private static func cases(_ ops: String...) -> [VectorCase] {
    LayerTests.operations.filter { test in ops.contains { $0 == (try? test.string("op")) } }
  }

  private func check(_ layer: Module, _ test: VectorCase, input: String = "x", absolute: Float = 2e-6) throws {
    let names = Set(layer.stateDict.keys)
    try layer.load(test.tensors.filter { names.contains($0.key) })
    #expect(try discrepancy(layer(test.tensor(input)), test.tensor("y"), absolute: absolute) == nil)
  }

  @Test(arguments: cases("conv1d"))
  func conv1d(_ test: VectorCase) throws {
    let (x, weight) = (try test.tensor("x"), try test.tensor("weight"))
    let layer = Conv1d(
      x.shape[1], weight.shape[0], kernelSize: weight.shape[2], stride: try test.int("stride"),
      padding: try test.int("padding"), dilation: try test.int("dilation"), groups: try test.int("groups"),
      bias: try test.bool("bias"))
    try check(layer, test)
  }

  @Test(arguments: cases("conv_transpose"))
  func convTranspose(_ test: VectorCase) throws {
    let (x, weight) = (try test.tensor("x"), try test.tensor("weight"))
    let groups = try test.int("groups")
    let (stride, padding) = (try test.ints("stride"), try test.ints("padding"))
    let (extra, dilation) = (try test.ints("output_padding"), try test.ints("dilation"))
    let outputs = weight.shape[1] * groups
    let bias = try test.bool("bias")
    let layer: Module =
      x.rank == 3
      ? ConvTranspose1d(
        x.shape[1], outputs, kernelSize: weight.shape[2], stride: stride[1], padding: padding[1],
        outputPadding: extra[1], groups: groups, bias: bias, dilation: dilation[1])
      : ConvTranspose2d(
        x.shape[1], outputs, kernelSize: Size2D(weight.shape[2], weight.shape[3]),
        stride: Size2D(stride[0], stride[1]), padding: Padding2D(Size2D(padding[0], padding[1])),
        outputPadding: Size2D(extra[0], extra[1]), groups: groups, bias: bias,
        dilation: Size2D(dilation[0], dilation[1]))
    try check(layer, test)
  }

  @Test(arguments: cases("max_pool1d", "avg_pool1d"))
  func pool1d(_ test: VectorCase) throws {
    let (kernel, stride) = (try test.int("kernel"), try test.int("stride"))
    let (padding, ceil) = (try test.int("padding"), try test.bool("ceil_mode"))
    try check(
      try test.string("op") == "max_pool1d"
        ? MaxPool1d(kernelSize: kernel, stride: stride, padding: padding, ceilMode: ceil)
        : AvgPool1d(kernelSize: kernel, stride: stride, padding: padding, ceilMode: ceil), test)
  }

  @Test(arguments: cases("layer_norm", "group_norm", "instance_norm"))
  func normalization(_ test: VectorCase) throws {
    let x = try test.tensor("x")
    let (affine, epsilon) = (try test.bool("affine"), try test.float("epsilon"))
    let layer: Module
    switch try test.string("op") {
    case "layer_norm":
      layer = LayerNorm(
        Array(x.shape[try test.int("axis")...]), epsilon: epsilon, elementwiseAffine: affine)
    case "group_norm": layer = GroupNorm(try test.int("groups"), x.shape[1], epsilon: epsilon, affine: affine)
    default:
      layer =
        x.rank == 4
        ? InstanceNorm2d(x.shape[1], epsilon: epsilon, affine: affine)
        : InstanceNorm1d(x.shape[1], epsilon: epsilon, affine: affine)
    }
    try check(layer, test, absolute: 5e-6)
  }

  @Test(arguments: cases("prelu"))
  func prelu(_ test: VectorCase) throws { try check(PReLU(try test.tensor("weight").shape[0]), test) }

  @Test func activations() throws {
    let layers: [String: Module] = [
      "sigmoid": Sigmoid(), "tanh": Tanh(), "silu": SiLU(), "hardswish": Hardswish(), "hardsigmoid": Hardsigmoid(),
      "softplus": Softplus(), "gelu": GELU(), "gelu_tanh": GELU(approximate: .tanh), "leaky_relu": LeakyReLU(0.2),
      "elu": ELU(1.5),
    ]
    for (name, layer) in layers {
      let test = try #require(Self.cases(name).first, "\(name)")
      try check(layer, test)
    }
    for test in Self.cases("log_softmax") { try check(LogSoftmax(axis: try test.int("axis")), test) }
  }

  @Test(arguments: cases("resize"))
  func upsample(_ test: VectorCase) throws {
    let kind = try test.string("kind")
    let mode: Upsample.Mode = kind == "nearest" ? .nearest : .linear(alignCorners: kind == "corners")
    try check(
      test.attributes["sizes"] == nil
        ? Upsample(scaleFactor: try test.floats("scales")[0], mode: mode)
        : Upsample(size: try test.ints("sizes"), mode: mode), test)
  }

  @Test func embeddingLooksUpRows() throws {
    let test = try #require(LayerTests.operations.first { $0.name == "gather_rows" })
    try check(Embedding(7, 4), test, input: "indices")
    let error = octetError { try Embedding(7, 4)(Tensor([Int64(7)], shape: [1])) }
    #expect(error?.code == .invalidArgument)
  }

  @Test func batchNorm1dIsBatchNormalization() throws {
    let rows = try #require(LayerTests.operations.first { $0.name == "batch_norm_2d" })
    try check(BatchNorm1d(5), rows, absolute: 1e-5)
    #expect(BatchNorm1d(3).stateDict.keys.sorted() == BatchNorm2d(3).stateDict.keys.sorted())
    #expect(try BatchNorm1d(3)(Tensor.random([2, 3, 4], seed: 1)).shape == [2, 3, 4])
  }

  @Test func everyFamilyRan() {
    let families = ["conv1d", "conv_transpose", "prelu", "layer_norm", "group_norm", "instance_norm", "resize"]
    #expect(families.map { Self.cases($0).count } == [4, 9, 3, 3, 3, 2, 14])
  }

  @Test func freshLayersHavePyTorchsDistributions() throws {
    func spread(_ module: Module, _ name: String) throws -> (least: Float, most: Float) {
      try module.initialize(seed: 3)
      let values = try module.stateDict[name]!.floats
      return (values.min()!, values.max()!)
    }
    // 1/√(fan in), the fan of a transposed convolution being that of its second axis.
    let conv = try spread(Conv1d(8, 16, kernelSize: 4), "weight")
    #expect(conv.most <= 1 / Float(32).squareRoot() && conv.most > 0.95 / Float(32).squareRoot())
    let transposed = try spread(ConvTranspose2d(16, 32, kernelSize: 2, groups: 2), "bias")
    #expect(transposed.most <= 1 / 8 && transposed.most > 0.1 && transposed.least < -0.1)
    let attention = try spread(MultiheadAttention(16, 2), "in_proj_weight")
    #expect(attention.most <= Float(6.0 / 64).squareRoot() && attention.most > 0.98 * Float(6.0 / 64).squareRoot())
    let table = Embedding(400, 16)
    try table.initialize(seed: 5)
    let values = try table.weight.value.floats
    let mean = values.reduce(0, +) / Float(values.count)
    let variance = values.reduce(0) { $0 + $1 * $1 } / Float(values.count)
    #expect(abs(mean) < 0.04 && abs(variance - 1) < 0.06)
    #expect(try PReLU(3).weight.value.floats == [0.25, 0.25, 0.25])
  }
}
