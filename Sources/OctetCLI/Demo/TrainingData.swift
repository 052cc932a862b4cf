import Foundation
import Octet

/// What `octet demo --train` learns from, and what it is tested on: arrays `images` and `labels`.
struct TrainingData {
  let training: Dataset
  let test: Dataset
  /// Height and width of an image.
  let size: Int
  /// For people.
  let name: String

  /// The handwritten digits that come with the command.
  static func digits() throws -> TrainingData {
    let all = try Dataset(npz: DemoData.path("digits", "npz"), scales: ["images": 1 / 16])
      .reshapingRows(of: "images", to: [1, 8, 8])
    return TrainingData(
      training: try all.subset(0..<1297), test: try all.subset(1297..<all.count), size: 8, name: "handwritten digits")
  }

  /// Fashion-MNIST, or another data set of its form, from the four files in a folder, compressed or not.
  static func fashionMNIST(in folder: String) throws -> TrainingData {
    func dataset(_ prefix: String) throws -> Dataset {
      func path(_ name: String) throws -> String {
        let paths = ["\(folder)/\(prefix)-\(name)-ubyte.gz", "\(folder)/\(prefix)-\(name)-ubyte"]
        guard let found = paths.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
          throw OctetError(
            .fileAccess, paths[0], expected: "a file of Fashion-MNIST (scripts/get-data puts it there)", found: "none")
        }
        return found
      }
      let (images, labels) = try (path("images-idx3"), path("labels-idx1"))
      let dataset = try Dataset(idx: ["images": images, "labels": labels], scales: ["images": 1 / 255])
      // (Calibration and the timed columns take this many.)
      guard dataset.count >= 256 else {
        throw OctetError(.invalidArgument, images, expected: "256 images or more", found: "\(dataset.count)")
      }
      return try naming(images) { try dataset.reshapingRows(of: "images", to: [1, 28, 28]) }
    }
    return TrainingData(
      training: try dataset("train"), test: try dataset("t10k"), size: 28, name: "the images in \(folder)")
  }
}
