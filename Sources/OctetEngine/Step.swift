import OctetCore

/// One operation of a plan on slots.
protocol Step: Sendable {
  /// The node of the graph it comes from.
  var name: String { get }
  /// What it does, for people: `conv + relu`.
  var label: String { get }
  var inputs: [Int] { get }
  var outputs: [Int] { get }
  /// Bytes that each worker needs beside the slots.
  func scratchSize(_ shapes: Shapes) throws -> Int
  /// Bytes that all workers need together beside the slots, from the first call to the last.
  func workspaceSize(_ shapes: Shapes) throws -> Int
  /// The step with its memory: calls that run one after another.
  func bind(_ memory: Memory) throws -> [Call]
}

extension Step {
  func scratchSize(_ shapes: Shapes) throws -> Int { 0 }
  func workspaceSize(_ shapes: Shapes) throws -> Int { 0 }
}

/// A step with one result that one call makes.
protocol SingleCallStep: Step {
  var output: Int { get }
  func call(_ memory: Memory) throws -> Call
}

extension SingleCallStep {
  var outputs: [Int] { [output] }
  func bind(_ memory: Memory) throws -> [Call] { [try call(memory)] }
}
