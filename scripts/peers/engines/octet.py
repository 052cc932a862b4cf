"""Octet's kernels, straight from their C sources."""

import ctypes
import os

from common import ROOT
from engines.native import HERE, aligned, build, declare, empty, pointer

SIZE, POINTER = ctypes.c_size_t, ctypes.c_void_p
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
            "bench_conv": (POINTER, POINTER, POINTER, POINTER, POINTER, ctypes.c_uint8, *[POINTER] * 4),
            "bench_depthwise": (POINTER, POINTER, POINTER, POINTER, POINTER, ctypes.c_uint8, *[POINTER] * 4),
            "bench_sgemm": (POINTER, POINTER, SIZE, SIZE, SIZE, POINTER, POINTER, POINTER),
            "bench_peak": (POINTER, POINTER, POINTER, ctypes.c_bool, POINTER),
        },
    )
    return library


class Job:
    def __init__(self, library, handle, result, keep):
        self.library, self.handle, self.result, self.keep = library, handle, result, keep

    def run(self, count):
        return self.library.bench_run(self.handle, count)

    def output(self):
        return self.result.copy()


class Engine:
    title = "Octet"

    def __init__(self, isa):
        self.library = load()
        self.isa = self.library.octet_isa_named(isa.encode()) if isa else self.library.octet_isa_best()
        if not self.isa:
            raise ValueError(f"there is no instruction set {isa}")
        self.pools = {}
        self.version = ctypes.cast(self.isa, ctypes.POINTER(ctypes.c_char_p))[0].decode()

    def pool(self, threads):
        if threads not in self.pools:
            self.pools[threads] = self.library.octet_pool_create(threads)
        return self.pools[threads]

    def forms(self, row, problem, threads):
        if row.kind == "sgemm":
            return {"sgemm": self.sgemm(row, problem)}
        depthwise = row.kind == "conv" and row.convolution().groups > 1
        return {"depthwise" if depthwise else "conv": self.integer(row, problem, threads, depthwise)}

    def integer(self, row, problem, threads, depthwise):
        x, w, bias, multiplier = map(aligned, [problem.x, problem.weights, problem.bias, problem.multiplier])
        if row.kind == "gemm":
            m, n, k = row.sizes
            shape = ConvolutionShape(m, 1, k, m, 1, n, 1, 1, 1, 1, 1, 1, 0, 0, 1)
            result = empty((m, n), x.dtype)
        else:
            c = row.convolution()
            across = (c.kernel, c.kernel, c.stride, c.stride, 1, 1, c.pad, c.pad)
            shape = ConvolutionShape(c.size, c.size, c.inputs, c.out, c.out, c.outputs, *across, c.groups)
            if depthwise:
                shape = Window(c.size, c.size, c.inputs, c.out, c.out, *across)
            result = empty((1, c.out, c.out, c.outputs), x.dtype)
        make = self.library.bench_depthwise if depthwise else self.library.bench_conv
        handle = make(
            self.isa, self.pool(threads), ctypes.byref(shape), pointer(x), problem.input_zero, pointer(w),
            pointer(bias), pointer(multiplier), pointer(result),
        )  # fmt: skip
        return Job(self.library, handle, result, [x, w, bias, multiplier])

    def sgemm(self, row, problem):
        a, b = aligned(problem.a), aligned(problem.b)
        result = empty((len(a), b.shape[1]), a.dtype)
        handle = self.library.bench_sgemm(self.isa, *row.sizes, pointer(a), pointer(b), pointer(result))
        return Job(self.library, handle, result, [a, b])

    def peak(self, is_float, threads):
        """The loop of multiplies alone, and how many one run of it does."""
        multiplies = ctypes.c_double()
        handle = self.library.bench_peak(self.isa, self.pool(threads), is_float, ctypes.byref(multiplies))
        return Job(self.library, handle, None, []), multiplies.value
