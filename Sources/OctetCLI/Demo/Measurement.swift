import Foundation
import Octet

/// How good and how fast one form of a network is.
struct Measurement: Encodable {
  let name: String
  /// Share of images whose label is found.
  let accuracy: Double
  /// Share of images that get the same class as from the float network.
  let agreement: Double
  /// Signal to noise of the logits against the float network in dB; none for the float network itself.
  let sqnr_db: Double?
  /// Size of the saved file.
  let bytes: Int
  var ms_per_image_batch1: Double = 0
  var images_per_second_batch128: Double = 0

  func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(name, forKey: .name)
    try values.encode(accuracy, forKey: .accuracy)
    try values.encode(agreement, forKey: .agreement)
    // Always there, null for the float network.
    try values.encode(sqnr_db, forKey: .sqnr_db)
    try values.encode(bytes, forKey: .bytes)
    try values.encode(ms_per_image_batch1, forKey: .ms_per_image_batch1)
    try values.encode(images_per_second_batch128, forKey: .images_per_second_batch128)
  }

  private enum CodingKeys: CodingKey {
    case name, accuracy, agreement, sqnr_db, bytes, ms_per_image_batch1, images_per_second_batch128
  }
}

/// What a network says of all images: logits [n, classes].
func logits(_ session: Session, _ data: DemoData, progress title: String) throws -> Tensor {
  let batches = try data.batches(of: 100)
  let progress = Progress(title, total: batches.count)
  defer { progress.finish() }
  let parts = try batches.enumerated().map { index, batch in
    defer { progress.show(index + 1) }
    return try session(batch)
  }
  return try concat(parts, axis: 0)
}

/// Median seconds of one run of each session, taken in turn so that a slow moment of the machine hits all of them.
func medianSeconds(_ sessions: [Session], _ input: Tensor, rounds: Int = 11) throws -> [Double] {
  var samples = [[Double]](repeating: [], count: sessions.count)
  var repetitions = [Int](repeating: 1, count: sessions.count)
  for (index, session) in sessions.enumerated() {
    // Warm up, and find how many runs take about 20 ms.
    _ = try session(input)
    let start = now()
    for _ in 0..<3 { _ = try session(input) }
    repetitions[index] = max(1, Int(0.02 / ((now() - start) / 3)))
  }
  for _ in 0..<rounds {
    for (index, session) in sessions.enumerated() {
      let start = now()
      for _ in 0..<repetitions[index] { _ = try session(input) }
      samples[index].append((now() - start) / Double(repetitions[index]))
    }
  }
  return samples.map { $0.sorted()[$0.count / 2] }
}
