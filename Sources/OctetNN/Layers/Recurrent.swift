public import OctetCore

/// What LSTM and GRU have in common: layers of one or two directions, with PyTorch's names of parameters
/// (`weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, `weight_hr_l0`; `…_reverse`).
public class RecurrentModule: Module {
  public let inputSize: Int
  public let hiddenSize: Int
  public let numLayers: Int
  /// Whether x and the result are [batch, steps, …] instead of [steps, batch, …].
  public let batchFirst: Bool
  public let bidirectional: Bool
  /// The size of the projection of an LSTM's states; 0: none.
  public let projSize: Int

  /// One layer in one direction.
  struct Direction {
    let suffix: String
    let isReversed: Bool
    let weightInput, weightState: Parameter
    let biasInput, biasState, projection: Parameter?

    var parameters: [(name: String, parameter: Parameter)] {
      let all = [
        ("weight_ih", weightInput), ("weight_hh", weightState), ("bias_ih", biasInput), ("bias_hh", biasState),
        ("weight_hr", projection),
      ]
      return all.compactMap { name, parameter in parameter.map { ("\(name)_\(suffix)", $0) } }
    }
  }

  private let kind: Op.Recurrent.Kind
  private let directions: [Direction]
  private let betweenLayers: Dropout?

  init(
    _ kind: Op.Recurrent.Kind, _ inputSize: Int, _ hiddenSize: Int, numLayers: Int, bias: Bool, batchFirst: Bool,
    dropout: Float, bidirectional: Bool, projSize: Int
  ) {
    precondition(numLayers > 0, "there is at least one layer")
    precondition(projSize >= 0 && projSize < hiddenSize, "a projection is smaller than the hidden size")
    self.kind = kind
    (self.inputSize, self.hiddenSize, self.numLayers) = (inputSize, hiddenSize, numLayers)
    (self.batchFirst, self.bidirectional, self.projSize) = (batchFirst, bidirectional, projSize)
    let state = projSize > 0 ? projSize : hiddenSize
    let rows = kind.gates * hiddenSize
    directions = (0..<numLayers).flatMap { layer in
      (bidirectional ? [false, true] : [false]).map { isReversed in
        Direction(
          suffix: "l\(layer)" + (isReversed ? "_reverse" : ""), isReversed: isReversed,
          weightInput: zeros([rows, layer == 0 ? inputSize : state * (bidirectional ? 2 : 1)]),
          weightState: zeros([rows, state]), biasInput: bias ? zeros([rows]) : nil,
          biasState: bias ? zeros([rows]) : nil, projection: projSize > 0 ? zeros([projSize, hiddenSize]) : nil)
      }
    }
    betweenLayers = dropout > 0 && numLayers > 1 ? Dropout(dropout) : nil
    super.init()
    initializeAtRandom()
  }

  public override var ownParameters: [(name: String, parameter: Parameter)] { directions.flatMap(\.parameters) }

  public override var children: [(name: String, module: Module)] { betweenLayers.map { [("dropout", $0)] } ?? [] }

  /// All states of the last layer.
  public override func forward(_ x: Tensor) throws -> Tensor { try forward([x])[0] }

  /// - Parameter inputs: x; optional initial states [layers · directions, batch, state] (zeros); for an LSTM optional
  ///   initial cells [layers · directions, batch, hidden] (zeros).
  /// - Returns: all states of the last layer, the directions one after the other along the last axis; the last states of
  ///   every layer and direction; for an LSTM their last cells.
  /// - Throws: `OctetError` (`shapeMismatch`) if something does not fit, naming the layer's operand.
  public override func forward(_ inputs: [Tensor?]) throws -> [Tensor] {
    let most = kind == .lstm ? 3 : 2
    guard inputs.count <= most, let first = inputs.first, var x = first else {
      throw OctetError(.invalidArgument, "\(Self.self)", expected: "1 to \(most) inputs", found: "\(inputs.count)")
    }
    guard x.rank == 3 else {
      throw OctetError(
        .shapeMismatch, "x", expected: batchFirst ? "[batch, steps, features]" : "[steps, batch, features]",
        found: "\(x.type)")
    }
    let (starts, startCells) = try (start(inputs, 1, "h0"), start(inputs, 2, "c0"))
    if batchFirst { x = try x.transpose([1, 0, 2]) }
    var states: [[Tensor]] = []
    let perLayer = bidirectional ? 2 : 1
    for layer in 0..<numLayers {
      if layer > 0, let betweenLayers { x = try betweenLayers(x) }
      let results = try (layer * perLayer..<(layer + 1) * perLayer).map { index in
        let direction = directions[index]
        let operands = [
          x, direction.weightInput.value, direction.weightState.value, direction.biasInput?.value,
          direction.biasState?.value, try starts?.slice(axis: 0, from: index, to: index + 1).squeeze([0]),
        ]
        let cell = try startCells?.slice(axis: 0, from: index, to: index + 1).squeeze([0])
        return try apply(
          .recurrent(Op.Recurrent(kind, isReversed: direction.isReversed)),
          kind == .lstm ? operands + [cell, direction.projection?.value] : operands)
      }
      x = results.count == 1 ? results[0][0] : try concat(results.map { $0[0] }, axis: 2)
      states += results.map { Array($0.dropFirst()) }
    }
    if batchFirst { x = try x.transpose([1, 0, 2]) }
    return try [x]
      + states[0].indices.map { place in
        try concat(states.map { try $0[place].unsqueeze([0]) }, axis: 0)
      }
  }

  private func start(_ inputs: [Tensor?], _ index: Int, _ name: String) throws -> Tensor? {
    guard index < inputs.count, let start = inputs[index] else { return nil }
    guard start.rank == 3, start.shape[0] == directions.count else {
      throw OctetError(
        .shapeMismatch, name, expected: "[\(directions.count), batch, size] (layers · directions first)",
        found: "\(start.type)")
    }
    return start
  }

  public override func initializeOwnParameters(using generator: inout some RandomNumberGenerator) throws {
    for (_, parameter) in ownParameters {
      parameter.value = try uniform(shape: parameter.value.shape, fanIn: hiddenSize, using: &generator)
    }
  }
}

/// Long short-term memory (torch.nn.LSTM).
///
/// `lstm(x)` is all states [steps, batch, state · directions]; `lstm([x, h0, c0])` takes initial states and cells, and
/// gives the last ones too. The state has the hidden size, or that of the projection.
public final class LSTM: RecurrentModule {
  public init(
    _ inputSize: Int, _ hiddenSize: Int, numLayers: Int = 1, bias: Bool = true, batchFirst: Bool = false,
    dropout: Float = 0, bidirectional: Bool = false, projSize: Int = 0
  ) {
    super.init(
      .lstm, inputSize, hiddenSize, numLayers: numLayers, bias: bias, batchFirst: batchFirst, dropout: dropout,
      bidirectional: bidirectional, projSize: projSize)
  }
}

/// Gated recurrent units (torch.nn.GRU).
///
/// `gru(x)` is all states [steps, batch, hidden · directions]; `gru([x, h0])` takes initial states, and gives the last
/// ones too.
public final class GRU: RecurrentModule {
  public init(
    _ inputSize: Int, _ hiddenSize: Int, numLayers: Int = 1, bias: Bool = true, batchFirst: Bool = false,
    dropout: Float = 0, bidirectional: Bool = false
  ) {
    super.init(
      .gru, inputSize, hiddenSize, numLayers: numLayers, bias: bias, batchFirst: batchFirst, dropout: dropout,
      bidirectional: bidirectional, projSize: 0)
  }
}
