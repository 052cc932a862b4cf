import Foundation
import OctetCore
import OctetFormats
import OctetTraining
import TestSupport
import Testing

@Suite("Data sets") struct DatasetTests {
  private func dataset() throws -> Dataset {
    try Dataset(
      [
        "images": Tensor((0..<60).map { UInt8($0) }, shape: [10, 2, 3]),
        "labels": Tensor((0..<10).map { Int64($0) }, shape: [10]),
      ], scales: ["images": 0.5])
  }

  @Test func batchesAreScaledRows() throws {
    let batch = try dataset().reshapingRows(of: "images", to: [3, 2]).batch([7, 0])
    #expect(batch.samples == [7, 0] && batch.count == 2)
    #expect(
      try discrepancy(
        batch["images"], Tensor([21, 21.5, 22, 22.5, 23, 23.5, 0, 0.5, 1, 1.5, 2, 2.5] as [Float], shape: [2, 3, 2]),
        absolute: 0, relative: 0) == nil)
    #expect(try batch["labels"].scalars(as: Int64.self) == [7, 0])
    #expect(octetError { try batch["label"] }?.code == .unknownName)
  }

  @Test func subsetsShareMemory() throws {
    let subset = try dataset().subset(4..<6)
    #expect(subset.count == 2)
    #expect(try subset.batch([1])["labels"].scalars(as: Int64.self) == [5])
    #expect(try subset.batch([1])["images"].floats == [15, 15.5, 16, 16.5, 17, 17.5])
    #expect(octetError { try dataset().subset(3..<3) }?.code == .invalidArgument)
    #expect(octetError { try dataset().subset(3..<11) }?.code == .shapeMismatch)
    #expect(octetError { try subset.batch([2]) }?.code == .invalidArgument)
  }

  @Test func elementsOfEveryTypeAreScaled() throws {
    let arrays: [String: Tensor] = [
      "u8": try Tensor([0, 255] as [UInt8], shape: [2]), "i8": try Tensor([-128, 127] as [Int8], shape: [2]),
      "u16": try Tensor([0, 65535] as [UInt16], shape: [2]), "i16": try Tensor([-32768, 1] as [Int16], shape: [2]),
      "f32": try Tensor([-0.5, 3] as [Float], shape: [2]),
    ]
    let batch = try Dataset(arrays, scales: arrays.mapValues { _ in 2 }).batch([0, 1])
    let expected: [String: [Float]] = [
      "u8": [0, 510], "i8": [-256, 254], "u16": [0, 131_070], "i16": [-65536, 2], "f32": [-1, 6],
    ]
    let unscaled = try Dataset(arrays).batch([1, 0])
    #expect(try unscaled["u8"].scalars(as: Int64.self) == [255, 0])
    #expect(try unscaled["i16"].scalars(as: Int64.self) == [1, -32768])
    #expect(try unscaled["f32"].floats == [3, -0.5])
    for (name, values) in expected { #expect(try batch[name].floats == values, "\(name)") }
  }

  @Test func whatDoesNotFitIsAnError() throws {
    let (one, two) = (try Tensor(zeros: [1]), try Tensor(zeros: [2]))
    #expect(octetError { try Dataset(["a": one, "b": two]) }?.code == .shapeMismatch)
    #expect(octetError { try Dataset(["a": Tensor(Float(1))]) }?.code == .shapeMismatch)
    #expect(octetError { try Dataset([:]) }?.code == .invalidArgument)
    #expect(octetError { try Dataset(["a": Tensor(zeros: [0, 4])]) }?.code == .invalidArgument)
    #expect(octetError { try Dataset(["a": one], scales: ["b": 1]) }?.code == .unknownName)
    #expect(octetError { try Dataset(["a": one], scales: ["a": .infinity]) }?.code == .invalidArgument)
    #expect(
      octetError { try Dataset(["a": Tensor(zeros: [1], dtype: .int64)], scales: ["a": 1]) }?.code == .dtypeMismatch)
    #expect(octetError { try Dataset(["a": Tensor(zeros: [2], dtype: .int4)]) }?.code == .dtypeMismatch)
    #expect(octetError { try dataset().reshapingRows(of: "images", to: [7]) }?.code == .shapeMismatch)
    #expect(octetError { try dataset().reshapingRows(of: "image", to: [6]) }?.code == .unknownName)
  }

  @Test func filesOfBothFormatsAreRead() throws {
    try inTemporaryFile { path in
      try NpzFile.write(dataset().arrays, to: path)
      let read = try Dataset(npz: path, scales: ["images": 0.5])
      #expect(try read.batch([3])["images"].floats == dataset().batch([3])["images"].floats)
      let error = octetError { try Dataset(npz: path, scales: ["image": 1]) }
      #expect(error?.code == .unknownName && error?.subject.hasPrefix(path) == true)

      try Data([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]).write(to: URL(filePath: path))
      let images = try Dataset(idx: ["pixels": path], scales: ["pixels": 2])
      #expect(images.count == 2)
      #expect(try images.batch([1])["pixels"].floats == [8, 10, 12])
    }
  }
}
