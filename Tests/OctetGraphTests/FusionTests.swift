import OctetCore
import OctetGraph
import OctetNN
import TestSupport
import Testing

@Suite("Fusing everything that can be fused")
struct FusionTests {
  static let folds = ((try? VectorCase.load("layers")) ?? []).filter {
    ["folded_conv", "folded_linear"].contains(try? $0.string("kind"))
  }
  let image = TensorType(.float32, [.symbolic("n"), 2, 5, 5])

  /// Replays both graphs on random images.
  private func expectSame(_ a: Graph, _ b: Graph) throws {
    let x = try Tensor.random([3, 2, 5, 5], seed: 11)
    for (first, second) in zip(try a.replay([x]), try b.replay([x])) {
      #expect(try discrepancy(first, second, absolute: 1e-5, relative: 1e-5) == nil)
    }
  }

  private func conv() -> Conv2d { Conv2d(2, 2, kernelSize: 3, padding: 1) }

  @Test("batch normalization folds into the weights PyTorch folds", arguments: folds)
  func folding(_ test: VectorCase) throws {
    let weight = try test.tensor("state/0.weight")
    let layer: Module
    let normalization: BatchNorm2d
    if try test.string("kind") == "folded_conv" {
      let (stride, padding) = (try test.ints("stride"), try test.ints("padding"))
      layer = Conv2d(
        try test.tensor("x").shape[1], weight.shape[0], kernelSize: Size2D(weight.shape[2], weight.shape[3]),
        stride: Size2D(stride[0], stride[1]), padding: Padding2D(Size2D(padding[0], padding[1])),
        groups: try test.int("groups"), bias: try test.bool("bias"))
    } else {
      layer = Linear(weight.shape[1], weight.shape[0], bias: try test.bool("bias"))
    }
    normalization = BatchNorm2d(weight.shape[0], epsilon: try test.float("epsilon"))
    let network = Sequential(layer, normalization)
    try network.load(test.tensors(below: "state/"))
    let (x, y) = (try test.tensor("x"), try test.tensor("y"))
    #expect(try discrepancy(network(x), y) == nil)
    let fused = try network.trace(Networks.inputType(test)).fused()
    #expect(fused.nodes.count == 1 && fused.nodes[0].modules == ["0", "1"])
    #expect(fused.nodes[0].inputs == ["x", "0.weight", "0.bias"] && fused.parameters.count == 2)
    let folded = fused.parameters
    #expect(try discrepancy(#require(folded["0.weight"]).value, test.tensor("folded/weight"), absolute: 1e-6) == nil)
    #expect(try discrepancy(#require(folded["0.bias"]).value, test.tensor("folded/bias"), absolute: 1e-6) == nil)
    #expect(try discrepancy(fused.replay([x])[0], y) == nil)
    #expect(
      try discrepancy(network.stateDict["0.weight"]!, weight, absolute: 0, relative: 0) == nil,
      "the module keeps its own")
  }

  @Test func batchNormalizationFoldsIntoSignalsAndTransposedConvolutions() throws {
    let cases = (try VectorCase.load("layers")).filter {
      ["folded_conv1d", "folded_conv_transpose"].contains(try? $0.string("kind"))
    }
    #expect(cases.count == 2)
    for test in cases {
      let isSignal = try test.string("kind") == "folded_conv1d"
      let network = Sequential(
        isSignal
          ? Conv1d(3, 4, kernelSize: 3, padding: 1)
          : ConvTranspose2d(4, 6, kernelSize: 3, stride: 2, padding: 1, outputPadding: 1, groups: 2),
        isSignal ? BatchNorm1d(4) : BatchNorm2d(6), ReLU())
      try network.load(test.tensors(below: "state/"))
      let (x, y) = (try test.tensor("x"), try relu(test.tensor("y")))
      #expect(try discrepancy(network(x), y) == nil)
      let fused = try network.trace(Networks.inputType(test)).fused()
      #expect(fused.kinds == [isSignal ? .conv : .convTranspose] && fused.nodes[0].op.activation == .relu)
      #expect(try discrepancy(fused.replay([x])[0], y) == nil)
    }
  }

  @Test func allFoldsOfTheFileRan() {
    #expect(
      Self.folds.map(\.name) == [
        "fold_conv", "fold_conv_depthwise", "fold_conv_groups_strided", "fold_conv_no_bias", "fold_linear",
        "fold_linear_no_bias",
      ])
  }

  @Test func convBatchNormAndReLUBecomeOne() throws {
    let graph = try Sequential(conv(), Networks.batchNorm(2, seed: 1, epsilon: 0.01), ReLU()).trace(image)
    let fused = try graph.fused()
    #expect(fused.nodes.map(\.name) == ["0.conv"])
    #expect(fused.nodes[0].op.activation == .relu && fused.nodes[0].modules == ["0", "1", "2"])
    #expect(fused.nodes[0].outputs == ["2.relu"] && fused.outputs[0].value == "2.relu")
    try expectSame(graph, fused)
  }

  @Test func activationsAreAttached() throws {
    for (module, activation) in [
      (ReLU(), .relu), (ReLU6(), .clip(minimum: 0, maximum: 6)),
      (Hardtanh(-0.1, 0.2), .clip(minimum: -0.1, maximum: 0.2)),
    ] as [(Module, Activation)] {
      let graph = try Sequential(conv(), module).trace(image)
      let fused = try graph.fused()
      #expect(fused.kinds == [.conv] && fused.nodes[0].op.activation == activation)
      try expectSame(graph, fused)
      let flat = TensorType(.float32, [.symbolic("n"), 3])
      let linear = try Sequential(Linear(3, 4), module).trace(flat).fused()
      #expect(
        linear.kinds == [.linear] && linear.nodes[0].op.activation == activation
          && linear.nodes[0].modules == ["0", "1"])
    }
  }

  @Test func onlyTheFirstActivationIsAttached() throws {
    let graph = try Sequential(conv(), ReLU(), ReLU6()).trace(image)
    #expect(try graph.fused().kinds == [.conv, .clip])
    try expectSame(graph, graph.fused())
  }

  @Test func aNormalizationAfterAnActivationStays() throws {
    let graph = try Sequential(conv(), ReLU(), Networks.batchNorm(2, seed: 2)).trace(image)
    #expect(try graph.fused().kinds == [.conv, .batchNormalization])
    try expectSame(graph, graph.fused())
  }

  @Test func twoNormalizationsFoldBoth() throws {
    let graph = try Sequential(conv(), Networks.batchNorm(2, seed: 2), Networks.batchNorm(2, seed: 3)).trace(image)
    #expect(try graph.fused().kinds == [.conv])
    try expectSame(graph, graph.fused())
  }

  @Test func aResidualBlockBecomesThreeConvolutions() throws {
    let block = ResidualBlock(2, 3, stride: 1)
    let graph = try block.trace(image)
    let fused = try graph.fused()
    #expect(fused.nodes.map(\.name) == ["conv1.conv", "downsample.0.conv", "conv2.conv"])
    let last = fused.nodes[2]
    #expect(last.inputs == ["relu", "conv2.weight", "conv2.bias", "downsample.1.batchNormalization"])
    #expect(last.op.activation == .relu && last.modules == ["conv2", "bn2", "add", "relu_1"])
    try expectSame(graph, fused)
  }

  @Test func residualsMayStayApart() throws {
    let graph = try ResidualBlock(2, 3, stride: 1).trace(image)
    let fused = try graph.fused(residuals: false)
    #expect(fused.kinds == [.conv, .conv, .conv, .add, .relu])
    try expectSame(graph, fused)
  }

  @Test func constantsOfChannelsFold() throws {
    let constant = try Tensor.counting([2, 1, 1], from: 0.6, step: 0.7)
    let bodies: [(Tensor) throws -> Tensor] = [
      { try $0 + constant }, { try constant + $0 }, { try $0 - constant }, { try constant - $0 }, { try $0 * constant },
      { try $0 / constant }, { try $0 * Tensor(Float(-3)) }, { try relu($0 * constant + Tensor(Float(2))) },
    ]
    for (index, body) in bodies.enumerated() {
      for layer in [conv(), ConvTranspose2d(2, 2, kernelSize: 3, padding: 1)] as [Module] {
        let graph = try Lambda([layer]) { [try body($0[0]($1[0]))] }.trace(image)
        #expect(try graph.fused().nodes.count == 1, "\(index)")
        try expectSame(graph, graph.fused())
      }
      let row = try constant.reshape([2])
      let linear = try Lambda([Linear(5, 2)]) { [try $0[0]($1[0]) - row] }.trace(image)
      #expect(try linear.fused().kinds == [.linear])
      try expectSame(linear, linear.fused())
    }
    // Not the constant's inverse, and nothing that is not finite.
    for body in [{ try constant / $0 }, { try $0 / Tensor(Float(0)) }] as [(Tensor) throws -> Tensor] {
      let graph = try Lambda([conv()]) { [try body($0[0]($1[0]))] }.trace(image)
      #expect(try graph.fused().kinds == [.conv, .div])
    }
  }

  @Test func functionsThatAreSpelledOut() throws {
    func number(_ value: Double) throws -> Tensor { try Tensor(Float(value)) }
    func bounded(_ x: Tensor) throws -> Tensor { try clip(x, minimum: 0, maximum: 6) }
    let functions: [(Op.Kind, (Tensor) throws -> Tensor)] = [
      (.silu, { try $0 * sigmoid($0) }), (.silu, { try sigmoid($0) * $0 }),
      (.hardSwish, { try $0 * hardSigmoid($0) }),
      (.hardSwish, { try $0 * bounded($0 + number(3)) / number(6) }),
      (.hardSwish, { try $0 * (bounded(number(3) + $0) * number(1.0 / 6)) }),
      (.hardSigmoid, { try bounded($0 + number(3)) / number(6) }),
      (.gelu, { try $0 * number(0.5) * (erf($0 / number(1.4142135)) + number(1)) }),
      (.gelu, { try number(0.5) * ($0 * (number(1) + erf($0 * number(0.70710678)))) }),
    ]
    for (index, (kind, function)) in functions.enumerated() {
      let graph = try Lambda([]) { [try function($1[0])] }.trace(image)
      let fused = try graph.fused()
      #expect(fused.kinds == [kind], "\(index)")
      #expect(fused.nodes[0].outputs == [graph.outputs[0].value])
      try expectSame(graph, fused)
    }
    // Other numbers, other operands, and values that are read elsewhere.
    let others: [(Tensor) throws -> [Tensor]] = [
      { [try $0 * bounded($0 + number(2)) / number(6)] }, { [try $0 * bounded($0 + number(3)) / number(5)] },
      { [try -$0 * sigmoid($0)] },
      { x in
        let gate = try sigmoid(x)
        return [try x * gate, gate]
      },
      { [try number(6) / ($0 * bounded($0 + number(3)))] },
    ]
    for body in others {
      let graph = try Lambda([]) { try body($1[0]) }.trace(image)
      #expect(try graph.fused().nodes.count == graph.nodes.count)
      try expectSame(graph, graph.fused())
    }
  }

  @Test func theResidualMayStandOnEitherSide() throws {
    for swapped in [false, true] {
      let graph = try Lambda([conv()]) { layers, x in
        let y = try layers[0](x[0])
        return [try relu(swapped ? x[0] + y : y + x[0])]
      }.trace(image)
      let fused = try graph.fused()
      #expect(fused.kinds == [.conv] && fused.nodes[0].inputs == ["x", "0.weight", "0.bias", "x"])
      try expectSame(graph, fused)
    }
  }

  // MARK: - What stays

  @Test func aValueUsedElsewhereIsNotFusedAway() throws {
    let graph = try Lambda([conv(), try Networks.batchNorm(2, seed: 4)]) { layers, x in
      let y = try layers[0](x[0])
      return [try relu(layers[1](y)) * y]
    }.trace(image)
    #expect(try graph.fused().kinds == [.conv, .batchNormalization, .relu, .mul])
    try expectSame(graph, graph.fused())
  }

  @Test func aValueUsedByNothingThatCountsIsFused() throws {
    let graph = try Lambda([conv()]) { layers, x in
      let y = try layers[0](x[0])
      _ = try y * y
      return [try relu(y)]
    }.trace(image)
    #expect(try graph.fused().kinds == [.conv])
  }

  @Test func anOutputIsNotFusedAway() throws {
    let graph = try Lambda([conv()]) { layers, x in
      let y = try layers[0](x[0])
      return [y, try relu(y)]
    }.trace(image)
    #expect(try graph.fused().kinds == [.conv, .relu])
    try expectSame(graph, graph.fused())
  }

  @Test func additionsWithoutAResidualStay() throws {
    let bias = try Tensor.random([5, 1], seed: 5)
    let same = try Tensor.random([1, 2, 5, 5], seed: 5)
    let bodies: [([Module], [Tensor]) throws -> [Tensor]] = [
      { [try $0[0]($1[0]) + bias] }, { [try $0[0]($1[0]) + same] },
      { layers, x in
        let y = try layers[0](x[0])
        return [try y + y]
      },
      { layers, x in [try layers[0](x[0]) + x[0].mean([2, 3], keepDimensions: true)] },
    ]
    for body in bodies {
      let graph = try Lambda([conv()], body).trace(image)
      #expect(try graph.fused().kinds.last == .add)
      try expectSame(graph, graph.fused())
    }
  }

  @Test func sharedParametersKeepTheirOldValuesForOthers() throws {
    // One convolution, used twice, of which one result is normalized; and its statistics scale something else.
    let (layer, normalization) = (conv(), try Networks.batchNorm(2, seed: 6))
    let graph = try Lambda([layer, normalization]) { layers, x in
      let normalized = try layers[1](layers[0](x[0]))
      return [normalized, try layers[0](x[0] + x[0]), try layers[1](x[0])]
    }.trace(image)
    let fused = try graph.fused()
    #expect(fused.kinds == [.conv, .add, .conv, .batchNormalization])
    #expect(
      fused.nodes[0].inputs == ["x", "0.weight_1", "0.bias_1"]
        && fused.nodes[2].inputs == ["add", "0.weight", "0.bias"])
    try expectSame(graph, fused)
    #expect(fused.parameters["0.weight"] === layer.weight)
  }

  @Test func tiedWeightsWithDifferentNormalizations() throws {
    let layers: [Module] = [conv(), try Networks.batchNorm(2, seed: 7), try Networks.batchNorm(2, seed: 8)]
    let graph = try Lambda(layers) { layers, x in
      [try layers[1](layers[0](x[0])), try layers[2](layers[0](relu(x[0])))]
    }.trace(image)
    let fused = try graph.fused()
    #expect(fused.kinds == [.conv, .relu, .conv])
    try expectSame(graph, fused)
  }

  @Test func normalizationOfAnotherAxisStays() throws {
    // Linear gives [n, 5, 2]; the normalization's axis 1 is not the linear layer's last one.
    let graph = try Lambda([Linear(5, 2), try Networks.batchNorm(2, seed: 9)]) { layers, x in
      [try layers[1](layers[0](x[0].flatten(from: 2).reshape([-1, 2, 5, 5])).mean([2]))]
    }.trace(image)
    let three = try Lambda([Linear(25, 5), try Networks.batchNorm(2, seed: 9)]) { layers, x in
      [try layers[1](layers[0](x[0].flatten(from: 2)))]
    }.trace(image)
    for graph in [graph, three] {
      #expect(try graph.fused().kinds.contains(.batchNormalization))
      try expectSame(graph, graph.fused())
    }
  }

  @Test func fusingTwiceChangesNothing() throws {
    let once = try FashionCNN().trace(TensorType(.float32, [.symbolic("n"), 1, 8, 8])).fused()
    #expect(try once.fused().description == once.description)
  }
}
