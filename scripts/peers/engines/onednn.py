"""oneDNN, from the wheels of PyPI, through a small C++ part that is compiled against them."""

import ctypes
import os
import pathlib
import sys

import numpy as np

from engines.native import HERE, aligned, build, declare, empty, pointer

INT, LONG, POINTER = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
# The names that oneDNN gives the instruction sets.
CPU_ISA = {"scalar": "SSE41", "avx2": "AVX2", "avxvnni": "AVX2_VNNI", "avx512vnni": "AVX512_CORE_VNNI"}
GEMM_FORMS = ["matmul", "inner product", "1×1 over m×1", "1×1 over 1×m"]


class Job:
    def __init__(self, library, handle, shape, keep):
        self.library, self.handle, self.shape, self.keep = library, handle, shape, keep
        self.note = library.onednn_implementation(handle).decode()

    def __del__(self):
        self.library.onednn_free(self.handle)

    def run(self, count):
        return self.library.onednn_run(self.handle, count)

    def output(self):
        result = empty(self.shape, np.uint8)
        self.library.onednn_output(self.handle, pointer(result))
        return result


class FloatJob:
    def __init__(self, library, threads, problem):
        self.a, self.b = aligned(problem.a), aligned(problem.b)
        self.result = empty((len(self.a), self.b.shape[1]), np.float32)
        (m, k), n = self.a.shape, self.b.shape[1]
        self.run = lambda count: library.onednn_sgemm(
            threads, m, n, k, pointer(self.a), pointer(self.b), pointer(self.result), count
        )

    def output(self):
        return self.result.copy()


class Engine:
    title = "oneDNN"

    def __init__(self, isa):
        if isa:
            os.environ["ONEDNN_MAX_CPU_ISA"] = CPU_ISA[isa]
        prefix = pathlib.Path(sys.prefix)
        source = HERE / "onednn.cpp"
        command = [os.environ.get("CXX", "c++"), "-std=c++17", "-O2", "-fPIC", "-shared", "-fopenmp", str(source)]
        command += [f"-I{prefix}/include", f"-L{prefix}/lib", f"-Wl,-rpath,{prefix}/lib", "-ldnnl"]
        self.library = ctypes.CDLL(str(build("onednn", command, [source])))
        declare(
            self.library,
            {
                "onednn_gemm": (POINTER, INT, INT, LONG, LONG, LONG, *[POINTER] * 3, ctypes.c_int32),
                "onednn_conv": (POINTER, INT, *[LONG] * 8, *[POINTER] * 4, ctypes.c_int32),
                "onednn_layout": (POINTER, INT, LONG, LONG, POINTER),
                "onednn_run": (ctypes.c_double, POINTER, INT),
                "onednn_sgemm": (ctypes.c_double, INT, LONG, LONG, LONG, *[POINTER] * 3, INT),
                "onednn_output": (None, POINTER, POINTER),
                "onednn_free": (None, POINTER),
                "onednn_implementation": (ctypes.c_char_p, POINTER),
                "onednn_version": (ctypes.c_char_p,),
            },
        )
        self.version = self.library.onednn_version().decode()

    def sgemm(self, problem, threads):
        return {"sgemm": FloatJob(self.library, threads, problem)}

    def layout(self, problem, threads):
        channels, size = problem.sizes
        x = aligned(problem.x)
        handle = self.library.onednn_layout(threads, channels, size, pointer(x))
        return {"reorder": Job(self.library, handle, (size, size, channels), [x])}

    def gemm(self, problem, threads):
        m, n, k = problem.sizes
        keep = [aligned(a) for a in [problem.x, problem.weights, problem.multiplier]]
        forms = {}
        for form, name in enumerate(GEMM_FORMS):
            handle = self.library.onednn_gemm(form, threads, m, n, k, *map(pointer, keep), problem.input_zero)
            if handle:
                forms[name] = Job(self.library, handle, (m, n), keep)
        return forms

    def conv(self, problem, threads):
        c = problem.convolution()
        keep = [aligned(a) for a in [problem.x, problem.weights, problem.bias, problem.multiplier]]
        sizes = (c.batch, c.inputs, c.outputs, c.size, c.kernel, c.stride, c.pad, c.groups)
        handle = self.library.onednn_conv(threads, *sizes, *map(pointer, keep), problem.input_zero)
        return {"convolution": Job(self.library, handle, (c.batch, c.out, c.out, c.outputs), keep)}
