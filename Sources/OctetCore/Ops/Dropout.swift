extension Op {
  /// Dropout, outside training: x as it is. Operand: x float32. Result: of the same shape.
  ///
  /// What trains a graph multiplies by a mask instead.
  public struct Dropout: Operation, Codable {
    /// How likely an element becomes 0: at least 0 and below 1.
    public var probability: Float

    public init(_ probability: Float = 0.5) { self.probability = probability }

    public var attributes: String { "p \(probability)" }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 0...Int.max, "x")
      guard probability >= 0, probability < 1 else {
        throw OctetError(
          .invalidArgument, "probability", expected: "a number from 0 up to, but not, 1", found: "\(probability)")
      }
      return [x]
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] { [inputs[0]!] }

    public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? { { $0 } }

    /// What elements are multiplied by in training: 0 with the probability, else `1 / (1 − probability)`. Each takes the next
    /// number of the generator, in order, whatever the number of threads.
    package func mask(_ shape: [Int], from start: SplitMix64) throws -> Tensor {
      let (keep, probability) = (1 / (1 - probability), probability)
      var mask = Tensor(uninitialized: shape, dtype: .float32)
      try mask.withUnsafeMutableScalars(as: Float.self) { mask in
        concurrently(elements: mask.count) { range in
          var generator = start
          generator.skip(range.lowerBound)
          for i in range { mask[i] = Float(generator.next() >> 40) * 0x1p-24 < probability ? 0 : keep }
        }
      }
      return mask
    }
  }
}
