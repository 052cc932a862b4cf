"""Makes observers.safetensors: what the observers of torch.ao.quantization find in eight distributions and some special ones.

The algorithms are those of torch/ao/quantization/observer.py in PyTorch 2.13.0. Its HistogramObserver is the one of 2024
and later (`_upscale_histogram`: the old histogram is repeated 16 times and its midpoints are dropped into the new
bins; infinities are dropped), not the earlier one that grew by whole multiples of its bins.

A case is a distribution. Results stand as `<observer>/<field>`; row i of `scale` and `zero_point` belongs to entry i of
the attribute `configurations`. Range and histogram do not depend on the configuration.
"""

import numpy as np
import torch
from torch.ao.quantization.observer import (
    HistogramObserver,
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
    PerChannelMinMaxObserver,
)

from common import Family, numbers

family = Family("observers")

BATCHES = 3
# The sizes of the batches: the second mostly falls into the range of the first, the third makes it grow.
GROWTH = [1.0, 0.75, 1.5]
COUNT, CHANNEL_COUNT = 500, 30
# Far from its default, so that three batches show it.
AVERAGING_CONSTANT = 0.25
# The channels of one batch differ in size.
CHANNEL_SIZES = np.array([1, 0.5, 2, 0.1, 4, 1.25]).reshape(6, 1)
WITH_HISTOGRAM = ["normal", "relu", "long_tail"]

DTYPES = {"uint8": torch.quint8, "int8": torch.qint8}
TENSOR_SCHEMES = {"affine": torch.per_tensor_affine, "symmetric": torch.per_tensor_symmetric}
CHANNEL_SCHEMES = {"affine": torch.per_channel_affine, "symmetric": torch.per_channel_symmetric}


def configuration(dtype, scheme, reduce_range=False, quant_min=None, quant_max=None):
    return {"dtype": dtype, "scheme": scheme, "reduce_range": reduce_range, "quant_min": quant_min, "quant_max": quant_max}


# torch refuses uint8, symmetric, reduced (its zero point would lie outside of the range).
CONFIGURATIONS = [
    configuration("uint8", "affine"),
    configuration("uint8", "affine", reduce_range=True),
    configuration("uint8", "symmetric"),
    configuration("uint8", "symmetric", quant_min=0, quant_max=201),
    configuration("int8", "affine"),
    configuration("int8", "affine", reduce_range=True),
    configuration("int8", "affine", quant_min=-127, quant_max=127),
    configuration("int8", "symmetric"),
    configuration("int8", "symmetric", reduce_range=True),
    configuration("int8", "symmetric", quant_min=-127, quant_max=127),
]


def main():
    distributions = {
        "normal": lambda source, shape: source.standard_normal(shape),
        "relu": lambda source, shape: np.maximum(source.standard_normal(shape), 0),
        "long_tail": lambda source, shape: source.standard_t(2, shape),
        "bimodal": bimodal,
        "constant": lambda source, shape: np.full(shape, 2.5),
        "all_negative": lambda source, shape: -0.5 - np.abs(source.standard_normal(shape)),
        "tiny": lambda source, shape: source.standard_normal(shape) * 1e-9,
        "zeros": lambda source, shape: np.zeros(shape),
    }
    for case, draw in distributions.items():
        growth = [1.0] * BATCHES if case == "constant" else GROWTH
        add_distribution(case, draw, growth)
    add_constant_at_first()
    add_infinities()
    add_outliers()
    family.write()


def bimodal(source, shape):
    left, right = source.normal(-3, 0.5, shape), source.normal(4, 0.25, shape)
    return np.where(source.random(shape) < 0.4, left, right)


def add_distribution(case, draw, growth):
    source = numbers(case)
    x = np.stack([draw(source, COUNT) * factor for factor in growth])
    channels = np.stack([draw(source, (6, CHANNEL_COUNT)) * CHANNEL_SIZES * factor for factor in growth])
    x, channels = torch.from_numpy(x).float(), torch.from_numpy(channels).float()
    fields = {"x": x, "x_channels": channels}
    average = {"averaging_constant": AVERAGING_CONSTANT}
    fields |= observed("min_max", MinMaxObserver, TENSOR_SCHEMES, x)
    fields |= observed("moving_average", MovingAverageMinMaxObserver, TENSOR_SCHEMES, x, **average)
    for axis in [0, 1]:
        to_channels = {"schemes": CHANNEL_SCHEMES, "batches": channels, "ch_axis": axis}
        fields |= observed(f"per_channel_{axis}", PerChannelMinMaxObserver, **to_channels)
        fields |= observed(f"moving_channel_{axis}", MovingAveragePerChannelMinMaxObserver, **to_channels, **average)
    fields |= observed_histogram(case, x)
    add(case, fields)


def add(case, fields, infinities=0):
    family.add(case, {"configurations": CONFIGURATIONS, "averaging_constant": AVERAGING_CONSTANT, "infinities": infinities}, fields)


def add_constant_at_first():
    """A first batch of one value has a histogram without width, which the second batch must take in."""
    source = numbers("constant_at_first")
    x = torch.from_numpy(source.standard_normal((BATCHES, COUNT))).float()
    x[0] = 0.75
    add("constant_at_first", {"x": x} | observed_histogram("constant_at_first", x))


def add_infinities():
    """Infinities are dropped; the second batch has nothing else. The observers of extremes are
    fed the others alone, because torch's would take them."""
    source = numbers("infinities")
    x = torch.from_numpy(source.standard_normal((BATCHES, COUNT)) * np.array(GROWTH).reshape(3, 1)).float()
    x[0, [3, 50, COUNT - 1]] = torch.inf
    x[0, 20] = -torch.inf
    x[1] = torch.inf
    x[1, ::2] = -torch.inf
    x[2, 0] = -torch.inf
    finite = [batch[batch.isfinite()] for batch in x if batch.isfinite().any()]
    fields = {"x": x} | observed_histogram("infinities", x)
    fields |= observed("min_max", MinMaxObserver, TENSOR_SCHEMES, finite)
    fields |= observed(
        "moving_average", MovingAverageMinMaxObserver, TENSOR_SCHEMES, finite, averaging_constant=AVERAGING_CONSTANT
    )
    add("infinities", fields, int(x.isinf().sum()))


def add_outliers():
    """So many numbers that clipping the few outermost pays: number i of a batch is fed `repeats[i]` times."""
    steps = np.linspace(-3, 3, COUNT - 10)
    bulk = np.exp(-steps * steps / 2)
    outliers = np.array([-9, -8.25, -7, 6, 6.5, 7.5, 8, 9.5, 10, 11])
    add_repeated("outliers", np.append(steps, outliers), np.append(1 + 300 * bulk, np.ones(10)))
    add_repeated("outliers_above", np.append(abs(steps), abs(outliers)), np.append(1 + 300 * bulk, np.ones(10)))
    tail = np.linspace(-40, 40, COUNT)
    add_repeated("heavy_tail", tail, 1 + 60000 * (2 + tail * tail) ** -1.5)


def add_repeated(case, x, repeats):
    """Three batches of the same shape: the numbers times 1, 0.75 and 1.5, moved a little."""
    source = numbers(case)
    x = np.stack([x * factor + source.uniform(0, 0.01, COUNT) for factor in GROWTH])
    x, repeats = torch.from_numpy(x).float(), torch.from_numpy(np.stack([repeats] * BATCHES)).to(torch.int32)
    batches = [values.repeat_interleave(counts) for values, counts in zip(x, repeats)]
    add(case, {"x": x, "repeats": repeats} | observed_histogram(case, batches))


def observed_histogram(case, batches):
    """As `observed`, and the range after each batch, the range that the search chose, the histogram of some cases."""
    fields = observed("histogram", HistogramObserver, TENSOR_SCHEMES, batches)
    observer = HistogramObserver()
    ranges = []
    for batch in batches:
        observer(batch)
        ranges.append([observer.min_val.item(), observer.max_val.item()])
    fields["histogram/range"] = torch.tensor(ranges)
    fields["histogram/search"] = torch.stack(observer._non_linear_param_search())
    if case in WITH_HISTOGRAM:
        fields["histogram/histogram"] = observer.histogram
    return fields


def observed(name, make, schemes, batches, **arguments):
    """Feeds the batches to one observer per configuration. Gives min_val, max_val and, stacked, scale and zero_point."""
    scales, zero_points = [], []
    for entry in CONFIGURATIONS:
        observer = make(
            dtype=DTYPES[entry["dtype"]], qscheme=schemes[entry["scheme"]], reduce_range=entry["reduce_range"],
            quant_min=entry["quant_min"], quant_max=entry["quant_max"], **arguments,
        )
        for batch in batches:
            observer(batch)
        scale, zero_point = observer.calculate_qparams()
        scales.append(scale)
        zero_points.append(zero_point.to(torch.int32))
    return {
        f"{name}/min_val": observer.min_val.reshape(-1),
        f"{name}/max_val": observer.max_val.reshape(-1),
        f"{name}/scale": torch.stack(scales),
        f"{name}/zero_point": torch.stack(zero_points),
    }


main()
