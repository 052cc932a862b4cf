import Octet

/// A tag for every word: embedding, LSTM in both directions, linear layer. Input: words [n, steps] int64; output: scores
/// [n, steps, tags].
public final class LSTMTagger: Module {
  let embedding: Embedding
  let lstm: LSTM
  let fc: Linear

  public init(vocabulary: Int, embeddingSize: Int = 128, hiddenSize: Int = 256, tags: Int) {
    embedding = Embedding(vocabulary, embeddingSize)
    lstm = LSTM(embeddingSize, hiddenSize, batchFirst: true, bidirectional: true)
    fc = Linear(2 * hiddenSize, tags)
    super.init()
  }

  public override func forward(_ words: Tensor) throws -> Tensor { try fc(lstm(embedding(words))) }
}
