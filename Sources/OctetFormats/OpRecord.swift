import OctetCore

/// An operation in a saved graph: its name and its attributes.
struct OpRecord: Codable {
  let op: Op

  private enum Name: String, Codable {
    case conv, linear, matmul, batchNormalization, unary, clip, binary, softmax, pool, adaptiveAveragePool, concat
    case reshape, flatten, transpose, reduce, pad, recurrent, quantizeLinear, dequantizeLinear
    case dynamicQuantize
  }

  private enum CodingKeys: CodingKey {
    case name, attributes
  }

  init(op: Op) { self.op = op }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    func attributes<Payload: Decodable>(_: Payload.Type) throws -> Payload {
      try values.decode(Payload.self, forKey: .attributes)
    }
    op =
      switch try values.decode(Name.self, forKey: .name) {
      case .conv: .conv(try attributes(Op.Convolution.self))
      case .linear: .linear(try attributes(Op.Linear.self))
      case .matmul: .matmul(try attributes(Op.MatMul.self))
      case .batchNormalization: .batchNormalization(try attributes(Op.BatchNormalization.self))
      case .unary: .unary(try attributes(Op.Unary.self))
      case .clip: .clip(try attributes(Op.Clip.self))
      case .binary: .binary(try attributes(Op.Binary.self))
      case .softmax: .softmax(try attributes(Op.Softmax.self))
      case .pool: .pool(try attributes(Op.Pool.self))
      case .adaptiveAveragePool: .adaptiveAveragePool(try attributes(Op.AdaptiveAveragePool.self))
      case .concat: .concat(try attributes(Op.Concat.self))
      case .reshape: .reshape(try attributes(Op.Reshape.self))
      case .flatten: .flatten(try attributes(Op.Flatten.self))
      case .transpose: .transpose(try attributes(Op.Transpose.self))
      case .reduce: .reduce(try attributes(Op.Reduce.self))
      case .pad: .pad(try attributes(Op.Pad.self))
      case .recurrent: .recurrent(try attributes(Op.Recurrent.self))
      case .quantizeLinear: .quantizeLinear(try attributes(Op.QuantizeLinear.self))
      case .dequantizeLinear: .dequantizeLinear(try attributes(Op.DequantizeLinear.self))
      case .dynamicQuantize: .dynamicQuantize(try attributes(Op.DynamicQuantize.self))
      }
  }

  func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    func encode(_ name: Name, _ attributes: some Encodable) throws {
      try values.encode(name, forKey: .name)
      try values.encode(attributes, forKey: .attributes)
    }
    switch op {
    case .conv(let payload): try encode(.conv, payload)
    case .linear(let payload): try encode(.linear, payload)
    case .matmul(let payload): try encode(.matmul, payload)
    case .batchNormalization(let payload): try encode(.batchNormalization, payload)
    case .unary(let payload): try encode(.unary, payload)
    case .clip(let payload): try encode(.clip, payload)
    case .binary(let payload): try encode(.binary, payload)
    case .softmax(let payload): try encode(.softmax, payload)
    case .pool(let payload): try encode(.pool, payload)
    case .adaptiveAveragePool(let payload): try encode(.adaptiveAveragePool, payload)
    case .concat(let payload): try encode(.concat, payload)
    case .reshape(let payload): try encode(.reshape, payload)
    case .flatten(let payload): try encode(.flatten, payload)
    case .transpose(let payload): try encode(.transpose, payload)
    case .reduce(let payload): try encode(.reduce, payload)
    case .pad(let payload): try encode(.pad, payload)
    case .recurrent(let payload): try encode(.recurrent, payload)
    case .quantizeLinear(let payload): try encode(.quantizeLinear, payload)
    case .dequantizeLinear(let payload): try encode(.dequantizeLinear, payload)
    case .dynamicQuantize(let payload): try encode(.dynamicQuantize, payload)
    }
  }
}
