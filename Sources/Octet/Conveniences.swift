// What joins modules that do not know one another.

extension Module {
  /// Sets all parameters from a safetensors file with PyTorch's names.
  ///
  /// - Throws: as `SafetensorsFile(contentsOf:)` and ``Module/load(_:)``.
  public final func load(contentsOf path: String) throws {
    let file = try SafetensorsFile(contentsOf: path)
    try naming(path) { try load(file.tensors) }
  }

  /// Writes all parameters to a safetensors file with PyTorch's names.
  public final func save(to path: String) throws {
    try SafetensorsFile.write(stateDict, to: path)
  }
}
