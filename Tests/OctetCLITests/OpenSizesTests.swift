import Foundation
import Octet
import TestSupport
import Testing

/// Models that can only be read with the sizes, or the values, that data has.
@Suite("sizes from data")
struct OpenSizesTests {
  /// `y = DepthToSpace(x)`, x [n, 4, h, w], as onnx.helper makes it.
  private static let pixels = """
    CAgSADprCiYKAXgSAXkiDERlcHRoVG9TcGFjZSoQCglibG9ja3NpemUYAqABAhIBZ1oeCgF4EhkKFwgBEhMKAxIBbgoCCAQKAxIBaAoDEgF3Yh4K\
    AXkSGQoXCAESEwoDEgFuCgIIAQoDEgFwCgMSAXFCBAoAEA0=
    """
  /// `y = −x if sr == 16000, else |x|`, x [n, 2].
  private static let choice = """
    CAgSADrgAQoRCgJzcgoBaxIBYyIFRXF1YWwKggEKAWMSAXkiAklmKjoKC2Vsc2VfYnJhbmNoMigKCwoBeBIBeiIDQWJzEgNBYnNiFAoBehIPCg0I\
    ARIJCgMSAW4KAggCoAEFKjoKC3RoZW5fYnJhbmNoMigKCwoBeBIBeiIDTmVnEgNOZWdiFAoBehIPCg0IARIJCgMSAW4KAggCoAEFEgFnKgkQBzoC\
    gH1CAWtaFAoBeBIPCg0IARIJCgMSAW4KAggCWgwKAnNyEgYKBAgHEgBiFAoBeRIPCg0IARIJCgMSAW4KAggCQgQKABAN
    """

  private func put(_ model: String, in files: ModelFiles) throws -> String {
    let path = files.path("model.onnx")
    try #require(Data(base64Encoded: model)).write(to: URL(filePath: path))
    return path
  }

  @Test func ofOneArchiveAndOfAFolder() throws {
    try ModelFiles.use { files in
      let model = try put(Self.pixels, in: files)
      let x = try Tensor.counting([3, 4, 1, 2])
      let data = try files.put(["x": x], "data.npz")
      for batch in ["1", "2"] {
        let result = try Octet.run(
          "run", model, "--inputs", data, "--output", files.path("out.npz"), "--batch", batch)
        #expect(result.code == 0)
        let y = try #require(try files.read("out.npz")["y"])
        #expect(y.shape == [3, 1, 2, 4])
        #expect(try y.scalars(as: Float.self).prefix(8) == [0, 2, 1, 3, 4, 6, 5, 7])
      }
      // Every file has sizes of its own.
      for (name, shape) in [("a", [1, 4, 1, 2]), ("b", [2, 4, 3, 1]), ("c", [1, 4, 1, 2])] {
        _ = try files.put(["x": .counting(shape)], "many/\(name).npz")
      }
      let many = try Octet.run("run", model, "--inputs", files.path("many"), "--output", files.path("results"))
      #expect(many.code == 0)
      #expect(try files.read("results/a.npz")["y"]?.shape == [1, 1, 2, 4])
      #expect(try files.read("results/b.npz")["y"]?.shape == [2, 1, 6, 2])
      #expect(try files.read("results/c.npz")["y"]?.shape == [1, 1, 2, 4])
    }
  }

  @Test func valuesThatChoose() throws {
    try ModelFiles.use { files in
      let model = try put(Self.choice, in: files)
      let x = try Tensor([1, -2] as [Float], shape: [1, 2])
      for (name, rate) in [("a", 16000), ("b", 8000)] {
        _ = try files.put(["x": x, "sr": Tensor(Int64(rate))], "many/\(name).npz")
      }
      #expect(try Octet.run("run", model, "--inputs", files.path("many"), "--output", files.path("out")).code == 0)
      #expect(try files.read("out/a.npz")["y"]?.scalars(as: Float.self) == [-1, 2])
      #expect(try files.read("out/b.npz")["y"]?.scalars(as: Float.self) == [1, 2])
      let none = try Octet.run("inspect", model)
      #expect(none.code == 1 && none.errors.contains("If: condition"))
    }
  }
}
