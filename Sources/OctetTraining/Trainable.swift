public import OctetCore
public import OctetNN
public import OctetQuantization

/// What a ``Trainer`` trains: a ``Module``, or a graph that is prepared for quantization-aware training.
public protocol Trainable: AnyObject {
  /// Whether dropout drops, batch normalization uses the statistics of the batch, and observers watch.
  var isTraining: Bool { get set }

  /// Everything that training changes, by name: parameters, statistics, and what observers have seen.
  var state: [String: Tensor] { get throws }

  /// Sets everything that training changes.
  ///
  /// - Throws: `OctetError` if something is missing, left over, or of another shape. Then nothing has been set.
  func load(_ state: [String: Tensor]) throws

  func callAsFunction(_ inputs: [Tensor]) throws -> [Tensor]

  /// Starts the random numbers that are drawn while this trains.
  func reseed(_ seed: UInt64)

  /// Does what `schedule` wants of an epoch, before it.
  ///
  /// - Throws: `OctetError` (`unsupported`) if there is nothing that the schedule could act on.
  func follow(_ schedule: QATSchedule, epoch: Int) throws
}

extension Module: Trainable {
  public var state: [String: Tensor] { stateDict }

  public func callAsFunction(_ inputs: [Tensor]) throws -> [Tensor] { try self(inputs.map(Optional.some)) }

  public func follow(_ schedule: QATSchedule, epoch: Int) throws {
    throw OctetError(
      .unsupported, "QATSchedule", expected: "a graph prepared for quantization-aware training",
      found: "a module, \(Self.self)")
  }
}

extension PreparedGraph: Trainable {
  public func follow(_ schedule: QATSchedule, epoch: Int) throws {
    if let count = schedule.observersOffAfter, epoch >= count { try disableObservers() }
    if let count = schedule.batchNormFrozenAfter, epoch >= count { try freezeBatchNorm() }
  }
}

/// When quantization-aware training settles down: ranges follow the network at first, and stay later; so does batch
/// normalization.
public struct QATSchedule: Hashable, Sendable, Codable {
  /// After so many epochs observers stop, so that scales and zero points stay as they are; `nil`: never.
  public var observersOffAfter: Int?
  /// After so many epochs batch normalization uses its running statistics and leaves them alone; `nil`: never.
  public var batchNormFrozenAfter: Int?

  public init(observersOffAfter: Int? = nil, batchNormFrozenAfter: Int? = nil) {
    self.observersOffAfter = observersOffAfter
    self.batchNormFrozenAfter = batchNormFrozenAfter
  }
}
