"""The numbers of a row, the same in every process, and what must come out.

Activations are flat over all 256 bytes. Weights are int8 with a scale per channel: bell-shaped (normal, the largest of each
channel 127) or flat. A result is `clamp(round_half_even(float(sum) · multiplier[c])) + 0`, in 0 … 255: as after a ReLU.
"""

import functools

import numpy as np


class Problem:
    input_scale = 0.02
    output_scale = 0.05
    output_zero = 0

    def __init__(self, row, input_zero):
        self.row = row
        self.input_zero = input_zero
        random = np.random.default_rng(row.seed())
        if row.kind == "gemm":
            m, n, k = row.sizes
            self.x = random.integers(0, 256, (m, k), np.uint8)
            self.weights = weights(random, (n, k), row.weights)
        else:
            c = row.convolution()
            self.x = random.integers(0, 256, (1, c.size, c.size, c.inputs), np.uint8)
            self.weights = weights(random, (c.outputs, c.inputs // c.groups, c.kernel, c.kernel), row.weights)
        # Sums spread over the range of the result, differently in every channel.
        flat = self.weights.reshape(len(self.weights), -1).astype(np.float32)
        spread = np.sqrt((flat**2).sum(axis=1)) * 147
        self.multiplier = (80 / spread * random.uniform(0.5, 1.5, len(flat))).astype(np.float32)
        self.weight_scale = (self.multiplier * np.float32(self.output_scale / self.input_scale)).astype(np.float32)
        # Convolutions have a bias, an integer in units of the sum.
        self.bias = (random.normal(0, 0.3, len(flat)) * spread).astype(np.int32) if row.kind == "conv" else None

    def expected(self):
        """Exact: every float64 in a sum is an integer below 2⁵³."""
        x = self.x.astype(np.float64) - self.input_zero
        w = self.weights.astype(np.float64)
        if self.row.kind == "gemm":
            sums = x @ w.T
        else:
            sums = convolve(x[0], w, self.row.convolution()) + self.bias
        real = sums.astype(np.float32) * self.multiplier
        return np.rint(np.clip(real, 0, 255)).astype(np.uint8)


class FloatProblem:
    def __init__(self, row):
        m, n, k = row.sizes
        random = np.random.default_rng(row.seed())
        self.a = random.standard_normal((m, k), np.float32)
        self.b = random.standard_normal((k, n), np.float32)

    def expected(self):
        return self.a.astype(np.float64) @ self.b.astype(np.float64)


@functools.lru_cache(maxsize=1)
def problem_of(row, input_zero=0):
    return FloatProblem(row) if row.kind == "sgemm" else Problem(row, input_zero)


def weights(random, shape, distribution):
    if distribution == "uniform":
        return random.integers(-127, 128, shape, np.int8)
    values = random.standard_normal(shape, np.float32)
    largest = np.abs(values).reshape(len(values), -1).max(axis=1)
    return np.rint(values / largest.reshape(-1, *[1] * (len(shape) - 1)) * 127).astype(np.int8)


def convolve(x, w, c):
    """x: [height, width, inputs], w: [outputs, inputs / groups, kernel, kernel]; tap by tap."""
    padded = np.pad(x, ((c.pad, c.pad), (c.pad, c.pad), (0, 0)))
    sums = np.zeros((c.out, c.out, c.outputs))
    last = (c.out - 1) * c.stride + 1
    for y in range(c.kernel):
        for z in range(c.kernel):
            window = padded[y : y + last : c.stride, z : z + last : c.stride]
            sums += window * w[:, 0, y, z] if c.groups == c.inputs else window @ w[:, :, y, z].T
    return sums[None]


def share_of_wrong(result, expected):
    """Of all bytes, those that differ by more than one: less is the rounding of a scale that was folded differently."""
    return float((np.abs(result.astype(np.int32) - expected.astype(np.int32)) > 1).mean())
