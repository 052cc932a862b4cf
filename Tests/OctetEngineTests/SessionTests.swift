import CAllocationCount
import OctetCore
import OctetEngine
import OctetGraph
import OctetNN
import OctetQuantization
import TestNetworks
import TestSupport
import Testing

@Suite struct SessionTests {
  private func session(_ name: String = "plain CNN") throws -> (Session, Network) {
    let network = Network.named(name)
    return (Session(try Plan(network.converted().graph), threads: 1), network)
  }

  @Test func namesOfInputs() throws {
    let (session, network) = try session("two inputs, two outputs")
    let x = try network.inputs(batch: 2, seed: 1)
    let results = try session.run(["x_0": x[0], "x_1": x[1]])
    #expect(results.keys.sorted() == ["output_0", "output_1"])
    let missing = octetError { try session.run(["x_0": x[0]]) }
    #expect(missing?.code == .unknownName && missing?.expected.contains("x_1") == true)
    let unknown = octetError { try session.run(["x_0": x[0], "x_1": x[1], "z": x[1]]) }
    #expect(unknown?.code == .unknownName && unknown?.found == "z")
    #expect(octetError { try session.run([x[0]]) }?.code == .invalidArgument)
    #expect(octetError { try session(x[0]) }?.code == .invalidArgument)
    #expect(octetError { try session.run([Tensor]()) }?.code == .invalidArgument)
    let sizes = octetError { try session.run([x[0], x[1][0..<1]]) }
    #expect(sizes?.code == .shapeMismatch && sizes?.subject == "input x_1", "one n, two sizes")
  }

  @Test func wrongShapes() throws {
    let (session, network) = try session()
    _ = try session(network.inputs(batch: 1, seed: 1)[0])
    for shape in [[1, 3, 8], [1, 4, 8, 8], [1, 3, 8, 9], [3, 8, 8, 1], []] {
      let error = octetError { try session(Tensor(zeros: shape)) }
      #expect(error?.code == .shapeMismatch && error?.subject == "input x")
    }
  }

  /// Also for a shape that has run before.
  @Test func wrongElementType() throws {
    let (session, network) = try session()
    for _ in 0..<2 {
      #expect(octetError { try session(Tensor(zeros: [1, 3, 8, 8], dtype: .uint8)) }?.code == .dtypeMismatch)
      _ = try session(network.inputs(batch: 1, seed: 1)[0])
    }
  }

  @Test func nan() throws {
    let (session, network) = try session()
    let x = try network.inputs(batch: 2, seed: 1)[0]
    let before = try session(x)
    for position in [0, 191, 383] {
      var scalars = try x.floats
      scalars[position] = .nan
      let error = octetError { try session(Tensor(scalars, shape: x.shape)) }
      #expect(error?.code == .notANumber && error?.subject == "input x")
    }
    #expect(try discrepancy(session(x), before, absolute: 0, relative: 0) == nil, "an error leaves nothing behind")
  }

  @Test func infinitiesSaturate() throws {
    let (session, network) = try session()
    var scalars = try network.inputs(batch: 1, seed: 1)[0].floats
    var limited = scalars
    (scalars[4], limited[4]) = (.infinity, 1000)
    (scalars[9], limited[9]) = (-.infinity, -1000)
    let shape = [1, 3, 8, 8]
    #expect(
      try discrepancy(
        session(Tensor(scalars, shape: shape)), session(Tensor(limited, shape: shape)), absolute: 0, relative: 0) == nil
    )
  }

  @Test func tracedInputs() throws {
    final class Wrapper: Module {
      let session: Session
      init(_ session: Session) { self.session = session }
      override func forward(_ x: Tensor) throws -> Tensor { try session(x) }
    }
    let (session, _) = try session()
    #expect(octetError { try Wrapper(session).trace(TensorType(.float32, [1, 3, 8, 8])) }?.code == .notTraceable)
  }

  @Test func resultsAndInputsAreNotWrittenLater() throws {
    let (session, network) = try session("output is the input's reshape")
    let x = try network.inputs(batch: 2, seed: 1)[0]
    let copy = try Tensor(x.floats, shape: x.shape)
    let first = try session.run([x])
    let kept = try first.map { try Tensor($0.floats, shape: $0.shape) }
    _ = try session.run(network.inputs(batch: 2, seed: 2))
    #expect(try discrepancy(x, copy, absolute: 0, relative: 0) == nil)
    for (result, kept) in zip(first, kept) { #expect(try discrepancy(result, kept, absolute: 0, relative: 0) == nil) }
  }

  @Test func valuesThatNoMemoryHolds() throws {
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [1, 1]))],
      nodes: [
        Node(name: "pad", op: .pad(Op.Pad(before: [0, 1 << 22], after: [1 << 22, 0])), inputs: ["x"], outputs: ["y"])
      ],
      outputs: [.init(name: "output", value: "y")], parameters: [:])
    let error = octetError { try Session(Plan(graph)).run([Tensor(zeros: [1, 1])]) }
    #expect(error?.code == .unsupported && error?.subject == "y")
  }

  /// Each of them would fit, but not all at a time.
  @Test func valuesThatNoMemoryHoldsTogether() throws {
    let rows = largestByteCount >> 21  // of 2¹⁸ floats: half of what is allowed
    let names = (0..<64).map { "y\($0)" }
    let graph = try Graph(
      inputs: [.init(name: "x", type: TensorType(.float32, [1, 1]))],
      nodes: names.map {
        Node(
          name: $0, op: .pad(Op.Pad(before: [0, 0], after: [rows - 1, (1 << 18) - 1])), inputs: ["x"], outputs: [$0])
      },
      outputs: names.map { .init(name: $0, value: $0) }, parameters: [:])
    let error = octetError { try Session(Plan(graph)).run([Tensor(zeros: [1, 1])]) }
    #expect(error?.code == .unsupported && error?.subject == "inputs of [[1, 1]]")
  }

  /// After the first run of a shape, one large allocation for each result and nothing else that grows with the images.
  @Test(.enabled(if: octet_can_count_allocations()), arguments: [false, true])
  func nothingButResultsIsAllocated(_ isQuantized: Bool) throws {
    let module = Sequential([
      Conv2d(3, 16, kernelSize: 3, padding: 1), ReLU(), Conv2d(16, 16, kernelSize: 3, padding: 1, groups: 16), ReLU6(),
      Conv2d(16, 8, kernelSize: 1), MaxPool2d(kernelSize: 2),
    ])
    try module.initialize(seed: 1)
    var graph = try module.trace(TensorType(.float32, [.symbolic("n"), 3, 48, 48])).fused()
    let x = try Tensor.random([2, 3, 48, 48], seed: 1)
    if isQuantized {
      let prepared = try graph.prepare(QConfigMap(.minMax))
      try prepared.calibrate([x])
      graph = try prepared.convert().graph
    }
    let session = Session(try Plan(graph), threads: 1)
    let first = try session(x)
    for _ in 0..<3 {
      octet_count_allocations(4096)
      let result = try session(x)
      let counted = octet_counted_allocations()
      let bytes = try result.count * 4
      #expect(counted.large == 1)
      #expect((bytes..<bytes + 4096).contains(counted.bytes), "\(counted.bytes) bytes for a result of \(bytes)")
      #expect(try discrepancy(result, first, absolute: 0, relative: 0) == nil)
    }
    octet_count_allocations(4096)
    _ = try session(Tensor.random([1, 3, 48, 48], seed: 1))
    #expect(octet_counted_allocations().large > 2, "the count sees the layout of a new shape")
  }

  /// The memory of the last 16 shapes is kept.
  @Test(.enabled(if: octet_can_count_allocations())) func memoryOfOldShapesIsLetGo() throws {
    let module = Sequential([Linear(64, 512), ReLU(), Linear(512, 1)])
    try module.initialize(seed: 1)
    let session = Session(try Plan(module.trace(TensorType(.float32, [.symbolic("n"), 64])).fused()), threads: 1)
    /// Whether memory is laid out for this many rows.
    func laysOut(_ rows: Int) throws -> Bool {
      let x = try Tensor.random([rows, 64], seed: 1)
      octet_count_allocations(2048)
      _ = try session(x)
      return octet_counted_allocations().large > 0
    }
    for rows in 1...16 { #expect(try laysOut(rows)) }
    for rows in 1...16 { #expect(try !laysOut(rows)) }
    #expect(try laysOut(17))
    #expect(try !laysOut(2) && !laysOut(17))
    #expect(try laysOut(1), "it was the one that had not run for the longest time")
  }
}
