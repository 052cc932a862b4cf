import OctetCore

/// A library of integer kernels, for which PyTorch has a default QConfig; and Octet itself.
public enum Backend: String, Hashable, Sendable, Codable, CaseIterable {
  case octet, fbgemm, x86, onednn, qnnpack

  /// The backend of this name.
  ///
  /// - Throws: `OctetError` (`unknownName`) that lists the names.
  public init(named name: String) throws {
    guard let backend = Backend(rawValue: name) else {
      throw OctetError(
        .unknownName, "backend", expected: "one of \(nearNames(to: name, in: Self.allCases.map(\.rawValue)))",
        found: name)
    }
    self = backend
  }

  /// Whether its sums overflow with all 8 bits of an activation on some CPU, so that half of the range chooses the scale.
  var reducesRange: Bool {
    switch self {
    case .fbgemm, .x86: true
    case .octet, .onednn, .qnnpack: false
    }
  }

  /// Whether each output channel of a weight has a scale of its own.
  var hasPerChannelWeights: Bool {
    switch self {
    case .octet, .fbgemm, .x86, .onednn: true
    case .qnnpack: false
    }
  }
}

extension QConfig {
  /// The default for static quantization: activations by a histogram, uint8 affine; weights int8 symmetric by their
  /// extremes. (torch.ao.quantization.get_default_qconfig.)
  public static func `default`(for backend: Backend) -> QConfig {
    QConfig(
      activation: HistogramObserver(dtype: .uint8, reduceRange: backend.reducesRange),
      weight: backend.hasPerChannelWeights
        ? PerChannelMinMaxObserver(axis: 0, dtype: .int8, scheme: .symmetric)
        : MinMaxObserver(dtype: .int8, scheme: .symmetric))
  }

  /// The default for quantization-aware training: the same types and schemes as ``default(for:)``, by extremes that
  /// move with the batches (`c = 0.01`). (torch.ao.quantization.get_default_qat_qconfig.)
  public static func defaultQAT(for backend: Backend) -> QConfig {
    QConfig(
      activation: MovingAverageMinMaxObserver(dtype: .uint8, reduceRange: backend.reducesRange),
      weight: backend.hasPerChannelWeights
        ? MovingAveragePerChannelMinMaxObserver(axis: 0, dtype: .int8, scheme: .symmetric)
        : MovingAverageMinMaxObserver(dtype: .int8, scheme: .symmetric))
  }
}
