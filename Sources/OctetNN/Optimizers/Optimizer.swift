public import OctetCore

/// Parameters that are trained alike.
public struct ParameterGroup {
  public var parameters: [Parameter]
  /// What the optimizer's learning rate is multiplied by for these parameters.
  public var learningRateFactor: Float
  /// How much of a parameter is taken away in each step; `nil`: what the optimizer says.
  public var weightDecay: Float?

  public init(_ parameters: [Parameter], learningRateFactor: Float = 1, weightDecay: Float? = nil) {
    self.parameters = parameters
    self.learningRateFactor = learningRateFactor
    self.weightDecay = weightDecay
  }
}

extension Module {
  /// All trainable parameters in two groups: matrices and kernels; and vectors (biases, batch normalization), which are
  /// better left without weight decay.
  public func parameterGroups(weightDecay: Float) -> [ParameterGroup] {
    [
      ParameterGroup(parameters.filter { $0.value.rank > 1 }, weightDecay: weightDecay),
      ParameterGroup(parameters.filter { $0.value.rank <= 1 }, weightDecay: 0),
    ]
  }
}

/// Changes parameters step by step so that a loss falls. Formulas and defaults of the subclasses are PyTorch's.
///
///     let optimizer = try SGD(net.parameters, learningRate: 0.1, momentum: 0.9)
///     let (loss, gradients) = try valueAndGradients(of: optimizer.parameters) { try crossEntropy(net(x), labels) }
///     try optimizer.step(gradients)
open class Optimizer {
  public let groups: [ParameterGroup]
  /// All parameters, group by group: the order of gradients.
  public let parameters: [Parameter]
  /// Step size; a schedule may set it before each step.
  public var learningRate: Float
  /// For groups that say nothing themselves.
  public let weightDecay: Float
  /// How many steps have been made.
  public private(set) var stepCount = 0
  /// What is remembered of each parameter from step to step: moments, each of the parameter's shape.
  private var moments: [[Tensor]]

  /// - Parameter momentCount: how many tensors the rule remembers for each parameter.
  /// - Throws: `OctetError` (`invalidArgument`) for numbers that are negative or not finite, or a parameter that is there
  ///   twice.
  public init(_ groups: [ParameterGroup], learningRate: Float, weightDecay: Float, momentCount: Int) throws {
    self.groups = groups
    parameters = groups.flatMap(\.parameters)
    self.learningRate = learningRate
    self.weightDecay = weightDecay
    guard Set(parameters.map(ObjectIdentifier.init)).count == parameters.count else {
      throw OctetError(
        .invalidArgument, "parameters", expected: "each parameter once", found: "one that is there twice")
    }
    let numbers =
      [learningRate, weightDecay]
      + groups.flatMap { (group: ParameterGroup) -> [Float] in [group.learningRateFactor, group.weightDecay ?? 0] }
    guard numbers.allSatisfy({ $0 >= 0 && $0.isFinite }) else {
      throw OctetError(
        .invalidArgument, "optimizer", expected: "learning rates and weight decays of 0 or more", found: "\(numbers)")
    }
    moments = try parameters.map { parameter in
      try (0..<momentCount).map { _ in try Tensor(zeros: parameter.value.shape) }
    }
  }

  /// Moves every parameter against its gradient. (PyTorch leaves alone what took no part in the loss; a gradient of zeros
  /// lets weight decay and momentum go on.)
  ///
  /// - Parameter gradients: one for each of ``parameters``, of its shape.
  /// - Throws: `OctetError`: `shapeMismatch` if they do not fit, `notANumber` if one is not finite, `invalidArgument` if the
  ///   learning rate is not. Then nothing has changed.
  public final func step(_ gradients: [Tensor]) throws {
    guard gradients.count == parameters.count,
      zip(gradients, parameters).allSatisfy({ $0.type == $1.value.type })
    else {
      throw OctetError(
        .shapeMismatch, "gradients", expected: "\(parameters.map(\.value.type))", found: "\(gradients.map(\.type))")
    }
    guard learningRate >= 0, learningRate.isFinite else {
      throw OctetError(.invalidArgument, "learningRate", expected: "0 or more", found: "\(learningRate)")
    }
    for (index, gradient) in gradients.enumerated() {
      guard try gradient.isFinite else {
        throw OctetError(
          .notANumber, "gradient \(index)", expected: "finite numbers (a lower learning rate may help)",
          found: "infinite ones or NaN in \(gradient.type)")
      }
    }
    stepCount += 1
    var index = 0
    for group in groups {
      for parameter in group.parameters {
        // The only references, so that both are changed where they are.
        var own = moments[index]
        moments[index] = []
        defer {
          moments[index] = own
          index += 1
        }
        try parameter.update { value in
          try change(
            &value, gradients[index], &own, rate: learningRate * group.learningRateFactor,
            decay: group.weightDecay ?? weightDecay)
        }
      }
    }
  }

  /// One step of one parameter, whose value is `value` (do not ask the parameter meanwhile); subclasses say how. `stepCount`
  /// is 1 in the first.
  open func change(
    _ value: inout Tensor, _ gradient: Tensor, _ moments: inout [Tensor], rate: Float, decay: Float
  ) throws {
    throw OctetError(.unsupported, "\(Self.self)", expected: "an override of change", found: "none")
  }

  // MARK: - State

  /// Everything that is needed to go on as if nothing had happened: `<parameter>.<moment>` by number, `step` and
  /// `learning_rate`.
  public final var stateDict: [String: Tensor] {
    get throws {
      var state = ["step": try Tensor(Int64(stepCount)), "learning_rate": try Tensor(learningRate)]
      for (index, own) in moments.enumerated() {
        for (number, moment) in own.enumerated() { state["\(index).\(number)"] = moment }
      }
      return state
    }
  }

  /// - Throws: `OctetError` if something is missing, left over or of another shape. Then nothing has been set.
  public final func load(_ state: [String: Tensor]) throws {
    let own = try stateDict
    guard Set(own.keys) == Set(state.keys) else {
      let difference = Set(own.keys).symmetricDifference(state.keys).sorted().prefix(3).joined(separator: ", ")
      throw OctetError(
        .unknownName, "state of the optimizer", expected: "entries as this optimizer has",
        found: "no, or another, \(difference)")
    }
    for (name, tensor) in own where state[name]!.type != tensor.type {
      throw OctetError(.shapeMismatch, name, expected: "\(tensor.type)", found: "\(state[name]!.type)")
    }
    let (count, rate) = try (state["step"]!.item(as: Int64.self), state["learning_rate"]!.item(as: Float.self))
    guard (0..<1 << 48).contains(count), rate >= 0, rate.isFinite else {
      throw OctetError(
        .invalidArgument, "state of the optimizer", expected: "a step and a learning rate of 0 or more",
        found: "\(count), \(rate)")
    }
    (stepCount, learningRate) = (Int(count), rate)
    for index in moments.indices {
      for number in moments[index].indices { moments[index][number] = state["\(index).\(number)"]! }
    }
  }
}

/// Scales gradients so that all together they are no longer than `maximum`: PyTorch's `clip_grad_norm_`.
///
/// - Returns: how long they were, √Σ g².
@discardableResult
public func clipGradients(_ gradients: inout [Tensor], norm maximum: Float) throws -> Float {
  let squares = try gradients.reduce(0.0) { try $0 + $1.sumOfSquares }
  let norm = Float(squares.squareRoot())
  let factor = maximum / (norm + 1e-6)
  guard factor < 1 else { return norm }
  for index in gradients.indices {
    try gradients[index].withUnsafeMutableScalars(as: Float.self) { g in
      concurrently(elements: g.count) { range in for i in range { g[i] *= factor } }
    }
  }
  return norm
}
