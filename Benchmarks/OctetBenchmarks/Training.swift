import Benchmark
import Octet

/// Steps of training, 32 images each, and what they consist of, on one thread.
func training() {
  stage("train-forward") {
    let network = try trainedNetwork()
    let images = try Network.images(32)
    return Stage { blackHole(try network(images)) }
  }
  stage("train-step-float") {
    let network = try trainedNetwork()
    return try step(of: network.parameters) { try network($0) }
  }
  stage("train-step-qat") {
    let prepared = try Network.make().trace(Network.input).prepareQAT(QConfigMap(.defaultQAT(for: .octet)))
    prepared.isTraining = true
    return try step(of: prepared.trainableParameters) { try prepared($0) }
  }
  fakeQuantization()
  layers()
  updates()
  stage("batches-augmented") {
    let images = try Tensor((0..<256 * 784).map { UInt8(truncatingIfNeeded: $0) }, shape: [256, 1, 28, 28])
    let batches = try Batches(
      Dataset(["images": images], scales: ["images": 1 / 255]), size: 64, shuffled: true, seed: 1,
      augmentations: ["images": [.shift(2), .flip()]], prefetches: false)
    return Stage { for batch in batches.epoch(0) { blackHole(batch) } }
  }
}

private func trainedNetwork() throws -> Network {
  let network = try Network.make()
  network.isTraining = true
  return network
}

private func step(of parameters: [Parameter], _ network: @escaping (Tensor) throws -> Tensor) throws -> Stage {
  let optimizer = try SGD(parameters, learningRate: 0.01)
  let images = try Network.images(32)
  let labels = try Tensor((0..<32).map { Int64($0 % 10) }, shape: [32])
  return Stage {
    let (_, gradients) = try valueAndGradients(of: optimizer.parameters) { try crossEntropy(network(images), labels) }
    try optimizer.step(gradients)
  }
}

/// 2²⁰ numbers, without and with the mask that gradients pass through.
private func fakeQuantization() {
  @Sendable func parameters() throws -> QuantizationParameters {
    try QuantizationParameters(scales: [0.02], zeroPoints: [0], dtype: .int8)
  }
  stage("fake-quantize-forward") {
    let (x, parameters) = (try Tensor(numbers(1 << 20), shape: [1 << 20]), try parameters())
    return Stage { blackHole(try fakeQuantize(x, parameters)) }
  }
  stage("fake-quantize-masked") {
    let (x, parameters) = (try Tensor(numbers(1 << 20), shape: [1 << 20]), try parameters())
    // (One of the results is the loss, so that the mask is kept and little goes back.)
    return Stage { blackHole(try valueAndGradients(at: [x]) { try fakeQuantize($0[0], parameters)[0..<1] }) }
  }
}

/// Forward and back.
private func layers() {
  stage("batch-norm-and-gradient") {
    let norm = BatchNorm2d(32)
    try norm.initialize(seed: 1)
    norm.isTraining = true
    let x = try Tensor(numbers(32 * 32 * 196), shape: [32, 32, 14, 14])
    let seed = try Tensor(numbers(32 * 32 * 196).reversed(), shape: [32, 32, 14, 14])
    return Stage { blackHole(try valueAndGradients(at: [x]) { try (norm($0[0]) * seed).reduce(.sum, [0, 1, 2, 3]) }) }
  }
  stage("depthwise-and-gradient") {
    let x = try Tensor(numbers(8 * 32 * 784), shape: [8, 32, 28, 28])
    let weight = try Tensor(numbers(32 * 9), shape: [32, 1, 3, 3])
    return Stage {
      blackHole(
        try valueAndGradients(at: [x, weight]) {
          try conv2d($0[0], weight: $0[1], padding: 1, groups: 32).reduce(.sum, [0, 1, 2, 3])
        })
    }
  }
  stage("cross-entropy-and-gradient") {
    let logits = try Tensor(numbers(256 * 1000), shape: [256, 1000])
    let labels = try Tensor((0..<256).map { Int64($0 * 3) }, shape: [256])
    return Stage { blackHole(try valueAndGradients(at: [logits]) { try crossEntropy($0[0], labels) }) }
  }
}

/// One update of the network's parameters.
private func updates() {
  func update(_ name: String, _ make: @escaping ([Parameter]) throws -> Optimizer) {
    stage("update-\(name)") {
      let optimizer = try make(trainedNetwork().parameters)
      let gradients = try optimizer.parameters.map { try $0.value * Tensor(Float(0.01)) }
      return Stage { try optimizer.step(gradients) }
    }
  }
  update("sgd") { try SGD($0, learningRate: 0.01, momentum: 0.9) }
  update("adam") { try Adam($0) }
}
