/// The options of GPTQ, which rounds the columns of a weight one after another and corrects those that are left for the
/// error made so far. (Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
/// Transformers, 2022.)
public struct GPTQ: Hashable, Sendable, Codable {
  /// What is added to the diagonal of the Hessian, as a fraction of its mean over the inputs that were not always 0.
  public var dampening: Double
  /// Quantizes columns with large inputs first, while there are many columns left to make up for their error. The
  /// integers are stored in the order of the weight all the same, and groups are groups of neighbours.
  public var ordersColumnsByActivation: Bool

  public init(dampening: Double = 0.01, ordersColumnsByActivation: Bool = true) {
    self.dampening = dampening
    self.ordersColumnsByActivation = ordersColumnsByActivation
  }

  /// How far a conversion has come. Printed, it is a bar: `encoder.0.query  ███████░░░  …`.
  public struct Progress: Sendable, Hashable, CustomStringConvertible {
    /// The layer at work.
    public let layer: String
    /// Columns of weights that are done, and all there are.
    public let completed: Int
    public let total: Int

    /// From 0 to 1.
    public var fraction: Double { total > 0 ? Double(completed) / Double(total) : 1 }

    public var description: String {
      let filled = Int(fraction * 30)
      let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
      return "\(bar)  \(Int(fraction * 100)) %  \(layer)"
    }
  }
}
