public import OctetCore

/// Attention of several heads: `concat(head…) · out_projᵀ`, each head `softmax(q · kᵀ / √d) · v` of its part of the projections.
///
/// The batch comes first: inputs are query [n, s, embedDim], key and value [n, t, embedDim], and a mask that broadcasts to
/// [n, heads, s, t] (float32: added; bool: false keeps a key out); output [n, s, embedDim]. With one input x, all three are x.
/// (PyTorch's layer with `batch_first=True` and without weights as a second result.)
public final class MultiheadAttention: Module {
  public let embedDim: Int
  public let numHeads: Int
  /// [3 · embedDim, embedDim]: the projections of query, key and value, one below the other
  public let inProjWeight: Parameter
  /// [3 · embedDim]
  public let inProjBias: Parameter?
  public let outProj: Linear

  /// - Precondition: `numHeads` divides `embedDim`.
  public init(_ embedDim: Int, _ numHeads: Int, bias: Bool = true) {
    precondition(numHeads > 0 && embedDim.isMultiple(of: numHeads), "heads divide the embedding")
    self.embedDim = embedDim
    self.numHeads = numHeads
    inProjWeight = zeros([3 * embedDim, embedDim])
    inProjBias = bias ? zeros([3 * embedDim]) : nil
    outProj = Linear(embedDim, embedDim, bias: bias)
    super.init()
    initializeAtRandom()
  }

  public override var ownParameters: [(name: String, parameter: Parameter)] {
    [("in_proj_weight", inProjWeight)] + (inProjBias.map { [("in_proj_bias", $0)] } ?? [])
  }

  public override var children: [(name: String, module: Module)] { [("out_proj", outProj)] }

  /// Self-attention of x [n, s, embedDim].
  public override func forward(_ x: Tensor) throws -> Tensor { try attend(toItself: x, mask: nil) }

  /// Inputs x; x, mask; query, key, value; or query, key, value, mask.
  public override func forward(_ inputs: [Tensor?]) throws -> [Tensor] {
    let mask = inputs.count.isMultiple(of: 2) ? inputs.last ?? nil : nil
    switch (inputs.count, inputs.prefix(inputs.count > 2 ? 3 : 1).compactMap { $0 }) {
    case (1...2, let x) where x.count == 1: return [try attend(toItself: x[0], mask: mask)]
    case (3...4, let x) where x.count == 3:
      let projections = try (0..<3).map { index -> Tensor in
        let rows = index * embedDim..<(index + 1) * embedDim
        return try linear(x[index], weight: inProjWeight.value[rows], bias: inProjBias?.value[rows])
      }
      return [try attend(projections, mask: mask)]
    default:
      throw OctetError(
        .invalidArgument, "attention", expected: "x or query, key and value, and perhaps a mask",
        found: "\(inputs.count) inputs")
    }
  }

  private func attend(toItself x: Tensor, mask: Tensor?) throws -> Tensor {
    let projected = try linear(x, weight: inProjWeight.value, bias: inProjBias?.value)
    return try attend(projected.split([embedDim, embedDim, embedDim], axis: -1), mask: mask)
  }

  /// - Parameter projections: of query, key and value, each [n, length, embedDim].
  private func attend(_ projections: [Tensor], mask: Tensor?) throws -> Tensor {
    let heads = try projections.map {
      try $0.reshape([0, 0, numHeads, embedDim / numHeads]).transpose([0, 2, 1, 3])
    }
    let attended = try scaledDotProductAttention(heads[0], heads[1], heads[2], mask: mask)
    return try outProj(attended.transpose([0, 2, 1, 3]).flatten(from: 2))
  }

  public override func initializeOwnParameters(using generator: inout some RandomNumberGenerator) throws {
    // Xavier's bound √(6 / (inputs + outputs)), biases of 0.
    let fan = Float(4 * embedDim) / 6
    inProjWeight.value = try uniform(shape: [3 * embedDim, embedDim], bound: 1 / fan.squareRoot(), using: &generator)
    if let inProjBias { inProjBias.value = try Tensor(zeros: [3 * embedDim]) }
  }
}

/// Self-attention and a network of two linear layers, each with a residual connection and layer normalization.
///
/// Input [n, s, modelDim] (a second input is the attention's mask), output of the same shape. (PyTorch's layer with
/// `batch_first=True`; dropout acts on what is added, not on the attention's weights.)
public final class TransformerEncoderLayer: Module {
  public let selfAttention: MultiheadAttention
  public let linear1: Linear
  public let linear2: Linear
  public let norm1: LayerNorm
  public let norm2: LayerNorm
  public let dropout: Dropout
  public let dropout1: Dropout
  public let dropout2: Dropout
  public let activation: Module
  /// Normalize what goes into attention and layers instead of what comes out.
  public let normFirst: Bool

  /// - Precondition: `numHeads` divides `modelDim`.
  public init(
    _ modelDim: Int, _ numHeads: Int, feedforwardDim: Int = 2048, dropout: Float = 0.1, activation: Module = ReLU(),
    epsilon: Float = 1e-5, normFirst: Bool = false
  ) {
    selfAttention = MultiheadAttention(modelDim, numHeads)
    linear1 = Linear(modelDim, feedforwardDim)
    linear2 = Linear(feedforwardDim, modelDim)
    norm1 = LayerNorm(modelDim, epsilon: epsilon)
    norm2 = LayerNorm(modelDim, epsilon: epsilon)
    self.dropout = Dropout(dropout)
    dropout1 = Dropout(dropout, seed: 1)
    dropout2 = Dropout(dropout, seed: 2)
    self.activation = activation
    self.normFirst = normFirst
    super.init()
  }

  public override var children: [(name: String, module: Module)] {
    [
      ("self_attn", selfAttention), ("linear1", linear1), ("dropout", dropout), ("linear2", linear2), ("norm1", norm1),
      ("norm2", norm2), ("dropout1", dropout1), ("dropout2", dropout2), ("activation", activation),
    ]
  }

  public override func forward(_ inputs: [Tensor?]) throws -> [Tensor] {
    guard (1...2).contains(inputs.count), let x = inputs[0] else {
      throw OctetError(
        .invalidArgument, "encoder layer", expected: "x and perhaps a mask", found: "\(inputs.count) inputs")
    }
    func attention(_ x: Tensor) throws -> Tensor {
      try dropout1(selfAttention([x] + inputs.dropFirst())[0])
    }
    func feedforward(_ x: Tensor) throws -> Tensor {
      try dropout2(linear2(dropout(activation(linear1(x)))))
    }
    if normFirst {
      let y = try x + attention(norm1(x))
      return [try y + feedforward(norm2(y))]
    }
    let y = try norm1(x + attention(x))
    return [try norm2(y + feedforward(y))]
  }
}
