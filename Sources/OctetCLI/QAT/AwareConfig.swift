import Octet

extension QConfig {
  /// What commands train with: a backend's default, with weights of 8 or 4 bits.
  static func aware(_ backend: Backend, bits: Int) -> QConfig {
    var config = defaultQAT(for: backend)
    if bits == 4 {
      // Of 16 integers every one counts: they go by the weights as they are, not as they were on average.
      config.weight =
        config.weight is MovingAveragePerChannelMinMaxObserver
        ? MovingAveragePerChannelMinMaxObserver(
          axis: 0, averagingConstant: 1, dtype: .int8, scheme: .symmetric, quantMin: -8, quantMax: 7)
        : MovingAverageMinMaxObserver(
          averagingConstant: 1, dtype: .int8, scheme: .symmetric, quantMin: -8, quantMax: 7)
    }
    return config
  }
}
