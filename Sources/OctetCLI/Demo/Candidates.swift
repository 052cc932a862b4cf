import Foundation
import Octet

/// The forms of one network side by side, each as it was read back from its file; the first one is the float network.
final class Candidates {
  private struct Candidate {
    let name: String
    let bytes: Int
    let session: Session
  }

  private let folder: URL
  private let threads: Int
  private var candidates: [Candidate] = []

  /// - Parameter threads: of the timed columns.
  init(threads: Int) throws {
    self.threads = threads
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("octet-demo-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// Saves a graph and reads it again.
  @discardableResult
  func add(_ name: String, _ graph: Graph) throws -> Plan {
    let path = folder.appendingPathComponent("\(name).safetensors").path
    try graph.save(to: path)
    let bytes = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
    let plan = try Plan(Graph(contentsOf: path))
    candidates.append(Candidate(name: name, bytes: bytes, session: Session(plan, threads: threads)))
    return plan
  }

  func measure(_ test: DemoData) throws -> [Measurement] {
    let said = try candidates.map { try logits($0.session, test, progress: "\($0.name): evaluating") }
    let labels = try Tensor(test.labels.map(Int64.init), shape: [test.labels.count])
    let sessions = candidates.map(\.session)
    let single = try medianSeconds(sessions, test.images[0..<1])
    let many = try medianSeconds(sessions, test.images[0..<128])
    return try candidates.indices.map { index in
      var difference = Difference()
      try difference.add(said[index], reference: said[0])
      return Measurement(
        name: candidates[index].name,
        accuracy: Double(try Objective.countRight(said[index], labels)) / Double(test.labels.count),
        agreement: difference.agreement ?? 1, sqnr_db: index == 0 ? nil : difference.sqnr,
        bytes: candidates[index].bytes, ms_per_image_batch1: single[index] * 1000,
        images_per_second_batch128: 128 / many[index])
    }
  }
}

extension [Measurement] {
  func tabular() -> Table {
    var table = Table(
      [
        "", "accuracy", "agreement", "SQNR dB", "bytes", "ms/image, batch 1", "images/s, batch 128", "speed-up 1",
        "128",
      ],
      trailing: [1, 2, 3, 4, 5, 6, 7, 8])
    let float = self[0]
    for row in self {
      table.append(
        row.name, (row.accuracy * 100).formatted(1) + " %", (row.agreement * 100).formatted(1) + " %",
        row.sqnr_db?.formatted(1) ?? "–", "\(row.bytes)", row.ms_per_image_batch1.formatted(4),
        row.images_per_second_batch128.formatted(0),
        (float.ms_per_image_batch1 / row.ms_per_image_batch1).formatted(2) + " ×",
        (row.images_per_second_batch128 / float.images_per_second_batch128).formatted(2) + " ×")
    }
    return table
  }
}
