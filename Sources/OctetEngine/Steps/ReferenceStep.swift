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
  let output: Int
  var label: String { "\(op.kind.rawValue) (reference)" }

  var inputs: [Int] {
    operands.compactMap { if case .slot(let slot)? = $0 { slot } else { nil } }
  }

  func bind(_ memory: Memory) -> Call {
    let (op, operands, to, name) = (op, operands, output, name)
    let slots = memory.shapes.slots
    let bytes = slots[to].dtype.byteCount(of: memory.shapes.count(to))
    return Call { _, _ in
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
        let result = try apply(op, tensors)[0]
        result.withUnsafeBytes { memory.addresses[to].copyMemory(from: $0.baseAddress!, byteCount: bytes) }
      } catch {
        memory.record(error, name)
      }
    }
  }
}
