/// Two numbers, one for the height and one for the width.
public struct Size2D: Hashable, Sendable, Codable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  public var height: Int
  public var width: Int

  public init(_ height: Int, _ width: Int) {
    self.height = height
    self.width = width
  }

  /// The same number twice.
  public init(_ both: Int) { self.init(both, both) }

  public init(integerLiteral both: Int) { self.init(both) }

  /// Whether both numbers are above 0 and small enough to be multiplied.
  var isPositive: Bool { (1...largestAttribute).contains(height) && (1...largestAttribute).contains(width) }

  public var description: String { height == width ? "\(height)" : "\(height)×\(width)" }
}

/// Padding of the two image axes.
public struct Padding2D: Hashable, Sendable, Codable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  public var top: Int
  public var left: Int
  public var bottom: Int
  public var right: Int

  public init(top: Int, left: Int, bottom: Int, right: Int) {
    self.top = top
    self.left = left
    self.bottom = bottom
    self.right = right
  }

  /// The same padding on opposite sides.
  public init(_ size: Size2D) { self.init(top: size.height, left: size.width, bottom: size.height, right: size.width) }

  public init(integerLiteral all: Int) { self.init(Size2D(all)) }

  public var isZero: Bool { top == 0 && left == 0 && bottom == 0 && right == 0 }

  /// Whether all numbers are 0 or more and small enough to be added.
  var isValid: Bool { [top, left, bottom, right].allSatisfy { (0...largestAttribute).contains($0) } }

  public var description: String {
    top == bottom && left == right ? "\(Size2D(top, left))" : "\(top),\(left),\(bottom),\(right)"
  }
}

/// What is done to the result of a convolution or linear layer before it is stored.
public enum Activation: Hashable, Sendable, Codable, CustomStringConvertible {
  case relu
  case clip(minimum: Float, maximum: Float)

  /// Checks what ``range`` relies on; a file can say anything.
  func check() throws {
    guard case .clip(let minimum, let maximum) = self else { return }
    guard minimum <= maximum else {
      throw OctetError(.invalidArgument, "activation", expected: "minimum ≤ maximum", found: "\(minimum)…\(maximum)")
    }
  }

  /// The range that the activation clamps to.
  public var range: ClosedRange<Float> {
    switch self {
    case .relu: 0...Float.infinity
    case .clip(let minimum, let maximum): minimum...maximum
    }
  }

  public var description: String {
    switch self {
    case .relu: "ReLU"
    case .clip(0, 6): "ReLU6"
    case .clip(let minimum, let maximum): "clip \(minimum)…\(maximum)"
    }
  }
}

/// A shape [n, c, l] as that of images of height 1, [n, c, 1, l]; that of images as it is.
package func imageShape(_ shape: [Int]) -> [Int] { shape.count == 3 ? [shape[0], shape[1], 1, shape[2]] : shape }

/// Checks that attributes say nothing of a height where there is none.
func requireImageAttributes(
  rank: Int, _ stride: Size2D, _ padding: Padding2D, _ dilation: Size2D, _ outputPadding: Size2D = 0
) throws {
  guard
    rank == 4
      || stride.height == 1 && dilation.height == 1 && padding.top == 0 && padding.bottom == 0
        && outputPadding.height == 0
  else {
    throw OctetError(
      .invalidArgument, "attributes", expected: "stride and dilation 1, no padding, along the height of a signal",
      found: "stride \(stride), padding \(padding), dilation \(dilation)")
  }
}
