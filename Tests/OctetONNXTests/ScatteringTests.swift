import OctetCore
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// Scattering to places that are known only when the graph runs, by the definitions of ONNX.
@Suite struct ScatteringTests {
  private func run(
    _ node: ProtocolBuffer, _ x: Tensor, _ shape: [Any], _ indices: Tensor, _ updates: Tensor, open: [Any]? = nil
  ) throws -> Tensor {
    let graph = Proto.graph(
      [node],
      inputs: [
        Proto.value("x", shape), Proto.value("i", type: 7, open ?? indices.shape),
        Proto.value("u", open.map { [$0[0]] + updates.shape.dropFirst().map { $0 as Any } } ?? updates.shape),
      ], outputs: ["y"])
    return try ONNXModel(bytes: Proto.model(graph, opset: 18)).graph.replay([x, indices, updates])[0]
  }

  private func elements(_ reduction: String = "none", axis: Int) -> ProtocolBuffer {
    Proto.node(
      "ScatterElements", ["x", "i", "u"], ["y"], Proto.attribute("axis", axis),
      Proto.attribute("reduction", reduction))
  }

  private func blocks(_ reduction: String = "none") -> ProtocolBuffer {
    Proto.node("ScatterND", ["x", "i", "u"], ["y"], Proto.attribute("reduction", reduction))
  }

  @Test func elementsAlongAnAxis() throws {
    let x = try Tensor.counting([2, 3])
    let columns = try run(
      elements(axis: 1), x, [2, 3], Tensor([2, 0, -2, 2] as [Int64], shape: [2, 2]),
      Tensor([10, 20, 30, 40] as [Float], shape: [2, 2]))
    #expect(try columns.floats == [20, 1, 10, 3, 30, 40])
    let rows = try run(
      elements(axis: 0), x, ["n", 3], Tensor([1, 0, -1] as [Int64], shape: [1, 3]),
      Tensor([10, 20, 30] as [Float], shape: [1, 3]))
    #expect(try rows.floats == [0, 20, 2, 10, 4, 30], "x may be longer")
  }

  @Test(arguments: [("add", [0, 61, 2] as [Float]), ("mul", [0, 6000, 2]), ("max", [0, 30, 2]), ("min", [0, 1, 2])])
  func severalUpdatesOfAnElement(_ reduction: String, _ expected: [Float]) throws {
    let indices = try Tensor([1, 1, 1] as [Int64], shape: [3])
    let updates = try Tensor([10, 20, 30] as [Float], shape: [3])
    #expect(try run(elements(reduction, axis: 0), .counting([3]), ["n"], indices, updates).floats == expected)
    // The same of a block of one element.
    let rows = try Tensor([1, 1, 1] as [Int64], shape: [3, 1])
    #expect(try run(blocks(reduction), .counting([3]), [3], rows, updates).floats == expected)
    #expect(
      try run(blocks(reduction), .counting([3]), [3], rows, updates, open: ["k", 1]).floats == expected,
      "any number of updates")
  }

  @Test func blocksOfSeveralAxes() throws {
    let x = try Tensor(zeros: [2, 2, 2])
    let updates = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    let indices = try Tensor([1, 0, 0, -1] as [Int64], shape: [2, 2])
    #expect(try run(blocks(), x, [2, 2, 2], indices, updates).floats == [0, 0, 3, 4, 1, 2, 0, 0])
    #expect(try run(blocks("add"), x, [2, 2, 2], indices, updates).floats == [0, 0, 3, 4, 1, 2, 0, 0])
    // Counted from the end, and of a cache of any length.
    let last = try Tensor([-1, 0] as [Int64], shape: [2, 1])
    let rows = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    #expect(try run(blocks(), .counting([3, 2]), ["n", 2], last, rows).floats == [3, 4, 2, 3, 1, 2])
    #expect(try run(blocks(), x, ["b", 2, 2], indices, updates).floats == [0, 0, 3, 4, 1, 2, 0, 0])
  }

  @Test func anyNumberOfUpdates() throws {
    let some = try run(
      blocks(), .counting([3]), [3], Tensor([2, 0] as [Int64], shape: [2, 1]), Tensor([5, 6] as [Float], shape: [2]),
      open: ["k", 1])
    #expect(try some.floats == [6, 1, 5])
    let none = try run(
      blocks(), .counting([3]), [3], Tensor(zeros: [0, 1], dtype: .int64), Tensor(zeros: [0]), open: ["k", 1])
    #expect(try none.floats == [0, 1, 2])
  }

  @Test func whatHasNoSizeAtAll() throws {
    let (indices, updates) = (try Tensor([1] as [Int64], shape: [1]), try Tensor([1] as [Float], shape: [1]))
    let error = octetError { try run(elements(axis: 0), .counting([3]), ["n"], indices, updates, open: ["k"]) }
    #expect(error?.code == .unsupported && error?.found.contains("x: a size along axis 0") == true)
    let median = octetError { try run(elements("median", axis: 0), .counting([3]), [3], indices, updates) }
    #expect(median?.found.contains("reduction: none, add, mul, max or min") == true)
  }
}
