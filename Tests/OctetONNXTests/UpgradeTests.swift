import OctetCore
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// What changed between versions of an operator comes to the same graph.
@Suite struct UpgradeTests {
  private static let x = Proto.value("x", ["n", 4, 6])

  /// What a node with these constants makes of x = −5, −4.5, … [2, 4, 6].
  private func run(
    _ node: ProtocolBuffer, opset: Int, _ constants: [ProtocolBuffer] = [], outputs: [String] = ["y"]
  ) throws -> [Tensor] {
    let model = Proto.model(
      Proto.graph([node], inputs: [Self.x], outputs: outputs, initializers: constants), opset: opset)
    return try ONNXModel(bytes: model).graph.replay([.counting([2, 4, 6], from: -5, step: 0.5)])
  }

  private func same(_ old: [Tensor], _ new: [Tensor]) throws -> Bool {
    guard old.count == new.count else { return false }
    return try zip(old, new).allSatisfy { try discrepancy($0, $1, absolute: 0, relative: 0) == nil }
  }

  private func floats(_ name: String, _ values: [Float]) -> ProtocolBuffer {
    Proto.tensor(name, values.count == 1 ? [] : [values.count], values)
  }

  private func integers(_ name: String, _ values: Int...) -> ProtocolBuffer {
    Proto.tensor(name, [values.count], values)
  }

  @Test func limitsOfClip() throws {
    let old = try run(
      Proto.node("Clip", ["x"], ["y"], Proto.attribute("min", Float(-1)), Proto.attribute("max", Float(2))), opset: 7)
    let new = try run(
      Proto.node("Clip", ["x", "a", "b"], ["y"]), opset: 13, [floats("a", [-1]), floats("b", [2])])
    #expect(try same(old, new))
    #expect(try old[0].floats.min() == -1 && old[0].floats.max() == 2)
  }

  @Test func boundsOfSlice() throws {
    let old = try run(
      Proto.node(
        "Slice", ["x"], ["y"], Proto.attribute("starts", [1]), Proto.attribute("ends", [-1]),
        Proto.attribute("axes", [2])), opset: 9)
    let new = try run(
      Proto.node("Slice", ["x", "s", "e", "a"], ["y"]), opset: 10,
      [integers("s", 1), integers("e", -1), integers("a", 2)])
    #expect(try same(old, new) && old[0].shape == [2, 4, 4])
  }

  @Test func axesOfSqueezeUnsqueezeAndReductions() throws {
    let old = try run(Proto.node("Unsqueeze", ["x"], ["y"], Proto.attribute("axes", [1])), opset: 11)
    let new = try run(Proto.node("Unsqueeze", ["x", "a"], ["y"]), opset: 13, [integers("a", 1)])
    #expect(try same(old, new) && old[0].shape == [2, 1, 4, 6])
    for (type, since) in [("ReduceSum", 13), ("ReduceMean", 18), ("ReduceMax", 18), ("ReduceL2", 18)] {
      let old = try run(Proto.node(type, ["x"], ["y"], Proto.attribute("axes", [-1])), opset: since - 1)
      let new = try run(Proto.node(type, ["x", "a"], ["y"]), opset: since, [integers("a", 2)])
      #expect(try same(old, new) && old[0].shape == [2, 4, 1], "\(type)")
    }
  }

  @Test func sizesOfSplit() throws {
    let old = try run(
      Proto.node("Split", ["x"], ["y", "z"], Proto.attribute("split", [1, 3]), Proto.attribute("axis", 1)), opset: 11,
      outputs: ["y", "z"])
    let new = try run(
      Proto.node("Split", ["x", "s"], ["y", "z"], Proto.attribute("axis", 1)), opset: 13, [integers("s", 1, 3)],
      outputs: ["y", "z"])
    #expect(try same(old, new) && old[0].shape == [2, 1, 6])
  }

  @Test func paddingOfPad() throws {
    let pads = [0, 1, 0, 0, 0, 2]
    let old = try run(
      Proto.node("Pad", ["x"], ["y"], Proto.attribute("pads", pads), Proto.attribute("value", Float(7))), opset: 7)
    let new = try run(
      Proto.node("Pad", ["x", "p", "v"], ["y"]), opset: 13, [Proto.tensor("p", [6], pads), floats("v", [7])])
    #expect(try same(old, new) && old[0].shape == [2, 5, 8])
  }

  /// Until version 13 everything from the axis on was one: the sum over 4 · 6 elements is 1.
  @Test func axisOfSoftmax() throws {
    let old = try run(Proto.node("Softmax", ["x"], ["y"]), opset: 11)
    let new = try run(Proto.node("Softmax", ["x"], ["y"]), opset: 13)
    #expect(try abs(old[0].floats[..<24].reduce(0, +) - 1) < 1e-5)
    #expect(try abs(new[0].floats[..<6].reduce(0, +) - 1) < 1e-5)
    #expect(old[0].shape == [2, 4, 6] && new[0].shape == [2, 4, 6])
  }

  @Test func upsampleIsResize() throws {
    let old = try run(
      Proto.node("Upsample", ["x", "s"], ["y"], Proto.attribute("mode", "linear")), opset: 9, [floats("s", [1, 1, 2])])
    let new = try run(
      Proto.node(
        "Resize", ["x", "", "s"], ["y"], Proto.attribute("mode", "linear"),
        Proto.attribute("coordinate_transformation_mode", "asymmetric")), opset: 13, [floats("s", [1, 1, 2])])
    #expect(try same(old, new) && old[0].shape == [2, 4, 12])
  }

  @Test func countOfTopK() throws {
    let old = try run(Proto.node("TopK", ["x"], ["y", "i"], Proto.attribute("k", 2)), opset: 9, outputs: ["y", "i"])
    let new = try run(Proto.node("TopK", ["x", "k"], ["y", "i"]), opset: 11, [integers("k", 2)], outputs: ["y", "i"])
    #expect(try same(old, new) && old[0].shape == [2, 4, 2])
  }

  @Test func trainingOfDropout() throws {
    let old = try run(Proto.node("Dropout", ["x"], ["y"], Proto.attribute("ratio", Float(0.5))), opset: 7)
    let new = try run(Proto.node("Dropout", ["x", "r"], ["y"]), opset: 13, [floats("r", [0.5])])
    #expect(try same(old, new))
    let flag = Proto.tensor("t", type: 9, [], raw: [1])
    let training = octetError {
      try run(Proto.node("Dropout", ["x", "r", "t"], ["y"]), opset: 13, [floats("r", [0.5]), flag])
    }
    #expect(training?.code == .unsupported)
  }

  @Test func trainingOfBatchNormalization() throws {
    let statistics = ["s", "b", "m", "v"].map { floats($0, [1, 2, 3, 4]) }
    func node(_ attributes: ProtocolBuffer) -> ProtocolBuffer {
      Proto.node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], attributes)
    }
    let old = try run(node(Proto.attribute("spatial", 1)), opset: 7, statistics)
    let new = try run(node(Proto.attribute("training_mode", 0)), opset: 15, statistics)
    #expect(try same(old, new))
    #expect(
      octetError { try run(node(Proto.attribute("training_mode", 1)), opset: 15, statistics) }?.code == .unsupported)
    #expect(octetError { try run(node(Proto.attribute("spatial", 0)), opset: 7, statistics) }?.code == .unsupported)
  }
}
