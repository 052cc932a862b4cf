public import OctetCore

/// Stochastic gradient descent, with momentum if that is not 0:
///
///     g += decay · p;  m = momentum · m + g (g in the first step);  p −= rate · m  (Nesterov: g + momentum · m)
public final class SGD: Optimizer {
  public let momentum: Float
  public let isNesterov: Bool

  public init(
    _ groups: [ParameterGroup], learningRate: Float, momentum: Float = 0, weightDecay: Float = 0, nesterov: Bool = false
  ) throws {
    guard momentum >= 0, momentum.isFinite, !nesterov || momentum > 0 else {
      throw OctetError(
        .invalidArgument, "momentum", expected: nesterov ? "above 0, for Nesterov's" : "0 or more", found: "\(momentum)"
      )
    }
    self.momentum = momentum
    isNesterov = nesterov
    try super.init(
      groups, learningRate: learningRate, weightDecay: weightDecay, momentCount: momentum == 0 ? 0 : 1)
  }

  public convenience init(
    _ parameters: [Parameter], learningRate: Float, momentum: Float = 0, weightDecay: Float = 0, nesterov: Bool = false
  ) throws {
    try self.init(
      [ParameterGroup(parameters)], learningRate: learningRate, momentum: momentum, weightDecay: weightDecay,
      nesterov: nesterov)
  }

  public override func change(
    _ value: inout Tensor, _ gradient: Tensor, _ moments: inout [Tensor], rate: Float, decay: Float
  ) throws {
    let rule = Rule(
      momentum: momentum, isNesterov: isNesterov, isFirst: stepCount == 1, rate: rate, decay: decay)
    try each(&value, gradient, &moments, rule)
  }

  private struct Rule: UpdateRule {
    let momentum: Float
    let isNesterov: Bool
    let isFirst: Bool
    let rate: Float
    let decay: Float

    @inline(__always)
    func updated(_ p: Float, _ g: Float, _ m: inout Float, _: inout Float) -> Float {
      var g = g + decay * p
      if momentum != 0 {
        m = isFirst ? g : momentum * m + g
        g = isNesterov ? g + momentum * m : m
      }
      return p - rate * g
    }
  }
}

/// Adaptive moments (Kingma, Ba, 2014), without or with decay apart from the gradient (AdamW; Loshchilov, Hutter, 2017):
///
///     g += decay · p  (AdamW: p −= rate · decay · p);  m = β₁ m + (1 − β₁) g;  v = β₂ v + (1 − β₂) g²
///     p −= rate / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
public class Adam: Optimizer {
  public let betas: (Float, Float)
  public let epsilon: Float
  /// Whether decay acts on the parameter itself, not through the gradient.
  fileprivate var isDecoupled: Bool { false }

  public init(
    _ groups: [ParameterGroup], learningRate: Float = 1e-3, betas: (Float, Float) = (0.9, 0.999), epsilon: Float = 1e-8,
    weightDecay: Float = 0
  ) throws {
    guard (0..<1).contains(betas.0), (0..<1).contains(betas.1), epsilon >= 0 else {
      throw OctetError(
        .invalidArgument, "betas", expected: "numbers in 0..<1, epsilon of 0 or more", found: "\(betas), \(epsilon)")
    }
    self.betas = betas
    self.epsilon = epsilon
    try super.init(groups, learningRate: learningRate, weightDecay: weightDecay, momentCount: 2)
  }

  public convenience init(
    _ parameters: [Parameter], learningRate: Float = 1e-3, betas: (Float, Float) = (0.9, 0.999), epsilon: Float = 1e-8,
    weightDecay: Float = 0
  ) throws {
    try self.init(
      [ParameterGroup(parameters)], learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay
    )
  }

  public override func change(
    _ value: inout Tensor, _ gradient: Tensor, _ moments: inout [Tensor], rate: Float, decay: Float
  ) throws {
    let (beta1, beta2) = betas
    func correction(_ beta: Float) -> Float {
      // (βᵗ by squaring, in double precision.)
      var (power, base, exponent) = (1.0, Double(beta), stepCount)
      while exponent > 0 {
        if exponent % 2 == 1 { power *= base }
        base *= base
        exponent /= 2
      }
      return Float(1 - power)
    }
    let (size, root) = (rate / correction(beta1), correction(beta2).squareRoot())
    let rule = Rule(
      beta1: beta1, beta2: beta2, size: size, root: root, epsilon: epsilon, ofGradient: isDecoupled ? 0 : decay,
      ofParameter: isDecoupled ? rate * decay : 0)
    try each(&value, gradient, &moments, rule)
  }

  private struct Rule: UpdateRule {
    let beta1, beta2, size, root, epsilon: Float
    /// What decay adds to the gradient, and what it takes from the parameter itself.
    let ofGradient, ofParameter: Float

    @inline(__always)
    func updated(_ p: Float, _ g: Float, _ m: inout Float, _ v: inout Float) -> Float {
      let g = g + ofGradient * p
      m += (1 - beta1) * (g - m)
      v = beta2 * v + (1 - beta2) * g * g
      return p - ofParameter * p - size * m / (v.squareRoot() / root + epsilon)
    }
  }
}

/// ``Adam`` whose decay acts on the parameter itself; its default is 0.01.
public final class AdamW: Adam {
  fileprivate override var isDecoupled: Bool { true }

  public override init(
    _ groups: [ParameterGroup], learningRate: Float = 1e-3, betas: (Float, Float) = (0.9, 0.999), epsilon: Float = 1e-8,
    weightDecay: Float = 0.01
  ) throws {
    try super.init(groups, learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay)
  }

  public convenience init(
    _ parameters: [Parameter], learningRate: Float = 1e-3, betas: (Float, Float) = (0.9, 0.999), epsilon: Float = 1e-8,
    weightDecay: Float = 0.01
  ) throws {
    try self.init(
      [ParameterGroup(parameters)], learningRate: learningRate, betas: betas, epsilon: epsilon, weightDecay: weightDecay
    )
  }
}

/// Gradients divided by their running size (Hinton's lecture, 2012), with momentum if that is not 0:
///
///     g += decay · p;  v = α v + (1 − α) g²;  m = momentum · m + g / (√v + ε);  p −= rate · m
public final class RMSprop: Optimizer {
  public let alpha: Float
  public let epsilon: Float
  public let momentum: Float

  public init(
    _ groups: [ParameterGroup], learningRate: Float = 0.01, alpha: Float = 0.99, epsilon: Float = 1e-8,
    momentum: Float = 0, weightDecay: Float = 0
  ) throws {
    guard (0..<1).contains(alpha), epsilon >= 0, momentum >= 0, momentum.isFinite else {
      throw OctetError(
        .invalidArgument, "alpha", expected: "alpha in 0..<1, epsilon and momentum of 0 or more",
        found: "\(alpha), \(epsilon), \(momentum)")
    }
    self.alpha = alpha
    self.epsilon = epsilon
    self.momentum = momentum
    try super.init(
      groups, learningRate: learningRate, weightDecay: weightDecay, momentCount: momentum == 0 ? 1 : 2)
  }

  public convenience init(
    _ parameters: [Parameter], learningRate: Float = 0.01, alpha: Float = 0.99, epsilon: Float = 1e-8,
    momentum: Float = 0, weightDecay: Float = 0
  ) throws {
    try self.init(
      [ParameterGroup(parameters)], learningRate: learningRate, alpha: alpha, epsilon: epsilon, momentum: momentum,
      weightDecay: weightDecay)
  }

  public override func change(
    _ value: inout Tensor, _ gradient: Tensor, _ moments: inout [Tensor], rate: Float, decay: Float
  ) throws {
    let rule = Rule(alpha: alpha, epsilon: epsilon, momentum: momentum, rate: rate, decay: decay)
    try each(&value, gradient, &moments, rule)
  }

  private struct Rule: UpdateRule {
    let alpha, epsilon, momentum, rate, decay: Float

    @inline(__always)
    func updated(_ p: Float, _ g: Float, _ v: inout Float, _ m: inout Float) -> Float {
      let g = g + decay * p
      v = alpha * v + (1 - alpha) * g * g
      var change = g / (v.squareRoot() + epsilon)
      if momentum != 0 {
        change += momentum * m
        m = change
      }
      return p - rate * change
    }
  }
}

/// What becomes of one element of a parameter, by its gradient and its moments, of which there are two at most. (A type, so
/// that the loop over elements knows it and calls nothing.)
private protocol UpdateRule {
  func updated(_ p: Float, _ g: Float, _ first: inout Float, _ second: inout Float) -> Float
}

private func each(
  _ value: inout Tensor, _ gradient: Tensor, _ moments: inout [Tensor], _ rule: some UpdateRule
) throws {
  var pointers: [UnsafeMutablePointer<Float>] = []
  for index in moments.indices {
    // Copied first if they are shared; they stay where they are as long as `moments` does.
    try moments[index].withUnsafeMutableScalars(as: Float.self) {
      if let base = $0.baseAddress { pointers.append(base) }
    }
  }
  guard pointers.count == moments.count else { return }
  let (first, second) = (pointers.first, pointers.dropFirst().first)
  try value.withUnsafeMutableScalars(as: Float.self) { p in
    try gradient.withUnsafeScalars(as: Float.self) { g in
      concurrently(elements: p.count) { range in
        // A loop for each number of moments.
        var (none, nothing): (Float, Float) = (0, 0)
        if let first, let second {
          for i in range { p[i] = rule.updated(p[i], g[i], &first[i], &second[i]) }
        } else if let first {
          for i in range { p[i] = rule.updated(p[i], g[i], &first[i], &nothing) }
        } else {
          for i in range { p[i] = rule.updated(p[i], g[i], &none, &nothing) }
        }
      }
    }
  }
}
