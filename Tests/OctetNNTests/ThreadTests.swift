import OctetCore
import OctetNN
import TestSupport
import Testing

/// The same bits, whatever the number of threads.
@Suite("Threads")
struct ThreadTests {
  /// Everything that divides its work: large enough that all of it is divided.
  private final class Network: Module {
    let first = Conv2d(3, 24, kernelSize: 3, padding: 1)
    let norm = BatchNorm2d(24)
    let strided = Conv2d(24, 40, kernelSize: 3, stride: 2, padding: 1, groups: 2)
    let pointwise = Conv2d(40, 24, kernelSize: 1, bias: false)
    let back = ConvTranspose2d(24, 8, kernelSize: 2, stride: 2)
    let dropout = Dropout(0.3, seed: 5)
    let hidden = Linear(8 * 18 * 18 + 24 * 9 * 9, 96)
    let norm1 = BatchNorm1d(96)
    let last = Linear(96, 10)

    override func forward(_ x: Tensor) throws -> Tensor {
      let x = try maxPool2d(relu(norm(first(x))), kernelSize: 2)
      let y = try averagePool2d(relu6(pointwise(strided(x))), kernelSize: 3, stride: 1, padding: 1)
      let z = try silu(back(y))
      let features = try concat([z.flatten(from: 1), y.flatten(from: 1)], axis: 1)
      return try last(relu(norm1(hidden(dropout(features)))))
    }
  }

  /// Losses, gradients and parameters of some steps.
  private func trained(threads: Int) throws -> [Tensor] {
    try withThreads(threads) {
      let network = Network()
      try network.initialize(seed: 1)
      network.isTraining = true
      let optimizer = try Adam(network.parameters, learningRate: 0.01)
      let x = try Tensor.random([21, 3, 36, 36], seed: 2)
      let labels = try Tensor((0..<21).map { Int64($0 % 10) }, shape: [21])
      var found: [Tensor] = []
      for _ in 0..<3 {
        var (loss, gradients) = try valueAndGradients(of: optimizer.parameters) { try crossEntropy(network(x), labels) }
        found += [loss] + gradients
        found.append(try Tensor(clipGradients(&gradients, norm: 0.5)))
        try optimizer.step(gradients)
      }
      return found + network.stateDict.sorted { $0.key < $1.key }.map(\.value)
    }
  }

  @Test func trainingHasTheSameBitsOnAnyNumber() throws {
    let one = try trained(threads: 1)
    #expect(one.count > 60)
    for threads in [2, 3] {
      for (index, (a, b)) in zip(one, try trained(threads: threads)).enumerated() {
        #expect(try a.bits == b.bits, "\(threads) threads, \(index): \(a.type)")
      }
    }
  }

  @Test func manyImagesAndLongSumsAreDivided() throws {
    let operands = try [
      Tensor.random([3, 5000], seed: 1), Tensor.random([7, 5000], seed: 2), Tensor.random([7], seed: 3),
    ]
    let seed = try Tensor.random([3, 7], seed: 4)
    func gradients(_ threads: Int) throws -> [[UInt32]] {
      try withThreads(threads) {
        let (value, gradients) = try valueAndGradients(at: operands) {
          try (linear($0[0], weight: $0[1], bias: $0[2]) * seed).reduce(.sum, [0, 1])
        }
        return try ([value] + gradients).map { try $0.bits }
      }
    }
    let one = try gradients(1)
    #expect(try gradients(2) == one)
    #expect(try gradients(3) == one)
  }

  /// Results and gradients.
  private func expectSameBits(
    _ name: String, _ shapes: [[Int]], _ body: ([Tensor]) throws -> Tensor
  ) throws {
    let operands = try shapes.enumerated().map { try Tensor.random($1, seed: UInt64($0 + 1)) }
    func found(_ threads: Int) throws -> [[UInt32]] {
      try withThreads(threads) {
        let (value, gradients) = try valueAndGradients(at: operands) { operands in
          let y = try body(operands)
          return try y.rank == 0 ? y : (y * Tensor.random(y.shape, seed: 9)).reduce(.sum, Array(y.shape.indices))
        }
        return try ([value, body(operands)] + gradients).map { try $0.bits }
      }
    }
    let one = try found(1)
    for threads in [2, 3] { #expect(try found(threads) == one, "\(name), \(threads) threads") }
  }

  /// Each large enough to be divided.
  @Test func operationsHaveTheSameBitsOnAnyNumber() throws {
    let image = [6, 20, 30, 31]
    let labels = try Tensor((0..<600).map { Int64($0 % 90) }, shape: [600])
    try expectSameBits("softmax", [[600, 90]]) { try softmax($0[0]) }
    try expectSameBits("softmax along axis 1", [image]) { try softmax($0[0], axis: 1) }
    try expectSameBits("logSoftmax", [[600, 90]]) { try logSoftmax($0[0]) }
    try expectSameBits("crossEntropy", [[600, 90]]) { try crossEntropy($0[0], labels, labelSmoothing: 0.1) }
    try expectSameBits("bias", [image, [20, 1, 1]]) { try $0[0] + $0[1] }
    try expectSameBits("rows", [[700, 90], [90]]) { try $0[0] * $0[1] }
    try expectSameBits("columns", [[90, 700], [90, 1]]) { try $0[0] / ($0[1] + Tensor(Float(2))) }
    try expectSameBits("few columns", [[40_000, 3], [3]]) { try $0[0] - $0[1] }
    try expectSameBits("a number", [image, [1]]) { try $0[0] * $0[1] }
    try expectSameBits("sum", [image]) { try $0[0].reduce(.sum, [0, 1, 2, 3]) }
    try expectSameBits("mean of images", [image]) { try $0[0].reduce(.mean, [2, 3]) }
    try expectSameBits("mean in turns", [image]) { try $0[0].reduce(.mean, [0, 2]) }
    try expectSameBits("maximum", [image]) { try $0[0].reduce(.max, [0]) }
    try expectSameBits("norm", [[100_000]]) { try $0[0].reduce(.l2, [0]) }
    try expectSameBits("concat", [image, image]) { try concat($0, axis: 1) }
    try expectSameBits("depthwise", [image, [20, 1, 3, 3]]) {
      try conv2d($0[0], weight: $0[1], padding: 1, groups: 20)
    }
    try expectSameBits("few images", [[2, 9, 20, 20], [128, 9, 3, 3]]) { try conv2d($0[0], weight: $0[1]) }
    try expectSameBits("transposed", [[2, 9, 20, 20], [9, 5, 2, 2]]) {
      try convTranspose2d($0[0], weight: $0[1], stride: 3)
    }
  }

  // MARK: - Who works

  @Test func everyItemIsDoneOnceByWhoeverIsThere() {
    for threads in [0, 1, 2, 5] {
      withThreads(threads) {
        let counts = UnsafeMutablePointer<Int32>.allocate(capacity: 1000)
        defer { counts.deallocate() }
        counts.initialize(repeating: 0, count: 1000)
        // Work within work is the item's own.
        concurrently(10) { outer in concurrently(100) { counts[outer * 100 + $0] += 1 } }
        #expect((0..<1000).allSatisfy { counts[$0] == 1 })
      }
    }
  }

  @Test func scratchBelongsToOneItemAtATime() {
    withThreads(4) {
      let wrong = UnsafeMutablePointer<Int>.allocate(capacity: 64)
      defer { wrong.deallocate() }
      wrong.initialize(repeating: 0, count: 64)
      concurrently(64, scratch: 40_000) { item, scratch in
        let own = scratch.assumingMemoryBound(to: Int32.self)
        for i in 0..<10_000 { own[i] = Int32(item) }
        wrong[item] = (0..<10_000).count { own[$0] != Int32(item) }
        if Int(bitPattern: scratch) % 64 != 0 { wrong[item] += 1 }
      }
      #expect((0..<64).allSatisfy { wrong[$0] == 0 })
    }
  }

  /// Tasks see the threads of who has started them, and do not disturb one another.
  @Test func tasksThatShareThreadsGetTheSameBits() async throws {
    let x = try Tensor.random([8, 16, 40, 40], seed: 1)
    let weight = try Tensor.random([16, 16, 3, 3], seed: 2)
    let expected = try conv2d(x, weight: weight).bits
    let found = try await withThrowingTaskGroup(of: [UInt32].self) { group in
      for _ in 0..<4 { group.addTask { try withThreads(2) { try conv2d(x, weight: weight).bits } } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(found == [[UInt32]](repeating: expected, count: 4))
  }

  @Test func theInnerNumberCountsAndErrorsPass() throws {
    let inner = withThreads(2) { withThreads(1) { withThreads(3) { 7 } } }
    #expect(inner == 7)
    let error = octetError { try withThreads(2) { try Tensor(zeros: [-1]) } }
    #expect(error?.code == .shapeMismatch)
  }
}

extension Tensor {
  fileprivate var bits: [UInt32] { get throws { try scalars(as: Float.self).map(\.bitPattern) } }
}
