import OctetCore

// What scikit-learn's networks have around their layers.

let classicalOperators = [
  Operator("Scaler", domain: "ai.onnx.ml") { node in
    var x = try cast(node, node.input(0), to: .float32)
    if let offset = try node.floats("offset") {
      x = try node.sub(x, node.constant(Tensor(offset, shape: [offset.count])))
    }
    if let scale = try node.floats("scale") {
      x = try node.mul(x, node.constant(Tensor(scale, shape: [scale.count])))
    }
    return [x]
  },
  // Columns by their numbers.
  Operator("ArrayFeatureExtractor", domain: "ai.onnx.ml") { node in
    let x = try node.input(0)
    let indices = try node.reshape(node.input(1), [-1])
    let columns = try node.apply(.gather(Op.Gather(axis: -1)), x, indices)
    return [x.rank == 1 ? try node.apply(.unsqueeze(Op.Unsqueeze([0])), columns) : columns]
  },
]
