internal import OctetCore
internal import OctetNN
internal import OctetQuantization
internal import TestSupport

extension Network {
  /// Every kind of operation, layout and sharing that conversion and engine know.
  package static let all: [Network] = images + pools + shapes + mixed + schemes + operations

  package static func named(_ name: String) -> Network { all.first { $0.name == name }! }

  private static let images: [Network] = [
    Network(chain: "plain CNN", [3, 8, 8]) {
      [
        Conv2d(3, 8, kernelSize: 3, padding: 1), ReLU(), MaxPool2d(kernelSize: 2), Conv2d(8, 20, kernelSize: 3), ReLU(),
        Flatten(), Linear(80, 10),
      ]
    },
    Network(
      "residual", [[4, 7, 9]],
      layers: {
        [
          Conv2d(4, 4, kernelSize: 3, padding: 1, bias: false), BatchNorm2d(4), Conv2d(4, 4, kernelSize: 1),
          BatchNorm2d(4),
        ]
      }
    ) { layers, x in
      let y = try relu(layers[1](layers[0](x[0])))
      return [try relu(layers[3](layers[2](y)) + y)]
    },
    Network("unfused residual", [[4, 6, 6]], isFused: false, layers: { [Conv2d(4, 4, kernelSize: 3, padding: 1)] }) {
      layers, x in
      [try relu(x[0] + layers[0](x[0]))]
    },
    Network(chain: "grouped", [8, 6, 6]) {
      [Conv2d(8, 12, kernelSize: 3, padding: 1, groups: 4), ReLU6(), Conv2d(12, 6, kernelSize: 1, groups: 2)]
    },
    Network(chain: "depthwise", [5, 9, 9]) {
      [
        Conv2d(5, 70, kernelSize: 1), ReLU6(), Conv2d(70, 70, kernelSize: 3, stride: 2, padding: 1, groups: 70),
        ReLU6(),
        Conv2d(70, 6, kernelSize: 1, stride: 2, bias: false),
      ]
    },
    Network("depthwise residual", [[6, 5, 5]], layers: { [Conv2d(6, 6, kernelSize: 5, padding: 2, groups: 6)] }) {
      layers, x in
      [try relu(layers[0](x[0]) + x[0])]
    },
    Network(chain: "depth multiplier", [6, 7, 7]) { [Conv2d(6, 12, kernelSize: 3, padding: 1, groups: 6), ReLU()] },
    Network(chain: "dilation, strides, padding", [3, 11, 10]) {
      [
        Conv2d(3, 7, kernelSize: 3, stride: Size2D(2, 1), padding: Padding2D(top: 1, left: 0, bottom: 2, right: 3)),
        ReLU(),
        Conv2d(7, 5, kernelSize: Size2D(2, 3), padding: 2, dilation: 2),
        Conv2d(5, 5, kernelSize: 2, dilation: 3, groups: 5),
      ]
    },
    Network(chain: "one channel, one pixel", [1, 5, 5]) {
      [Conv2d(1, 3, kernelSize: 5), ReLU(), Conv2d(3, 1, kernelSize: 1), Flatten(), Linear(1, 2)]
    },
  ]

  private static let pools: [Network] = [
    Network(chain: "unfused pools", [3, 13, 11], isFused: false) {
      [
        Conv2d(3, 6, kernelSize: 3), ReLU(), MaxPool2d(kernelSize: 3, stride: 2, padding: 1),
        AvgPool2d(kernelSize: 2, stride: 1, padding: 1),
        AvgPool2d(kernelSize: 3, stride: 2, padding: 1, ceilMode: true, countIncludePad: false),
      ]
    },
    Network(chain: "average beyond the padding", [3, 6, 8]) {
      [
        Conv2d(3, 4, kernelSize: 1), AvgPool2d(kernelSize: 3, stride: 2, padding: 1, ceilMode: true),
        Conv2d(4, 2, kernelSize: 1),
      ]
    },
    Network(chain: "patches", [3, 8, 8]) {
      [Conv2d(3, 8, kernelSize: 2, stride: 2), Conv2d(8, 6, kernelSize: 1, groups: 2)]
    },
    Network(chain: "dilated pool", [2, 12, 12]) {
      [Conv2d(2, 4, kernelSize: 1), MaxPool2d(kernelSize: 2, stride: 1, dilation: 3, ceilMode: true)]
    },
    Network(chain: "adaptive, divisible", [3, 8, 12]) {
      [Conv2d(3, 5, kernelSize: 1), AdaptiveAvgPool2d(Size2D(4, 3)), AdaptiveAvgPool2d(1)]
    },
    Network(chain: "adaptive, not divisible", [3, 8, 8]) {
      [Conv2d(3, 5, kernelSize: 1), AdaptiveAvgPool2d(3), Conv2d(5, 2, kernelSize: 3)]
    },
    Network("mean", [[3, 6, 5]], layers: { [Conv2d(3, 9, kernelSize: 3), Linear(9, 4)] }) { layers, x in
      [try layers[1](layers[0](x[0]).mean([2, 3]))]
    },
    Network("mean, axes kept", [[3, 6, 5]], layers: { [Conv2d(3, 9, kernelSize: 3), Conv2d(9, 2, kernelSize: 1)] }) {
      layers, x in
      [try layers[1](layers[0](x[0]).mean([-1, 2], keepDimensions: true))]
    },
    Network(
      "squeeze and excitation", [[3, 6, 5]],
      layers: { [Conv2d(3, 9, kernelSize: 3), Conv2d(9, 4, kernelSize: 1), Conv2d(4, 9, kernelSize: 1)] }
    ) { layers, x in
      let y = try layers[0](x[0])
      let gates = try hardSigmoid(layers[2](relu(layers[1](y.mean([2, 3], keepDimensions: true)))))
      return [try gates * y]
    },
    Network("sum by channels", [[3, 6, 5]], layers: { [Conv2d(3, 7, kernelSize: 3), Conv2d(7, 2, kernelSize: 1)] }) {
      layers, x in
      let y = try layers[0](x[0])
      return [try layers[1](y + y.mean([2, 3], keepDimensions: true))]
    },
    Network(chain: "clip", [3, 4, 4], isFused: false) {
      [Conv2d(3, 6, kernelSize: 3, padding: 1), Hardtanh(-0.3, 0.45), Conv2d(6, 2, kernelSize: 1), Hardtanh(0.1, 9)]
    },
  ]

  private static let shapes: [Network] = [
    Network(
      "concat of channels", [[3, 6, 6]],
      layers: { [Conv2d(3, 5, kernelSize: 3, padding: 1), Conv2d(3, 4, kernelSize: 1), Conv2d(12, 3, kernelSize: 1)] }
    ) { layers, x in
      let branches = try [layers[0](x[0]), layers[1](x[0]), maxPool2d(x[0], kernelSize: 3, stride: 1, padding: 1)]
      return [try layers[2](relu(concat(branches, axis: 1)))]
    },
    Network("concat of rows and features", [[6], [6]], layers: { [Linear(6, 5), Linear(6, 5)] }) { layers, x in
      let (a, b) = (try layers[0](x[0]), try layers[1](x[1]))
      return [try concat([a, b], axis: -1)]
    },
    Network("concat of heights", [[2, 3, 4]], layers: { [Conv2d(2, 3, kernelSize: 1), Conv2d(2, 3, kernelSize: 1)] }) {
      layers, x in
      [try concat([layers[0](x[0]), layers[1](x[0])], axis: 2)]
    },
    Network(
      "transpose and reshape", [[3, 4, 5]], layers: { [Conv2d(3, 6, kernelSize: 1), Linear(6, 4), Linear(20, 3)] }
    ) { layers, x in
      let rows = try layers[1](layers[0](x[0]).transpose([0, 2, 3, 1]).reshape([0, 20, 6]))
      return [try layers[2](rows.transpose([0, 2, 1]))]
    },
    Network(chain: "linear of rank 3", [5, 12]) { [Linear(12, 33), ReLU(), Linear(33, 4, bias: false)] },
    Network("linear of rank 4", [[2, 3, 12]], layers: { [Linear(12, 8), Conv2d(2, 3, kernelSize: 1)] }) { layers, x in
      [try layers[1](layers[0](x[0]))]
    },
    Network("output is the input's reshape", [[2, 3, 4]], layers: { [Conv2d(2, 2, kernelSize: 1)] }) { layers, x in
      [try x[0].flatten(from: 1), try layers[0](x[0])]
    },
    Network("flattened twice", [[3, 4, 4]], layers: { [Conv2d(3, 5, kernelSize: 1), Linear(80, 7), Linear(80, 6)] }) {
      layers, x in
      let flat = try relu(layers[0](x[0])).flatten(from: 1)
      return [try layers[1](flat), try layers[2](relu(flat)), flat]
    },
  ]

  private static let mixed: [Network] = [
    Network(
      "two inputs, two outputs", [[3, 5, 5], [3, 5, 5]],
      layers: { [Conv2d(3, 4, kernelSize: 3), Conv2d(3, 4, kernelSize: 3), Conv2d(4, 2, kernelSize: 1)] }
    ) { layers, x in
      let (a, b) = (try layers[0](x[0]), try layers[1](x[1]))
      let product = try a * b
      return [product, try layers[2](product + a)]
    },
    Network(
      "attention", [[6, 8]], layers: { [Linear(8, 8), Linear(8, 8), Linear(8, 8), Linear(8, 3)] }
    ) { layers, x in
      let (q, k, v) = (try layers[0](x[0]), try layers[1](x[0]), try layers[2](x[0]))
      let weights = try softmax(matmul(q, k.transpose([0, 2, 1])) / Tensor(repeating: Float(2), shape: []))
      let shifted = try matmul(weights, v) + Tensor.counting([8], from: -0.4, step: 0.1)
      return [try layers[3](shifted - x[0])]
    },
    Network("constants", [[4, 5, 6]], layers: { (0..<2).map { _ in Conv2d(4, 4, kernelSize: 1) } }) { layers, x in
      // By channels, along the last axis, and whole images; each of them stands first once.
      let channels = try relu(layers[0](x[0])) + Tensor.counting([4, 1, 1], from: -0.3, step: 0.2)
      let columns = try Tensor.counting([6], from: 0.5, step: 0.3) * channels
      let images = try relu(Tensor.counting([4, 5, 6], from: 1.5, step: -0.03) - columns)
      return [
        images, try layers[1](images - columns), try channels - Tensor.counting([1, 4, 1, 1], from: 0, step: 1),
      ]
    },
    Network("sums that broadcast", [[5, 8]], layers: { (0..<2).map { _ in Linear(8, 8) } }) { layers, x in
      let (q, k) = (try layers[0](x[0]), try layers[1](x[0]))
      let scores = try matmul(
        q.reshape([0, 5, 2, 4]).transpose([0, 2, 1, 3]), k.reshape([0, 5, 2, 4]).transpose([0, 2, 3, 1]))
      let mask = try k.mean([2]).reshape([0, 1, 1, 5])
      let (rows, heads) = (try scores.mean([2]).reshape([0, 2, 1, 5]), try scores.mean([1]).reshape([0, 1, 5, 5]))
      return [
        try softmax(scores + mask), try mask * scores, try scores + k.mean([2]).reshape([0, 1, 5, 1]),
        try rows + heads, try heads * rows,
      ]
    },
    Network(
      "clips behind sums", [[4, 5, 5]], isFused: false,
      layers: { [Conv2d(4, 4, kernelSize: 1), Conv2d(4, 4, kernelSize: 3, padding: 1)] }
    ) { layers, x in
      let y = try layers[0](x[0])
      let sum = try relu6(y + layers[1](y))
      return [try relu(sum * y), try relu(sum - y), try sum + y]
    },
    Network("padding", [[2, 4, 4]], layers: { [Conv2d(2, 3, kernelSize: 1), Conv2d(3, 2, kernelSize: 3)] }) {
      layers, x in
      [try layers[1](pad(layers[0](x[0]), before: [0, 0, 1, 2], after: [0, 0, 1, 0], value: 0.25))]
    },
    Network("a layer used twice", [[4, 5, 5]], layers: { [Conv2d(4, 4, kernelSize: 3, padding: 1)] }) { layers, x in
      [try layers[0](relu(layers[0](x[0])))]
    },
    Network(
      chain: "float in the middle", [3, 6, 6],
      map: {
        var map = QConfigMap(.minMax)
        map["layers.2"] = .float
        return map
      }()
    ) {
      [
        Conv2d(3, 6, kernelSize: 3), ReLU(), Conv2d(6, 6, kernelSize: 1), ReLU(), Conv2d(6, 4, kernelSize: 3),
        Flatten(), Linear(16, 3),
      ]
    },
    Network(
      chain: "float at the end", [10],
      map: {
        var map = QConfigMap(.minMax)
        map["layers.3"] = .float
        return map
      }()
    ) { [Linear(10, 20), ReLU(), Linear(20, 9), Linear(9, 4), Softmax()] },
    Network(chain: "all float", [3, 6, 6], map: QConfigMap(.float)) {
      [Conv2d(3, 4, kernelSize: 3), ReLU(), Flatten(), Linear(64, 3)]
    },
  ]

  private static let schemes: [Network] = [
    scheme("int8 activations", QConfig(activation: MinMaxObserver(dtype: .int8), weight: QConfig.minMax.weight)),
    scheme(
      "int8 symmetric activations",
      QConfig(
        activation: MinMaxObserver(dtype: .int8, scheme: .symmetric, quantMin: -127), weight: QConfig.minMax.weight)),
    scheme(
      "weights per tensor",
      QConfig(activation: MinMaxObserver(), weight: MinMaxObserver(dtype: .int8, scheme: .symmetric))),
    scheme("half of the range", .default(for: .fbgemm)),
    scheme("histogram", .default),
    scheme("16-bit activations", QConfig(activation: MinMaxObserver(dtype: .int16), weight: QConfig.minMax.weight)),
    scheme(
      "affine weights", QConfig(activation: MinMaxObserver(), weight: PerChannelMinMaxObserver(axis: 0, dtype: .int8))),
  ]

  private static func scheme(_ name: String, _ config: QConfig) -> Network {
    Network(
      name, [[4, 6, 6]], map: QConfigMap(config),
      layers: {
        [
          Conv2d(4, 8, kernelSize: 3, padding: 1), Conv2d(8, 8, kernelSize: 3, padding: 1, groups: 8),
          Conv2d(8, 4, kernelSize: 1), Linear(36, 5),
        ]
      }
    ) { layers, x in
      let y = try layers[2](relu6(layers[1](relu(layers[0](x[0]))))) + x[0]
      return [try layers[3](maxPool2d(y, kernelSize: 2).flatten(from: 1))]
    }
  }
}
