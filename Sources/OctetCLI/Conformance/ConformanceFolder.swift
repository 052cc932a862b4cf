import Foundation
import Octet
import OctetONNX

/// ONNX's tests in a folder, in the order of their names.
struct ConformanceFolder {
  struct Test {
    let name: String
    let path: String

    /// Whether the model gives the outputs of every data set.
    func verdict() -> ConformanceCase.Verdict {
      var result = ConformanceCase.Verdict.failed("no data")
      do {
        let model = try [UInt8](Data(contentsOf: URL(filePath: "\(path)/model.onnx")))
        // What cannot be read needs no data, which may be of types that we lack.
        if let refusal = try refusal(of: model) { return .unsupported(refusal) }
        for index in 0... {
          let data = "\(path)/test_data_set_\(index)"
          guard FileManager.default.fileExists(atPath: data) else { break }
          let test = ConformanceCase(
            name: name, model: model, inputs: try tensors(data, "input"), outputs: try tensors(data, "output"))
          result = test.verdict([
            { try $0.replay($1) },
            { graph, inputs in try Session(Plan(graph.fused()), threads: 1).run(inputs) },
          ])
          guard case .passed = result else { return result }
        }
        return result
      } catch let error as OctetError where error.code == .unsupported {
        return .unsupported("\(error)")
      } catch {
        return .failed("\(error)")
      }
    }

    private func refusal(of model: [UInt8]) throws -> String? {
      try ONNXModel.unreadableType(in: model).map { "\($0)" }
    }

    private func tensors(_ folder: String, _ kind: String) throws -> [Tensor] {
      var tensors: [Tensor] = []
      while true {
        let path = "\(folder)/\(kind)_\(tensors.count).pb"
        guard FileManager.default.fileExists(atPath: path) else { return tensors }
        tensors.append(try Tensor(onnx: path))
      }
    }
  }

  let tests: [Test]

  /// - Throws: `OctetError` (`fileAccess`) if the folder cannot be read.
  init(_ path: String) throws {
    tests = try namesInFolder(path).map { Test(name: $0, path: "\(path)/\($0)") }.filter {
      FileManager.default.fileExists(atPath: "\($0.path)/model.onnx")
    }
  }
}
