/// Numbers for the channels of a convolution's result, where kernels look for them: each group fills whole panels.
///
/// - Parameters:
///   - values: one for each channel, one for all, or one for each channel of a group, the same in every group.
///   - padded: how many places all groups have together.
package func inPanels(_ values: [Float], channels: Int, groups: Int, padded: Int) -> [Float] {
  var result = [Float](repeating: 0, count: padded)
  let (perGroup, stride) = (channels / groups, padded / groups)
  for c in 0..<channels { result[c / perGroup * stride + c % perGroup] = values[c % values.count] }
  return result
}
