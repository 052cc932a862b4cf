"""Makes fake_quantize.safetensors: torch's FakeQuantize over batches, and gradients of fake quantization, straight through and
learned."""

import torch
from torch.ao.quantization import (
    FakeQuantize, MinMaxObserver, MovingAverageMinMaxObserver, MovingAveragePerChannelMinMaxObserver, PerChannelMinMaxObserver,
)

from common import Family, normal, numbers, uniform

BATCHES = 5

family = Family("fake_quantize")
AFFINE, SYMMETRIC = torch.per_tensor_affine, torch.per_tensor_symmetric
CHANNEL_AFFINE, CHANNEL_SYMMETRIC = torch.per_channel_affine, torch.per_channel_symmetric


def main():
    add_batches("moving_affine", MovingAverageMinMaxObserver, torch.quint8, 0, 255, AFFINE)
    add_batches("moving_symmetric", MovingAverageMinMaxObserver, torch.qint8, -128, 127, SYMMETRIC)
    add_batches("extremes_affine", MinMaxObserver, torch.quint8, 0, 255, AFFINE)
    add_batches("moving_channels", MovingAveragePerChannelMinMaxObserver, torch.qint8, -128, 127, CHANNEL_SYMMETRIC)
    add_batches("extremes_channels", PerChannelMinMaxObserver, torch.qint8, -128, 127, CHANNEL_AFFINE)
    add_batches("four_bits", MovingAveragePerChannelMinMaxObserver, torch.qint8, -8, 7, CHANNEL_SYMMETRIC)
    for dtype, low, high, zero in [("uint8", 0, 255, 100), ("int8", -128, 127, 0), ("int4", -8, 7, 0)]:
        add_gradients(f"gradients_{dtype}", dtype, low, high, zero, None)
    for axis in [0, 1]:
        add_gradients(f"gradients_axis_{axis}", "int8", -128, 127, 3, axis)
    family.write()


def add_batches(case, observer, dtype, low, high, scheme):
    """Five batches; the observer is switched off before the fifth, and rounding before the third only."""
    source = numbers(case)
    options = {"ch_axis": 0} if scheme in (CHANNEL_AFFINE, CHANNEL_SYMMETRIC) else {}
    module = FakeQuantize.with_args(observer=observer, quant_min=low, quant_max=high, dtype=dtype, qscheme=scheme, **options)()
    fields = {}
    for batch in range(BATCHES):
        x = normal(source, 3, 4, 5, scale=1 + batch)
        module.enable_observer(batch != 4)
        module.enable_fake_quant(batch != 2)
        leaf = x.clone().requires_grad_()
        dy = normal(source, *x.shape)
        y = module(leaf)
        y.backward(dy)
        inner = module.activation_post_process
        fields.update({
            f"x{batch}": x, f"y{batch}": y, f"dy{batch}": dy, f"dx{batch}": leaf.grad, f"scale{batch}": module.scale.clone(),
            f"zero{batch}": module.zero_point.to(torch.int64).clone(), f"min{batch}": inner.min_val.reshape(-1).clone(),
            f"max{batch}": inner.max_val.reshape(-1).clone(),
        })
    family.add(case, {
        "kind": "batches", "observer": observer.__name__, "dtype": str(dtype).removeprefix("torch."), "low": low, "high": high,
        "symmetric": scheme in (SYMMETRIC, CHANNEL_SYMMETRIC),
    }, fields)


def add_gradients(case, dtype, low, high, zero, axis):
    source = numbers(case)
    x = normal(source, 4, 3, 5, scale=2)
    channels = 1 if axis is None else x.shape[axis]
    # A part of what passes is clipped.
    scale = uniform(source, 0.8, 1.2, channels) * (2.5 / (high - low))
    zeros = torch.full((channels,), float(zero))
    dy = normal(source, *x.shape)
    factor = 1.0 / (x.numel() * high) ** 0.5
    leaves = [tensor.clone().requires_grad_() for tensor in (x, scale, zeros)]
    if axis is None:
        y = torch._fake_quantize_learnable_per_tensor_affine(*leaves, low, high, factor)
        plain = torch.fake_quantize_per_tensor_affine
        straight = lambda x: plain(x, scale.item(), zero, low, high)
    else:
        y = torch._fake_quantize_learnable_per_channel_affine(*leaves, axis, low, high, factor)
        straight = lambda x: torch.fake_quantize_per_channel_affine(x, scale, zeros.to(torch.int32), axis, low, high)
    y.backward(dy)
    leaf = x.clone().requires_grad_()
    straight(leaf).backward(dy)
    family.add(case, {"kind": "gradients", "dtype": dtype, "low": low, "high": high, "axis": axis}, {
        "x": x, "scale": scale, "zero": zeros.to(torch.int64), "dy": dy, "y": y, "dx": leaves[0].grad, "dscale": leaves[1].grad,
        "dzero": leaves[2].grad, "straight": leaf.grad,
    })


if __name__ == "__main__":
    main()
