import Foundation
import OctetCore
import OctetFormats

/// A checkpoint is a safetensors file: `network.<name>`, `optimizer.<name>` and, if the best epoch is kept and the network is no
/// longer as it was then, `best.<name>`; in the metadata, as JSON, where training stands.
extension Trainer {
  private static let metadataKey = "octet.checkpoint"

  private struct Standing: Codable {
    var version = 1
    let seed: UInt64
    let data: DataDescription?
    let history: History
    let position: Position
    /// Whether the network is what is kept as the best.
    let isAtBest: Bool
  }

  /// Writes a checkpoint, whole or not at all: everything that is needed to go on as if nothing had happened. It may be
  /// written after any step.
  ///
  /// - Throws: `OctetError` (`fileAccess`) if the file cannot be written.
  public func save(to path: String) throws {
    var tensors: [String: Tensor] = [:]
    func add(_ state: [String: Tensor], _ prefix: String) {
      for (name, tensor) in state { tensors["\(prefix).\(name)"] = tensor }
    }
    let state = try network.state
    let isAtBest = best.map { $0.keys == state.keys && $0.allSatisfy { $1.hasSameBytes(as: state[$0]!) } } ?? false
    add(state, "network")
    try add(optimizer.stateDict, "optimizer")
    if let best, !isAtBest { add(best, "best") }
    let standing = Standing(seed: seed, data: data, history: history, position: position, isAtBest: isAtBest)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let json = String(decoding: try encoder.encode(standing), as: UTF8.self)
    try SafetensorsFile.write(tensors, metadata: [Self.metadataKey: json], to: path)
  }

  /// Goes on where a checkpoint stands. The trainer has to be made as the one that wrote it: the same network, optimizer,
  /// schedule and seed; and so do the batches.
  ///
  /// - Throws: `OctetError`, and nothing has changed: as `SafetensorsFile(contentsOf:)`; `invalidFile` for a file that is no
  ///   checkpoint; `unknownName` and `shapeMismatch` for one of another network or optimizer; `invalidArgument` for one with
  ///   another seed. The subject begins with the path.
  public func resume(from path: String) throws {
    let file = try SafetensorsFile(contentsOf: path)
    try naming(path) {
      guard let json = file.metadata[Self.metadataKey] else {
        throw OctetError(
          .invalidFile, "metadata", expected: "\(Self.metadataKey), of a checkpoint",
          found: file.metadata.isEmpty ? "none" : file.metadata.keys.sorted().joined(separator: ", "))
      }
      let standing = try explainingDecoding(Self.metadataKey) {
        try JSONDecoder().decode(Standing.self, from: Data(json.utf8))
      }
      guard standing.version == 1 else {
        throw OctetError(.unsupported, "version", expected: "1", found: "\(standing.version)")
      }
      guard standing.seed == seed else {
        throw OctetError(.invalidArgument, "seed", expected: "\(standing.seed), of the checkpoint", found: "\(seed)")
      }
      let position = standing.position
      guard [position.batch, position.sampleCount, position.correct].allSatisfy({ (0..<1 << 48).contains($0) }),
        standing.history.epochs.enumerated().allSatisfy({ $0 == $1.epoch })
      else {
        throw OctetError(
          .invalidFile, Self.metadataKey, expected: "epochs in order and numbers of steps", found: "others")
      }
      func state(_ prefix: String) -> [String: Tensor] {
        Dictionary(
          uniqueKeysWithValues: file.tensors.filter { $0.key.hasPrefix(prefix + ".") }.map {
            (String($0.key.dropFirst(prefix.count + 1)), $0.value)
          })
      }
      let (old, best) = (try network.state, state(standing.isAtBest ? "network" : "best"))
      do {
        // What is loaded last stays; that the best one fits has to be known as well.
        if !best.isEmpty { try naming("best") { try network.load(best) } }
        try naming("network") { try network.load(state("network")) }
        try naming("optimizer") { try optimizer.load(state("optimizer")) }
      } catch {
        try network.load(old)
        throw error
      }
      (history, self.position, data) = (standing.history, position, standing.data)
      self.best = best.isEmpty ? nil : best
    }
  }
}

extension Tensor {
  fileprivate func hasSameBytes(as other: Tensor) -> Bool {
    type == other.type && withUnsafeBytes { a in other.withUnsafeBytes { b in a.elementsEqual(b) } }
  }
}
