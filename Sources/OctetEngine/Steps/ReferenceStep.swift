import OctetCore

/// An operation that has no kernel of the engine's own: evaluated as ``OctetCore/apply(_:_:)`` does, on values in the
/// order of their shapes. It allocates while it runs.
struct ReferenceStep: Step {
  enum Operand {
    case slot(Int)
    case constant(Tensor)
  }

  let name: String
  let op: Op
  let operands: [Operand?]
  let outputs: [Int]
  var label: String { "\(op.kind.rawValue) (reference)" }

  var inputs: [Int] {
    operands.compactMap { if case .slot(let slot)? = $0 { slot } else { nil } }
  }

  func bind(_ memory: Memory) -> [Call] {
    let (op, operands, outputs, name) = (op, operands, outputs, name)
    let slots = memory.shapes.slots
    let call = Call { _, _ in
      do {
        let tensors = operands.map { operand -> Tensor? in
          switch operand {
          case nil: return nil
          case .constant(let tensor): return tensor
          case .slot(let slot):
            let shape = memory.shapes.shape(slot)
            let dtype = slots[slot].dtype
            let view = UnsafeRawBufferPointer(
              start: memory.addresses[slot], count: dtype.byteCount(of: elementCount(of: shape)))
            return Tensor(storage: TensorStorage(borrowing: view, from: memory), shape: shape, dtype: dtype)
          }
        }
        for (result, to) in zip(try apply(op, tensors), outputs) {
          result.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            memory.addresses[to].copyMemory(from: base, byteCount: bytes.count)
          }
        }
      } catch {
        memory.record(error, name)
      }
    }
    return [call]
  }
}
