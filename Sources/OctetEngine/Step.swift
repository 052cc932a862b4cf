import OctetCore

/// One operation of a plan on slots.
protocol Step: Sendable {
  /// The node of the graph it comes from.
  var name: String { get }
  /// What it does, for people: `conv uint8 → uint8`.
  var label: String { get }
  var inputs: [Int] { get }
  var output: Int { get }
  /// Bytes that each worker needs beside the slots.
  func scratchSize(_ shapes: Shapes) throws -> Int
  /// The step with its memory.
  func bind(_ memory: Memory) throws -> Call
}

extension Step {
  func scratchSize(_ shapes: Shapes) throws -> Int { 0 }
}
