import Synchronization

/// A named value of a network that outlives one run: a weight, or the statistics of a batch normalization.
///
/// Modules, graphs and replays share parameters by reference: what one of them sets, all of them see.
public final class Parameter: Sendable {
  private let storage: Mutex<Tensor>
  /// Whether training changes it by gradients. The statistics of batch normalization are not trainable.
  public let isTrainable: Bool

  public init(_ value: Tensor, isTrainable: Bool = true) {
    storage = Mutex(value)
    self.isTrainable = isTrainable
  }

  public var value: Tensor {
    get { storage.withLock { $0 } }
    set { storage.withLock { $0 = newValue } }
  }

  /// Changes the value where it is, if nobody else holds it.
  package func update(_ change: (inout Tensor) throws -> Void) rethrows { try storage.withLock { try change(&$0) } }
}
