import Foundation
import Octet
import OctetONNX

extension Parser {
  /// Writes small files that this parser reads: fixtures and vectors of the tests, and what can be made of them.
  func writeSeeds(from root: String, to folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    func put(_ bytes: [UInt8], _ name: String) throws {
      try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)"))
    }
    switch self {
    case .safetensors, .npy, .npz, .idx:
      let fixtures = "\(root)/Tests/OctetFormatsTests/Fixtures"
      for name in try FileManager.default.contentsOfDirectory(atPath: fixtures) where name.contains(".\(self)") {
        try put([UInt8](Data(contentsOf: URL(filePath: "\(fixtures)/\(name)"))), name)
      }
    case .onnx:
      for (name, model) in try Self.models(root) { try put(model, "\(name).onnx") }
    case .model:
      for (name, model) in try Self.models(root) {
        // (Some are no model without constants for inputs.)
        guard let graph = try? ONNXModel(bytes: model).graph else { continue }
        try graph.save(to: "\(folder)/\(name).safetensors")
      }
    case .qconfig:
      for backend in Backend.allCases {
        let config = QConfig.default(for: backend)
        var map = QConfigMap(config)
        map["head.*"] = .float
        map[.linear] = config
        try put([UInt8](Data(map.json().utf8)), "\(backend).json")
      }
    }
  }

  /// The models of ONNX's own tests that are committed, but for large ones.
  private static func models(_ root: String) throws -> [(name: String, bytes: [UInt8])] {
    let tensors = try NpzFile(contentsOf: "\(root)/Tests/Vectors/conformance.npz").tensors
    return try tensors.filter { $0.key.hasSuffix("/model") }.map {
      (String($0.key.dropLast("/model".count)), try $0.value.scalars(as: UInt8.self))
    }.filter { $0.1.count <= 4096 }
  }
}
