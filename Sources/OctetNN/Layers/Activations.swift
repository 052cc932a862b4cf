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
