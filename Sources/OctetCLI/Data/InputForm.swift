import Octet

/// What the first axis of an input is.
enum InputForm: Equatable {
  /// It counts samples: any number of them may run at once.
  case batch
  /// So many rows belong to each run.
  case rows(Int)
  /// It is part of one sample (the steps of a sequence), or there is none.
  case whole
}

extension Graph {
  /// What the first axis of each input is, read from the graph.
  ///
  /// An open first axis counts samples unless something speaks against it: an output that does not begin with an open
  /// axis, a recurrent layer that steps along it, or a value that has it twice (the scores of an attention).
  var inputForms: [InputForm] {
    let outputsAreOpen = outputs.allSatisfy { output in
      types[output.value]?.shape.first.map { $0.size == nil } ?? false
    }
    let steps = Set(
      nodes.compactMap { node -> Dimension? in
        guard case .recurrent = node.op, let sequence = node.inputs[0] else { return nil }
        return types[sequence]?.shape.first
      })
    return inputs.map { input in
      guard let first = input.type.shape.first else { return .whole }
      if let size = first.size { return .rows(size) }
      let isTwice = types.values.contains { type in type.shape.count { $0 == first } > 1 }
      return outputsAreOpen && !steps.contains(first) && !isTwice ? .batch : .whole
    }
  }
}
