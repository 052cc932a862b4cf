public import OctetCore

/// A table of vectors: indices [...] int32 or int64, output [..., embeddingDim].
public final class Embedding: Module {
  /// [numEmbeddings, embeddingDim]
  public let weight: Parameter

  public init(_ numEmbeddings: Int, _ embeddingDim: Int) {
    weight = zeros([numEmbeddings, embeddingDim])
    super.init()
    initializeAtRandom()
  }

  public override func forward(_ indices: Tensor) throws -> Tensor { try embedding(indices, weight: weight.value) }

  public override func initializeOwnParameters(using generator: inout some RandomNumberGenerator) throws {
    weight.value = try standardNormal(shape: weight.value.shape, using: &generator)
  }
}
