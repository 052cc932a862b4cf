public import OctetCore

/// The mean of `(x − target)²`, a number: PyTorch's `mse_loss`. Operands of one shape.
public func mseLoss(_ x: Tensor, _ target: Tensor) throws -> Tensor {
  let error = try difference(x, target, "mseLoss")
  return try mean(error * error)
}

/// The mean of `|x − target|`, a number: PyTorch's `l1_loss`. Operands of one shape.
public func l1Loss(_ x: Tensor, _ target: Tensor) throws -> Tensor {
  try mean(abs(difference(x, target, "l1Loss")))
}

/// The mean of `−t · ln σ(x) − (1 − t) · ln(1 − σ(x))`, a number: PyTorch's `binary_cross_entropy_with_logits`.
///
/// - Parameters:
///   - logits: x, of any shape.
///   - target: t in 0...1, of the same shape.
///   - positiveWeight: how much the first term counts, broadcast to the shape.
public func binaryCrossEntropyWithLogits(
  _ logits: Tensor, _ target: Tensor, positiveWeight: Tensor? = nil
) throws -> Tensor {
  try requireSameShape(logits, target, "binaryCrossEntropyWithLogits")
  // −ln σ(x) = softplus(−x),  −ln(1 − σ(x)) = softplus(−x) + x
  let negative = try Tensor(Float(1)) - target
  guard let positiveWeight else { return try mean(softplus(-logits) + logits * negative) }
  return try mean(softplus(-logits) * (target * positiveWeight + negative) + logits * negative)
}

/// How far the classes' probabilities of a student are from those of its teacher, both made softer by a temperature T:
///
///     T² · Σ p_teacher · (ln p_teacher − ln p_student) / n,  p = softmax(logits / T)
///
/// A number: PyTorch's `kl_div` with `batchmean` (Hinton, Vinyals, Dean, 2015, "Distilling the Knowledge in a Neural Network").
/// The factor T² keeps gradients as large as without a temperature.
///
/// - Parameters:
///   - logits: of the student, [n, c] or [n, c, ...].
///   - teacher: of the teacher, of the same shape; a constant.
/// - Throws: `OctetError` if shapes differ or the temperature is not above 0.
public func distillationLoss(_ logits: Tensor, teacher: Tensor, temperature: Float = 1) throws -> Tensor {
  try requireSameShape(logits, teacher, "distillationLoss")
  guard temperature > 0, temperature.isFinite, logits.rank >= 2, let samples = logits.shape.first, samples > 0 else {
    throw OctetError(
      .invalidArgument, "distillationLoss", expected: "a temperature above 0, and samples [n, classes, ...]",
      found: "\(temperature), \(logits.type)")
  }
  let scale = try Tensor(1 / temperature)
  let expected = try logSoftmax(teacher.detached * scale, axis: 1)
  let divergence = try exp(expected) * (expected - logSoftmax(logits * scale, axis: 1))
  let factor = temperature * temperature / Float(samples)
  return try divergence.reduce(.sum, Array(0..<logits.rank)) * Tensor(factor)
}

private func mean(_ x: Tensor) throws -> Tensor { try x.reshape([-1]).mean([0]) }

private func difference(_ x: Tensor, _ target: Tensor, _ name: String) throws -> Tensor {
  try requireSameShape(x, target, name)
  return try x - target
}

/// (Broadcasting hides mistakes here.)
private func requireSameShape(_ x: Tensor, _ target: Tensor, _ name: String) throws {
  guard x.shape == target.shape else {
    throw OctetError(.shapeMismatch, name, expected: "operands of one shape", found: "\(x.type) and \(target.type)")
  }
}
