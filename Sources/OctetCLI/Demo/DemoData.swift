import Foundation
import Octet

/// Images and labels of the demo.
struct DemoData {
  /// float32 [n, 1, 28, 28], pixel / 255; digits: [n, 1, 8, 8], pixel / 16
  let images: Tensor
  let labels: [Int]

  /// Those of a data set, as its batches have them.
  init(_ dataset: Dataset) throws {
    let batch = try dataset.batch(0..<dataset.count)
    images = try batch["images"]
    labels = try batch["labels"].scalars(as: Int64.self).map(Int.init)
  }

  /// From a file that comes with the command.
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

  /// The path of a file that comes with the command, in the folder beside it that the build makes.
  static func path(_ name: String, _ type: String) throws -> String {
    let folder = Bundle.main.bundleURL
    // `Bundle.module` ends the process where that folder is missing.
    let candidates = ["octet_OctetCLI.resources", "octet_OctetCLI.bundle"].map {
      folder.appendingPathComponent("\($0)/Resources/\(name).\(type)").path
    }
    guard let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
      throw OctetError(.fileAccess, "\(name).\(type)", expected: "a file at \(candidates[0])", found: "none")
    }
    return found
  }

  /// Consecutive batches of at most `size` images.
  func batches(of size: Int) throws -> [Tensor] {
    try stride(from: 0, to: labels.count, by: size).map { try images[$0..<min($0 + size, labels.count)] }
  }
}
