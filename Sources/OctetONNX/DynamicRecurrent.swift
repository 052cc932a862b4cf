import OctetCore

// ONNX has no operator for a GRU that quantizes its operands while it runs, and ONNX Runtime's DynamicQuantizeLSTM knows one
// way to do so. Other recurrent layers are written as LSTM and GRU with dequantized weights, which is right in float, and
// an entry of the node says how Octet computes them.

extension Op.DynamicQuantize {
  /// The key of the entry.
  static let fileKey = "octet.dynamic"

  /// What the entry says: `uint8 per tensor`.
  var fileForm: String {
    "uint8 per \(granularity.rawValue)" + (reduceRange ? " in 0 to 127" : "")
  }

  /// The quantization that an entry means; `nil` for one that nobody has written here.
  init?(fileForm: String) {
    let all = Granularity.allCases.flatMap { granularity in
      [false, true].map { Op.DynamicQuantize(granularity, reduceRange: $0) }
    }
    guard let form = all.first(where: { $0.fileForm == fileForm }) else { return nil }
    self = form
  }
}
