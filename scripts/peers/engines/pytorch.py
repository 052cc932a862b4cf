"""PyTorch: its quantized operations, with each of its engines."""

import os
import time
import warnings

import numpy as np

# The names that FBGEMM and ATen give the instruction sets.
FBGEMM_ISA = {"avx2": "AVX2", "avx512vnni": "AVX512_E1"}


class Job:
    def __init__(self, torch, call, finish):
        self.torch, self.call, self.finish = torch, call, finish

    def run(self, count):
        call = self.call
        start = time.perf_counter()
        for _ in range(count):
            call()
        return time.perf_counter() - start

    def output(self):
        return self.finish(self.call())


class Engine:
    title = "PyTorch"

    def __init__(self, isa):
        if isa in FBGEMM_ISA:
            os.environ["FBGEMM_ENABLE_INSTRUCTIONS"] = FBGEMM_ISA[isa]
        if isa == "avx2":
            os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
            os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
        # Of the quantized tensors, that they are to go.
        warnings.filterwarnings("ignore")
        import torch

        self.torch = torch
        self.version = torch.__version__.split("+")[0]

    def forms(self, row, problem, threads):
        self.torch.set_num_threads(threads)
        if row.kind == "sgemm":
            a, b = self.torch.from_numpy(problem.a), self.torch.from_numpy(problem.b)
            result = self.torch.empty(a.shape[0], b.shape[1])
            return {"mm": Job(self.torch, lambda: self.torch.mm(a, b, out=result), lambda y: y.numpy().copy())}
        return {name: self.integer(row, problem, name) for name in ["fbgemm", "onednn"]}

    def integer(self, row, problem, engine):
        torch, q = self.torch, self.torch.ops.quantized
        torch.backends.quantized.engine = engine
        weights = torch._make_per_channel_quantized_tensor(
            torch.from_numpy(problem.weights),
            torch.from_numpy(problem.weight_scale.astype(np.float64)),
            torch.zeros(len(problem.weight_scale), dtype=torch.int64),
            0,
        )
        x = torch.from_numpy(problem.x)
        scale, zero = problem.output_scale, problem.output_zero
        if row.kind == "gemm":
            x = torch._make_per_tensor_quantized_tensor(x, problem.input_scale, problem.input_zero)
            packed = q.linear_prepack(weights, None)
            return Job(torch, lambda: q.linear_relu(x, packed, scale, zero), lambda y: y.int_repr().numpy().copy())
        c = row.convolution()
        x = torch._make_per_tensor_quantized_tensor(x.permute(0, 3, 1, 2), problem.input_scale, problem.input_zero)
        x = x.contiguous(memory_format=torch.channels_last)
        bias = torch.from_numpy(problem.bias * problem.weight_scale * np.float32(problem.input_scale))
        packed = q.conv2d_prepack(weights, bias.float(), [c.stride] * 2, [c.pad] * 2, [1, 1], c.groups)
        return Job(
            torch,
            lambda: q.conv2d_relu(x, packed, scale, zero),
            lambda y: y.int_repr().permute(0, 2, 3, 1).contiguous().numpy(),
        )
