extension Op {
  /// Images or signals of another size. Operand: x [n, c, h, w] or [n, c, l]. Result: the same with other lengths along the
  /// axes from the third on. (ONNX's Resize with modes nearest and linear; PyTorch's `interpolate`.)
  public struct Resize: Operation, Codable {
    public enum Mode: Hashable, Sendable, Codable {
      /// The element nearest to the coordinate, rounded in this way.
      case nearest(Rounding)
      /// Linear interpolation between neighbours; at the borders the last element goes on.
      case linear
    }

    /// ONNX's `nearest_mode`. PyTorch's `nearest` is `floor` with asymmetric coordinates.
    public enum Rounding: String, Hashable, Sendable, Codable {
      case floor, ceil, roundPreferFloor, roundPreferCeil
    }

    /// Where element i of the result lies in x: ONNX's `coordinate_transformation_mode`.
    public enum Coordinates: String, Hashable, Sendable, Codable {
      /// `(i + ½) / scale − ½`
      case halfPixel
      /// The same; 0 if the result has one element.
      case pytorchHalfPixel
      /// `i / scale`
      case asymmetric
      /// `i · (length − 1) / (length' − 1)`; 0 if the result has one element.
      case alignCorners
    }

    public enum Target: Hashable, Sendable, Codable {
      /// The lengths of the result.
      case sizes([Int])
      /// By how much each length grows: `length' = ⌊length · scale⌋`.
      case scales([Float])
    }

    public var mode: Mode
    public var coordinates: Coordinates
    public var target: Target

    public init(_ target: Target, mode: Mode, coordinates: Coordinates) {
      self.target = target
      self.mode = mode
      self.coordinates = coordinates
    }

    public var attributes: String {
      let target =
        switch target {
        case .sizes(let sizes): "sizes \(sizes)"
        case .scales(let scales): "scales \(scales)"
        }
      return switch mode {
      case .nearest(let rounding): "\(target), nearest \(rounding.rawValue), \(coordinates.rawValue)"
      case .linear: "\(target), linear, \(coordinates.rawValue)"
      }
    }

    public func outputTypes(_ inputs: [TensorType?]) throws -> [TensorType] {
      let x = try operand(inputs, 0, "x")
      try x.require(.float32, rank: 3...4, "x")
      let count: Int
      switch target {
      case .sizes(let sizes):
        count = sizes.count
        guard sizes.allSatisfy({ (1...largestAttribute).contains($0) }) else {
          throw OctetError(.invalidArgument, "sizes", expected: "numbers above 0", found: "\(sizes)")
        }
      case .scales(let scales):
        count = scales.count
        guard scales.allSatisfy({ $0 > 0 && $0 < 0x1p31 }) else {
          throw OctetError(.invalidArgument, "scales", expected: "numbers above 0", found: "\(scales)")
        }
      }
      guard count == x.rank - 2 else {
        throw OctetError(
          .invalidArgument, "resize", expected: "\(x.rank - 2) sizes or scales for \(x)", found: "\(count)")
      }
      let lengths = (0..<count).map { index -> Dimension in
        if case .sizes(let sizes) = target { return .fixed(sizes[index]) }
        let length = x.shape[index + 2]
        return length.size.map { .fixed(resultLength($0, index)) } ?? scaled(length, index)
      }
      guard !x.shape[2...].contains(0), !lengths.contains(0) else {
        throw OctetError(.shapeMismatch, "x", expected: "lengths above 0, before and after", found: "\(x)")
      }
      return [TensorType(.float32, x.shape[..<2] + lengths)]
    }

    /// A length that is not known, scaled.
    private func scaled(_ length: Dimension, _ index: Int) -> Dimension {
      guard case .scales(let scales) = target else { return length }
      let scale = scales[index]
      if scale >= 1, scale.rounded() == scale { return length.multiplied(by: Int(scale)) }
      // (Not 0.04, which is a little less than a 25th: nothing is left of a length of 25.)
      if scale < 1, (1 / scale).rounded() == 1 / scale, 1 / scale < 0x1p31, Double(scale) * Double(1 / scale) >= 1 {
        return length.divided(by: Int(1 / scale))
      }
      return .symbolic("(\(length) * \(scale))")
    }

    private func resultLength(_ length: Int, _ index: Int) -> Int {
      switch target {
      case .sizes(let sizes): sizes[index]
      case .scales(let scales): Int(min(Double(length) * Double(scales[index]), 0x1p62).rounded(.down))
      }
    }

    /// A result element along one axis: `x[lower] · (1 − weight) + x[upper] · weight`.
    package struct Sample: Sendable {
      package let lower: Int
      package let upper: Int
      package let weight: Float

      package init(lower: Int, upper: Int, weight: Float) {
        self.lower = lower
        self.upper = upper
        self.weight = weight
      }
    }

    /// The samples along axis `index` + 2, whose length in x is `length`.
    package func samples(length: Int, index: Int) -> [Sample] {
      let count = resultLength(length, index)
      let step =
        switch target {
        case .sizes: Double(length) / Double(count)
        case .scales(let scales): 1 / Double(scales[index])
        }
      return (0..<count).map { i in
        let position =
          switch coordinates {
          case .halfPixel: (Double(i) + 0.5) * step - 0.5
          case .pytorchHalfPixel: count > 1 ? (Double(i) + 0.5) * step - 0.5 : 0
          case .asymmetric: Double(i) * step
          case .alignCorners: count > 1 ? Double(i) * Double(length - 1) / Double(count - 1) : 0
          }
        let last = Double(length - 1)
        switch mode {
        case .nearest(let rounding):
          let rounded =
            switch rounding {
            case .floor: position.rounded(.down)
            case .ceil: position.rounded(.up)
            case .roundPreferFloor: (position - 0.5).rounded(.up)
            case .roundPreferCeil: (position + 0.5).rounded(.down)
            }
          let nearest = Int(min(max(rounded, 0), last))
          return Sample(lower: nearest, upper: nearest, weight: 0)
        case .linear:
          let inside = min(max(position, 0), last)
          let lower = Int(inside)
          return Sample(lower: lower, upper: min(lower + 1, length - 1), weight: Float(inside - Double(lower)))
        }
      }
    }

    public func evaluate(_ inputs: [Tensor?]) throws -> [Tensor] {
      let x = inputs[0]!
      var result = try Tensor(zeros: outputTypes([x.type])[0].fixedShape!)
      let (from, to) = (imageShape(x.shape), imageShape(result.shape))
      let columns = samples(length: from[3], index: x.rank - 3)
      let rows = x.rank == 4 ? samples(length: from[2], index: 0) : [Sample(lower: 0, upper: 0, weight: 0)]
      try result.withUnsafeMutableScalars(as: Float.self) { out in
        try x.withUnsafeScalars(as: Float.self) { x in
          for plane in 0..<from[0] * from[1] {
            for (oy, row) in rows.enumerated() {
              let upper = (plane * from[2] + row.lower) * from[3]
              let lower = (plane * from[2] + row.upper) * from[3]
              for (ox, column) in columns.enumerated() {
                func along(_ line: Int) -> Float {
                  mix(x[line + column.lower], x[line + column.upper], column.weight)
                }
                out[(plane * to[2] + oy) * to[3] + ox] = mix(along(upper), along(lower), row.weight)
              }
            }
          }
        }
      }
      return [result]
    }
  }
}

/// `a · (1 − weight) + b · weight`; a itself, even if it is infinite, for weight 0.
private func mix(_ a: Float, _ b: Float, _ weight: Float) -> Float {
  weight == 0 ? a : a * (1 - weight) + b * weight
}

// MARK: - Gradient

extension Op.Resize {
  public func pullback(_ inputs: [Tensor?], _ results: [Tensor], wanted: [Bool]) throws -> Pullback? {
    let (shape, from, to) = (inputs[0]!.shape, imageShape(inputs[0]!.shape), imageShape(results[0].shape))
    return { gradients in
      let columns = samples(length: from[3], index: shape.count - 3)
      let rows = shape.count == 4 ? samples(length: from[2], index: 0) : [Sample(lower: 0, upper: 0, weight: 0)]
      var dx = try Tensor(zeros: shape)
      try dx.withUnsafeMutableScalars(as: Float.self) { dx in
        try gradients[0]!.withUnsafeScalars(as: Float.self) { dy in
          for plane in 0..<from[0] * from[1] {
            for (oy, row) in rows.enumerated() {
              for (line, weight) in [(row.lower, 1 - row.weight), (row.upper, row.weight)] where weight != 0 {
                let start = (plane * from[2] + line) * from[3]
                for (ox, column) in columns.enumerated() {
                  let gradient = weight * dy[(plane * to[2] + oy) * to[3] + ox]
                  dx[start + column.lower] += gradient * (1 - column.weight)
                  dx[start + column.upper] += gradient * column.weight
                }
              }
            }
          }
        }
      }
      return [dx]
    }
  }
}
