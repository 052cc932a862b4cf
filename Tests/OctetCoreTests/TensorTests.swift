import OctetCore
import TestSupport
import Testing

@Suite("Tensor")
struct TensorTests {
  private func address(_ tensor: Tensor) -> UInt { tensor.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } }

  @Test func scalarsComeBackAsTheyWentIn() throws {
    func check<T: TensorScalar & Equatable>(_ scalars: [T]) throws {
      let tensor = try Tensor(scalars, shape: [1, scalars.count])
      #expect(tensor.dtype == T.dtype && tensor.shape == [1, scalars.count] && tensor.rank == 2)
      #expect(try tensor.count == scalars.count)
      #expect(try tensor.scalars(as: T.self) == scalars)
      #expect(
        try Tensor(repeating: scalars[0], shape: [3]).scalars(as: T.self) == [scalars[0], scalars[0], scalars[0]])
    }
    try check([Float(1.5), -.infinity, 3])
    try check([UInt8(0), 255])
    try check([Int8(-128), 127])
    try check([UInt16.max, 0])
    try check([Int16.min, 0])
    try check([Int32.min, .max])
    try check([Int64.min, .max])
    try check([true, false])
  }

  @Test func aScalarHasTheEmptyShape() throws {
    let scalar = try Tensor([Float(7)], shape: [])
    #expect(scalar.rank == 0)
    #expect(try scalar.count == 1 && scalar.item(as: Float.self) == 7)
    let error = octetError { try Tensor(zeros: [2]).item(as: Float.self) }
    #expect(error == OctetError(.shapeMismatch, "item", expected: "one element", found: "shape [2]"))
  }

  @Test func scalarsOfAnotherTypeThrow() throws {
    let tensor = try Tensor([Float(1)], shape: [1])
    let error = OctetError(.dtypeMismatch, "Tensor", expected: "int8", found: "float32")
    #expect(octetError { try tensor.scalars(as: Int8.self) } == error)
    #expect(octetError { try tensor.item(as: Int8.self) } == error)
    var copy = tensor
    #expect(octetError { try copy.withUnsafeMutableScalars(as: Int8.self) { $0[0] = 1 } } == error)
  }

  @Test(arguments: [[-1], [2, -3], [Int.max, 2], [1 << 32, 1 << 32], [1 << 49], [Int.min], [-1, -1]])
  func impossibleShapesThrow(_ shape: [Int]) {
    #expect(octetError { try Tensor(zeros: shape) }?.code == .shapeMismatch)
    #expect(octetError { try Tensor([Float(1)], shape: shape) }?.code == .shapeMismatch)
    #expect(octetError { try Tensor(repeating: Float(1), shape: shape) }?.code == .shapeMismatch)
  }

  @Test func theNumberOfScalarsMustFit() {
    let error = octetError { try Tensor([Float(1), 2, 3], shape: [2, 2]) }
    #expect(error == OctetError(.shapeMismatch, "Tensor", expected: "4 scalars for shape [2, 2]", found: "3"))
  }

  // MARK: - Memory

  @Test func memoryIsAlignedTo64Bytes() throws {
    for count in [0, 1, 3, 16, 63, 64, 65, 1000, 4097] {
      for dtype in DType.allCases {
        let tensor = try Tensor(zeros: [count], dtype: dtype)
        #expect(address(tensor).isMultiple(of: 64))
        #expect(tensor.withUnsafeBytes { $0.count } == (count * dtype.bitWidth + 7) / 8)
        #expect(tensor.withUnsafeBytes { $0.allSatisfy { $0 == 0 } })
      }
    }
  }

  @Test func aCopyDoesNotSeeALaterWrite() throws {
    var original = try Tensor([Float(1), 2, 3], shape: [3])
    let copy = original
    #expect(address(copy) == address(original) && copy.identity == original.identity)
    try original.withUnsafeMutableScalars(as: Float.self) { $0[0] = 9 }
    #expect(try original.floats == [9, 2, 3])
    #expect(try copy.floats == [1, 2, 3])
    #expect(copy.identity != original.identity)
    #expect(address(original).isMultiple(of: 64))
  }

  @Test func aWriteByTheOnlyOwnerStaysInPlace() throws {
    var tensor = try Tensor([Float(1), 2, 3], shape: [3])
    let before = address(tensor)
    for step in 0..<3 { try tensor.withUnsafeMutableScalars(as: Float.self) { $0[step] += 1 } }
    #expect(address(tensor) == before)
    #expect(try tensor.floats == [2, 3, 4])
  }

  @Test func aThrowingWriteLeavesTheTensorWhole() throws {
    var tensor = try Tensor([Float(1), 2], shape: [2])
    let error = octetError {
      try tensor.withUnsafeMutableScalars(as: Float.self) { _ in
        throw OctetError(.unsupported, "", expected: "", found: "")
      }
    }
    #expect(error?.code == .unsupported)
    #expect(try tensor.floats == [1, 2] && tensor.shape == [2])
  }

  @Test func operationsLeaveTheirOperandsAlone() throws {
    let x = try Tensor([Float(-1), 2], shape: [2])
    _ = try relu(x)
    #expect(try x.floats == [-1, 2])
    let reshaped = try x.reshape([2, 1])
    #expect(address(reshaped) == address(x), "reshaping does not copy")
  }

  // MARK: - Slices

  @Test func slicesShareMemory() throws {
    let tensor = try Tensor.counting([4, 3])
    let slice = try tensor[1..<3]
    #expect(slice.shape == [2, 3])
    #expect(address(slice) == address(tensor) + 12)
    #expect(try slice.floats == [3, 4, 5, 6, 7, 8])
    #expect(try slice[1..<2].floats == [6, 7, 8])
    #expect(try tensor[4..<4].shape == [0, 3])
  }

  @Test func writingASliceCopiesItAlone() throws {
    let tensor = try Tensor.counting([4, 3])
    var slice = try tensor[1..<2]
    try slice.withUnsafeMutableScalars(as: Float.self) { $0[0] = -1 }
    #expect(try slice.floats == [-1, 4, 5])
    #expect(try tensor.floats == (0..<12).map(Float.init))
    #expect(slice.withUnsafeBytes { $0.count } == 12)
  }

  @Test func slicesOutsideTheAxisThrow() throws {
    let tensor = try Tensor(zeros: [4, 3])
    for range in [-1..<2, 3..<5, 5..<6] {
      #expect(octetError { try tensor[range] }?.subject == "slice", "\(range)")
    }
    #expect(octetError { try Tensor(zeros: [])[0..<1] }?.code == .shapeMismatch)
  }

  @Test func slicesOfPackedTypesMustBeginAtAByte() throws {
    let odd = try Tensor(zeros: [4, 3], dtype: .int4)
    #expect(octetError { try odd[1..<2] }?.code == .unsupported)
    #expect(try odd[2..<4].shape == [2, 3])
  }

  // MARK: - Parameters, text

  @Test func parametersAreSharedByReference() throws {
    let parameter = Parameter(try Tensor([Float(1)], shape: [1]))
    let alias = parameter
    let old = parameter.value
    alias.value = try Tensor([Float(2)], shape: [1])
    #expect(try parameter.value.floats == [2] && old.floats == [1])
    #expect(parameter.isTrainable && !Parameter(old, isTrainable: false).isTrainable)
  }

  @Test func descriptions() throws {
    #expect(try Tensor.counting([2, 2]).description == "float32 [2, 2]: 0.0 1.0 2.0 3.0")
    #expect(try Tensor((0..<9).map { Int8($0) }, shape: [9]).description == "int8 [9]: 0 1 2 3 4 5 6 7 …")
    #expect(try Tensor([true], shape: []).description == "bool []: true")
    #expect(try Tensor(zeros: [2], dtype: .int4).description == "int4 [2]: …")
    let traced = TypeTracer().value("x", TensorType(.float32, [.symbolic("n"), 3]))
    #expect(traced.description == "float32 [n, 3] (traced)")
    #expect(traced.shape == [-1, 3] && traced.rank == 2)
  }
}
