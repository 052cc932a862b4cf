import OctetCore
import OctetGraph
import OctetONNX
import TestSupport
import Testing

/// Sizes that are known only when the graph runs, along any axis.
@Suite struct OpenSizesTests {
  private func graph(
    _ nodes: [ProtocolBuffer], inputs: [ProtocolBuffer], outputs: [String] = ["y"], _ constants: [ProtocolBuffer] = []
  ) throws -> Graph {
    let graph = Proto.graph(nodes, inputs: inputs, outputs: outputs, initializers: constants)
    return try ONNXModel(bytes: Proto.model(graph, opset: 17)).graph
  }

  private func numbers(_ name: String, _ values: Int...) -> ProtocolBuffer {
    Proto.tensor(name, [values.count], values)
  }

  /// A convolution and a pooling that halve an image in the same way have results of the same open size.
  @Test func imagesOfAnySize() throws {
    let nodes = [
      Proto.node(
        "Conv", ["x", "w"], ["a"], Proto.attribute("strides", [2, 2]), Proto.attribute("pads", [1, 1, 1, 1])),
      Proto.node(
        "MaxPool", ["x"], ["b"], Proto.attribute("kernel_shape", [3, 3]), Proto.attribute("strides", [2, 2]),
        Proto.attribute("pads", [1, 1, 1, 1])),
      Proto.node("Add", ["a", "b"], ["small"]), Proto.node("Resize", ["small", "", "scales"], ["large"]),
      Proto.node("Concat", ["large", "x"], ["both"], Proto.attribute("axis", 1)),
      Proto.node("ConvTranspose", ["both", "v"], ["y"], Proto.attribute("strides", [2, 2])),
    ]
    let graph = try graph(
      nodes, inputs: [Proto.value("x", ["n", 1, "h", "w"])], outputs: ["small", "large", "y"],
      [
        Proto.tensor("w", [1, 1, 3, 3], [Float](repeating: 0.5, count: 9)),
        Proto.tensor("v", [2, 1, 2, 2], [Float](repeating: 1, count: 8)),
        Proto.tensor("scales", [4], [1, 1, 2, 2] as [Float]),
      ])
    let half = Dimension.symbolic("((h + 1) / 2)")
    #expect(graph.types["small"] == TensorType(.float32, [.symbolic("n"), 1, half, .symbolic("((w + 1) / 2)")]))
    #expect(graph.types["large"]?.shape[2] == .symbolic("(((h + 1) / 2) * 2)"))
    for (height, width) in [(4, 6), (8, 2)] {
      let results = try graph.replay([.counting([1, 1, height, width])])
      #expect(
        results.map(\.shape) == [
          [1, 1, height / 2, width / 2], [1, 1, height, width], [1, 1, 2 * height, 2 * width],
        ])
    }
    // What does not fit together is found when sizes are known.
    #expect(octetError { try graph.replay([.counting([1, 1, 3, 4])]) }?.code == .shapeMismatch)
  }

  /// A quotient of a quotient is one, so that names stay short.
  @Test func sizesOfDeepNetworks() throws {
    let halve = { (from: String, to: String) in
      Proto.node(
        "MaxPool", [from], [to], Proto.attribute("kernel_shape", [2, 2]), Proto.attribute("strides", [2, 2]))
    }
    let deep = try graph(
      [halve("x", "a"), halve("a", "b"), halve("b", "y")], inputs: [Proto.value("x", [1, 1, "h", "w"])])
    #expect(deep.types["y"]?.shape[2...] == [.symbolic("(h / 8)"), .symbolic("(w / 8)")])
  }

  @Test func productsOfOpenSizes() throws {
    let merged = try graph(
      [Proto.node("Reshape", ["x", "shape"], ["y"])], inputs: [Proto.value("x", ["n", "m", 4])],
      [numbers("shape", -1, 2)])
    #expect(merged.types["y"] == TensorType(.float32, [.symbolic("(m * n * 2)"), 2]))
    #expect(try merged.replay([.counting([3, 5, 4])])[0].shape == [30, 2])
    // Heads leave the batch again.
    let nodes = [
      Proto.node("Reshape", ["x", "joined"], ["a"]), Proto.node("Reshape", ["a", "apart"], ["y"]),
    ]
    let apart = try graph(
      nodes, inputs: [Proto.value("x", ["n", 4, 6])], [numbers("joined", -1, 6), numbers("apart", -1, 4, 6)])
    #expect(apart.types["y"] == TensorType(.float32, [.symbolic("n"), 4, 6]))
  }

  /// A size that stands elsewhere in the operand is what is left of a shape.
  @Test func openSizesThatMove() throws {
    let nodes = [
      Proto.node("Shape", ["x"], ["n"], Proto.attribute("start", 0), Proto.attribute("end", 1)),
      Proto.node("Concat", ["six", "n", "four"], ["shape"], Proto.attribute("axis", 0)),
      Proto.node("Reshape", ["x", "shape"], ["y"]),
    ]
    let moved = try graph(
      nodes, inputs: [Proto.value("x", ["n", 4, 6])], [numbers("six", 6), numbers("four", 4)])
    #expect(moved.types["y"] == TensorType(.float32, [6, .symbolic("n"), 4]))
    #expect(try moved.replay([.counting([2, 4, 6])])[0].shape == [6, 2, 4])
  }

  /// A size that no input has is read off the result that has it first, under the name that the model gives that.
  @Test func sizesOfNamedResults() throws {
    let nodes = [
      Proto.node(
        "MaxPool", ["x"], ["half"], name: "pool", Proto.attribute("kernel_shape", [2, 2]),
        Proto.attribute("strides", [2, 2])),
      Proto.node("Shape", ["half"], ["size"], Proto.attribute("start", 2), Proto.attribute("end", 3)),
      Proto.node("Expand", ["number", "size"], ["y"]),
    ]
    let repeated = try graph(
      nodes, inputs: [Proto.value("x", [1, 1, "h", 4])], [Proto.tensor("number", [1], [5] as [Float])])
    #expect(repeated.types["y"] == TensorType(.float32, [.symbolic("(h / 2)")]))
    #expect(try repeated.replay([.counting([1, 1, 6, 4])])[0].floats == [5, 5, 5])
  }

  /// Positions as encoders have them: as many rows of a table as there are tokens.
  @Test(arguments: [true, false]) func positionsOfTokens(_ isRange: Bool) throws {
    let size = [
      Proto.node("Shape", ["ids"], ["shape"]), Proto.node("Gather", ["shape", "one"], ["length"]),
      Proto.node("Unsqueeze", ["length", "zero"], ["end"]),
    ]
    let positions =
      isRange
      ? [
        Proto.node("Range", ["from", "length", "by"], ["positions"]),
        Proto.node("Gather", ["table", "positions"], ["y"]),
      ] : [Proto.node("Slice", ["table", "zero", "end", "zero"], ["y"])]
    let graph = try graph(
      size + positions, inputs: [Proto.value("ids", type: 7, ["b", "t"])],
      [
        Proto.tensor("one", [], [1] as [Int]), Proto.tensor("from", [], [0] as [Int]),
        Proto.tensor("by", [], [1] as [Int]), numbers("zero", 0),
        Proto.tensor("table", [4, 1], [7, 8, 9, 10] as [Float]),
      ])
    #expect(graph.types["y"] == TensorType(.float32, [.symbolic("t"), 1]))
    let ids = try Tensor(zeros: [2, 3], dtype: .int64)
    #expect(try graph.replay([ids])[0].floats == [7, 8, 9])
  }

  /// A mask of ones below the diagonal, made of a number.
  @Test func causalMasks() throws {
    let nodes = [
      Proto.node("Shape", ["x"], ["t"], Proto.attribute("start", 1), Proto.attribute("end", 2)),
      Proto.node("Concat", ["t", "t"], ["shape"], Proto.attribute("axis", 0)),
      Proto.node("Expand", ["number", "shape"], ["square"]),
      Proto.node("Trilu", ["square"], ["y"], Proto.attribute("upper", 0)),
    ]
    let graph = try graph(
      nodes, inputs: [Proto.value("x", ["b", "t"])], [Proto.tensor("number", [1], [5] as [Float])])
    #expect(graph.types["y"] == TensorType(.float32, [.symbolic("t"), .symbolic("t")]))
    #expect(try graph.replay([.counting([1, 3])])[0].floats == [5, 0, 0, 5, 5, 0, 5, 5, 5])
  }

  @Test func slicesAndBordersOfOpenSizes() throws {
    let cases: [(start: Int, end: Int, step: Int, size: String, elements: [Float])] = [
      (1, .max, 1, "n - 1", [1, 2, 3, 4]), (1, -1, 1, "n - 2", [1, 2, 3]), (-1, .max, 1, "1", [4]),
      (0, .max, 2, "((n + 1) / 2)", [0, 2, 4]), (-1, .min, -1, "n", [4, 3, 2, 1, 0]), (0, 2, 1, "n[0:2:1]", [0, 1]),
    ]
    for slice in cases {
      let graph = try graph(
        [Proto.node("Slice", ["x", "s", "e", "a", "t"], ["y"])], inputs: [Proto.value("x", ["n"])],
        [numbers("s", slice.start), numbers("e", slice.end), numbers("a", 0), numbers("t", slice.step)])
      #expect(graph.types["y"]?.shape.description == "[\(slice.size)]")
      #expect(try graph.replay([.counting([5])])[0].floats == slice.elements)
    }
    let padded = try graph(
      [Proto.node("Pad", ["x", "p"], ["y"])], inputs: [Proto.value("x", ["n"])], [numbers("p", 2, 1)])
    #expect(padded.types["y"]?.shape == [.symbolic("n + 3")])
    #expect(try padded.replay([.counting([2], from: 1)])[0].floats == [0, 0, 1, 2, 0])
  }

  /// Heads join the batch, and leave it again: two sizes that no place of a shape has.
  @Test func severalOpenSizes() throws {
    let nodes = [
      Proto.node("Shape", ["x"], ["t"], Proto.attribute("start", 2), Proto.attribute("end", 3)),
      Proto.node("Concat", ["rest", "t", "two"], ["joined"], Proto.attribute("axis", 0)),
      Proto.node("Reshape", ["x", "joined"], ["a"]), Proto.node("Neg", ["a"], ["c"]),
      Proto.node("Shape", ["x"], ["apart"]), Proto.node("Reshape", ["c", "apart"], ["y"]),
    ]
    let x = TensorType(.float32, [.symbolic("b"), 3, .symbolic("t"), 2])
    let graph = try graph(
      nodes, inputs: [Proto.value("x", ["b", 3, "t", 2])], outputs: ["a", "y"],
      [numbers("rest", -1), numbers("two", 2)])
    #expect(graph.types["a"] == TensorType(.float32, [.symbolic("(b * 3)"), .symbolic("t"), 2]))
    #expect(graph.types["y"] == x)
    let input = try Tensor.counting([2, 3, 4, 2])
    let results = try graph.replay([input])
    #expect(results.map(\.shape) == [[6, 4, 2], [2, 3, 4, 2]])
    #expect(try results[0].floats == input.floats && results[1].floats == input.floats.map { -$0 })
  }

  /// What does not divide evenly, and ones between sizes.
  @Test func openSizesApart() throws {
    let shape = [
      Proto.node("Shape", ["x"], ["b"], Proto.attribute("start", 0), Proto.attribute("end", 1)),
      Proto.node("Shape", ["x"], ["t"], Proto.attribute("start", 1), Proto.attribute("end", 2)),
      Proto.node("Reshape", ["x", "flat"], ["rows"]),
    ]
    let apart = try graph(
      shape + [
        Proto.node("Concat", ["one", "b", "one", "t", "three", "two"], ["shape"], Proto.attribute("axis", 0)),
        Proto.node("Reshape", ["rows", "shape"], ["y"]),
      ], inputs: [Proto.value("x", ["b", "t", 6])],
      [numbers("flat", -1, 6), numbers("one", 1), numbers("three", 3), numbers("two", 2)])
    #expect(apart.types["y"] == TensorType(.float32, [1, .symbolic("b"), 1, .symbolic("t"), 3, 2]))
    let result = try apart.replay([.counting([2, 5, 6])])[0]
    #expect(result.shape == [1, 2, 1, 5, 3, 2])
    #expect(try result.floats == Tensor.counting([60]).floats)
    let wrong = octetError {
      try graph(
        shape + [
          Proto.node("Concat", ["b", "t", "four"], ["shape"], Proto.attribute("axis", 0)),
          Proto.node("Reshape", ["rows", "shape"], ["y"]),
        ], inputs: [Proto.value("x", ["b", "t", 6])], [numbers("flat", -1, 6), numbers("four", 4)])
    }
    #expect(wrong?.code == .unsupported && wrong?.found.contains("at most one size") == true)
  }

  /// Rows of each sequence of a batch, counted through all of them.
  @Test func sizesToCalculateWith() throws {
    let nodes = [
      Proto.node("Shape", ["x"], ["b"], Proto.attribute("start", 0), Proto.attribute("end", 1)),
      Proto.node("Shape", ["x"], ["t"], Proto.attribute("start", 1), Proto.attribute("end", 2)),
      Proto.node("Squeeze", ["b"], ["batch"]), Proto.node("Range", ["zero", "batch", "one"], ["rows"]),
      Proto.node("Mul", ["rows", "t"], ["starts"]), Proto.node("Cast", ["b"], ["real"], Proto.attribute("to", 1)),
      Proto.node("Mul", ["b", "t"], ["bt"]), Proto.node("Cast", ["bt"], ["all"], Proto.attribute("to", 1)),
      Proto.node("Cast", ["starts"], ["first"], Proto.attribute("to", 1)),
    ]
    let graph = try graph(
      nodes, inputs: [Proto.value("x", ["b", "t"])], outputs: ["first", "real", "all", "b"],
      [Proto.tensor("zero", [], [0] as [Int]), Proto.tensor("one", [], [1] as [Int])])
    let results = try graph.replay([.counting([3, 4])])
    #expect(try results[0].floats == [0, 4, 8])
    #expect(try results[1].floats == [3] && results[2].floats == [12])
    #expect(try results[3].scalars(as: Int64.self) == [3])
  }

  /// Both indices of rows of a table whose sizes are open; negative ones count from the end.
  @Test func blocksOfOpenSizes() throws {
    let inputs = [Proto.value("x", ["b", "t", 2]), Proto.value("i", type: 7, ["n", 2])]
    let blocks = try graph([Proto.node("GatherND", ["x", "i"], ["y"])], inputs: inputs)
    let indices = try Tensor([1, 2, 0, -1, -1, 0] as [Int64], shape: [3, 2])
    #expect(try blocks.replay([.counting([2, 3, 2]), indices])[0].floats == [10, 11, 4, 5, 6, 7])
    let elements = try graph(
      [Proto.node("GatherElements", ["x", "i"], ["y"], Proto.attribute("axis", 1))],
      inputs: [Proto.value("x", ["b", "t"]), Proto.value("i", type: 7, ["b", 2])])
    let columns = try Tensor([0, -1, 1, 1] as [Int64], shape: [2, 2])
    #expect(try elements.replay([.counting([2, 3]), columns])[0].floats == [0, 2, 4, 4])
  }

  @Test func mirroredBordersOfOpenSizes() throws {
    let cases: [(mode: String, elements: [Float])] = [
      ("reflect", [2, 1, 0, 1, 2, 3, 2]), ("edge", [0, 0, 0, 1, 2, 3, 3]), ("wrap", [2, 3, 0, 1, 2, 3, 0]),
    ]
    for border in cases {
      let graph = try graph(
        [Proto.node("Pad", ["x", "p"], ["y"], Proto.attribute("mode", border.mode))],
        inputs: [Proto.value("x", ["n"])], [numbers("p", 2, 1)])
      #expect(try graph.replay([.counting([4])])[0].floats == border.elements, "\(border.mode)")
      let short = octetError { try graph.replay([.counting([border.mode == "wrap" ? 1 : 2])]) }
      #expect((short == nil) == (border.mode == "edge"), "\(border.mode) of fewer elements than the border has")
    }
    let long = octetError {
      try graph(
        [Proto.node("Pad", ["x", "p"], ["y"], Proto.attribute("mode", "edge"))], inputs: [Proto.value("x", ["n"])],
        [numbers("p", 0, Int(Int32.max))])
    }
    #expect(long?.code == .unsupported)
  }

  /// A size may name an element; of more sizes than a tensor can have none are numbers.
  @Test func sizesAsIndices() throws {
    let inputs = [Proto.value("x", ["n"])]
    let element = try graph(
      [
        Proto.node("Shape", ["x"], ["shape"]), Proto.node("Squeeze", ["shape"], ["size"]),
        Proto.node("Gather", ["table", "size"], ["y"]),
      ], inputs: inputs, [Proto.tensor("table", [4], [10, 20, 30, 40] as [Float])])
    #expect(try element.replay([.counting([3])])[0].floats == [40])
    let many = octetError {
      try graph(
        [
          Proto.node("Shape", ["x"], ["shape"]), Proto.node("Expand", ["shape", "count"], ["sizes"]),
          Proto.node("Cast", ["sizes"], ["y"], Proto.attribute("to", 1)),
        ], inputs: inputs, [numbers("count", 100_000)])
    }
    #expect(many?.code == .unsupported && many?.found.contains("at most 1024 sizes") == true)
  }

  @Test func repeatedAsOftenAsSomethingIsLong() throws {
    let nodes = [
      Proto.node("Shape", ["ids"], ["b"], Proto.attribute("start", 0), Proto.attribute("end", 1)),
      Proto.node("Concat", ["b", "two"], ["repeats"], Proto.attribute("axis", 0)),
      Proto.node("Tile", ["x", "repeats"], ["y"]),
    ]
    let graph = try graph(
      nodes, inputs: [Proto.value("x", [2, 1]), Proto.value("ids", type: 7, ["b"])], [numbers("two", 2)])
    let result = try graph.replay([.counting([2, 1]), Tensor(zeros: [3], dtype: .int64)])[0]
    #expect(result.shape == [6, 2])
    #expect(try result.floats == [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1])
  }
}
