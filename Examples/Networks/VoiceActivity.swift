import Octet

/// The silero network for voice activity at 16 kHz (MIT licence): spectrum, four convolutions, LSTM, output.
///
/// Inputs: a sequence of frames [steps, 576] (576 samples each, 64 of them from the frame before, in −1…1), and the
/// state and cell [1, 1, 128] to begin with. Results: the probability of speech in each frame [steps], and the last
/// state and cell.
public final class VoiceActivity: Module {
  /// Cosines and sines of the short-time Fourier transform, [258, 1, 256].
  let basis = Parameter(try! Tensor(zeros: [258, 1, 256]), isTrainable: false)
  let encoder: [Module] = [
    Conv1d(129, 128, kernelSize: 3, padding: 1), Conv1d(128, 64, kernelSize: 3, stride: 2, padding: 1),
    Conv1d(64, 64, kernelSize: 3, stride: 2, padding: 1), Conv1d(64, 128, kernelSize: 3, padding: 1),
  ]
  let recurrent = LSTM(128, 128)
  let output = Linear(128, 1)

  public override func forward(_ inputs: [Tensor?]) throws -> [Tensor] {
    guard inputs.count == 3, let frames = inputs[0] else {
      throw OctetError(
        .invalidArgument, "voice activity", expected: "frames, state and cell", found: "\(inputs.count) inputs")
    }
    var x = try magnitudes(frames)
    for layer in encoder { x = try relu(layer(x)) }
    // One column is left of each frame: [steps, 128, 1] becomes a sequence of one batch.
    let results = try recurrent([x.transpose([0, 2, 1]), inputs[1], inputs[2]])
    let scores = try sigmoid(output(relu(results[0])))
    return [try scores.reshape([-1]), results[1], results[2]]
  }

  /// The magnitudes of the spectrum, [steps, 129, 4]: windows of 256 samples every 128, the frame mirrored at its ends.
  private func magnitudes(_ frames: Tensor) throws -> Tensor {
    let mirrored = (1...128).reversed() + Array(0..<576) + (447..<575).reversed()
    let padded = try frames.gather(Tensor(mirrored.map(Int64.init), shape: [832]), axis: 1)
    let transformed = try apply(
      .conv(Op.Convolution(stride: Size2D(1, 128))), [padded.unsqueeze([1]), basis.value])[0]
    let real = try transformed.slice(axis: 1, to: 129).slice(axis: 2, from: 1)
    let imaginary = try transformed.slice(axis: 1, from: 129).slice(axis: 2, from: 1)
    return try sqrt(real * real + imaginary * imaginary)
  }
}
