#if os(Linux)
  import Foundation
  import Octet
  import Testing

  /// Bars are drawn on a terminal alone, and taken off it again.
  @Suite("Progress")
  struct ProgressTests {
    /// Training shows its epochs while it runs, and plots of them at the end; in a file there is nothing of either.
    @Test func trainingOnATerminal() throws {
      try ModelFiles.use { files in
        let images = try files.digits(24)
        let labels = try Tensor((0..<24).map { Int64($0 % 10) }, shape: [24])
        let arguments = [
          "qat", ModelFiles.example("digits_cnn"), "--data", try files.put(["x": images, "y": labels], "data.npz"),
          "--labels", "y", "--epochs", "3", "--batch", "8", "--output", files.path("q.onnx"),
        ]
        let shown = try Octet.onTerminal(arguments, .errors)
        #expect(shown.code == 0)
        #expect(
          shown.text.contains("\rtrain: epoch 1 of 3  \(String(repeating: "█", count: 30))  3/3"), "\(shown.text)")
        #expect(shown.text.contains(#/train: epoch 3 of 3  loss \d+\.\d{4}  accuracy \d+\.\d %/#), "\(shown.text)")

        let plotted = try Octet.onTerminal(arguments, .output)
        #expect(plotted.code == 0)
        let lines = plotted.text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init)
        let figures = try Octet.json(arguments + ["--json"])
        let epochs = try #require(figures["epochs"] as? [[String: Any]]).map { $0["judged"] as! [String: Any] }
        for (title, key) in [("loss", "loss"), ("accuracy", "accuracy")] {
          // Five rows of a column for each epoch; the ends of the scale stand beside the first and the last.
          let start = try #require(lines.firstIndex(of: title), "\(plotted.text)")
          let rows = lines[start + 1...start + 5].map { $0 }
          let values = epochs.map { $0[key] as! Double }
          #expect(rows[0].hasSuffix(String(format: "  %.4f", values.max()!)), "\(rows)")
          #expect(rows[4].hasSuffix(String(format: "  %.4f", values.min()!)), "\(rows)")
          let top = Array(rows[0].prefix(3))
          if values.max()! > values.min()! {
            #expect(
              top[values.firstIndex(of: values.max()!)!] == "█" && top[values.firstIndex(of: values.min()!)!] == " ")
          }
        }
        let result = try Octet.run(arguments)
        #expect(result.code == 0 && result.errors.isEmpty && !result.output.contains("█"))
      }
    }

    @Test func onATerminal() throws {
      try ModelFiles.use { files in
        let data = try files.put(["x": files.digits(3)], "images.npz")
        let model = ModelFiles.example("digits_cnn")
        let commands = [
          (["run", model, "--inputs", data, "--output", files.path("out.npz")], ["run"]),
          (["quantize", model, "--calibration", data, "--output", files.path("q.onnx")], ["calibrate", "compare"]),
        ]
        for (arguments, titles) in commands {
          let shown = try Octet.onTerminal(arguments, .errors)
          #expect(shown.code == 0)
          for title in titles {
            #expect(shown.text.contains("\r\(title)  \(String(repeating: "░", count: 30))  0/3"), "\(shown.text)")
            #expect(shown.text.contains("\r\(title)  \(String(repeating: "█", count: 30))  3/3"), "\(shown.text)")
          }
          #expect(shown.text.hasSuffix("\r\u{1B}[K"), "\(shown.text)")
          // In a file there is nothing of it.
          let result = try Octet.run(arguments)
          #expect(result.code == 0 && result.errors.isEmpty && !result.output.contains("█"))
        }
      }
    }
  }
#endif
