public import OctetCore

/// How long one step of a plan takes.
public struct StepTime: Sendable {
  /// The node of the graph it comes from.
  public let name: String
  /// What it does, for people: `conv + relu`.
  public let label: String
  /// The element types that it gives.
  public let types: [DType]
  public let seconds: Double
}
