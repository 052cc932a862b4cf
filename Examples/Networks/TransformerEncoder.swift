import Octet

/// Encoder layers of a transformer (Vaswani et al., 2017) with PyTorch's names of parameters (nn.TransformerEncoder).
/// Input and output [n, steps, modelDim].
public final class TransformerEncoder: Module {
  let layers: [Module]

  public init(layers: Int = 6, modelDim: Int = 512, heads: Int = 8, feedforwardDim: Int = 2048) {
    self.layers = (0..<layers).map { _ in
      TransformerEncoderLayer(modelDim, heads, feedforwardDim: feedforwardDim, activation: GELU())
    }
    super.init()
  }

  public override func forward(_ x: Tensor) throws -> Tensor { try layers.reduce(x) { try $1($0) } }
}
