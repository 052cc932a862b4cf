"""What is compared: every row with its sizes, and the ratio to the best peer that the project wants to reach there.

A target is (with an 8-bit dot product, without, without and against peers that are exact); None: nothing is wanted of the
row by itself. "Without" is AVX2, where all peers but one saturate.
"""

import dataclasses
import fnmatch
import math

from problem import Convolution


# Which peers have something for a kind of work.
ENGINES = {
    "gemm": ["onednn", "onnx_runtime", "onnx_runtime_exact", "pytorch"],
    "conv": ["onednn", "onnx_runtime", "onnx_runtime_exact", "pytorch"],
    "sgemm": ["openblas", "onednn", "pytorch"],
    "layout": ["onednn", "onnx_runtime", "pytorch"],
    "quantize": ["onnx_runtime", "pytorch"],
}


@dataclasses.dataclass(frozen=True)
class Row:
    table: str  # which table it belongs to
    name: str
    kind: str  # gemm, conv, …: what an engine looks at
    sizes: tuple
    threads: tuple = (1, 2)
    weights: str = "normal"
    target: tuple = (None, None, None)
    target_threads: tuple = (1, 2)
    against: str | None = None  # the target is the ratio to this peer; None: to the best

    def engines(self):
        """Ours first."""
        return ["octet", *ENGINES.get(self.kind, ["pytorch"])]

    def seed(self):
        return sum(ord(c) * 31**i for i, c in enumerate(self.table + self.name)) % 2**32

    def work(self):
        """What one run does, in the thousand millions that the unit counts."""
        if self.kind == "conv":
            return Convolution(*self.sizes).multiplies() / 1e9
        if self.kind == "layout":
            channels, size = self.sizes
            return channels * size * size / 1e9
        if self.table == "observe":
            return math.prod(self.sizes) * 4 / 1e9
        return math.prod(self.sizes) / 1e9

    def unit(self):
        if self.table == "call":
            return "ns"
        return "GMAC/s" if self.kind in ["gemm", "conv", "sgemm"] else "GB/s"


# M, N, K
GEMM = {
    (1, 1024, 1024): (1.15, 1.15, 1.25),
    (1, 4096, 4096): (1.15, 1.15, 1.25),
    (8, 1024, 1024): (0.97, None, 1.1),
    (32, 512, 512): (0.97, 0.90, 1.2),
    (128, 768, 768): (0.97, 0.90, 1.2),
    (128, 3072, 768): (0.97, 0.90, 1.2),
    (384, 768, 3072): (0.97, 0.90, 1.2),
    (512, 512, 512): (0.97, 0.90, 1.2),
    (1024, 1024, 1024): (0.97, 0.90, 1.2),
    (2048, 2048, 2048): (0.97, 0.90, 1.2),
    (49, 160, 960): (0.97, 0.90, 1.2),
    (196, 96, 576): (0.97, 0.90, 1.2),
    (3136, 64, 147): (0.97, 0.90, 1.2),
    (17, 33, 65): (1.5, 1.2, None),
}

CONVOLUTION = {
    "7×7 s2, 3→64 @224": ((3, 64, 224, 7, 2), (1.15, 1.1, None)),
    "3×3 s2, 3→32 @224": ((3, 32, 224, 3, 2), (1.4, 1.3, None)),
    "3×3 64→64 @56": ((64, 64, 56, 3), (0.97, 0.97, 1.35)),
    "3×3 128→128 @28": ((128, 128, 28, 3), (0.97, 0.97, 1.35)),
    "3×3 256→256 @14": ((256, 256, 14, 3), (0.97, 0.92, 1.25)),
    "3×3 512→512 @7": ((512, 512, 7, 3), (0.97, 0.80, 1.25)),
    "1×1 64→256 @56": ((64, 256, 56), (1.0, 0.93, None)),
    "1×1 1024→256 @14": ((1024, 256, 14), (1.0, 0.93, None)),
    "1×1 96→24 @56": ((96, 24, 56), (1.0, 0.93, None)),
    "1×1 576→160 @7": ((576, 160, 7), (1.0, 0.93, None)),
    "1×1 320→1280 @7": ((320, 1280, 7), (1.0, 0.93, None)),
}

DEPTHWISE = {
    "3×3 96 s2 @112": (96, 96, 112, 3, 2, 96),
    "3×3 144 @56": (144, 144, 56, 3, 1, 144),
    "3×3 576 @14": (576, 576, 14, 3, 1, 576),
}


# Channels and size of the image
LAYOUT = [(3, 224), (64, 56), (256, 14)]


WHOLE, CHANNELS = (1, 10_000_000), (64, 156_250)
OBSERVE = {
    "min, max": ("min_max", WHOLE, 1.0),
    "min, max of 64 channels": ("min_max", CHANNELS, 5),
    "histogram": ("histogram", WHOLE, 8),
    "parameters of 2048 bins": ("search", (1, 2048), 5),
    "quantize": ("quantize", WHOLE, None),
    "quantize 64 channels": ("quantize", CHANNELS, 8),
    "fake-quantize": ("fake_quantize", WHOLE, 15),
    "fake-quantize, mask": ("fake_quantize_mask", WHOLE, 11),
}


@dataclasses.dataclass(frozen=True)
class Goal:
    """What is wanted of several rows of a table together."""

    table: str
    threads: int
    # mean: of the ratios, geometric; peak: the least share of it; scaling: the least gain over one thread; figure: ours
    what: str
    target: tuple
    holds: tuple = (None, None, None)  # which rows, in each column; None: all

    def rows(self, results, column):
        chosen = self.holds[column] or (lambda result: True)
        return [r for r in results if (r["table"], r["threads"]) == (self.table, self.threads) and chosen(r)]


def tall(result):
    return result["sizes"][0] >= 32


def tall_and_deep(result):
    return tall(result) and result["sizes"][2] >= 512


def cube(result):
    return result["sizes"] == (1024, 1024, 1024)


def batch(result):
    return result["sizes"][0] >= 128


def pointwise(result):
    return result["name"].startswith("1×1")


GOALS = [
    Goal("gemm", 1, "mean", (1.10, 1.05, None), holds=(None, tall, None)),
    Goal("gemm", 1, "peak", (0.93, 0.93, None), holds=(tall_and_deep, cube, None)),
    Goal("gemm", 2, "mean", (1.10, None, None)),
    Goal("gemm", 2, "scaling", (None, 1.9, None), holds=(None, batch, None)),
    Goal("gemm-uniform", 1, "mean", (1.10, None, 1.05)),
    Goal("gemm-uniform", 1, "peak", (0.93, None, None), holds=(tall_and_deep, None, None)),
    Goal("convolution", 1, "mean", (None, 1.0, None), holds=(None, pointwise, None)),
    Goal("call", 1, "figure", (60, 60, None)),
    Goal("convolution", 2, "mean", (None, 1.0, None), holds=(None, pointwise, None)),
]


def rows_all():
    yield from (Row("gemm", shape_name(s), "gemm", s, target=t, target_threads=(1,)) for s, t in GEMM.items())
    # Flat weights: with a dot product nothing changes; without, only the exact peer is the measure.
    yield from (
        Row("gemm-uniform", shape_name(s), "gemm", s, (1,), "uniform", (t[0], None, 0.93)) for s, t in GEMM.items()
    )
    yield from (Row("convolution", n, "conv", s, target=t) for n, (s, t) in CONVOLUTION.items())
    yield from (Row("depthwise", n, "conv", s, target=(2.5, 1.8, None)) for n, s in DEPTHWISE.items())
    yield from (
        Row("observe", name, kind, sizes, (1,), target=(target, target, None), against="pytorch")
        for name, (kind, sizes, target) in OBSERVE.items()
    )
    yield from (Row("layout", f"{c} @{size}", "layout", (c, size), (1,)) for c, size in LAYOUT)
    yield Row("call", "1,1,1", "gemm", (1, 1, 1), (1,))
    yield Row("float", "1024,1024,1024", "sgemm", (1024, 1024, 1024), (1,), target=(0.9, 0.9, None), against="openblas")


def rows_matching(pattern):
    """Rows whose table or `table name` matches a pattern of the shell, several of them parted by `;`."""
    patterns = pattern.split(";")
    return [
        row
        for row in rows_all()
        if any(fnmatch.fnmatchcase(text, p) for text in (row.table, f"{row.table} {row.name}") for p in patterns)
    ]


def shape_name(sizes):
    return ",".join(map(str, sizes))
