public import OctetCore
public import OctetNN

/// What a ``Trainer`` trains: a ``Module``, or a graph that is prepared for quantization-aware training.
public protocol Trainable: AnyObject {
  /// Whether dropout drops and batch normalization uses the statistics of the batch.
  var isTraining: Bool { get set }

  /// What changes by gradients, each once.
  var trainableParameters: [Parameter] { get }

  /// Everything that training changes, by name: parameters, statistics, and what observers have seen.
  var state: [String: Tensor] { get throws }

  /// Sets everything that training changes.
  ///
  /// - Throws: `OctetError` if something is missing, left over, or of another shape. Then nothing has been set.
  func load(state: [String: Tensor]) throws

  func callAsFunction(_ inputs: [Tensor]) throws -> [Tensor]

  /// Starts the random numbers that are drawn while this trains.
  func reseed(_ seed: UInt64)

  /// Does what `schedule` wants of an epoch, before it.
  ///
  /// - Throws: `OctetError` (`unsupported`) if there is nothing that the schedule could act on.
  func follow(_ schedule: QATSchedule, epoch: Int) throws
}

extension Module: Trainable {
  public var trainableParameters: [Parameter] { parameters }

  public var state: [String: Tensor] { stateDict }

  public func load(state: [String: Tensor]) throws { try load(state) }

  public func callAsFunction(_ inputs: [Tensor]) throws -> [Tensor] { try self(inputs.map(Optional.some)) }

  public func follow(_ schedule: QATSchedule, epoch: Int) throws {
    throw OctetError(
      .unsupported, "QATSchedule", expected: "a graph prepared for quantization-aware training",
      found: "a module, \(Self.self)")
  }
}

/// When quantization-aware training settles down: first ranges adapt, then they stay; batch normalization last.
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
