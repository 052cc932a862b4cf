"""Makes torch_kernels.safetensors: quantized convolutions and linear layers by the kernels of fbgemm and onednn.

The engine x86 is one of the two, depending on the CPU, which is checked here. No pair of products can saturate in int16
(activations ≤ 127 or |weights| ≤ 64: 127 · 128 · 2 < 32,767), so that CPUs with and without VNNI compute the same.
Activations and weights are not stored: they are numbers of SplitMix64 that the test draws again. `y` is what fbgemm
computes; of onednn only the places are stored where it differs: `onednn/at` and `onednn/y`.
"""

import numpy as np
import torch

from common import Family, normal, numbers, split_mix, uniform

family = Family("torch_kernels")

ENGINES = ["fbgemm", "x86", "onednn"]
# How activations and weights are drawn: the largest of both, as integers.
DRAWN = {"small_activations": (127, 127), "small_weights": (255, 64)}


def main():
    for drawn in DRAWN:
        # rows, inputs, outputs
        linear("linear", drawn, 96, 48, 80, relu=False)
        linear("linear_relu", drawn, 48, 129, 96, relu=True)
        linear("linear_long", drawn, 32, 1500, 80, relu=False)
        # batch, channels, height, width, outputs, kernel
        convolution("conv_3x3", drawn, (2, 16, 13, 13), 32, 3, padding=1)
        convolution("conv_3x3_relu", drawn, (1, 24, 15, 15), 40, 3, padding=1, relu=True)
        convolution("conv_1x1", drawn, (1, 64, 14, 14), 40, 1)
        convolution("conv_first", drawn, (1, 3, 35, 35), 24, 5, padding=2, stride=2, relu=True)
        convolution("conv_dilated", drawn, (1, 12, 18, 18), 32, 3, dilation=2)
        convolution("conv_grouped", drawn, (1, 32, 14, 14), 40, 3, padding=1, groups=4)
        convolution("conv_depthwise", drawn, (1, 37, 15, 15), 37, 3, padding=1, groups=37, relu=True)
    outputs = sum(family.tensors[f"{case}/y"].numel() for case in family.cases)
    different = sum(family.tensors[f"{case}/onednn/at"].numel() for case in family.cases)
    print(f"of {outputs:,} outputs onednn and fbgemm differ in {different}")
    family.write()


def drawn_integers(case, drawn, x_shape, w_shape):
    """Activations, then weights: the remainder of SplitMix64's upper 32 bits."""
    seed = int(numbers(case).integers(2**32))
    x_max, w_max = DRAWN[drawn]
    x_count = int(np.prod(x_shape))
    upper = (split_mix(seed, x_count + int(np.prod(w_shape))) >> np.uint64(32)).astype(np.int64)
    x = upper[:x_count] % (x_max + 1)
    w = upper[x_count:] % (2 * w_max + 1) - w_max
    return seed, torch.from_numpy(x.reshape(x_shape)), torch.from_numpy(w.reshape(w_shape))


def linear(name, drawn, rows, inputs, outputs, relu):
    def call(x, w, bias, scale, zero_point):
        packed = torch.ops.quantized.linear_prepack(w, bias)
        operator = torch.ops.quantized.linear_relu if relu else torch.ops.quantized.linear
        return operator(x, packed, scale, zero_point)

    attributes = {"kind": "linear", "relu": relu}
    add(f"{name}_{drawn}", drawn, attributes, (rows, inputs), (outputs, inputs), torch.nn.functional.linear, call)


def convolution(name, drawn, x_shape, outputs, kernel, stride=1, padding=0, dilation=1, groups=1, relu=False):
    geometry = [stride, stride], [padding, padding], [dilation, dilation], groups

    def exact(x, w, bias):
        return torch.nn.functional.conv2d(x, w, bias, *geometry)

    def call(x, w, bias, scale, zero_point):
        packed = torch.ops.quantized.conv2d_prepack(w, bias, *geometry)
        operator = torch.ops.quantized.conv2d_relu if relu else torch.ops.quantized.conv2d
        return operator(x, packed, scale, zero_point)

    attributes = {
        "kind": "conv", "relu": relu, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
    }
    w_shape = (outputs, x_shape[1] // groups, kernel, kernel)
    add(f"{name}_{drawn}", drawn, attributes, x_shape, w_shape, exact, call)


def add(case, drawn, attributes, x_shape, w_shape, exact, call):
    source = numbers(case + " parameters")
    seed, x, w = drawn_integers(case, drawn, x_shape, w_shape)
    x_scale, x_zero = float(np.float32(source.uniform(0.005, 0.05))), int(source.integers(0, DRAWN[drawn][0] + 1))
    w_scales = uniform(source, 0.002, 0.02, w_shape[0])
    along = [-1] + [1] * (len(w_shape) - 1)
    real_w = w.double() * w_scales.double().reshape(along)
    real_x = (x.double() - x_zero) * x_scale
    spread = exact(real_x, real_w, None).std().item()
    bias = normal(source, w_shape[0], scale=spread / 2)
    real_y = exact(real_x, real_w, bias.double())
    # A few outputs in a hundred are clipped.
    low, high = np.quantile(real_y.numpy(), [0.02, 0.98])
    low = 0.0 if attributes["relu"] else low
    y_scale = float(np.float32((high - low) / 255))
    y_zero = int(np.clip(np.rint(-low / y_scale), 0, 255))

    q_x = torch._make_per_tensor_quantized_tensor(x.to(torch.uint8), x_scale, x_zero)
    zeros = torch.zeros(w_shape[0], dtype=torch.int64)
    q_w = torch._make_per_channel_quantized_tensor(w.to(torch.int8), w_scales.double(), zeros, 0)
    results = {}
    for engine in ENGINES:
        torch.backends.quantized.engine = engine
        results[engine] = call(q_x, q_w, bias, y_scale, y_zero).int_repr().contiguous()
    y, onednn = results["fbgemm"], results["onednn"]
    assert any(torch.equal(results["x86"], other) for other in [y, onednn]), case
    # Neither has saturated anywhere.
    expected = torch.clamp(torch.round(real_y / y_scale) + y_zero, y_zero if attributes["relu"] else 0, 255)
    assert max((expected - found).abs().max() for found in [y, onednn]) <= 1, case
    at = (onednn != y).flatten().nonzero().flatten()
    fields = {"w_scales": w_scales, "bias": bias, "y": y, "onednn/at": at.to(torch.int32), "onednn/y": onednn.flatten()[at]}
    attributes |= {
        "seed": seed, "x_max": DRAWN[drawn][0], "w_max": DRAWN[drawn][1], "x_shape": list(x_shape), "w_shape": list(w_shape),
        "x_scale": x_scale, "x_zero_point": x_zero, "y_scale": y_scale, "y_zero_point": y_zero,
    }
    family.add(case, attributes, fields)


main()
