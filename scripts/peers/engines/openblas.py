"""OpenBLAS: the float product, one thread or several."""

import ctypes
import ctypes.util
import time

import numpy as np

from engines.native import aligned, empty, pointer

INT, FLOAT, POINTER = ctypes.c_int, ctypes.c_float, ctypes.c_void_p
ROW_MAJOR, AS_IT_IS = 101, 111


class Job:
    def __init__(self, library, problem):
        self.a, self.b = aligned(problem.a), aligned(problem.b)
        (m, k), n = self.a.shape, self.b.shape[1]
        self.result = empty((m, n), np.float32)
        a, b, c = map(pointer, [self.a, self.b, self.result])
        self.call = lambda: library.cblas_sgemm(ROW_MAJOR, AS_IT_IS, AS_IT_IS, m, n, k, 1, a, k, b, n, 0, c, n)

    def run(self, count):
        start = time.perf_counter()
        for _ in range(count):
            self.call()
        return time.perf_counter() - start

    def output(self):
        return self.result.copy()


class Engine:
    title = "OpenBLAS"

    def __init__(self, isa):
        name = ctypes.util.find_library("openblas")
        if not name:
            raise OSError("there is no OpenBLAS on this system")
        self.library = ctypes.CDLL(name)
        self.library.cblas_sgemm.restype = None
        self.library.cblas_sgemm.argtypes = (
            [INT] * 6 + [FLOAT, POINTER, INT, POINTER, INT, FLOAT, POINTER, INT]
        )  # fmt: skip
        self.library.openblas_get_config.restype = ctypes.c_char_p
        self.version = self.library.openblas_get_config().decode().split()[1]

    def sgemm(self, problem, threads):
        self.library.openblas_set_num_threads(threads)
        return {"cblas_sgemm": Job(self.library, problem)}
