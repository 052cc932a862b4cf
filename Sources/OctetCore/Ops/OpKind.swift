extension Op {
  /// The operation without its attributes: what nodes are named after, and what a `QConfigMap` can be asked by.
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
    case conv, convTranspose, linear, matmul
    case batchNormalization, layerNormalization, groupNormalization, instanceNormalization
    case relu, sigmoid, tanh, exp, log, sqrt, erf, abs, neg, reciprocal, floor, sin, cos, softplus, silu
    case hardSwish, hardSigmoid, leakyRelu, elu, gelu
    case clip, prelu
    case add, sub, mul, div, pow, minimum, maximum
    case equal, less, lessOrEqual, greater, greaterOrEqual
    case `where`, cast
    case softmax, logSoftmax, dropout
    case maxPool, averagePool, adaptiveAveragePool, resize
    case concat, split, slice, gather, positions
    case reshape, flatten, squeeze, unsqueeze, expand, transpose, pad
    case mean, sum, max, min, prod, l1, l2, logSumExp
    case argmax, argmin, topK
    case lstm, gru
    case quantizeLinear, dequantizeLinear, dynamicQuantize
    case custom
  }

  public var kind: Kind {
    switch self {
    case .conv: .conv
    case .convTranspose: .convTranspose
    case .linear: .linear
    case .matmul: .matmul
    case .batchNormalization: .batchNormalization
    case .normalize(let normalize):
      switch normalize.domain {
      case .layer: .layerNormalization
      case .group: .groupNormalization
      case .instance: .instanceNormalization
      }
    case .unary(let function): function.kind
    case .clip: .clip
    case .prelu: .prelu
    case .binary(let function): Kind(rawValue: function.rawValue)!
    case .compare(let comparison): Kind(rawValue: comparison.rawValue)!
    case .where: .where
    case .cast: .cast
    case .softmax(let softmax): softmax.isLogarithm ? .logSoftmax : .softmax
    case .dropout: .dropout
    case .pool(let pool): pool.kind == .max ? .maxPool : .averagePool
    case .adaptiveAveragePool: .adaptiveAveragePool
    case .resize: .resize
    case .concat: .concat
    case .split: .split
    case .slice: .slice
    case .gather: .gather
    case .positions: .positions
    case .reshape: .reshape
    case .flatten: .flatten
    case .squeeze: .squeeze
    case .unsqueeze: .unsqueeze
    case .expand: .expand
    case .transpose: .transpose
    case .pad: .pad
    case .reduce(let reduce): Kind(rawValue: reduce.kind.rawValue)!
    case .argmax(let argmax): argmax.smallest ? .argmin : .argmax
    case .topK: .topK
    case .recurrent(let recurrent): recurrent.kind == .lstm ? .lstm : .gru
    case .quantizeLinear: .quantizeLinear
    case .dequantizeLinear: .dequantizeLinear
    case .dynamicQuantize: .dynamicQuantize
    case .custom: .custom
    }
  }
}

extension Op.Unary {
  var kind: Op.Kind {
    switch self {
    case .relu: .relu
    case .sigmoid: .sigmoid
    case .tanh: .tanh
    case .exp: .exp
    case .log: .log
    case .sqrt: .sqrt
    case .erf: .erf
    case .abs: .abs
    case .neg: .neg
    case .reciprocal: .reciprocal
    case .floor: .floor
    case .sin: .sin
    case .cos: .cos
    case .softplus: .softplus
    case .silu: .silu
    case .hardSwish: .hardSwish
    case .hardSigmoid: .hardSigmoid
    case .leakyRelu: .leakyRelu
    case .elu: .elu
    case .gelu: .gelu
    }
  }
}
