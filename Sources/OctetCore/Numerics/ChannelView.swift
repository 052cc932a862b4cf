import CKernels

/// A shape as [outer, channels, inner], for kernels that treat every index of `axis` as a channel.
///
/// - Precondition: the shape has that axis; it may be counted from the end.
package func channelView(of shape: [Int], axis: Int) -> octet_channels {
  let axis = axis < 0 ? axis + shape.count : axis
  let outer = elementCount(of: Array(shape[..<axis]))
  let inner = elementCount(of: Array(shape[(axis + 1)...]))
  // All of a single channel is one run, which kernels go through faster than a column of single elements.
  if shape[axis] == 1 { return octet_channels(outer: 1, channels: 1, inner: outer * inner) }
  return octet_channels(outer: outer, channels: shape[axis], inner: inner)
}
