"""Makes quantize.safetensors: quantizing, dequantizing and fake-quantizing the same numbers.

`q` is ONNX QuantizeLinear in numpy float32: divide, round half to even, add the zero point, saturate. `dequantized` is
DequantizeLinear of it. `fake` is torch.fake_quantize_per_*_affine, which multiplies by the reciprocal of the scale and
so differs from `q` in a few ties. `torch_q` is torch.quantize_per_* as on x86 (fbgemm), which multiplies as well and
rounds after adding the zero point (per tensor with a fused multiply-add), so that an odd zero point turns ties around.
"""

import numpy as np
import torch

from common import Family, numbers

family = Family("quantize")

RANGES = {"uint8": (0, 255), "int8": (-128, 127)}
TORCH_DTYPES = {"uint8": torch.quint8, "int8": torch.qint8}


def main():
    for dtype, zero_point in [("uint8", 0), ("uint8", 113), ("uint8", 255), ("int8", 0), ("int8", -128), ("int8", 17)]:
        for scale in [0.0625, 0.1, 0.0123]:
            add_per_tensor(f"{dtype}_scale_{scale}_zero_{zero_point}", dtype, scale, zero_point)
    for dtype, zero_point in [("uint8", 128), ("int8", 3)]:
        add_extremes(f"{dtype}_extremes", dtype, zero_point)
        for axis in [0, 1, 2]:
            add_per_channel(f"{dtype}_axis_{axis}", dtype, axis)
    family.write()


def add_per_tensor(case, dtype, scale, zero_point):
    """Random numbers over a little more than the range, and every tie between two steps as nearly as float32 has it."""
    low, high = RANGES[dtype]
    scale = np.float32(scale)
    ties = (np.arange(low - 2, high + 2) - zero_point + np.float32(0.5)).astype(np.float32) * scale
    spread = numbers(case).uniform(low - zero_point - 20, high - zero_point + 20, 200).astype(np.float32) * scale
    add(case, dtype, np.concatenate([ties, spread]), scale.reshape(1), np.array([zero_point]), None)


def add_per_channel(case, dtype, axis):
    source = numbers(case)
    shape = (5, 6, 7)
    channels = shape[axis]
    low, high = RANGES[dtype]
    scale = np.geomspace(1e-3, 2, channels).astype(np.float32)
    zero_point = source.integers(low, high + 1, channels)
    along = [1, 1, 1]
    along[axis] = channels
    steps = source.uniform(low - 10, high + 10, shape)
    # Every other number is a tie.
    steps.flat[::2] = np.floor(steps.flat[::2]) + 0.5
    x = ((steps - zero_point.reshape(along)) * scale.reshape(along)).astype(np.float32)
    add(case, dtype, x, scale, zero_point, axis)


def add_extremes(case, dtype, zero_point):
    """Infinities, numbers far outside of the range, the smallest there are, and both zeros."""
    largest, smallest = np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal
    positive = [np.inf, largest, 1e30, 9.3e18, 4.3e9, 2.2e9, 1e6, 1e-30, smallest, 0.0]
    x = np.array(positive + [-number for number in positive], dtype=np.float32)
    for name, scale in [("", 0.5), ("_small_scale", 2.0**-23)]:
        add(case + name, dtype, x, np.array([scale], dtype=np.float32), np.array([zero_point]), None)


def add(case, dtype, x, scale, zero_point, axis):
    low, high = RANGES[dtype]
    along = [1] * x.ndim
    if axis is not None:
        along[axis] = -1
    scales, zeros = scale.reshape(along), zero_point.reshape(along)
    with np.errstate(over="ignore"):
        rounded = np.rint(x / scales)
    q = np.clip(rounded.astype(np.float64) + zeros, low, high).astype(dtype)
    dequantized = (q.astype(np.int32) - zeros).astype(np.float32) * scales
    fake, torch_q = torch_results(dtype, torch.from_numpy(x), torch.from_numpy(scale), torch.from_numpy(zero_point), axis)
    attributes = {
        "dtype": dtype, "axis": axis, "quant_min": low, "quant_max": high,
        "differing_from_torch": int((torch_q.numpy() != q).sum()),
    }
    fields = {
        "x": x, "scale": scale, "zero_point": zero_point.astype(np.int32), "q": q,
        "dequantized": dequantized, "fake": fake, "torch_q": torch_q,
    }
    family.add(case, attributes, fields)


def torch_results(dtype, x, scale, zero_point, axis):
    low, high = RANGES[dtype]
    if axis is None:
        arguments = scale.item(), zero_point.item()
        fake = torch.fake_quantize_per_tensor_affine(x, *arguments, low, high)
        return fake, torch.quantize_per_tensor(x, *arguments, TORCH_DTYPES[dtype]).int_repr()
    fake = torch.fake_quantize_per_channel_affine(x, scale, zero_point.to(torch.int32), axis, low, high)
    return fake, torch.quantize_per_channel(x, scale.double(), zero_point, axis, TORCH_DTYPES[dtype]).int_repr()


main()
