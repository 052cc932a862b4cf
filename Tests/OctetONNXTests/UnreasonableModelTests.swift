import OctetCore
import OctetONNX
import TestSupport
import Testing

/// A few bytes that ask for overflowing sizes, for much memory or for hours: an error, or work that is left for
/// running.
@Suite struct UnreasonableModelTests {
  private static let huge = 1 << 62

  private func error(
    _ nodes: [ProtocolBuffer], _ shape: [Any], _ initializers: [ProtocolBuffer] = [], opset: Int = 17
  ) -> OctetError? {
    let graph = Proto.graph(nodes, inputs: [Proto.value("x", shape)], initializers: initializers)
    return octetError { try ONNXModel(bytes: Proto.model(graph, opset: opset)) }
  }

  @Test func sizesWhoseProductOverflows() {
    let reshape = error(
      [Proto.node("Reshape", ["x", "shape"], ["y"])], [1, 4], [Proto.tensor("shape", [3], [Self.huge, -1, Self.huge])])
    #expect(reshape?.subject.contains("Reshape") == true, "\(String(describing: reshape))")
    for type in ["DepthToSpace", "SpaceToDepth"] {
      let node = Proto.node(type, ["x"], ["y"], Proto.attribute("blocksize", Self.huge))
      #expect(error([node], [1, 4, 2, 2])?.code == .unsupported)
    }
  }

  /// Numbers whose magnitude is no `Int`, and others that only a checked calculation survives.
  @Test(arguments: [Int.min, Int.max, 1 << 62, -1 << 40]) func extremeNumbers(_ number: Int) {
    let w = Proto.tensor("w", [1, 1, 2, 2], [1, 1, 1, 1] as [Float])
    for name in ["pads", "strides", "dilations"] {
      let values = Proto.attribute(name, [Int](repeating: number, count: name == "pads" ? 4 : 2))
      let kernel = Proto.attribute("kernel_shape", [2, 2])
      for (node, initializers) in [
        (Proto.node("Conv", ["x", "w"], ["y"], values), [w]),
        (Proto.node("ConvTranspose", ["x", "w"], ["y"], values), [w]),
        (Proto.node("MaxPool", ["x"], ["y"], kernel, values), []),
      ] {
        #expect(error([node], [1, 1, 4, 4], initializers) != nil, "\(name)")
      }
    }
    let pads = Proto.tensor("pads", [8], [0, 0, number, 0, 0, 0, 0, 0])
    #expect(error([Proto.node("Pad", ["x", "pads"], ["y"])], [1, 1, 4, 4], [pads]) != nil)
    let batch = Proto.node("GatherND", ["x", "indices"], ["y"], Proto.attribute("batch_dims", number))
    #expect(error([batch], [2, 2], [Proto.tensor("indices", [2, 1], [0, 1])]) != nil)
    let resize = Proto.node(
      "Resize", ["x", "", "", "sizes"], ["y"], Proto.attribute("keep_aspect_ratio_policy", "not_larger"))
    #expect(
      error([resize], [1, 1, 4, 4], [Proto.tensor("sizes", [4], [number, number, number, number])], opset: 18) != nil)
    let lstm = Proto.node("LSTM", ["x", "w", "w"], ["y"], Proto.attribute("hidden_size", min(number, 1 << 30)))
    let weights = Proto.tensor("w", [1, 4, 1], [1, 1, 1, 1] as [Float])
    #expect(error([lstm], [1, 1, 1], [weights]) != nil)
    for (name, type) in [("kernel_shape", "MaxPool"), ("output_shape", "ConvTranspose")] {
      let node = Proto.node(
        type, type == "MaxPool" ? ["x"] : ["x", "w"], ["y"], Proto.attribute(name, [number, 1]),
        Proto.attribute("auto_pad", "SAME_UPPER"))
      #expect(error([node], [1, 1, 4, 4], [w]) != nil, "\(name)")
    }
    // A diagonal far outside is all zeros.
    #expect(error([Proto.node("EyeLike", ["x"], ["y"], Proto.attribute("k", number))], [2, 2], []) == nil)
  }

  /// What a mapping would list while reading, as long as an input that has no bytes in the file.
  @Test func listsAsLongAsAnInput() {
    let long = 1 << 40
    let last = Proto.attribute("select_last_index", 1)
    let cases: [(ProtocolBuffer, [Any], [ProtocolBuffer])] = [
      (Proto.node("ArgMax", ["x"], ["y"], last), [long, 2], []),
      (Proto.node("ArgMin", ["x"], ["y"], Proto.attribute("axis", 1), last), [2, long], []),
      (Proto.node("EyeLike", ["x"], ["y"]), [1 << 20, 1 << 20], []),
      (Proto.node("Trilu", ["x"], ["y"]), [1 << 20, 1 << 20], []),
    ]
    for (node, shape, initializers) in cases {
      let error = error([node], shape, initializers)
      #expect(error?.code == .unsupported, "\(shape): \(String(describing: error))")
    }
    let groups = Proto.node("GroupNormalization", ["x", "s", "s"], ["y"], Proto.attribute("num_groups", 1))
    #expect(error([groups], [1, long, 2], [Proto.tensor("s", [1], [1 as Float])], opset: 18)?.code == .unsupported)
  }

  /// Products of constants that a file makes of nothing are left for running; small ones are computed.
  @Test(arguments: [(8, true), (8192, false)]) func computedWhileReading(_ size: Int, _ isComputed: Bool) throws {
    var nodes = [Proto.node("ConstantOfShape", ["shape"], ["c0"])]
    for step in 0..<20 { nodes.append(Proto.node("MatMul", ["c\(step)", "c\(step)"], ["c\(step + 1)"])) }
    nodes.append(Proto.node("Add", ["x", "c20"], ["y"]))
    let graph = Proto.graph(
      nodes, inputs: [Proto.value("x", [1, size])], initializers: [Proto.tensor("shape", [2], [size, size])])
    let read = try ONNXModel(bytes: Proto.model(graph)).graph
    #expect(read.nodes.count == (isComputed ? 1 : 21))
    #expect(try read.foldingConstants().nodes.count == read.nodes.count)
  }

  @Test func manyLargeConstants() throws {
    // Each has 64 MB; the first eight fill what there is.
    var nodes = [Proto.node("ConstantOfShape", ["shape"], ["c0"])]
    for step in 0..<40 { nodes.append(Proto.node("Neg", ["c\(step)"], ["c\(step + 1)"])) }
    nodes.append(Proto.node("Add", ["x", "c40"], ["y"]))
    let graph = Proto.graph(
      nodes, inputs: [Proto.value("x", [1])], initializers: [Proto.tensor("shape", [1], [1 << 24])])
    let read = try ONNXModel(bytes: Proto.model(graph)).graph
    #expect(read.nodes.count > 30 && read.nodes.count < 42)
  }
}
