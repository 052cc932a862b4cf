import Foundation
import Networks
import Octet
import TestSupport
import Testing

/// Networks that learn, from the first random parameter to integers.
@Suite("Training") struct TrainingTests {
  /// Handwritten digits: the first 1,297 to learn from, the last 500 to be tested on.
  private struct Digits {
    let images: Tensor
    let labels: Tensor

    init() throws {
      let file = try NpzFile(contentsOf: "\(packageRoot)/Examples/Data/digits.npz").tensors
      let pixels = try #require(file["images"]).scalars(as: UInt8.self).map { Float($0) / 16 }
      images = try Tensor(pixels, shape: [pixels.count / 64, 1, 8, 8])
      labels = try Tensor(#require(file["labels"]).scalars(as: UInt8.self).map(Int64.init), shape: [pixels.count / 64])
    }

    func shareRight(_ network: (Tensor) throws -> Tensor) throws -> Double {
      let scores = try network(images[1297..<1797])
      let found = try scores.argmax(axis: 1, keepDimensions: false).scalars(as: Int64.self)
      let right = try zip(found, labels[1297..<1797].scalars(as: Int64.self)).count { $0 == $1 }
      return Double(right) / 500
    }
  }

  private func trained(_ digits: Digits, epochs: Int) throws -> (network: MNISTCNN, losses: [Float]) {
    let network = MNISTCNN(size: 8, channels: (8, 16), hidden: 64)
    try network.initialize(seed: 1)
    let optimizer = try AdamW(network.parameterGroups(weightDecay: 0.01), learningRate: 0)
    let schedule = LearningRateSchedule.oneCycle(steps: epochs * 21)
    var generator = SeededGenerator(seed: 2)
    var losses: [Float] = []
    network.isTraining = true
    for _ in 0..<epochs {
      let order = (0..<Int64(1297)).shuffled(using: &generator)
      for start in stride(from: 0, to: 21 * 61, by: 61) {
        let batch = try Tensor(Array(order[start..<start + 61]), shape: [61])
        let (images, labels) = try (digits.images.gather(batch), digits.labels.gather(batch))
        optimizer.learningRate = 0.01 * schedule.factor(at: optimizer.stepCount)
        let (loss, gradients) = try valueAndGradients(of: optimizer.parameters) {
          try crossEntropy(network(images), labels, labelSmoothing: 0.05)
        }
        try optimizer.step(gradients)
        losses.append(try loss.item(as: Float.self))
      }
    }
    network.isTraining = false
    return (network, losses)
  }

  @Test func theMNISTCNNLearnsDigitsAndIsRightInIntegers() throws {
    let digits = try Digits()
    let (network, losses) = try trained(digits, epochs: 20)
    #expect(losses[0] > 2)
    let float = try digits.shareRight { try network($0) }
    #expect(float >= 0.95, "\(float)")
    let graph = try network.trace(TensorType(.float32, [.symbolic("n"), 1, 8, 8])).fused()
    let prepared = try graph.prepare(QConfigMap(.default))
    try prepared.calibrate([digits.images[0..<256]])
    let session = Session(try Plan(prepared.convert().graph))
    let integer = try digits.shareRight { try session($0) }
    #expect(abs(integer - float) <= 0.01, "\(integer) instead of \(float)")
  }

  /// The same seeds give the same bits.
  @Test func trainingIsRepeatable() throws {
    let digits = try Digits()
    let (first, second) = (try trained(digits, epochs: 1), try trained(digits, epochs: 1))
    #expect(first.losses == second.losses)
    for (name, value) in first.network.stateDict {
      #expect(
        try discrepancy(value, #require(second.network.stateDict[name]), absolute: 0, relative: 0) == nil, "\(name)")
    }
  }
}
