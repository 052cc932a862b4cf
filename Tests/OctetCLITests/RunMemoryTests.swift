#if os(Linux)
  import Foundation
  import Octet
  import OctetONNX
  import Testing

  /// What the command takes of the machine's memory.
  @Suite("Memory of octet run")
  struct RunMemoryTests {
    /// The most bytes that the command had at a time.
    private func peak(_ arguments: [String]) throws -> Int {
      let program = try #require(Octet.process([]).executableURL).path
      func copies(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] { texts.map { strdup($0) } + [nil] }
      var words = copies([program] + arguments)
      var variables = copies(ProcessInfo.processInfo.environment.map { "\($0)=\($1)" })
      defer { for text in words + variables { free(text) } }
      var (process, status, usage) = (pid_t(), Int32(0), rusage())
      var actions = posix_spawn_file_actions_t()
      posix_spawn_file_actions_init(&actions)
      defer { posix_spawn_file_actions_destroy(&actions) }
      posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
      try #require(posix_spawn(&process, program, &actions, nil, &words, &variables) == 0)
      try #require(wait4(process, &status, 0, &usage) == process && status == 0)
      return usage.ru_maxrss << 10
    }

    /// Layers of integers, 4 MB each.
    private func model(layers: Int) throws -> Graph {
      let (size, bytes) = (2048, 2048 * 2048)
      let activations = try QuantizationParameters(scale: 0.05, zeroPoint: 128, dtype: .uint8)
      let weights = try QuantizationParameters(
        scales: [Float](repeating: 1e-4, count: size), zeroPoints: [Int](repeating: 0, count: size), dtype: .int8, axis: 0)
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

    /// Packed weights take up to 3.3 bytes each (AVX2 has them in two forms); the file's are gone by then.
    @Test func weightsAreThereOnce() throws {
      try ModelFiles.use { files in
        let (path, layers) = (files.path("large.onnx"), 8)
        try model(layers: layers).saveONNX(to: path)
        let data = try files.put(["x": Tensor(zeros: [1, 2048])], "x.npz")
        let without = try peak(["--version"])
        let with = try peak(["run", path, "--inputs", data, "--output", files.path("y.npz"), "--threads", "1"])
        #expect(with - without < 4 * layers << 22, "\(with >> 20) MB instead of \(without >> 20) MB")
      }
    }
  }
#endif
