import OctetCore
import OctetNN
import TestSupport
import Testing

/// Losses, optimizers and schedules of training.safetensors.
@Suite("Training against PyTorch")
struct TrainingVectorTests {
  static let cases = (try? VectorCase.load("training")) ?? []
  static let losses = cases.filter { $0.attributes["loss"] != nil }
  static let optimizers = cases.filter { $0.attributes["optimizer"] != nil }

  @Test func theFileHoldsTheCasesThatTestsCount() {
    #expect(Self.cases.count == 30)
    #expect(Self.losses.count == 16)
    #expect(Self.optimizers.count == 9)
  }

  @Test("losses and their gradients", arguments: losses)
  func loss(_ test: VectorCase) throws {
    let (loss, gradients) = try valueAndGradients(at: [test.tensor("x")]) { inputs in
      let x = inputs[0]
      func weight() throws -> Tensor? { try test.bool("weighted") ? try test.tensor("weight") : nil }
      return switch try test.string("loss") {
      case "cross_entropy":
        try crossEntropy(x, test.tensor("labels"), weight: weight(), labelSmoothing: test.float("smoothing"))
      case "nll": try nllLoss(x, test.tensor("labels"), weight: test.tensor("weight"))
      case "mse": try mseLoss(x, test.tensor("target"))
      case "l1": try l1Loss(x, test.tensor("target"))
      case "bce": try binaryCrossEntropyWithLogits(x, test.tensor("target"), positiveWeight: weight())
      default: try distillationLoss(x, teacher: test.tensor("teacher"), temperature: test.float("temperature"))
      }
    }
    #expect(try discrepancy(loss, test.tensor("loss"), absolute: 1e-6, relative: 1e-5) == nil)
    #expect(try discrepancy(gradients[0], test.tensor("dx"), absolute: 1e-6, relative: 1e-5) == nil)
  }

  @Test("20 steps of each optimizer", arguments: optimizers)
  func optimizer(_ test: VectorCase) throws {
    let parameters = try (0..<2).map { Parameter(try test.tensor("start\($0)")) }
    let optimizer = try make(test, parameters)
    for step in 0..<20 {
      let gradients = try (0..<2).map { index in
        try test.tensor("gradients\(index)")[step..<step + 1].reshape(parameters[index].value.shape)
      }
      // What was saved goes on as if nothing had happened.
      if step == 10 {
        let state = try optimizer.stateDict
        let another = try make(test, parameters)
        try another.load(state)
        #expect(another.stepCount == 10)
        try another.step(gradients)
        try check(test, parameters, step: step)
        try optimizer.load(another.stateDict)
        continue
      }
      try optimizer.step(gradients)
      try check(test, parameters, step: step)
    }
  }

  private func check(_ test: VectorCase, _ parameters: [Parameter], step: Int) throws {
    for (index, parameter) in parameters.enumerated() {
      let expected = try test.tensor("history\(index)")[step..<step + 1].reshape(parameter.value.shape)
      #expect(
        try discrepancy(parameter.value, expected, absolute: 1e-5, relative: 1e-5) == nil, "step \(step), \(index)")
    }
  }

  private func make(_ test: VectorCase, _ parameters: [Parameter]) throws -> Optimizer {
    let groups = [
      ParameterGroup([parameters[0]]), ParameterGroup([parameters[1]], learningRateFactor: 0.5, weightDecay: 0),
    ]
    func float(_ name: String, _ standard: Float) throws -> Float {
      test.attributes[name] == nil ? standard : try test.float(name)
    }
    let rate = try test.float("lr")
    let betas = test.attributes["betas"] == nil ? [0.9, 0.999] : try test.floats("betas")
    switch try test.string("optimizer") {
    case "SGD":
      return try SGD(
        groups, learningRate: rate, momentum: float("momentum", 0), weightDecay: float("weight_decay", 0),
        nesterov: test.attributes["nesterov"] != nil)
    case "Adam":
      return try Adam(
        groups, learningRate: rate, betas: (betas[0], betas[1]), epsilon: float("eps", 1e-8),
        weightDecay: float("weight_decay", 0))
    case "AdamW":
      return try AdamW(
        groups, learningRate: rate, betas: (betas[0], betas[1]), weightDecay: float("weight_decay", 0.01))
    default:
      return try RMSprop(
        groups, learningRate: rate, alpha: float("alpha", 0.99), momentum: float("momentum", 0),
        weightDecay: float("weight_decay", 0))
    }
  }

  @Test func gradientsAreClippedByTheirNorm() throws {
    let test = try #require(Self.cases.first { $0.name == "clip_grad_norm" })
    var gradients = try (0..<2).map { try test.tensor("before\($0)") }
    let norm = try clipGradients(&gradients, norm: test.float("maximum"))
    #expect(try abs(norm - test.tensor("norm").item(as: Float.self)) < 1e-5)
    for (index, gradient) in gradients.enumerated() {
      #expect(try discrepancy(gradient, test.tensor("after\(index)")) == nil)
    }
    let clipped = gradients
    #expect(try clipGradients(&gradients, norm: 2) < 1.50001)
    // Squares that floats cannot hold.
    var large = [try Tensor([1e30 as Float, 1], shape: [2])]
    #expect(try clipGradients(&large, norm: 1) == 1e30)
    #expect(try large[0].scalars(as: Float.self)[0] == 1)
    for (a, b) in zip(gradients, clipped) { #expect(try discrepancy(a, b, absolute: 0, relative: 0) == nil) }
  }

  @Test(
    "learning rates",
    arguments: [
      ("schedule_step", LearningRateSchedule.step(size: 7, gamma: 0.5)),
      ("schedule_cosine", .cosine(steps: 20, minimum: 0.1)),
      ("schedule_one_cycle", .oneCycle(steps: 30)),
      ("schedule_warm_up", .warmUp(5, start: 0.25, then: .cosine(steps: 15))),
    ])
  func schedule(_ name: String, _ schedule: LearningRateSchedule) throws {
    let rates = try #require(Self.cases.first { $0.name == name }).tensor("rates").scalars(as: Float.self)
    for (step, rate) in rates.enumerated() {
      #expect(
        abs(schedule.factor(at: step) - rate) < 1e-5, "step \(step): \(schedule.factor(at: step)) instead of \(rate)")
    }
    #expect(LearningRateSchedule.constant.factor(at: 1000) == 1)
  }

  /// Classes that cannot be and do not count add nothing.
  @Test func impossibleClasses() throws {
    let x = try Tensor([0 as Float, 1, -.infinity], shape: [1, 3])
    let (loss, gradients) = try valueAndGradients(at: [x]) { try crossEntropy($0[0], Tensor([Int64(0)], shape: [1])) }
    #expect(try abs(loss.item(as: Float.self) - 1.313262) < 1e-5)
    #expect(try discrepancy(gradients[0], Tensor([-0.7310586, 0.7310586, 0] as [Float], shape: [1, 3])) == nil)
  }

  @Test("schedules of few steps are numbers", arguments: [(4, Float(0.25)), (2, 0.5), (10, 1), (0, 0.3), (1, 0.3)])
  func fewSteps(_ steps: Int, _ share: Float) {
    for step in 0...10 {
      let factor = LearningRateSchedule.oneCycle(steps: steps, warmUpShare: share).factor(at: step)
      #expect((0...1).contains(factor), "\(step): \(factor)")
    }
  }

  /// A rule that fails leaves the optimizer as it can go on.
  @Test func aRuleThatThrowsKeepsItsMoments() throws {
    final class Failing: Optimizer {
      override func change(
        _ value: inout Tensor, _ gradient: Tensor, _ moments: inout [Tensor], rate: Float, decay: Float
      ) throws {
        throw OctetError(.unsupported, "rule", expected: "nothing", found: "a test")
      }
    }
    let parameter = Parameter(try Tensor(zeros: [2]))
    let optimizer = try Failing([ParameterGroup([parameter])], learningRate: 1, weightDecay: 0, momentCount: 2)
    #expect(octetError { try optimizer.step([Tensor(zeros: [2])]) }?.code == .unsupported)
    #expect(try optimizer.stateDict.keys.sorted() == ["0.0", "0.1", "learning_rate", "step"])
  }

  // MARK: - Misuse

  @Test func misuseIsAnError() throws {
    let x = try Tensor([1 as Float, 2, 3, 4, 5, 6], shape: [2, 3])
    func code<Result>(_ body: () throws -> Result) -> OctetError.Code? { octetError(body)?.code }
    #expect(code { try crossEntropy(x, Tensor([0 as Int64, 3], shape: [2])) } == .invalidArgument)
    #expect(code { try crossEntropy(x, Tensor([0 as Int64, -1], shape: [2])) } == .invalidArgument)
    #expect(code { try crossEntropy(x, Tensor([0 as Int64], shape: [1])) } == .shapeMismatch)
    #expect(code { try crossEntropy(x, Tensor([0 as Int64, 1], shape: [2]), labelSmoothing: 2) } == .invalidArgument)
    #expect(
      code { try crossEntropy(x, Tensor([0 as Int64, 1], shape: [2]), weight: Tensor(zeros: [2])) } == .shapeMismatch)
    #expect(code { try mseLoss(x, Tensor(zeros: [3])) } == .shapeMismatch)
    #expect(code { try distillationLoss(x, teacher: x, temperature: 0) } == .invalidArgument)

    let parameter = Parameter(x)
    #expect(code { try SGD([parameter, parameter], learningRate: 0.1) } == .invalidArgument)
    #expect(code { try SGD([parameter], learningRate: -0.1) } == .invalidArgument)
    #expect(code { try SGD([parameter], learningRate: 0.1, nesterov: true) } == .invalidArgument)
    #expect(code { try Adam([parameter], betas: (1, 0.9)) } == .invalidArgument)
    let optimizer = try SGD([parameter], learningRate: 0.1, momentum: 0.9)
    #expect(code { try optimizer.step([]) } == .shapeMismatch)
    #expect(code { try optimizer.step([Tensor(zeros: [3])]) } == .shapeMismatch)
    #expect(code { try optimizer.step([Tensor(repeating: Float.nan, shape: [2, 3])]) } == .notANumber)
    #expect(code { try optimizer.step([Tensor(repeating: Float.infinity, shape: [2, 3])]) } == .notANumber)
    var state = try optimizer.stateDict
    state["step"] = try Tensor(Int64.max)
    #expect(code { try optimizer.load(state) } == .invalidArgument)
    state["step"] = try Tensor(Int64(1))
    state["learning_rate"] = try Tensor(Float.nan)
    #expect(code { try optimizer.load(state) } == .invalidArgument)
    #expect(optimizer.stepCount == 0)
    #expect(try discrepancy(parameter.value, x, absolute: 0, relative: 0) == nil)
    #expect(code { try optimizer.load([:]) } == .unknownName)
    #expect(code { try optimizer.load(Adam([parameter]).stateDict) } == .unknownName)
  }

  @Test func biasesAndNormalizationHaveNoDecay() throws {
    let net = Sequential([Conv2d(1, 4, kernelSize: 3), BatchNorm2d(4), ReLU()])
    let groups = net.parameterGroups(weightDecay: 0.1)
    #expect(groups.map { $0.parameters.map(\.value.shape) } == [[[4, 1, 3, 3]], [[4], [4], [4]]])
    #expect(groups.map(\.weightDecay) == [0.1, 0])
  }
}
