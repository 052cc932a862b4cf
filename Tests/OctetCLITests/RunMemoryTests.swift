#if os(Linux)
  import Foundation
  import Octet
  import OctetONNX
  import Testing

  /// What the command takes of the machine's memory.
  @Suite("Memory of octet run")
  struct RunMemoryTests {
    /// The most bytes that the command had at a time. (What `wait4` says counts those of whoever started it, too.)
    private func peak(_ arguments: [String]) throws -> Int {
      let process = try Octet.process(arguments)
      try process.run()
      var most = 0
      while process.isRunning {
        if let status = try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8),
          let kilobytes = status.firstMatch(of: #/VmHWM:\s*(\d+) kB/#).flatMap({ Int($0.1) })
        {
          most = max(most, kilobytes << 10)
        }
        usleep(500)
      }
      #expect(process.terminationStatus == 0)
      return most
    }

    /// Layers of integers, 4 MB each.
    private func model(layers: Int) throws -> Graph {
      let (size, bytes) = (2048, 2048 * 2048)
      let activations = try QuantizationParameters(scale: 0.05, zeroPoint: 128, dtype: .uint8)
      let weights = try QuantizationParameters(
        scales: [Float](repeating: 1e-4, count: size), zeroPoints: [Int](repeating: 0, count: size), dtype: .int8,
        axis: 0)
      var (nodes, parameters, value): ([Node], [String: Parameter], String) = ([], [:], "x")
      func add(_ name: String, _ op: Op, _ inputs: String...) -> String {
        nodes.append(Node(name: name, op: op, inputs: inputs, outputs: ["\(name).y"]))
        return "\(name).y"
      }
      for layer in 0..<layers {
        var (state, integers) = (UInt32(layer + 1), [Int8](repeating: 0, count: bytes))
        for index in integers.indices {
          state = state &* 1_664_525 &+ 1_013_904_223
          integers[index] = Int8(truncatingIfNeeded: Int32(bitPattern: state) >> 24)
        }
        parameters["w\(layer)"] = Parameter(try Tensor(integers, shape: [size, size]), isTrainable: false)
        let quantized = add("q\(layer)", .quantizeLinear(Op.QuantizeLinear(activations)), value)
        let x = add("d\(layer)", .dequantizeLinear(Op.DequantizeLinear(activations)), quantized)
        let w = add("e\(layer)", .dequantizeLinear(Op.DequantizeLinear(weights)), "w\(layer)")
        value = add("n\(layer)", .linear(Op.Linear()), x, w)
      }
      return try Graph(
        inputs: [Graph.Input(name: "x", type: TensorType(.float32, [.symbolic("n"), .fixed(size)]))], nodes: nodes,
        outputs: [Graph.Output(name: "y", value: value)], parameters: parameters)
    }

    /// Packed weights take up to 3.3 bytes each (AVX2 has them in two forms), the program itself 24 MB; what was in the file is
    /// gone by then.
    @Test func weightsAreThereOnce() throws {
      try ModelFiles.use { files in
        let path = files.path("large.onnx")
        try model(layers: 8).saveONNX(to: path)
        let data = try files.put(["x": Tensor(zeros: [1, 2048])], "x.npz")
        let bytes = try peak(["run", path, "--inputs", data, "--output", files.path("y.npz"), "--threads", "1"])
        #expect((32 << 20..<150 << 20).contains(bytes), "\(bytes >> 20) MB")
      }
    }
  }
#endif
