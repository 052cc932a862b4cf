import OctetCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Uniform numbers in ±1/√fanIn: PyTorch's default for weights (Kaiming uniform with a = √5) and biases of linear and
/// convolution layers.
func uniform(
  shape: [Int], fanIn: Int, using generator: inout some RandomNumberGenerator
) throws -> Tensor {
  try uniform(shape: shape, bound: 1 / Float(max(fanIn, 1)).squareRoot(), using: &generator)
}

/// Uniform numbers in ±bound.
func uniform(
  shape: [Int], bound: Float, using generator: inout some RandomNumberGenerator
) throws -> Tensor {
  let scalars = (0..<elementCount(of: shape)).map { _ in
    // 24 random bits give every float32 of an even grid in [0, 1).
    (Float(generator.next() >> 40) * 0x1p-24 * 2 - 1) * bound
  }
  return try Tensor(scalars, shape: shape)
}

/// Normally distributed numbers of mean 0 and variance 1, by Box and Muller's method.
func standardNormal(shape: [Int], using generator: inout some RandomNumberGenerator) throws -> Tensor {
  let scalars = (0..<elementCount(of: shape)).map { _ in
    // In (0, 1], whose logarithm is finite.
    let radius = (-2 * log(Double((generator.next() >> 11) + 1) * 0x1p-53)).squareRoot()
    return Float(radius * cos(2 * Double.pi * Double(generator.next() >> 11) * 0x1p-53))
  }
  return try Tensor(scalars, shape: shape)
}
