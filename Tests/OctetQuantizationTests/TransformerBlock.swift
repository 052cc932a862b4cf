import Foundation
import OctetCore
import OctetGraph
import OctetNN
import TestSupport

/// A transformer block without normalization: attention of four heads and an MLP of four times the width, each added to
/// what came in. x: [n, tokens, width].
final class TransformerBlock: Module {
  let query: Linear
  let key: Linear
  let value: Linear
  let output: Linear
  let up: Linear
  let down: Linear
  private let heads = 4
  private let tokens: Int
  private let width: Int

  init(width: Int, tokens: Int) {
    self.width = width
    self.tokens = tokens
    query = Linear(width, width)
    key = Linear(width, width)
    value = Linear(width, width)
    output = Linear(width, width)
    up = Linear(width, 4 * width)
    down = Linear(4 * width, width)
  }

  override func forward(_ x: Tensor) throws -> Tensor {
    func split(_ x: Tensor, _ permutation: [Int]) throws -> Tensor {
      try x.reshape([0, tokens, heads, width / heads]).transpose(permutation)
    }
    let scores = try matmul(split(query(x), [0, 2, 1, 3]), split(key(x), [0, 2, 3, 1]))
    let mixed = try matmul(softmax(scores), split(value(x), [0, 2, 1, 3]))
    let h = try x + output(mixed.transpose([0, 2, 1, 3]).reshape([0, tokens, width]))
    return try h + down(relu(up(h)))
  }

  /// The block with weights as trained ones are: normally distributed, each output channel with a size of its own that is
  /// log-normal (σ = 0.5), so that a few are several times as large as most.
  static func graph(width: Int, tokens: Int, seed: UInt64) throws -> Graph {
    let block = TransformerBlock(width: width, tokens: tokens)
    var generator = SeededGenerator(seed: seed)
    for (name, parameter) in block.namedParameters where name.hasSuffix("weight") {
      let (n, k) = (parameter.value.shape[0], parameter.value.shape[1])
      // Scores are divided by √(width of a head): here it is in the weight. The query is scaled down further, so that
      // attention looks at several tokens.
      let scale = 1 / Float(k).squareRoot() * (name == "query.weight" ? 0.05 : 1)
      parameter.value = try Tensor(
        (0..<n).flatMap { _ in
          let size = scale * exp(0.5 * generator.normal())
          return (0..<k).map { _ in size * generator.normal() }
        }, shape: [n, k])
    }
    for (name, parameter) in block.namedParameters where name.hasSuffix("bias") {
      parameter.value = try Tensor(zeros: parameter.value.shape)
    }
    return try block.trace(
      TensorType(.float32, [.symbolic("n"), .fixed(tokens), .fixed(width)]))
  }
}

/// Activations as transformers have them: channels are correlated, and a few are ten times as large as the others.
///
/// Direction i of a random mixture has the size i^(−3/4); every 40th channel is multiplied by 10.
struct CorrelatedActivations {
  private let width: Int
  /// [width, width]: from independent numbers to channels.
  private let mixture: Tensor
  private var generator: SeededGenerator

  init(width: Int, seed: UInt64) throws {
    self.width = width
    var generator = SeededGenerator(seed: seed)
    let sizes = (1...width).map { pow(Float($0), -0.75) }
    let norm = sizes.reduce(0) { $0 + $1 * $1 }.squareRoot()
    mixture = try Tensor(
      (0..<width * width).map { i in
        generator.normal() * sizes[i / width] / norm * (i % width % 40 == 7 ? 10 : 1)
      }, shape: [width, width])
    self.generator = generator
  }

  /// The next vectors: [shape..., width].
  mutating func next(_ shape: [Int]) throws -> Tensor {
    let count = shape.reduce(width, *)
    return try matmul(Tensor((0..<count).map { _ in generator.normal() }, shape: shape + [width]), mixture)
  }
}

extension SeededGenerator {
  /// A normally distributed number (Box–Muller).
  mutating func normal() -> Float {
    let radius = (-2 * log(Double.random(in: .leastNonzeroMagnitude...1, using: &self))).squareRoot()
    return Float(radius * cos(2 * .pi * Double.random(in: 0..<1, using: &self)))
  }
}

/// Signal to quantization noise in dB: 10 log₁₀(Σ y² / Σ (q − y)²).
func sqnr(_ quantized: Tensor, _ reference: Tensor) throws -> Double {
  let (q, y) = (try quantized.floats, try reference.floats)
  let signal = y.reduce(0.0) { $0 + Double($1) * Double($1) }
  let noise = zip(q, y).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
  return 10 * log10(signal / noise)
}
