import OctetCore
import OctetGraph

/// One of ONNX's own tests: a model, its inputs, and the outputs that it must give.
package struct ConformanceCase: Sendable {
  package let name: String
  package let model: [UInt8]
  package let inputs: [Tensor]
  package let outputs: [Tensor]

  package init(name: String, model: [UInt8], inputs: [Tensor], outputs: [Tensor]) {
    self.name = name
    self.model = model
    self.inputs = inputs
    self.outputs = outputs
  }

  package enum Verdict: Hashable, Sendable {
    /// `constants`: how many inputs had to be known while reading.
    case passed(constants: Int)
    case failed(String)
    case unsupported(String)
  }

  /// Reads the model and compares what `runners` make of the inputs. Operands that Octet must know while reading (the axes of
  /// a reduction, which are inputs in these tests and constants in networks) are given as constants, as few as possible.
  package func verdict(_ runners: [@Sendable (Graph, [Tensor]) throws -> [Tensor]]) -> Verdict {
    var refusal: OctetError?
    do {
      let names = try ONNXModel.inputNames(of: model)
      guard names.count >= inputs.count else { return .failed("\(inputs.count) inputs for \(names)") }
      for known in choices(inputs.count) {
        let constants = Dictionary(
          known.map { (names[$0], inputs[$0]) }, uniquingKeysWith: { first, _ in first })
        let graph: Graph
        do {
          graph = try ONNXModel(bytes: model, constants: constants).graph
        } catch let error as OctetError where error.code == .unsupported {
          if refusal == nil { refusal = error }
          continue
        }
        let given = inputs.indices.filter { !known.contains($0) }.map { inputs[$0] }
        for run in runners {
          if let difference = try difference(run(graph, given)) { return .failed(difference) }
        }
        return .passed(constants: known.count)
      }
      return .unsupported("\(refusal!)")
    } catch {
      return .failed("\(error)")
    }
  }

  /// Which inputs are known: none, all whole numbers and truth values, all but the first, all.
  private func choices(_ count: Int) -> [[Int]] {
    let whole = (0..<count).filter { inputs[$0].dtype != .float32 }
    var choices: [[Int]] = [[]]
    for choice in [whole, Array((0..<count).dropFirst()), Array(0..<count)] where !choices.contains(choice) {
      choices.append(choice)
    }
    return choices
  }

  /// The first difference beyond what ONNX's own runner allows (relative 1e-3, absolute 1e-7; whole numbers exactly).
  private func difference(_ results: [Tensor]) throws -> String? {
    guard results.count == outputs.count else { return "\(results.count) outputs instead of \(outputs.count)" }
    for (index, (result, expected)) in zip(results, outputs).enumerated() {
      guard result.type == expected.type else { return "output \(index): \(result.type) instead of \(expected.type)" }
      guard expected.dtype == .float32 else {
        let isSame = result.withUnsafeBytes { a in expected.withUnsafeBytes { b in a.elementsEqual(b) } }
        if !isSame { return "output \(index): \(result) instead of \(expected)" }
        continue
      }
      let (a, b) = (try result.scalars(as: Float.self), try expected.scalars(as: Float.self))
      for i in a.indices
      where !(a[i] == b[i] || a[i].isNaN && b[i].isNaN || abs(a[i] - b[i]) <= 1e-7 + 1e-3 * abs(b[i])) {
        return "output \(index), element \(i): \(a[i]) instead of \(b[i])"
      }
    }
    return nil
  }
}
