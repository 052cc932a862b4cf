import OctetCore
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// Operators that become several operations, against what ONNX Runtime 1.32 and ONNX's documentation say.
@Suite struct ComposedOperatorTests {
  private func run(
    _ node: ProtocolBuffer, _ x: Tensor, open: Bool = false, _ constants: [ProtocolBuffer] = [],
    domains: [String] = []
  ) throws -> Tensor {
    let shape: [Any] = x.shape.enumerated().map { open && $0 == 0 ? "n" as Any : $1 as Any }
    let graph = Proto.graph([node], inputs: [Proto.value("x", shape)], outputs: ["y"], initializers: constants)
    return try ONNXModel(bytes: Proto.model(graph, opset: 13, domains: domains)).graph.replay([x])[0]
  }

  private func floats(_ name: String, _ shape: [Int], _ values: [Float]) -> ProtocolBuffer {
    Proto.tensor(name, shape, values)
  }

  private let steps: [Float] = [0.5, -1, 2, 0.25]

  @Test func plainRecurrentLayers() throws {
    let found = try run(
      Proto.node("RNN", ["x", "W", "R", "B"], ["y"], Proto.attribute("hidden_size", 3)),
      Tensor(steps, shape: [2, 1, 2]), open: true,
      [
        floats("W", [1, 3, 2], [0.5, -0.25, 0.125, 1, -0.5, 0.75]),
        floats("R", [1, 3, 3], [0.1, 0.2, -0.3, 0.4, -0.5, 0.6, 0.7, -0.8, 0.9]),
        floats("B", [1, 6], [0.1, -0.2, 0.3, 0.4, 0.5, -0.6]),
      ])
    let expected: [Float] = [0.761594057, -0.563194871, -0.861723125, 0.9301548, 0.700968027, -0.718423426]
    #expect(try discrepancy(found, Tensor(expected, shape: [2, 1, 1, 3]), absolute: 1e-6, relative: 0) == nil)
  }

  /// Weights of bytes, with one scale and with a scale for each row of the gates.
  @Test(arguments: [true, false]) func dynamicallyQuantizedLSTM(_ isPerChannel: Bool) throws {
    func bytes(_ count: Int, _ factor: Int) -> [UInt8] {
      (0..<count).map { (i: Int) -> UInt8 in UInt8(bitPattern: Int8(i * factor % 200 - 100)) }
    }
    func scales(_ name: String, _ one: Float, _ ends: ClosedRange<Float>, isFalling: Bool) -> ProtocolBuffer {
      if !isPerChannel { return floats(name, [1], [one]) }
      let step = (ends.upperBound - ends.lowerBound) / 11
      return floats(
        name, [1, 12],
        (0..<12).map { (i: Int) -> Float in
          isFalling ? ends.upperBound - Float(i) * step : ends.lowerBound + Float(i) * step
        })
    }
    let zeros = { (name: String) in
      Proto.tensor(
        name, type: 3, isPerChannel ? [1, 12] : [1], raw: [UInt8](repeating: 0, count: isPerChannel ? 12 : 1))
    }
    let node = Proto.node(
      "DynamicQuantizeLSTM", ["x", "W", "R", "B", "", "", "", "", "ws", "wz", "rs", "rz"], ["y"],
      domain: "com.microsoft", Proto.attribute("hidden_size", 3))
    let found = try run(
      node, Tensor(steps, shape: [2, 1, 2]),
      [
        Proto.tensor("W", type: 3, [1, 2, 12], raw: bytes(24, 29)),
        Proto.tensor("R", type: 3, [1, 3, 12], raw: bytes(36, 37)),
        floats("B", [1, 24], (0..<24).map { (i: Int) -> Float in Float(i * 7 % 11 - 5) / 10 }),
        scales("ws", 0.01, 0.005...0.012, isFalling: false), zeros("wz"),
        scales("rs", 0.008, 0.006...0.012, isFalling: true), zeros("rz"),
      ], domains: ["com.microsoft"])
    let expected: [Float] =
      isPerChannel
      ? [0.16830875, 0.00894225, 0.08129712, 0.03804526, -0.11310201, 0.01081893]
      : [0.12030225, -0.00404445, 0.05409617, 0.04177724, -0.0795685, -0.00623425]
    #expect(try discrepancy(found, Tensor(expected, shape: [2, 1, 1, 3]), absolute: 1e-6, relative: 0) == nil)
  }

  /// The first row of ONNX's example `resize_upsample_scales_cubic`.
  @Test func cubicResizing() throws {
    let found = try run(
      Proto.node("Resize", ["x", "", "scales"], ["y"], Proto.attribute("mode", "cubic")),
      .counting([1, 1, 4, 4], from: 1), open: true, [floats("scales", [4], [1, 1, 2, 2])])
    #expect(found.shape == [1, 1, 8, 8])
    let row: [Float] = [0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375]
    #expect(
      try discrepancy(found.slice(axis: 2, to: 1), Tensor(row, shape: [1, 1, 1, 8]), absolute: 1e-5, relative: 0) == nil
    )
  }

  /// Sums over windows of a volume, by hand: with all weights 1 every element counts once for each window that has it.
  @Test(arguments: [1, 2]) func convolutionsOfVolumes(groups: Int) throws {
    let x = try Tensor.counting([2, 2, 4, 3, 3])
    let weight = floats("w", [2, 2 / groups, 2, 3, 3], [Float](repeating: 1, count: 36 * 2 / groups))
    let node = Proto.node(
      "Conv", ["x", "w", "b"], ["y"], Proto.attribute("group", groups), Proto.attribute("strides", [2, 1, 1]),
      Proto.attribute("pads", [1, 0, 0, 1, 0, 0]))
    let found = try run(node, x, open: true, [weight, floats("b", [2], [0, 1000])])
    #expect(found.shape == [2, 2, 3, 1, 1])
    let planes = try x.floats
    func sum(_ image: Int, _ channel: Int, _ depth: Int) -> Float {
      guard (0..<4).contains(depth) else { return 0 }
      let start = ((image * 2 + channel) * 4 + depth) * 9
      return planes[start..<start + 9].reduce(0, +)
    }
    var expected: [Float] = []
    for image in 0..<2 {
      for channel in 0..<2 {
        for place in 0..<3 {
          let depths = [2 * place - 1, 2 * place]
          let channels = groups == 2 ? [channel] : [0, 1]
          let total = channels.reduce(Float(0)) { sums, c in depths.reduce(sums) { $0 + sum(image, c, $1) } }
          expected.append(total + (channel == 1 ? 1000 : 0))
        }
      }
    }
    #expect(try found.floats == expected)
  }

  @Test func poolingOfVolumes() throws {
    let x = try Tensor.counting([1, 2, 4, 4, 4])
    let windows = [Proto.attribute("kernel_shape", [2, 2, 2]), Proto.attribute("strides", [2, 2, 2])]
    let largest = try run(Proto.node("MaxPool", ["x"], ["y"], windows[0], windows[1]), x, open: true)
    #expect(largest.shape == [1, 2, 2, 2, 2])
    #expect(try largest.floats.prefix(8) == [21, 23, 29, 31, 53, 55, 61, 63])
    let mean = try run(Proto.node("AveragePool", ["x"], ["y"], windows[0], windows[1]), x)
    #expect(try mean.floats.prefix(2) == [10.5, 12.5])
  }

  @Test func columnsOfTables() throws {
    let scaled = try run(
      Proto.node(
        "Scaler", ["x"], ["y"], domain: "ai.onnx.ml", Proto.attribute("offset", [1, 2] as [Float]),
        Proto.attribute("scale", [2, 10] as [Float])), .counting([2, 2]), open: true, domains: ["ai.onnx.ml"])
    #expect(try scaled.floats == [-2, -10, 2, 10])
    let columns = try run(
      Proto.node("ArrayFeatureExtractor", ["x", "i"], ["y"], domain: "ai.onnx.ml"), .counting([2, 3]), open: true,
      [Proto.tensor("i", [2], [2, 0] as [Int])], domains: ["ai.onnx.ml"])
    #expect(try columns.floats == [2, 0, 5, 3])
  }
}
