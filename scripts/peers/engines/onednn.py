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
                "onednn_conv": (POINTER, INT, *[LONG] * 7, *[POINTER] * 4, ctypes.c_int32),
                "onednn_run": (ctypes.c_double, POINTER, INT),
                "onednn_sgemm": (ctypes.c_double, INT, LONG, LONG, LONG, *[POINTER] * 3, INT),
                "onednn_output": (None, POINTER, POINTER),
                "onednn_free": (None, POINTER),
                "onednn_implementation": (ctypes.c_char_p, POINTER),
                "onednn_version": (ctypes.c_char_p,),
            },
        )
        self.version = self.library.onednn_version().decode()

    def forms(self, row, problem, threads):
        if row.kind == "sgemm":
            return {"sgemm": FloatJob(self.library, threads, problem)}
        keep = [aligned(a) for a in [problem.x, problem.weights, problem.bias, problem.multiplier]]
        x, weights, bias, multiplier = map(pointer, keep)
        if row.kind == "gemm":
            m, n, k = row.sizes
            made = {
                name: self.library.onednn_gemm(form, threads, m, n, k, x, weights, multiplier, problem.input_zero)
                for form, name in enumerate(GEMM_FORMS)
            }
            shape = (m, n)
        else:
            c = row.convolution()
            made = {
                "convolution": self.library.onednn_conv(
                    threads, c.inputs, c.outputs, c.size, c.kernel, c.stride, c.pad, c.groups, x, weights, bias,
                    multiplier, problem.input_zero,
                )
            }  # fmt: skip
            shape = (1, c.out, c.out, c.outputs)
        return {name: Job(self.library, handle, shape, keep) for name, handle in made.items() if handle}
