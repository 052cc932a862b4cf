import CKernels
import OctetCore

/// Pooling over NHWC: windows, adaptive windows of equal size, or the whole image.
struct PoolStep: SingleCallStep {
  enum Window {
    case pool(Op.Pool)
    /// The average of windows chosen for this size.
    case adaptive(Size2D)
    /// The average of everything, for a mean over height and width.
    case global
  }

  let name: String
  let inputs: [Int]
  let output: Int
  let window: Window
  let isInteger: Bool

  var label: String {
    switch window {
    case .pool(let pool): "\(pool.kind.rawValue) pool"
    case .adaptive: "adaptive average pool"
    case .global: "global average pool"
    }
  }

  func call(_ memory: Memory) -> Call {
    let (from, to) = (inputs[0], output)
    let shape = memory.shapes.shape(from)
    var geometry = octet_window()
    (geometry.in_h, geometry.in_w, geometry.channels) = (shape[2], shape[3], shape[1])
    (geometry.dilation_h, geometry.dilation_w) = (1, 1)
    var isMaximum = false
    switch window {
    case .pool(let pool):
      let result = memory.shapes.shape(to)
      (geometry.out_h, geometry.out_w) = (result[2], result[3])
      (geometry.kernel_h, geometry.kernel_w) = (pool.kernel.height, pool.kernel.width)
      (geometry.stride_h, geometry.stride_w) = (pool.stride.height, pool.stride.width)
      (geometry.dilation_h, geometry.dilation_w) = (pool.dilation.height, pool.dilation.width)
      (geometry.pad_top, geometry.pad_left) = (pool.padding.top, pool.padding.left)
      geometry.count_include_pad = pool.countIncludePad
      isMaximum = pool.kind == .max
    case .adaptive(let size):
      (geometry.out_h, geometry.out_w) = (size.height, size.width)
      (geometry.kernel_h, geometry.kernel_w) = (shape[2] / size.height, shape[3] / size.width)
      (geometry.stride_h, geometry.stride_w) = (geometry.kernel_h, geometry.kernel_w)
    case .global:
      (geometry.out_h, geometry.out_w) = (1, 1)
      (geometry.kernel_h, geometry.kernel_w) = (shape[2], shape[3])
      (geometry.stride_h, geometry.stride_w) = (shape[2], shape[3])
    }
    let kernels = memory.kernels
    let bound = geometry
    let isInteger = self.isInteger
    let cost = bound.out_w * bound.channels * bound.kernel_h * bound.kernel_w * (isInteger ? 1 : 4)
    let (q, out) = isInteger ? (memory.quantization(from), memory.quantization(to)) : (nil, nil)
    return memory.parts(shape[0] * bound.out_h, cost: cost) { rows in
      var window = bound
      switch (isMaximum, isInteger) {
      case (true, true):
        kernels.max_pool_u8(&window, memory.bytes(from), memory.bytes(to), rows.lowerBound, rows.upperBound)
      case (true, false):
        kernels.max_pool_f32(&window, memory.floats(from), memory.floats(to), rows.lowerBound, rows.upperBound)
      case (false, true):
        let (lower, upper) = out!.bounds()
        kernels.average_pool_u8(
          &window, memory.bytes(from), Int32(q!.zero), q!.scale / out!.scale, Int32(out!.zero), lower, upper,
          memory.bytes(to), rows.lowerBound, rows.upperBound)
      case (false, false):
        kernels.average_pool_f32(&window, memory.floats(from), memory.floats(to), rows.lowerBound, rows.upperBound)
      }
    }
  }
}
