import Foundation
import Octet

/// Images and labels of the demo, from the files that come with the command.
struct DemoData {
  /// float32 [n, 1, 28, 28], pixel / 255
  let images: Tensor
  let labels: [Int]

  init(_ name: String) throws {
    let file = try NpzFile(contentsOf: Self.path(name, "npz"))
    guard let pixels = file.tensors["images"], let labels = file.tensors["labels"] else {
      throw OctetError(
        .invalidFile, "\(name).npz", expected: "arrays images and labels", found: "\(file.tensors.keys.sorted())")
    }
    let scalars = try pixels.scalars(as: UInt8.self).map { Float($0) / 255 }
    images = try Tensor(scalars, shape: [pixels.shape[0], 1, 28, 28])
    self.labels = try labels.scalars(as: UInt8.self).map(Int.init)
  }

  static func path(_ name: String, _ type: String) throws -> String {
    guard let path = Bundle.module.path(forResource: "Resources/\(name)", ofType: type) else {
      throw OctetError(.fileAccess, "\(name).\(type)", expected: "a file beside the command", found: "none")
    }
    return path
  }

  /// Consecutive batches of at most `size` images.
  func batches(of size: Int) throws -> [Tensor] {
    try stride(from: 0, to: labels.count, by: size).map { try images[$0..<min($0 + size, labels.count)] }
  }
}
