public import OctetCore

/// One step of an LSTM (torch.nn.LSTMCell): `cell([x, h, c])` gives the next state and the next cell.
public final class LSTMCell: RecurrentCell {
  public init(_ inputSize: Int, _ hiddenSize: Int, bias: Bool = true) {
    super.init(.lstm, inputSize, hiddenSize, bias: bias)
  }
}

/// One step of a GRU (torch.nn.GRUCell): `cell([x, h])` gives the next state.
public final class GRUCell: RecurrentCell {
  public init(_ inputSize: Int, _ hiddenSize: Int, bias: Bool = true) {
    super.init(.gru, inputSize, hiddenSize, bias: bias)
  }
}

/// What LSTMCell and GRUCell have in common, with PyTorch's names of parameters.
public class RecurrentCell: Module {
  /// [gates · hidden, inputs]
  public let weightIH: Parameter
  /// [gates · hidden, hidden]
  public let weightHH: Parameter
  /// [gates · hidden]
  public let biasIH: Parameter?
  public let biasHH: Parameter?
  private let kind: Op.Recurrent.Kind
  private let hiddenSize: Int

  init(_ kind: Op.Recurrent.Kind, _ inputSize: Int, _ hiddenSize: Int, bias: Bool) {
    self.kind = kind
    self.hiddenSize = hiddenSize
    let rows = kind.gates * hiddenSize
    weightIH = zeros([rows, inputSize])
    weightHH = zeros([rows, hiddenSize])
    biasIH = bias ? zeros([rows]) : nil
    biasHH = bias ? zeros([rows]) : nil
    super.init()
    initializeAtRandom()
  }

  public override var ownParameters: [(name: String, parameter: Parameter)] {
    let all = [("weight_ih", weightIH), ("weight_hh", weightHH), ("bias_ih", biasIH), ("bias_hh", biasHH)]
    return all.compactMap { name, parameter in parameter.map { (name, $0) } }
  }

  /// The next state, from a state of zeros.
  public override func forward(_ x: Tensor) throws -> Tensor { try forward([x])[0] }

  /// - Parameter inputs: x [batch, features]; optional state [batch, hidden] and, of an LSTM, cell [batch, hidden]
  ///   (zeros).
  /// - Returns: the next state, and the next cell of an LSTM.
  public override func forward(_ inputs: [Tensor?]) throws -> [Tensor] {
    let most = kind == .lstm ? 3 : 2
    guard inputs.count <= most, let first = inputs.first, let x = first else {
      throw OctetError(.invalidArgument, "\(Self.self)", expected: "1 to \(most) inputs", found: "\(inputs.count)")
    }
    guard x.rank == 2 else {
      throw OctetError(.shapeMismatch, "x", expected: "[batch, features]", found: "\(x.type)")
    }
    let operands = [try x.unsqueeze([0]), weightIH.value, weightHH.value, biasIH?.value, biasHH?.value]
    return Array(try apply(.recurrent(Op.Recurrent(kind)), operands + inputs.dropFirst()).dropFirst())
  }

  public override func initializeOwnParameters(using generator: inout some RandomNumberGenerator) throws {
    for (_, parameter) in ownParameters {
      parameter.value = try uniform(shape: parameter.value.shape, fanIn: hiddenSize, using: &generator)
    }
  }
}
