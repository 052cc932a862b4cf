"""The numbers of a row, the same in every process, and what must come out.

`problem_of(row)` makes them from the row's name alone. Every problem has a `kind`, which says what an engine has to do, and
`expected()`, exact; `wrong(result)` is the share of a result that is not right.
"""

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True)
class Convolution:
    """Square images and kernels, `same` padding."""

    inputs: int
    outputs: int
    size: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    batch: int = 1

    @property
    def pad(self):
        return self.kernel // 2

    @property
    def out(self):
        return (self.size + 2 * self.pad - self.kernel) // self.stride + 1

    def multiplies(self):
        """Multiply-accumulates, the padding's included."""
        return self.batch * self.out**2 * self.outputs * self.inputs // self.groups * self.kernel**2


@dataclasses.dataclass
class Integer:
    """uint8 · int8 → uint8: clamp(round_half_even(float(sum) · multiplier[c]), 0, 255), as after a ReLU.

    gemm: sizes (m, n, k), x: [m, k], weights: [n, k]; conv: sizes of a Convolution, x: [batch, size, size, inputs], weights:
    [outputs, inputs / groups, kernel, kernel], bias: integers in units of the sum.
    """

    kind: str
    sizes: tuple
    x: np.ndarray
    weights: np.ndarray
    multiplier: np.ndarray
    bias: np.ndarray | None = None
    input_zero: int = 0

    # Only products of scales matter: weight_scale · input_scale / output_scale = multiplier.
    input_scale = 0.02
    output_scale = 0.05
    output_zero = 0

    @property
    def weight_scale(self):
        return (self.multiplier * np.float32(self.output_scale / self.input_scale)).astype(np.float32)

    def convolution(self):
        return Convolution(*self.sizes)

    def expected(self):
        # Every float64 in a sum is an integer below 2⁵³.
        x = self.x.astype(np.float64) - self.input_zero
        w = self.weights.astype(np.float64)
        sums = x @ w.T if self.kind == "gemm" else convolve(x, w, self.convolution())
        if self.bias is not None:
            sums += self.bias
        real = sums.astype(np.float32) * self.multiplier
        return np.rint(np.clip(real, 0, 255)).astype(np.uint8)

    def save(self, path):
        np.savez(path, **{key: value for key, value in vars(self).items() if value is not None})

    @staticmethod
    def load(path):
        with np.load(path) as file:
            fields = {key: value if value.ndim else value[()] for key, value in file.items()}
        fields["sizes"] = tuple(map(int, fields["sizes"]))
        return Integer(**{**fields, "kind": str(fields["kind"]), "input_zero": int(fields["input_zero"])})

    @staticmethod
    def wrong(result, expected):
        """Bytes that differ by more than one: less is the rounding of a scale that was folded differently."""
        return float((np.abs(result.astype(np.int32) - expected.astype(np.int32)) > 1).mean())


@dataclasses.dataclass
class Float:
    """sgemm: a: [m, k] · b: [k, n], row-major."""

    kind: str
    sizes: tuple
    a: np.ndarray
    b: np.ndarray

    def expected(self):
        return self.a.astype(np.float64) @ self.b.astype(np.float64)

    @staticmethod
    def wrong(result, expected):
        return float((np.abs(result - expected) > 1e-3 + 1e-4 * np.abs(expected)).mean())


@dataclasses.dataclass
class Layout:
    """layout: bytes of an image [channels, size, size] → [size, size, channels]."""

    kind: str
    sizes: tuple
    x: np.ndarray

    def expected(self):
        return np.ascontiguousarray(np.moveaxis(self.x, 0, 2))

    @staticmethod
    def wrong(result, expected):
        return float((result != expected).mean())


@dataclasses.dataclass
class Reals:
    """What observers and quantizers do to x, [channels, count] float32; an axis of one channel: to the whole of it.

    min_max: [smallest, largest] of each channel; histogram: counts in `bins` equal bins from the smallest to the largest;
    search: the range that HistogramObserver of PyTorch chooses, where x is the histogram of 10 million numbers from −6 to 6;
    quantize: bytes; fake_quantize: the real numbers that these bytes stand for, and with a mask where x was in range.
    """

    kind: str
    sizes: tuple
    x: np.ndarray

    bins = 2048
    range = (-6.0, 6.0)
    zero, low, high = 128, 0, 255

    @property
    def by_channel(self):
        return len(self.x) > 1

    @property
    def scale(self):
        """One for each channel."""
        return (np.abs(self.x).max(axis=1) / 100).astype(np.float32)

    def expected(self):
        match self.kind:
            case "min_max":
                return np.stack([self.x.min(axis=1), self.x.max(axis=1)], axis=1)
            case "search":
                return np.array(least_error_range(self.x[0], *self.range))
            case "histogram":
                low, high = self.x.min(), self.x.max()
                places = ((self.x - low) * np.float32(self.bins) / (high - low)).astype(np.int64)
                return np.bincount(np.minimum(places, self.bins - 1).ravel(), minlength=self.bins)
        scale = self.scale[:, None]
        q = np.rint(self.x * (np.float32(1) / scale)) + self.zero
        inside, clamped = (q >= self.low) & (q <= self.high), np.clip(q, self.low, self.high)
        if self.kind == "quantize":
            return clamped.astype(np.uint8)
        real = (clamped - self.zero) * scale
        return np.stack([real, inside]) if self.kind == "fake_quantize_mask" else real

    def wrong(self, result, expected):
        difference = np.abs(result.astype(np.float64) - expected)
        match self.kind:
            case "min_max":
                return float((difference > 0).mean())
            case "search":
                # By more than a bin.
                return float((difference > 1.01 * (self.range[1] - self.range[0]) / self.bins).mean())
            case "histogram":
                # Of all numbers, those in another bin: who divides first puts a few beyond the border.
                return float(difference.sum() / 2 / self.x.size) if difference.sum() > 1e-5 * self.x.size else 0.0
        # By more than one step.
        return float((difference > (1 if self.kind == "quantize" else 1.01 * self.scale[:, None])).mean())


def least_error_range(counts, low, high, levels=256):
    """torch.ao.quantization.HistogramObserver._non_linear_param_search, in float64."""
    bins, total, below = len(counts), counts.sum(dtype=np.float64), np.cumsum(counts, dtype=np.float64)
    edges = np.arange(bins + 1.0)

    def error(start, end):
        # In bins: the integral of the squared distance to the nearest of the levels, up to every edge.
        step = (end - start + 1) / levels
        level = np.clip(np.floor((edges - start) / step), 0, levels - 1)
        distance = edges - start - (level + 0.5) * step
        return (counts * np.diff(level * step**3 / 12 + (distance**3 + (step / 2) ** 3) / 3)).sum()

    alpha, beta, start, end, least = 0.0, 1.0, 0, bins - 1, np.inf
    while alpha < beta:
        left = min(max(int(np.searchsorted(below, (alpha + 1e-5) * total)), start), end)
        right = max(min(int(np.searchsorted(below, (beta - 1e-5) * total, "right")) - 1, end), start)
        if left - start > end - right:
            alpha, candidate = alpha + 1e-5, (left, end)
        else:
            beta, candidate = beta - 1e-5, (start, right)
        if candidate == (start, end):
            continue
        if (cost := error(*candidate)) > least:
            break
        least, (start, end) = cost, candidate
    width = (high - low) / bins
    return low + width * start, low + width * (end + 1)


@functools.lru_cache(maxsize=1)
def problem_of(row, input_zero=0):
    random = np.random.default_rng(row.seed())
    if row.kind == "sgemm":
        m, n, k = row.sizes
        return Float(row.kind, row.sizes, *(random.standard_normal(s, np.float32) for s in [(m, k), (k, n)]))
    if row.kind == "layout":
        channels, size = row.sizes
        return Layout(row.kind, row.sizes, random.integers(0, 256, (channels, size, size), np.uint8))
    if row.kind == "search":
        counts, _ = np.histogram(random.standard_normal(10_000_000, np.float32), Reals.bins, Reals.range)
        return Reals(row.kind, row.sizes, counts.astype(np.float32)[None])
    if row.table == "observe":
        return Reals(row.kind, row.sizes, random.standard_normal(row.sizes, np.float32))
    return random_integers(random, row, input_zero)


def random_integers(random, row, input_zero):
    """Activations flat over all 256 bytes, bell-shaped or flat weights."""
    if row.kind == "gemm":
        m, n, k = row.sizes
        x_shape, w_shape = (m, k), (n, k)
    else:
        c = Convolution(*row.sizes)
        x_shape = (c.batch, c.size, c.size, c.inputs)
        w_shape = (c.outputs, c.inputs // c.groups, c.kernel, c.kernel)
    x, w = random.integers(0, 256, x_shape, np.uint8), random_weights(random, w_shape, row.weights)
    # Sums spread over the range of the result, differently in every channel.
    spread = np.sqrt((w.reshape(len(w), -1).astype(np.float32) ** 2).sum(axis=1)) * 147
    multiplier = (80 / spread * random.uniform(0.5, 1.5, len(w))).astype(np.float32)
    bias = (random.normal(0, 0.3, len(w)) * spread).astype(np.int32) if row.kind == "conv" else None
    return Integer(row.kind, row.sizes, x, w, multiplier, bias, input_zero)


def random_weights(random, shape, distribution):
    """normal: the largest of each channel is 127."""
    if distribution == "uniform":
        return random.integers(-127, 128, shape, np.int8)
    values = random.standard_normal(shape, np.float32)
    largest = np.abs(values).reshape(len(values), -1).max(axis=1)
    return np.rint(values / largest.reshape(-1, *[1] * (len(shape) - 1)) * 127).astype(np.int8)


def convolve(x, w, c):
    """x: [batch, size, size, inputs], w: [outputs, inputs / groups, kernel, kernel]; tap by tap."""
    padded = np.pad(x, ((0, 0), (c.pad, c.pad), (c.pad, c.pad), (0, 0)))
    sums = np.zeros((len(x), c.out, c.out, c.outputs))
    last = (c.out - 1) * c.stride + 1
    for i in range(c.kernel):
        for j in range(c.kernel):
            window = padded[:, i : i + last : c.stride, j : j + last : c.stride]
            sums += window * w[:, 0, i, j] if c.groups == c.inputs else window @ w[:, :, i, j].T
    return sums
