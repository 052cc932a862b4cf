import OctetCore

/// An operation in a saved graph: its name and its attributes.
struct OpRecord: Codable {
  let op: Op

  private enum Name: String, Codable {
    case conv, convTranspose, linear, matmul, batchNormalization, normalize
    case unary, clip, prelu, binary, compare, `where`, cast, softmax, dropout
    case pool, adaptiveAveragePool, resize, concat, split, slice, gather, positions
    case reshape, flatten, squeeze, unsqueeze, expand, transpose, pad, reduce, argmax, topK
    case recurrent, quantizeLinear, dequantizeLinear, dynamicQuantize
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
      case .convTranspose: .convTranspose(try attributes(Op.ConvTranspose.self))
      case .linear: .linear(try attributes(Op.Linear.self))
      case .matmul: .matmul(try attributes(Op.MatMul.self))
      case .batchNormalization: .batchNormalization(try attributes(Op.BatchNormalization.self))
      case .normalize: .normalize(try attributes(Op.Normalize.self))
      case .unary: .unary(try attributes(Op.Unary.self))
      case .clip: .clip(try attributes(Op.Clip.self))
      case .prelu: .prelu(try attributes(Op.PRelu.self))
      case .binary: .binary(try attributes(Op.Binary.self))
      case .compare: .compare(try attributes(Op.Compare.self))
      case .where: .where(try attributes(Op.Where.self))
      case .cast: .cast(try attributes(Op.Cast.self))
      case .softmax: .softmax(try attributes(Op.Softmax.self))
      case .dropout: .dropout(try attributes(Op.Dropout.self))
      case .pool: .pool(try attributes(Op.Pool.self))
      case .adaptiveAveragePool: .adaptiveAveragePool(try attributes(Op.AdaptiveAveragePool.self))
      case .resize: .resize(try attributes(Op.Resize.self))
      case .concat: .concat(try attributes(Op.Concat.self))
      case .split: .split(try attributes(Op.Split.self))
      case .slice: .slice(try attributes(Op.Slice.self))
      case .gather: .gather(try attributes(Op.Gather.self))
      case .positions: .positions(try attributes(Op.Positions.self))
      case .reshape: .reshape(try attributes(Op.Reshape.self))
      case .flatten: .flatten(try attributes(Op.Flatten.self))
      case .squeeze: .squeeze(try attributes(Op.Squeeze.self))
      case .unsqueeze: .unsqueeze(try attributes(Op.Unsqueeze.self))
      case .expand: .expand(try attributes(Op.Expand.self))
      case .transpose: .transpose(try attributes(Op.Transpose.self))
      case .pad: .pad(try attributes(Op.Pad.self))
      case .reduce: .reduce(try attributes(Op.Reduce.self))
      case .argmax: .argmax(try attributes(Op.ArgMax.self))
      case .topK: .topK(try attributes(Op.TopK.self))
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
    case .convTranspose(let payload): try encode(.convTranspose, payload)
    case .linear(let payload): try encode(.linear, payload)
    case .matmul(let payload): try encode(.matmul, payload)
    case .batchNormalization(let payload): try encode(.batchNormalization, payload)
    case .normalize(let payload): try encode(.normalize, payload)
    case .unary(let payload): try encode(.unary, payload)
    case .clip(let payload): try encode(.clip, payload)
    case .prelu(let payload): try encode(.prelu, payload)
    case .binary(let payload): try encode(.binary, payload)
    case .compare(let payload): try encode(.compare, payload)
    case .where(let payload): try encode(.where, payload)
    case .cast(let payload): try encode(.cast, payload)
    case .softmax(let payload): try encode(.softmax, payload)
    case .dropout(let payload): try encode(.dropout, payload)
    case .pool(let payload): try encode(.pool, payload)
    case .adaptiveAveragePool(let payload): try encode(.adaptiveAveragePool, payload)
    case .resize(let payload): try encode(.resize, payload)
    case .concat(let payload): try encode(.concat, payload)
    case .split(let payload): try encode(.split, payload)
    case .slice(let payload): try encode(.slice, payload)
    case .gather(let payload): try encode(.gather, payload)
    case .positions(let payload): try encode(.positions, payload)
    case .reshape(let payload): try encode(.reshape, payload)
    case .flatten(let payload): try encode(.flatten, payload)
    case .squeeze(let payload): try encode(.squeeze, payload)
    case .unsqueeze(let payload): try encode(.unsqueeze, payload)
    case .expand(let payload): try encode(.expand, payload)
    case .transpose(let payload): try encode(.transpose, payload)
    case .pad(let payload): try encode(.pad, payload)
    case .reduce(let payload): try encode(.reduce, payload)
    case .argmax(let payload): try encode(.argmax, payload)
    case .topK(let payload): try encode(.topK, payload)
    case .recurrent(let payload): try encode(.recurrent, payload)
    case .quantizeLinear(let payload): try encode(.quantizeLinear, payload)
    case .dequantizeLinear(let payload): try encode(.dequantizeLinear, payload)
    case .dynamicQuantize(let payload): try encode(.dynamicQuantize, payload)
    case .custom(let payload):
      throw OctetError(.unsupported, payload.name, expected: "an operation that files know", found: "a user's own")
    }
  }
}
