import OctetCore
import TestSupport
import Testing

/// Operations on tensors that are large enough to be divided, against sums and places one by one.
@Suite("Divided work")
struct DividedWorkTests {
  /// Shapes and the axes that are reduced: by results, along neighbours, in parts, everything, in turns.
  private static let reductions: [(shape: [Int], axes: [Int])] = [
    ([70_001], [0]), ([40_000, 3], [0]), ([3, 40_000], [1]), ([700, 130], [0]), ([130, 700], [1]),
    ([20, 5, 30, 41], [0, 2, 3]), ([6, 17, 80, 9], [0, 2]), ([6, 17, 80, 9], [1, 3]), ([2, 9, 1, 70, 61], [0, 3]),
    ([33, 2000], [0, 1]), ([5, 6], [1]), ([4, 0, 3], [1]),
  ]

  private func expected(_ x: Tensor, _ axes: [Int], from start: Double, _ function: (Double, Double) -> Double) throws
    -> Tensor
  {
    let shape = x.shape.enumerated().map { axes.contains($0) ? 1 : $1 }
    var numbers = [Double](repeating: start, count: elementCount(of: shape))
    let offsets = BroadcastOffsets(of: shape, to: x.shape)
    for (i, value) in try x.floats.enumerated() { numbers[offsets[i]] = function(numbers[offsets[i]], Double(value)) }
    return try Tensor(numbers.map { Float($0) }, shape: shape)
  }

  @Test func reductionsAreThoseOfEveryElement() throws {
    for (index, (shape, axes)) in Self.reductions.enumerated() {
      let x = try Tensor.random(shape, seed: UInt64(index))
      let near1 = try x * Tensor(Float(0.001)) + Tensor(Float(1))
      let cases: [(Op.Reduce.Kind, Tensor, Tensor)] = [
        (.sum, x, try expected(x, axes, from: 0, +)), (.max, x, try expected(x, axes, from: -.infinity, max)),
        (.min, x, try expected(x, axes, from: .infinity, min)),
        (.l1, x, try expected(x, axes, from: 0) { $0 + Swift.abs($1) }),
        (.l2, x, try sqrt(expected(x, axes, from: 0) { $0 + $1 * $1 })),
        (.prod, near1, try expected(near1, axes, from: 1, *)),
      ]
      for (kind, x, expected) in cases {
        for threads in [1, 2] {
          let found = try withThreads(threads) { try x.reduce(kind, axes, keepDimensions: true) }
          let difference = try discrepancy(found, expected, absolute: 2e-3, relative: 1e-4)
          #expect(difference == nil, "\(kind) of \(shape) over \(axes), \(threads) threads")
        }
      }
      // Whole numbers, exactly.
      let integers = try Tensor(try x.floats.map { Int32($0 * 1000) }, shape: shape)
      let sums = try integers.reduce(.sum, axes, keepDimensions: true)
      let exact = try expected(integers.cast(to: .float32), axes, from: 0, +)
      #expect(try sums.cast(to: .float32).floats == exact.floats, "\(shape) over \(axes)")
    }
  }

  @Test func extremesOfPartsKeepNaN() throws {
    for place in [0, 35_000, 99_999] {
      var x = try Tensor.random([100_000], seed: 1)
      try x.withUnsafeMutableScalars(as: Float.self) { $0[place] = .nan }
      #expect(try x.reduce(.max, [0]).floats[0].isNaN, "\(place)")
      #expect(try x.reduce(.min, [0]).floats[0].isNaN, "\(place)")
    }
  }

  @Test func broadcastingTakesEachElementFromItsPlace() throws {
    let shapes: [([Int], [Int])] = [
      ([40, 30, 50], [40, 30, 50]), ([40, 30, 50], [30, 1]), ([1, 30, 50], [40, 1, 50]), ([70_000], [1]),
      ([], [200, 300]), ([200, 300], [300]), ([7, 1, 90, 1, 11], [90, 13, 1]), ([3], [3]), ([0, 4], [1, 4]),
    ]
    for (shapeA, shapeB) in shapes {
      let (a, b) = try (Tensor.random(shapeA, seed: 1), Tensor.random(shapeB, seed: 2))
      let (x, y) = try (a.floats, b.floats)
      let found = try withThreads(2) { try a - b }
      let (offsetsA, offsetsB) = (
        BroadcastOffsets(of: shapeA, to: found.shape), BroadcastOffsets(of: shapeB, to: found.shape)
      )
      let expected = try (0..<found.count).map { x[offsetsA[$0]] - y[offsetsB[$0]] }
      #expect(try found.floats == expected, "\(shapeA) and \(shapeB)")
      let expanded = try withThreads(2) { try b.expand(found.shape) }
      #expect(try expanded.floats == (0..<found.count).map { y[offsetsB[$0]] }, "\(shapeB) to \(found.shape)")
    }
    let flags = try Tensor((0..<300).map { $0 % 3 == 0 }, shape: [300, 1]).expand([300, 200])
    #expect(try flags.scalars(as: Bool.self) == (0..<60_000).map { $0 / 200 % 3 == 0 })
    let numbers = try Tensor((0..<200).map { Int64($0) << 40 }, shape: [200]).expand([300, 200])
    #expect(try numbers.scalars(as: Int64.self) == (0..<60_000).map { Int64($0 % 200) << 40 })
  }

  @Test func softmaxAndItsGradientAreThoseOfEachLine() throws {
    for (shape, axis) in [([700, 90], 1), ([40, 50, 35], 1), ([3, 40_000], 1), ([9, 21, 400], 0), ([6, 7], 0)] {
      let (x, seed) = try (Tensor.random(shape, seed: 1), Tensor.random(shape, seed: 2))
      for isLogarithm in [false, true] {
        func loss(_ x: Tensor) throws -> Tensor {
          let y = try isLogarithm ? logSoftmax(x, axis: axis) : softmax(x, axis: axis)
          return try (y * seed).reduce(.sum, Array(shape.indices))
        }
        let found = try withThreads(2) { try valueAndGradients(at: [x]) { try loss($0[0]) } }
        // The same by operations that it consists of.
        let composed = try valueAndGradients(at: [x]) { inputs in
          let sum = try exp(inputs[0]).reduce(.sum, [axis], keepDimensions: true)
          let y = try isLogarithm ? inputs[0] - log(sum) : exp(inputs[0]) / sum
          return try (y * seed).reduce(.sum, Array(shape.indices))
        }
        let name = "\(shape), axis \(axis), logarithm \(isLogarithm)"
        let value = try discrepancy(found.value, composed.value, absolute: 0.05, relative: 1e-4)
        #expect(value == nil, "\(name)")
        let gradient = try discrepancy(found.gradients[0], composed.gradients[0], absolute: 2e-4, relative: 1e-3)
        #expect(gradient == nil, "\(name)")
      }
    }
  }

  @Test func concatenationAndItsGradientAreCopies() throws {
    for (shapes, axis) in [
      ([[300, 200], [300, 131]], 1), ([[4, 9, 90], [4, 3, 90], [4, 0, 90]], 1), ([[5, 3], [2, 3]], 0),
    ] {
      let parts = try shapes.enumerated().map { try Tensor.random($1, seed: UInt64($0)) }
      let whole = try withThreads(2) { try concat(parts, axis: axis) }
      var start = 0
      for part in parts {
        let end = start + part.shape[axis]
        #expect(try whole.slice(axis: axis, from: start, to: end).floats == part.floats, "\(shapes)")
        start = end
      }
      let seed = try Tensor.random(whole.shape, seed: 7)
      let (_, gradients) = try withThreads(2) {
        try valueAndGradients(at: parts) {
          try (concat($0, axis: axis) * seed).reduce(.sum, Array(whole.shape.indices))
        }
      }
      #expect(try concat(gradients, axis: axis).floats == seed.floats, "\(shapes)")
    }
  }
}
