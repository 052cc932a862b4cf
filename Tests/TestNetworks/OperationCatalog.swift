internal import OctetCore
internal import OctetNN
internal import OctetQuantization
internal import TestSupport

extension Network {
  /// Operations beyond those of image classifiers, each between layers that run in integers.
  static let operations: [Network] = signals + functions + rows + selections

  private static let signals: [Network] = [
    Network(chain: "signals", [3, 20]) {
      [
        Conv1d(3, 8, kernelSize: 3, stride: 2, padding: 1), BatchNorm1d(8), ReLU(),
        Conv1d(8, 8, kernelSize: 3, padding: 2, dilation: 2, groups: 8), ReLU6(), MaxPool1d(kernelSize: 3, stride: 2),
        Conv1d(8, 6, kernelSize: 1, groups: 2), AvgPool1d(kernelSize: 2), Flatten(), Linear(12, 4),
      ]
    },
    Network(
      "signals that meet", [[3, 9]], layers: { [Conv1d(3, 4, kernelSize: 3, padding: 1), Conv1d(3, 4, kernelSize: 1)] }
    ) {
      layers, x in
      let (a, b) = (try layers[0](x[0]), try layers[1](x[0]))
      return [try concat([a + b, x[0], relu(b)], axis: 1), try concat([a, b], axis: 2)]
    },
    Network(chain: "transposed convolutions", [4, 3, 5]) {
      [
        Conv2d(4, 6, kernelSize: 1), ConvTranspose2d(6, 8, kernelSize: 2, stride: 2), BatchNorm2d(8), ReLU(),
        ConvTranspose2d(8, 4, kernelSize: 3, stride: Size2D(2, 1), padding: 1, outputPadding: Size2D(1, 0), groups: 2),
        ConvTranspose2d(4, 4, kernelSize: 4, stride: 3, groups: 4, bias: false, dilation: 2), ReLU6(),
      ]
    },
    Network(chain: "transposed convolution of few pixels", [2, 1, 1]) {
      [
        ConvTranspose2d(2, 3, kernelSize: 1, stride: 2), ConvTranspose2d(3, 5, kernelSize: 2, stride: 4),
        Flatten(), Linear(20, 2),
      ]
    },
    Network(chain: "transposed signals", [3, 6]) {
      [
        Conv1d(3, 4, kernelSize: 1), ConvTranspose1d(4, 6, kernelSize: 4, stride: 2, padding: 1), ReLU(),
        Conv1d(6, 2, kernelSize: 3),
      ]
    },
    Network(chain: "nearest pixels", [3, 4, 5]) {
      [
        Conv2d(3, 5, kernelSize: 1), Upsample(scaleFactor: 2), Conv2d(5, 4, kernelSize: 3, padding: 1),
        Upsample(size: [5, 13]), Conv2d(4, 2, kernelSize: 1),
      ]
    },
    Network(chain: "bilinear pixels", [3, 4, 5]) {
      [
        Conv2d(3, 5, kernelSize: 1), Upsample(scaleFactor: 2, mode: .linear()), Conv2d(5, 4, kernelSize: 1),
        Upsample(size: [7, 9], mode: .linear(alignCorners: true)), Conv2d(4, 2, kernelSize: 1),
      ]
    },
    Network(chain: "signals of another length", [3, 8]) {
      [Conv1d(3, 4, kernelSize: 1), Upsample(size: [13], mode: .linear()), Conv1d(4, 2, kernelSize: 3)]
    },
  ]

  private static let functions: [Network] = [
    Network(chain: "tables", [3, 5, 4]) {
      [
        Conv2d(3, 6, kernelSize: 1), Hardswish(), Conv2d(6, 6, kernelSize: 1), SiLU(), Conv2d(6, 6, kernelSize: 1),
        LeakyReLU(0.1), Conv2d(6, 6, kernelSize: 1), GELU(), Conv2d(6, 6, kernelSize: 1), ELU(0.7),
        Conv2d(6, 6, kernelSize: 1), Softplus(), Conv2d(6, 4, kernelSize: 1), GELU(approximate: .tanh),
      ]
    },
    Network("gates", [[4, 5, 5]], layers: { (0..<3).map { _ in Conv2d(4, 4, kernelSize: 1) } }) { layers, x in
      let scale = try hardSigmoid(layers[0](x[0].mean([2, 3], keepDimensions: true)))
      let a = try sigmoid(layers[1](x[0])) * tanh(layers[2](x[0]))
      return [a, try a * scale.expand([-1, -1, 5, 5])]
    },
    Network("functions of one number", [[12]], layers: { (0..<3).map { _ in Linear(12, 12) } }) { layers, x in
      let y = try abs(layers[0](x[0])) + Tensor(Float(1))
      let z = try layers[1](log(y) * Tensor(Float(0.5)) - sqrt(y) / Tensor(Float(3)))
      return [
        try layers[2](Tensor(Float(2)) - exp(-z)), try erf(z), try pow(y, Tensor(Float(1.5))), try sin(z) + cos(z),
      ]
    },
    Network(chain: "fixed ranges that move", [3, 4, 4]) {
      [
        Conv2d(3, 4, kernelSize: 1), Sigmoid(), MaxPool2d(kernelSize: 2), Conv2d(4, 4, kernelSize: 1), Tanh(),
        Flatten(), Linear(16, 5), Sigmoid(),
      ]
    },
    Network(
      chain: "fixed ranges, int8", [6],
      map: QConfigMap(QConfig(activation: MinMaxObserver(dtype: .int8), weight: QConfig.minMax.weight))
    ) { [Linear(6, 8), Tanh(), Linear(8, 8), Sigmoid(), Linear(8, 5), Softmax(), Linear(5, 3)] },
    Network(chain: "learned slopes", [3, 4, 5]) {
      [
        Conv2d(3, 5, kernelSize: 1), PReLU(5, initial: 0.3), Conv2d(5, 4, kernelSize: 1), PReLU(), Flatten(),
        Linear(80, 7), PReLU(7, initial: -0.4),
      ]
    },
  ]

  private static let rows: [Network] = [
    Network("softmax of rows", [[5, 6]], layers: { [Linear(6, 9), Linear(9, 4)] }) { layers, x in
      let y = try layers[0](x[0])
      return [try layers[1](softmax(y)), try logSoftmax(y), try softmax(y, axis: 1)]
    },
    Network(chain: "normalizations", [4, 6, 5]) {
      [
        Conv2d(4, 6, kernelSize: 1), GroupNorm(3, 6), Conv2d(6, 4, kernelSize: 1), InstanceNorm2d(4, affine: true),
        Conv2d(4, 3, kernelSize: 1), LayerNorm([6, 5]), Flatten(), Linear(90, 7), LayerNorm(7, bias: false),
        Linear(7, 2),
      ]
    },
    Network("products of activations", [[5, 8]], layers: { (0..<3).map { _ in Linear(8, 8) } }) { layers, x in
      let (q, k, v) = (try layers[0](x[0]), try layers[1](x[0]), try layers[2](x[0]))
      // [n, 5, 5], and one matrix for several.
      let scores = try matmul(q, k.transpose([0, 2, 1]))
      let heads = try matmul(scores.unsqueeze([1]), v.reshape([0, 5, 2, 4]).transpose([0, 2, 1, 3]))
      return [scores, heads]
    },
    Network("self-attention", [[6, 16]], layers: { [MultiheadAttention(16, 4), Linear(16, 3)] }) { layers, x in
      [try layers[1](layers[0](x[0]))]
    },
    Network(chain: "encoder", [5, 8]) {
      [
        TransformerEncoderLayer(8, 2, feedforwardDim: 12),
        TransformerEncoderLayer(8, 2, feedforwardDim: 12, activation: GELU(), normFirst: true), Linear(8, 3),
      ]
    },
  ]

  private static let selections: [Network] = [
    Network(
      "slices and pieces", [[6, 5, 4]],
      layers: { [Conv2d(6, 8, kernelSize: 1), Conv2d(4, 3, kernelSize: 1), Linear(5, 3)] }
    ) {
      layers, x in
      let y = try layers[0](x[0])
      let parts = try y.split([4, 3, 1], axis: 1)
      let rows = try y.slice(axis: 2, from: 1, by: 2).slice(axis: -1, from: -1, to: 0, by: -2)
      let lines = try layers[2](x[0].transpose([0, 1, 3, 2]).slice(axis: 1, to: 4))
      return [try layers[1](parts[0]), try relu(parts[1]), parts[2], rows, lines]
    },
    Network(
      "axes of size 1", [[3, 4, 4]],
      layers: { [Conv2d(3, 6, kernelSize: 4), Linear(6, 4), Conv1d(6, 2, kernelSize: 1)] }
    ) {
      layers, x in
      let y = try layers[0](x[0])
      let rows = try layers[1](y.squeeze([2, 3]))
      return [try rows.unsqueeze([1, -1]).expand([-1, 3, -1, 2]), try layers[2](y.squeeze([3]))]
    },
    Network("gathered", [[5, 6]], layers: { [Linear(6, 8)] }) { layers, x in
      let y = try layers[0](x[0])
      let (rows, columns) = (try Tensor([Int64(3), -1, 0, 3], shape: [2, 2]), try Tensor([Int32(1), 7], shape: [2]))
      return [try relu(y.gather(rows, axis: 1)), try y.gather(columns, axis: -1)]
    },
    Network(
      "tokens", [[7]], tokens: 11, layers: { [Embedding(11, 8), LayerNorm(8), Linear(8, 6), Linear(6, 3)] }
    ) { layers, x in
      let y = try layers[2](layers[1](layers[0](x[0])))
      return [try layers[3](y.slice(axis: 1, to: 1).squeeze([1])), try layers[0](x[0]).mean([1])]
    },
    Network("masked", [[4, 6], [4, 6]], layers: { [Linear(6, 6), Linear(6, 4)] }) { layers, x in
      let y = try layers[0](x[0])
      let larger = try `where`(y .> x[1], y, x[1])
      let ranked = try y.topK(2).values
      return [try layers[1](larger), ranked, try y.argmax(axis: -1).cast(to: .float32), try y.max([1])]
    },
  ]
}
