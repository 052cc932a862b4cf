/// The problems that belong to one argument of `octet bench`.
struct Suite {
  let name: String
  /// The kinds that parameters may be given for.
  let kinds: [String]
  /// Parameters that make these problems what they are.
  var fixed: [String] = []
  /// What runs if no parameters are given: kind and parameters.
  let problems: [String]

  static let all = [
    Suite(name: "gemm", kinds: ["gemm"], problems: matrices.map(gemm)),
    Suite(name: "gemv", kinds: ["gemm"], fixed: ["m=1"], problems: matrices.filter { $0.m == 1 }.map(gemm)),
    Suite(
      name: "conv", kinds: ["conv"],
      problems: [
        conv(224, 3, 64, kernel: 7, stride: 2), conv(224, 3, 32, kernel: 3, stride: 2),
        conv(56, 64, 256, kernel: 1), conv(14, 1024, 256, kernel: 1), conv(56, 96, 24, kernel: 1),
        conv(7, 576, 160, kernel: 1), conv(7, 320, 1280, kernel: 1),
        conv(56, 64, 64, kernel: 3), conv(28, 128, 128, kernel: 3), conv(14, 256, 256, kernel: 3),
        conv(7, 512, 512, kernel: 3),
      ]),
    Suite(
      name: "depthwise", kinds: ["depthwise"],
      problems: [
        window("depthwise", 112, 96, kernel: 3, stride: 2), window("depthwise", 56, 144, kernel: 3),
        window("depthwise", 14, 576, kernel: 3), window("depthwise", 14, 240, kernel: 5),
      ]),
    Suite(
      name: "pool", kinds: ["max-pool", "average-pool"],
      problems: [
        window("max-pool", 112, 64, kernel: 3, stride: 2), window("average-pool", 112, 64, kernel: 3, stride: 2),
        "average-pool in_h=7 channels=1280 global=yes",
      ]),
    Suite(
      name: "quantize", kinds: ["quantize", "dequantize", "quantize-channels", "quantize-rows"],
      problems: [
        "quantize count=10000000", "dequantize count=10000000", "quantize-channels channels=1000 inner=10000",
        "quantize-rows rows=10000 columns=1000",
      ]),
    Suite(
      name: "observe", kinds: ["min-max", "min-max-channels", "histogram"],
      problems: [
        "min-max count=10000000", "min-max-channels channels=1000 inner=10000",
        "min-max-channels outer=10000 channels=1000", "histogram count=10000000",
      ]),
    Suite(
      name: "fakequantize", kinds: ["fake-quantize", "fake-quantize-channels"],
      problems: ["fake-quantize count=10000000", "fake-quantize-channels channels=1000 inner=10000"]),
    Suite(
      name: "weight-only", kinds: ["weight-only"],
      problems: [1, 16].flatMap { m in
        ["float-gemm m=\(m) n=4096 k=4096"]
          + ["bits=8", "bits=8 group=32", "bits=4 group=32", "bits=4 group=64", "bits=4 group=128 signed=no zeros=yes"]
          .map { "weight-only m=\(m) n=4096 k=4096 \($0)" }
      }),
  ]

  private typealias Matrix = (m: Int, n: Int, k: Int)
  /// Shapes of language models, classifiers and convolutions, square ones, and one that no tile divides.
  private static let matrices: [Matrix] = [
    (1, 1024, 1024), (1, 4096, 4096), (8, 1024, 1024), (32, 512, 512), (128, 768, 768), (128, 3072, 768),
    (384, 768, 3072), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (49, 160, 960), (196, 96, 576),
    (3136, 64, 147), (17, 33, 65),
  ]

  private static func gemm(_ matrix: Matrix) -> String { "gemm m=\(matrix.m) n=\(matrix.n) k=\(matrix.k)" }

  private static func conv(_ size: Int, _ from: Int, _ to: Int, kernel: Int, stride: Int = 1) -> String {
    "conv in_h=\(size) in_c=\(from) out_c=\(to) kernel_h=\(kernel) stride_h=\(stride) pad_top=\(kernel / 2)"
  }

  private static func window(_ kind: String, _ size: Int, _ channels: Int, kernel: Int, stride: Int = 1) -> String {
    "\(kind) in_h=\(size) channels=\(channels) kernel_h=\(kernel) stride_h=\(stride) pad_top=\(kernel / 2)"
  }
}
