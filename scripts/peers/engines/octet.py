"""Octet's kernels, straight from their C sources."""

import ctypes
import os

import numpy as np

from common import ROOT
from engines.native import HERE, aligned, build, declare, empty, pointer

SIZE, INT, POINTER = ctypes.c_size_t, ctypes.c_int32, ctypes.c_void_p
CONVOLUTION_FIELDS = (
    "in_h in_w in_c out_h out_w out_c kernel_h kernel_w stride_h stride_w dilation_h dilation_w pad_top pad_left groups"
)
WINDOW_FIELDS = (
    "in_h in_w channels out_h out_w kernel_h kernel_w stride_h stride_w dilation_h dilation_w pad_top pad_left"
)


class ConvolutionShape(ctypes.Structure):
    _fields_ = [(name, SIZE) for name in CONVOLUTION_FIELDS.split()]


class Window(ctypes.Structure):
    _fields_ = [(name, SIZE) for name in WINDOW_FIELDS.split()] + [("count_include_pad", ctypes.c_bool)]


class DescriptorHead(ctypes.Structure):
    """How an octet_isa begins."""

    _fields_ = [(name, ctypes.c_char_p) for name in ["name", "features", "dot"]]
    _fields_ += [("supported", ctypes.CFUNCTYPE(ctypes.c_bool))]


def load():
    rooms = [ROOT / "CKernels", ROOT / "CKernels/isa", ROOT / "CThreadPool"]
    sources = [HERE / "octet.c", *(path for room in rooms for path in sorted(room.glob("*.c")))]
    watched = [path for room in rooms for end in ["h", "inc"] for path in room.parent.glob(f"{room.name}/**/*.{end}")]
    # As `swift build -c release` compiles C.
    command = [os.environ.get("CC", "clang"), "-std=c11", "-O2", "-DNDEBUG=1", "-fPIC", "-shared", "-pthread"]
    command += [f"-I{ROOT}/CKernels/include", f"-I{ROOT}/CThreadPool/include", *map(str, sources), "-lm"]
    library = ctypes.CDLL(str(build("octet", command, sources, watched)))
    declare(
        library,
        {
            "octet_isa_best": (POINTER,),
            "octet_isa_named": (POINTER, ctypes.c_char_p),
            "octet_pool_create": (POINTER, SIZE),
            "bench_run": (ctypes.c_double, POINTER, SIZE),
            "bench_conv": (POINTER, POINTER, POINTER, POINTER, SIZE, POINTER, ctypes.c_uint8, *[POINTER] * 4),
            "bench_depthwise": (POINTER, POINTER, POINTER, POINTER, POINTER, ctypes.c_uint8, *[POINTER] * 4),
            "bench_sgemm": (POINTER, POINTER, SIZE, SIZE, SIZE, POINTER, POINTER, POINTER),
            "bench_layout": (POINTER, POINTER, SIZE, SIZE, POINTER, POINTER),
            "bench_reals": (POINTER, POINTER, ctypes.c_char_p, *[SIZE] * 3, *[POINTER] * 3, *[INT] * 2, *[POINTER] * 2),
            "bench_peak": (POINTER, POINTER, POINTER, ctypes.c_bool, POINTER),
        },
    )
    return library


class Job:
    def __init__(self, library, handle, result, keep, mask=None):
        self.library, self.handle, self.result, self.keep, self.mask = library, handle, result, keep, mask

    def run(self, count):
        return self.library.bench_run(self.handle, count)

    def output(self):
        return self.result.copy() if self.mask is None else np.stack([self.result, self.mask])


class SearchJob:
    """The search for parameters, straight from its Swift source."""

    def __init__(self, problem):
        source = ROOT / "Sources/OctetQuantization/Observers/NormMinimization.swift"
        sources = [HERE / "search.swift", source]
        command = ["swiftc", "-O", "-wmo", "-swift-version", "6", "-emit-library", "-module-name", "Search"]
        self.library = ctypes.CDLL(str(build("search", [*command, *map(str, sources)], sources)))
        declare(self.library, {"bench_search": (ctypes.c_double, POINTER, SIZE, *[ctypes.c_float] * 2, POINTER, SIZE)})
        self.counts, self.range, self.result = aligned(problem.x[0]), problem.range, empty(2, np.float32)

    def run(self, count):
        counts = pointer(self.counts)
        return self.library.bench_search(counts, len(self.counts), *self.range, pointer(self.result), count)

    def output(self):
        return self.result.copy()


class Engine:
    title = "Octet"

    def __init__(self, isa):
        self.library = load()
        self.isa = self.library.octet_isa_named(isa.encode()) if isa else self.library.octet_isa_best()
        if not self.isa:
            raise ValueError(f"there is no instruction set {isa}")
        head = ctypes.cast(self.isa, ctypes.POINTER(DescriptorHead)).contents
        if not head.supported():
            raise ValueError(f"this CPU does not have {isa}: {head.features.decode()}")
        self.pools = {}
        self.version = head.name.decode()

    def pool(self, threads):
        if threads not in self.pools:
            self.pools[threads] = self.library.octet_pool_create(threads)
        return self.pools[threads]

    def gemm(self, problem, threads):
        m, n, k = problem.sizes
        shape = ConvolutionShape(m, 1, k, m, 1, n, 1, 1, 1, 1, 1, 1, 0, 0, 1)
        return {"conv": self.integer(problem, self.library.bench_conv, threads, [ctypes.byref(shape), 1], (m, n))}

    def conv(self, problem, threads):
        c = problem.convolution()
        across = (c.kernel, c.kernel, c.stride, c.stride, 1, 1, c.pad, c.pad)
        result = (c.batch, c.out, c.out, c.outputs)
        if c.groups > 1 and c.groups == c.inputs == c.outputs:
            window = Window(c.size, c.size, c.inputs, c.out, c.out, *across)
            make = self.library.bench_depthwise
            return {"depthwise": self.integer(problem, make, threads, [ctypes.byref(window)], result)}
        shape = ConvolutionShape(c.size, c.size, c.inputs, c.out, c.out, c.outputs, *across, c.groups)
        return {"conv": self.integer(problem, self.library.bench_conv, threads, [ctypes.byref(shape), c.batch], result)}

    def integer(self, problem, make, threads, shape, result_shape):
        x, w, bias, multiplier = map(aligned, [problem.x, problem.weights, problem.bias, problem.multiplier])
        result = empty(result_shape, x.dtype)
        handle = make(
            self.isa, self.pool(threads), *shape, pointer(x), problem.input_zero, pointer(w), pointer(bias),
            pointer(multiplier), pointer(result),
        )  # fmt: skip
        return Job(self.library, handle, result, [x, w, bias, multiplier])

    def sgemm(self, problem, threads):
        a, b = aligned(problem.a), aligned(problem.b)
        result = empty((len(a), b.shape[1]), a.dtype)
        handle = self.library.bench_sgemm(self.isa, *problem.sizes, pointer(a), pointer(b), pointer(result))
        return {"sgemm": Job(self.library, handle, result, [a, b])}

    def layout(self, problem, threads):
        channels, size = problem.sizes
        x, result = aligned(problem.x), empty((size, size, channels), problem.x.dtype)
        handle = self.library.bench_layout(self.isa, channels, size * size, pointer(x), pointer(result))
        return {"to_nhwc": Job(self.library, handle, result, [x])}

    def min_max(self, problem, threads):
        return self.reals(problem, problem.kind, empty((len(problem.x), 2), np.float32))

    def histogram(self, problem, threads):
        return self.reals(problem, problem.kind, empty(problem.bins, np.float32))

    def search(self, problem, threads):
        return {"search": SearchJob(problem)}

    def quantize(self, problem, threads):
        return self.reals(problem, problem.kind, empty(problem.x.shape, np.uint8))

    def fake_quantize(self, problem, threads):
        return self.reals(problem, problem.kind, empty(problem.x.shape, np.float32))

    def fake_quantize_mask(self, problem, threads):
        mask = empty(problem.x.shape, np.uint8)
        return self.reals(problem, problem.kind, empty(problem.x.shape, np.float32), mask)

    def reals(self, problem, kind, result, mask=None):
        x, scale = aligned(problem.x), aligned(problem.scale)
        zero = aligned(np.full(scale.shape, problem.zero, np.int32))
        sizes = (len(x), x.size, problem.bins)
        handle = self.library.bench_reals(
            self.isa, kind.encode(), *sizes, pointer(x), pointer(scale), pointer(zero), problem.low, problem.high,
            pointer(result), pointer(mask),
        )  # fmt: skip
        return {kind: Job(self.library, handle, result, [x, scale, zero, mask], mask)}

    def peak(self, problem, threads):
        """The loop of multiplies alone, or of reading, and what one run of it does; None where neither bounds the work."""
        if problem.kind in ["layout", "search"] or problem.sizes == (1, 1, 1):
            return None, 0
        if hasattr(problem, "bins"):
            return self.reals(problem, "read", empty(64, np.uint8))["read"], problem.x.size * 4
        multiplies = ctypes.c_double()
        is_float = problem.kind == "sgemm"
        handle = self.library.bench_peak(self.isa, self.pool(threads), is_float, ctypes.byref(multiplies))
        return Job(self.library, handle, None, []), multiplies.value
