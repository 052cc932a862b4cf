public import OctetCore

/// `max(x, 0)`
public final class ReLU: Module {
  public override func forward(_ x: Tensor) throws -> Tensor { try relu(x) }
}

/// `min(max(x, 0), 6)`
public final class ReLU6: Module {
  public override func forward(_ x: Tensor) throws -> Tensor { try relu6(x) }
}

/// `min(max(x, minimum), maximum)`; PyTorch's Hardtanh.
public final class Hardtanh: Module {
  public let minimum: Float
  public let maximum: Float

  public init(_ minimum: Float = -1, _ maximum: Float = 1) {
    self.minimum = minimum
    self.maximum = maximum
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try clip(x, minimum: minimum, maximum: maximum) }
}

/// `exp(x) / Σ exp(x)` along one axis.
public final class Softmax: Module {
  public let axis: Int

  public init(axis: Int = -1) {
    self.axis = axis
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try softmax(x, axis: axis) }
}

/// `x − ln Σ exp(x)` along one axis.
public final class LogSoftmax: Module {
  public let axis: Int

  public init(axis: Int = -1) {
    self.axis = axis
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try logSoftmax(x, axis: axis) }
}

/// `1 / (1 + e⁻ˣ)`
public final class Sigmoid: Module {
  public override func forward(_ x: Tensor) throws -> Tensor { try sigmoid(x) }
}

public final class Tanh: Module {
  public override func forward(_ x: Tensor) throws -> Tensor { try tanh(x) }
}

/// `x · sigmoid(x)`
public final class SiLU: Module {
  public override func forward(_ x: Tensor) throws -> Tensor { try silu(x) }
}

/// `x · min(max(x / 6 + 1/2, 0), 1)`
public final class Hardswish: Module {
  public override func forward(_ x: Tensor) throws -> Tensor { try hardSwish(x) }
}

/// `min(max(x / 6 + 1/2, 0), 1)`
public final class Hardsigmoid: Module {
  public override func forward(_ x: Tensor) throws -> Tensor { try hardSigmoid(x) }
}

/// `ln(1 + eˣ)`
public final class Softplus: Module {
  public override func forward(_ x: Tensor) throws -> Tensor { try softplus(x) }
}

/// `x · Φ(x)`
public final class GELU: Module {
  public let approximate: Op.Unary.GELUApproximation

  public init(approximate: Op.Unary.GELUApproximation = .none) {
    self.approximate = approximate
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try gelu(x, approximate: approximate) }
}

/// `negativeSlope · x` below 0.
public final class LeakyReLU: Module {
  public let negativeSlope: Float

  public init(_ negativeSlope: Float = 0.01) {
    self.negativeSlope = negativeSlope
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try leakyRelu(x, alpha: negativeSlope) }
}

/// `alpha · (eˣ − 1)` below 0.
public final class ELU: Module {
  public let alpha: Float

  public init(_ alpha: Float = 1) {
    self.alpha = alpha
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try elu(x, alpha: alpha) }
}

/// `weight · x` below 0, with a weight for each channel (axis 1) or one for all.
public final class PReLU: Module {
  /// [numParameters]
  public let weight: Parameter

  public init(_ numParameters: Int = 1, initial: Float = 0.25) {
    precondition(numParameters > 0, "layer sizes must be positive")
    weight = Parameter(try! Tensor(repeating: initial, shape: [numParameters]))
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try prelu(x, slope: weight.value) }
}
