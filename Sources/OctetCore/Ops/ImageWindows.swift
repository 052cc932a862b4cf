/// The windows that a convolution's kernel covers, each of which becomes a column of a matrix (im2col).
struct ImageWindows {
  let stride: Size2D
  let padding: Padding2D
  let dilation: Size2D
  let kernel: Size2D

  /// Whether each window is one element of the image, in its order: the image is the matrix.
  var areElements: Bool { kernel == 1 && stride == 1 && padding.isZero }

  /// The matrix [channels · kernel, count] of an image [channels, size]; 0 where a window reaches beyond the image.
  func gather(
    _ image: UnsafePointer<Float>, channels: Int, _ size: Size2D, _ count: Size2D,
    into columns: UnsafeMutablePointer<Float>
  ) {
    var row = columns
    let step = stride.width
    for channel in 0..<channels {
      for ky in 0..<kernel.height {
        for kx in 0..<kernel.width {
          let left = kx * dilation.width - padding.left
          let inside = range(left, size.width, count.width)
          for oy in 0..<count.height {
            let iy = oy * stride.height + ky * dilation.height - padding.top
            let inside = iy >= 0 && iy < size.height ? inside : 0..<0
            let line = image + (channel * size.height + iy) * size.width + left
            row.update(repeating: 0, count: inside.lowerBound)
            if step == 1 {
              (row + inside.lowerBound).update(from: line + inside.lowerBound, count: inside.count)
            } else {
              for ox in inside { row[ox] = line[ox * step] }
            }
            (row + inside.upperBound).update(repeating: 0, count: count.width - inside.upperBound)
            row += count.width
          }
        }
      }
    }
  }

  /// Adds the elements of such a matrix to the places that they would have come from.
  func scatter(
    _ columns: UnsafePointer<Float>, channels: Int, _ size: Size2D, _ count: Size2D,
    into image: UnsafeMutablePointer<Float>
  ) {
    var row = columns
    let step = stride.width
    for channel in 0..<channels {
      for ky in 0..<kernel.height {
        for kx in 0..<kernel.width {
          let left = kx * dilation.width - padding.left
          let inside = range(left, size.width, count.width)
          for oy in 0..<count.height {
            let iy = oy * stride.height + ky * dilation.height - padding.top
            if iy >= 0, iy < size.height {
              let line = image + (channel * size.height + iy) * size.width + left
              if step == 1 {
                for ox in inside { line[ox] += row[ox] }
              } else {
                for ox in inside { line[ox * step] += row[ox] }
              }
            }
            row += count.width
          }
        }
      }
    }
  }

  /// The windows of a row that have their column of the kernel, which begins at `left`, inside of the image.
  private func range(_ left: Int, _ width: Int, _ count: Int) -> Range<Int> {
    let step = stride.width
    let first = min(max((step - 1 - left) / step, 0), count)
    return first..<max(min((width - left + step - 1) / step, count), first)
  }
}

/// What a convolution and a transposed one have in common: each is how gradients go back through the other.
struct ConvolutionGeometry {
  let windows: ImageWindows
  let groups: Int
  /// Of x of the convolution: [n, c, h, w]
  let image: [Int]
  /// [o, c / groups, kh, kw]
  let kernel: [Int]
  /// Of its result: [n, o, h', w']
  let result: [Int]

  var imageSize: Size2D { Size2D(image[2], image[3]) }
  var count: Size2D { Size2D(result[2], result[3]) }
  var groupIn: Int { image[1] / groups }
  var groupOut: Int { result[1] / groups }
  var pixels: Int { result[2] * result[3] }
  var depth: Int { groupIn * kernel[2] * kernel[3] }

  /// The gradient of x: for each image and group, weightᵀ [depth, o] · dy [o, pixels], added to where it came from.
  func imageGradient(_ gradient: Tensor, weight: Tensor) throws -> Tensor {
    var dx = try Tensor(zeros: image)
    try dx.withUnsafeMutableScalars(as: Float.self) { dx in
      try gradient.withUnsafeScalars(as: Float.self) { dy in
        try weight.withUnsafeScalars(as: Float.self) { weight in
          guard let dx = dx.baseAddress, !dy.isEmpty, depth > 0 else { return }
          let columns = UnsafeMutablePointer<Float>.allocate(capacity: windows.areElements ? 1 : depth * pixels)
          defer { columns.deallocate() }
          for index in 0..<image[0] * groups {
            let to = dx + index * groupIn * imageSize.height * imageSize.width
            FloatGEMM.multiply(
              m: depth, n: pixels, k: groupOut, weight.baseAddress! + index % groups * groupOut * depth, (1, depth),
              dy.baseAddress! + index * groupOut * pixels, (pixels, 1), into: windows.areElements ? to : columns)
            if !windows.areElements {
              windows.scatter(columns, channels: groupIn, imageSize, count, into: to)
            }
          }
        }
      }
    }
    return dx
  }

  /// The gradient of the weight: the sum over images of dy [o, pixels] · columnsᵀ [pixels, depth].
  func weightGradient(_ x: Tensor, _ gradient: Tensor) throws -> Tensor {
    var dweight = try Tensor(zeros: kernel)
    try dweight.withUnsafeMutableScalars(as: Float.self) { dweight in
      try gradient.withUnsafeScalars(as: Float.self) { dy in
        try x.withUnsafeScalars(as: Float.self) { x in
          guard let dweight = dweight.baseAddress, !dy.isEmpty, depth > 0 else { return }
          let columns = UnsafeMutablePointer<Float>.allocate(capacity: windows.areElements ? 1 : depth * pixels)
          defer { columns.deallocate() }
          for index in 0..<image[0] * groups {
            let source = x.baseAddress! + index * groupIn * imageSize.height * imageSize.width
            if !windows.areElements { windows.gather(source, channels: groupIn, imageSize, count, into: columns) }
            FloatGEMM.multiply(
              m: groupOut, n: depth, k: pixels, dy.baseAddress! + index * groupOut * pixels, (pixels, 1),
              windows.areElements ? source : UnsafePointer(columns), (1, pixels),
              into: dweight + index % groups * groupOut * depth, adding: true)
          }
        }
      }
    }
    return dweight
  }
}
