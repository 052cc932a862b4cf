// Trains a network that reads handwritten digits, trains it on as it will run in integers, converts and saves it:
//
//     swift run -c release TrainMNIST [DATA [OUTPUT [EPOCHS]]]
// DATA is the digits of Examples/Data, or a folder with the four IDX files of MNIST or Fashion-MNIST.

import Octet

final class Net: Module {
  let conv1 = Conv2d(1, 32, kernelSize: 3)
  let conv2 = Conv2d(32, 64, kernelSize: 3)
  let dropout1 = Dropout(0.25)
  let dropout2 = Dropout(0.5)
  let fc1: Linear
  let fc2 = Linear(128, 10)

  init(size: Int) {
    fc1 = Linear(64 * ((size - 4) / 2) * ((size - 4) / 2), 128)
    super.init()
  }

  override func forward(_ x: Tensor) throws -> Tensor {
    let features = try maxPool2d(relu(conv2(relu(conv1(x)))), kernelSize: 2)
    return try fc2(dropout2(relu(fc1(dropout1(features).flatten(from: 1)))))
  }
}

@main
enum TrainMNIST {
  static func main() throws {
    let given = CommandLine.arguments.dropFirst()
    let arguments = [""] + given + ["Examples/Data/digits.npz", "digits-int8.safetensors", "20"].dropFirst(given.count)
    let (output, epochs) = (arguments[2], Int(arguments[3]) ?? 20)
    let (training, test) = try data(arguments[1])
    let size = training.arrays["images"]!.shape[3]

    // In float.
    let net = Net(size: size)
    try net.initialize(seed: 1)
    let batches = try Batches(training, size: 64, shuffled: true, seed: 1)
    let optimizer = try AdamW(net.parameterGroups(weightDecay: 0.01), learningRate: 4e-3)
    let trainer = Trainer(
      net, .classification(), optimizer, schedule: .oneCycle(steps: epochs * batches.count), seed: 1)
    trainer.onEpoch = { print("epoch \($0.epoch + 1): loss \($0.training.loss)") }
    try trainer.train(on: batches, epochs: epochs)
    let tests = try Batches(test, size: 250)
    print("float: \(try trainer.evaluate(on: tests).accuracy!)")

    // On, with values and weights rounded as they will be: ranges follow in the first half.
    let graph = try net.trace(TensorType(.float32, [.symbolic("n"), 1, .fixed(size), .fixed(size)]))
    let prepared = try graph.prepareQAT(QConfigMap(.defaultQAT(for: .octet)))
    try prepared.calibrate([training.batch(0..<min(256, training.count))["images"]])
    let aware = Trainer(
      prepared, .classification(),
      try AdamW([ParameterGroup(prepared.trainableParameters)], learningRate: 4e-4),
      schedule: .cosine(steps: max(epochs / 4, 1) * batches.count), seed: 2)
    aware.qat = QATSchedule(observersOffAfter: max(epochs / 8, 1))
    try aware.train(on: batches, epochs: max(epochs / 4, 1))
    for warning in prepared.warnings() { print("warning: \(warning)") }

    // In integers.
    let (quantized, report) = try prepared.convert()
    try quantized.save(to: output)
    let session = Session(try Plan(Graph(contentsOf: output)))
    let right = try tests.epoch(0).reduce(0) { try $0 + trainer.objective.correct!([session($1["images"])], $1) }
    print("int8: \(Double(right) / Double(test.count)), in \(output)\n\(report)")
  }

  static func data(_ path: String) throws -> (training: Dataset, test: Dataset) {
    if path.hasSuffix(".npz") {
      let all = try Dataset(npz: path, scales: ["images": 1 / 16]).reshapingRows(of: "images", to: [1, 8, 8])
      return try (all.subset(0..<1297), all.subset(1297..<all.count))
    }
    func read(_ name: String) throws -> Dataset {
      let files = ["images": "\(path)/\(name)-images-idx3-ubyte.gz", "labels": "\(path)/\(name)-labels-idx1-ubyte.gz"]
      return try Dataset(idx: files, scales: ["images": 1 / 255]).reshapingRows(of: "images", to: [1, 28, 28])
    }
    return try (read("train"), read("t10k"))
  }
}
