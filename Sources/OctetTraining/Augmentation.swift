import OctetCore
import OctetNN

/// A random change of an image, which keeps what it shows. Images are rows [..., height, width].
///
/// What is drawn depends on the seed of the ``Batches``, the epoch and the sample alone. Arrays with equal augmentations (an
/// image and its mask) change alike.
public enum Augmentation: Hashable, Sendable {
  /// Moved by up to so many pixels along each axis; what comes in is 0.
  case shift(Int)
  /// Left and right exchanged, with this probability.
  case flip(probability: Float = 0.5)
  /// A part of this size from a random place, after a border of so many zeros was put around.
  case crop(height: Int, width: Int, padding: Int = 0)

  /// The shape of a row after it.
  ///
  /// - Throws: `OctetError`: `shapeMismatch` for rows that are no images, or smaller than what is cropped;
  ///   `invalidArgument` for numbers that make no sense.
  func rowShape(_ shape: [Int]) throws -> [Int] {
    guard shape.count >= 2, !shape.contains(0) else {
      throw OctetError(.shapeMismatch, "augmentation", expected: "rows [..., height, width]", found: "\(shape)")
    }
    let (height, width) = (shape[shape.count - 2], shape[shape.count - 1])
    switch self {
    case .shift(let most):
      guard (0...max(height, width)).contains(most) else {
        throw OctetError(.invalidArgument, "shift", expected: "0 to \(max(height, width)) pixels", found: "\(most)")
      }
      return shape
    case .flip(let probability):
      guard (0...1).contains(probability) else {
        throw OctetError(.invalidArgument, "flip", expected: "a probability", found: "\(probability)")
      }
      return shape
    case .crop(let newHeight, let newWidth, let padding):
      guard (0...max(height, width)).contains(padding), newHeight > 0, newWidth > 0, newHeight <= height + 2 * padding,
        newWidth <= width + 2 * padding
      else {
        throw OctetError(
          .shapeMismatch, "crop",
          expected: "a part of \(height) × \(width) with a border of 0 to \(max(height, width))",
          found: "\(newHeight) × \(newWidth), border \(padding)")
      }
      return shape.dropLast(2) + [newHeight, newWidth]
    }
  }

  func callAsFunction(_ image: StoredImage, using generator: inout SplitMix64) -> StoredImage {
    switch self {
    case .shift(let most):
      let (y, x) = (Int.random(in: -most...most, using: &generator), Int.random(in: -most...most, using: &generator))
      return image.window(y: y, x: x, height: image.height, width: image.width)
    case .flip(let probability):
      return Float(generator.next() >> 40) * 0x1p-24 < probability ? image.mirrored() : image
    case .crop(let height, let width, let padding):
      let y = Int.random(in: 0...(image.height + 2 * padding - height), using: &generator)
      let x = Int.random(in: 0...(image.width + 2 * padding - width), using: &generator)
      return image.window(y: y - padding, x: x - padding, height: height, width: width)
    }
  }
}

/// Planes of pixels of some bytes each, one plane after another.
struct StoredImage {
  var bytes: [UInt8]
  var height: Int
  var width: Int
  /// Bytes of a pixel.
  let element: Int

  /// The part whose first pixel is at (y, x); zeros outside of the image.
  func window(y: Int, x: Int, height newHeight: Int, width newWidth: Int) -> StoredImage {
    let planes = bytes.count / (height * width * element)
    var result = [UInt8](repeating: 0, count: planes * newHeight * newWidth * element)
    let columns = max(0, -x)..<max(max(0, -x), min(newWidth, width - x))
    for plane in 0..<planes {
      for row in 0..<newHeight where (0..<height).contains(row + y) && !columns.isEmpty {
        let target = ((plane * newHeight + row) * newWidth + columns.lowerBound) * element
        let source = ((plane * height + row + y) * width + columns.lowerBound + x) * element
        let count = columns.count * element
        result[target..<target + count] = bytes[source..<source + count]
      }
    }
    return StoredImage(bytes: result, height: newHeight, width: newWidth, element: element)
  }

  func mirrored() -> StoredImage {
    var result = self
    let pixels = bytes.count / element
    for pixel in 0..<pixels {
      let mirror = pixel / width * width + width - 1 - pixel % width
      for byte in 0..<element { result.bytes[mirror * element + byte] = bytes[pixel * element + byte] }
    }
    return result
  }
}
