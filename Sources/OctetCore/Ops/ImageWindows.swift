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

  /// The windows of a row that have their column of the kernel, which begins at `left`, inside of the image.
  private func range(_ left: Int, _ width: Int, _ count: Int) -> Range<Int> {
    let step = stride.width
    let first = min(max((step - 1 - left) / step, 0), count)
    return first..<max(min((width - left + step - 1) / step, count), first)
  }
}
